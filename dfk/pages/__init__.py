"""Self-contained HTML pages: one file, no network, phone, screen and print."""

from dfk.pages.render import data_url, render

__all__ = ["data_url", "render"]
