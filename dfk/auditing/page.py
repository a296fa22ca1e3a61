"""The page of an audit: the verdicts, what they rest on, the worst pairs."""

from pathlib import Path
from typing import Any

from dfk import pages
from dfk.auditing import verdicts
from dfk.auditing.images import Source
from dfk.files import write_text

_CLASSES = {
    verdicts.OK: "ok",
    verdicts.LOOK: "look",
    verdicts.DANGER: "danger",
    verdicts.NOT_CHECKED: "none",
}
_MEASURES = {
    "near-duplicates": "hash correlation",
    "same person": "FaceNet cosine",
}


def write(path: Path, record: dict[str, Any], source: Source) -> None:
    """Writes the page of an audit's record.

    Args:
        path: of the page.
        record: from `dfk.auditing.audit.audit`.
        source: the data set, for the images of the pairs.

    Example:
        >>> write(Path("audit.html"), record, open_source("faces"))
    """
    ids = {
        side["id"]
        for rows in record["pairs"].values()
        for row in rows
        for side in row["images"]
    }
    images = {
        id: pages.data_url(pixels) for id, pixels in source.images(ids).items()
    }
    page = pages.render(
        "audit.html",
        record=record,
        images=images,
        classes=_CLASSES,
        measures=_MEASURES,
    )
    write_text(path, page)
