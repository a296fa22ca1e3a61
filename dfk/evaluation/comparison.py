"""Which detector is better, and whether the difference is significant.

All rows were scored on the same images, so that they can be compared image by
image.
"""

import dataclasses
import itertools
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfk import runs
from dfk.data.groups import groups_of_each_class
from dfk.errors import UserError
from dfk.evaluation import records
from dfk.evaluation.records import Scores, Source
from dfk.evaluation.rows import Row, ScoredRun, make_rows
from dfk.evaluation.statistics import (
    COVERAGE,
    AucDifference,
    McNemar,
    PairedAucs,
    holm,
    mcnemar,
)
from dfk.runs import Run

# They give standard errors, and these to about 2 %.
RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """A row against the best one.

    Args:
        row: the row.
        auc: its mean ROC AUC less the best row's. `p` is corrected by Holm's
            method for all pairs of rows.
        mcnemar: the test of the labels at threshold 0.5, with the row as
            the first detector; None where a row has several runs, or where
            images form groups, since the test takes images as independent.
    """

    row: Row
    auc: AucDifference
    mcnemar: McNemar | None

    @property
    def is_significant(self) -> bool:
        """Whether chance alone would seldom make so large a difference."""
        return self.auc.p < 1 - COVERAGE


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Args:
        source: what was scored.
        images: how many.
        groups: in how many groups.
        rows: the best mean ROC AUC first.
        differences: of each row but the first, in the same order.
    """

    source: Source
    images: int
    groups: int
    rows: list[Row]
    differences: list[Difference]


def compare(
    paths: Sequence[str | Path],
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str | None = None,
) -> Comparison:
    """Compares evaluated runs on the images that all of them scored.

    The intervals come from a paired bootstrap over groups of images and, in
    rows of several runs, from the variation over seeds (`PairedAucs`), which
    is unknown for a single run. The best row is picked by its result, so all
    pairs of rows count as tests: correcting only for those with the best row
    would call too many differences significant.

    Args:
        paths: folders of runs or of repeats, or `default`.
        dataset: a TFDS name, or a folder, to say which evaluation if the runs
            share more than one.
        data_dir: likewise a folder.
        split: likewise a split.

    Returns:
        The rows and their differences from the best one.

    Raises:
        UserError: runs that were not evaluated on the same images; or a class
            of no images or of one group, which allows no comparison.

    Example:
        >>> compare(["runs/cnn", "runs/facenet"]).differences[0].auc.value
        -0.131
    """
    source, scored = _read(paths, Source.named(dataset, data_dir, split))
    first = scored[0].scores
    if groups_of_each_class(first.labels, first.groups) < 2:
        raise UserError(
            f"The {len(first.ids)} images of {source.name} ({source.split}) "
            "allow no comparison: evaluate on reals and fakes in at least two "
            "groups each."
        )
    rows = make_rows(scored)
    return Comparison(
        source,
        images=len(first.ids),
        groups=len(np.unique(first.groups)),
        rows=rows,
        differences=_differences(rows) if len(rows) > 1 else [],
    )


def _read(
    paths: Sequence[str | Path], asked: Source
) -> tuple[Source, list[ScoredRun]]:
    """Reads the evaluation that is asked for, or the one all runs share."""
    opened = runs.finished(paths)
    evaluations = {run: _evaluations(run, asked) for run in opened}
    source = _shared(evaluations, asked)
    scored = [_read_run(run, evaluations[run][source]) for run in opened]
    for other in scored[1:]:
        _require_same_images(scored[0], other)
    return source, scored


def _evaluations(run: Run, asked: Source) -> dict[Source, str]:
    """The keys of the run's evaluations, by source, if asked for."""
    found = {}
    for key, record in run.results.get("evaluation", {}).items():
        source = Source(*(record[name] for name in Source._fields))
        if all(a in (None, s) for a, s in zip(asked, source, strict=True)):
            found[source] = key
    return found


def _shared(evaluations: dict[Run, dict[Source, str]], asked: Source) -> Source:
    """The one source that all runs were evaluated on."""
    times = Counter(itertools.chain.from_iterable(evaluations.values()))
    shared = [source for source in times if times[source] == len(evaluations)]
    if len(shared) > 1:
        choices = "; ".join(shlex.join(source.flags) for source in shared)
        raise UserError(
            "The runs were evaluated on several things: say which one is "
            f"meant with the flags of one of these: {choices}."
        )
    if not shared:
        source = max(times, key=times.__getitem__, default=asked)
        lacking = [r for r, has in evaluations.items() if source not in has]
        what = f"scores of {source.name}" if any(source[:2]) else "scores"
        more = f" and {len(lacking) - 1} more runs" if len(lacking) > 1 else ""
        raise UserError(
            f"No {what} in {lacking[0].path}{more}: run "
            f"`{records.command(lacking, source)}` first."
        )
    return shared[0]


def _read_run(run: Run, key: str) -> ScoredRun:
    results = run.results
    scores = records.read_scores(run, key)
    order = np.argsort(scores.ids, kind="stable")
    return ScoredRun(
        path=run.path,
        config=run.config,
        training=results.get("training", {}),
        metrics=results["evaluation"][key]["metrics"],
        scores=Scores(*(column[order] for column in scores)),
    )


def _require_same_images(first: ScoredRun, other: ScoredRun) -> None:
    ours, theirs = first.scores, other.scores
    # The ids, the groups and the labels.
    if not all(map(np.array_equal, ours[:3], theirs[:3])):
        raise UserError(
            f"{first.path} and {other.path} were not scored on the same "
            f"images, labels and groups ({len(ours.ids)} and "
            f"{len(theirs.ids)} images): evaluate both again."
        )


def _differences(rows: list[Row]) -> list[Difference]:
    first = rows[0].runs[0].scores
    aucs = PairedAucs(
        first.labels,
        first.groups,
        [
            np.stack([run.scores.probabilities for run in row.runs])
            for row in rows
        ],
        RESAMPLES,
    )
    pairs = list(itertools.combinations(range(len(rows)), 2))
    by_auc = _corrected({(a, b): aucs.difference(b, a) for a, b in pairs})
    by_label = _corrected(
        {(a, b): _mcnemar(rows[b], rows[a]) for a, b in pairs}
    )
    return [
        Difference(row, by_auc[0, number], by_label.get((0, number)))
        for number, row in enumerate(rows[1:], 1)
    ]


def _mcnemar(row: Row, best: Row) -> McNemar | None:
    groups = best.runs[0].scores.groups
    if len(np.unique(groups)) < len(groups) or len(row.runs + best.runs) > 2:
        return None
    return mcnemar(row.runs[0].scores.correct, best.runs[0].scores.correct)


def _corrected(tests: dict) -> dict:
    """Those tests that were made, with corrected p-values."""
    made = {pair: test for pair, test in tests.items() if test is not None}
    p_values = holm([test.p for test in made.values()])
    return {
        pair: dataclasses.replace(test, p=p)
        for (pair, test), p in zip(made.items(), p_values, strict=True)
    }
