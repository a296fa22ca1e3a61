"""The progress bar of long work."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, total: int) -> Iterator:
    """Passes items on, and shows a progress bar on a terminal.

    The bar goes to standard error and vanishes when the work is done. If
    standard error is not a terminal nothing is drawn.

    Args:
        items: what is worked on.
        description: what is being done to them.
        total: how many there are.

    Yields:
        The items.

    Example:
        >>> for batch in track(batches, "scoring", total=10): ...
    """
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    yield from rich_track(
        items,
        description,
        total=total,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
