"""How many images of each class a split has, and how many are broken."""

from dfk.auditing import verdicts
from dfk.auditing.images import ImageTable
from dfk.auditing.pairs import ORDER
from dfk.auditing.verdicts import Check


def class_balance(images: ImageTable) -> Check:
    """Checks what always answering the larger class would be worth.

    Example:
        >>> class_balance(images).sentence
        'Always answering the larger class is right on 50.0 % of train.'
    """
    counts = {}
    for name in (name for name in ORDER if name in images.splits):
        fake = images.labels[images.splits == name]
        counts[name] = {"real": int((fake == 0).sum()), "fake": int(fake.sum())}
    shares = {
        name: max(count.values()) / sum(count.values())
        for name, count in counts.items()
    }
    said = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items())
    return Check(
        "class balance",
        verdicts.worst([verdicts.majority(share) for share in shares.values()]),
        f"Always answering the larger class is right on {said}.",
        {"counts": counts, "majority_accuracy": shares},
    )


def unreadable(broken: list[str] | None, total: int) -> Check:
    """Says which files are no images; every other check leaves them out.

    Args:
        broken: their names; None for a data set without files.
        total: how many files there are.
    """
    name = "unreadable files"
    if broken is None:
        return Check(
            name,
            verdicts.NOT_CHECKED,
            "A TFDS data set has records, not files.",
        )
    if not broken:
        return Check(name, verdicts.OK, f"All {total:,} files are pictures.")
    count = len(broken)
    return Check(
        name,
        verdicts.LOOK,
        f"{count:,} of {total:,} files cannot be decoded, {broken[0]} among "
        "them; the other checks leave them out.",
        {"files": broken},
    )
