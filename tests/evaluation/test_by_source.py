"""Each of several data sets is measured by itself."""

import numpy as np
import pytest

from dfk.evaluation.by_source import by_source
from dfk.evaluation.records import Scores


@pytest.fixture
def scores():
    """A source that is told apart, one that is not, and one of reals alone."""
    ids, labels, probabilities, verdicts = [], [], [], []
    for source, fakes, reals in (
        ("1-easy", [0.9, 0.8], [0.1, 0.2]),
        ("2-hard", [0.2, 0.3], [0.8, 0.5]),
        ("3-reals", [], [0.1, 0.9]),
    ):
        for label, values in enumerate((reals, fakes)):
            for number, value in enumerate(values):
                ids.append(f"{source}/{label}{number}.png")
                labels.append(label)
                probabilities.append(value)
                verdict = "fake" if value > 0.6 else "real"
                verdicts.append("uncertain" if value == 0.5 else verdict)
    empty = np.full(len(ids), "")
    return Scores(
        np.array(ids),
        np.array(ids),
        np.array(labels),
        np.array(probabilities, np.float32),
        np.zeros(len(ids), np.float32),
        np.array(verdicts),
        empty,
        empty,
    )


def test_each_source_has_its_row(scores):
    easy, hard, reals, _ = by_source(scores, ["1-easy", "2-hard", "3-reals"])
    assert [easy.images, hard.images, reals.images] == [4, 4, 2]
    assert easy.values["roc_auc"]["value"] == 1
    assert hard.values["roc_auc"]["value"] == 0
    assert hard.values["called_fake"]["value"] == 0.5
    assert hard.values["called_real"]["value"] == 1
    assert hard.values["uncertain"]["value"] == 0.25
    assert reals.values["roc_auc"]["value"] is None
    assert reals.values["called_real"]["value"] is None
    assert reals.values["called_fake"]["value"] == 0.5


def test_the_mean_weighs_sources_alike_and_has_an_interval(scores):
    mean = by_source(scores, ["1-easy", "2-hard", "3-reals"])[-1]
    assert mean.name == "mean"
    assert mean.images == 10
    assert mean.values["roc_auc"]["value"] == 0.5
    assert mean.values["called_fake"]["value"] == pytest.approx(1 / 3)
    called = mean.values["called_fake"]
    assert called["low"] < called["value"] < called["high"]
