"""Self-contained HTML pages: one file, no network, phone, screen and print."""

from dfk.pages.render import picture, render, write

__all__ = ["picture", "render", "write"]
