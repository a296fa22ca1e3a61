import os
import re

import numpy as np
import pytest
from skilled import LABELS, scores

import dfk
from dfk.errors import UserError
from dfk.evaluation import comparison, tables
from dfk.evaluation.comparison import compare
from dfk.evaluation.rows import FROZEN
from dfk.evaluation.statistics import holm


def test_equal_detectors_show_no_significant_difference(write_run):
    found = compare(
        [write_run("a", scores(1)), write_run("b", scores(1), model="resnet")]
    )
    (difference,) = found.differences
    assert (difference.auc.value, difference.auc.low) == (0, 0)
    assert difference.auc.p == difference.mcnemar.p == 1
    (sentence,) = tables.sentences(found)
    assert "show no significant difference on 120 pictures" in sentence


def test_a_worse_detector_is_called_worse(write_run):
    weak = write_run("weak", scores(0.3, noise=1), model="resnet")
    found = compare([weak, write_run("strong", scores(2))])
    assert [row.detector for row in found.rows] == ["cnn", "resnet"]
    assert found.differences[0].is_significant
    assert re.match(
        r"resnet is worse than cnn: AUC -0\.\d{3} \(-0\.\d{3} to -0\.\d{3}\), "
        r"p < 0\.001; only the first is right on \d+ pictures, only the second "
        r"on \d+, p < 0\.001 \(McNemar\)",
        tables.sentences(found)[0],
    )


def test_runs_that_differ_in_their_seed_are_one_row(write_run):
    for seed, skill in enumerate((1, 2)):
        write_run(f"cnn/seed-{seed}", scores(skill), seed=seed)
    folder = write_run("other", scores(0.5), model="resnet").parent / "cnn"
    (folder / "repeats.json").write_text('{"seeds": [0, 1], "config": {}}')
    found = compare([folder, folder / "seed-0", folder.parent / "other"])
    assert [len(row.runs) for row in found.rows] == [2, 1]
    low, high = sorted(found.rows[0].values("roc_auc"))
    mean = (low + high) / 2
    _, rows = tables.cells(found)
    assert rows[0][2] == f"{mean:.3f} ({low:.3f} to {high:.3f})"
    assert rows[0][4:] == ["1,400", "61", "2"]
    difference = found.differences[0]
    expected = found.rows[1].values("roc_auc")[0] - mean
    assert difference.auc.value == pytest.approx(expected)
    assert difference.mcnemar is None


def test_the_built_in_detector_is_called_default(write_run, monkeypatch):
    clip = write_run("clip", scores(1), model="clip", unfreeze="none")
    monkeypatch.chdir(clip.parent)
    write_run(
        f"runs/default-{dfk.__detector_version__}",
        scores(2),
        model="clip",
        unfreeze="none",
        blend=0.3,
        head="a digest",
        licence={"id": "cc-by-nc-4.0"},
    )
    labels = [row.label for row in compare(["default", clip]).rows]
    assert labels == [f"default ({FROZEN})", f"clip ({FROZEN})"]


def test_a_row_says_what_sets_it_apart(write_run):
    full = write_run("full", scores(2), limit=None)
    few = write_run("few", scores(1), limit=350)
    frozen = write_run("frozen", scores(0.5), limit=None, unfreeze="none")
    rows = compare([few, frozen, full]).rows
    assert [row.settings for row in rows] == [
        "",
        "limit 350",
        FROZEN,
    ]
    part = write_run("part", scores(0.2), limit=None, unfreeze="stage3")
    rows = compare([frozen, full, part]).rows
    assert [row.settings for row in rows] == [
        "unfreeze all",
        FROZEN,
        "unfreeze stage3",
    ]


def test_a_recipe_that_changed_makes_another_row(write_run):
    known, changed = (
        write_run(name, scores(1), recipe={"augmentation": {"shift": shift}})
        for name, shift in (("known", 0.05), ("changed", 0.15))
    )
    rows = compare([known, changed]).rows
    assert [row.settings for row in rows] == [
        "recipe augmentation shift 0.05",
        "recipe augmentation shift 0.15",
    ]


def test_what_evaluate_writes_is_what_is_compared(evaluated):
    (row,) = compare([evaluated[0]]).rows
    assert row.values("roc_auc") == [1]


def test_all_pairs_are_corrected_for_since_the_best_was_picked(
    write_run, monkeypatch
):
    runs = [
        write_run(name, scores(skill), model=name)
        for name, skill in (("a", 3), ("b", 0.1), ("c", 0.2))
    ]
    corrected = []

    def spy(p_values):
        corrected.append(len(p_values))
        return holm(p_values)

    monkeypatch.setattr(comparison, "holm", spy)
    compare(runs)
    # By AUC and by McNemar's test.
    assert corrected == [3, 3]


def test_runs_without_scores_are_told_the_command(write_run):
    done, lacking = write_run("a", scores(1)), write_run("b", scores(1))
    (lacking / "results.json").write_text("{}")
    paths = [os.path.relpath(path) for path in (done, lacking, "/data/faces")]
    command = f"python -m dfk.evaluate {paths[1]} --data_dir={paths[2]}"
    with pytest.raises(UserError, match=re.escape(command)):
        compare([done, lacking])
    (done / "results.json").unlink()
    with pytest.raises(UserError, match=f"dfk.evaluate {paths[0]} {paths[1]}`"):
        compare([done, lacking])


def test_the_evaluation_meant_is_the_one_that_all_runs_share(write_run):
    both, one = write_run("a", scores(1)), write_run("b", scores(1), seed=1)
    write_run("a", scores(0.1), split="validation")
    assert compare([both, one]).source.split == "test"
    write_run("b", scores(0.1), split="validation", seed=1)
    with pytest.raises(UserError, match="--split=validation"):
        compare([both, one])
    assert compare([both, one], split="test").source.split == "test"


@pytest.mark.parametrize(
    "asked",
    [
        {"dataset": "/data/faces,/data/other"},
        {"data_dir": "/data/faces/,/data/./other"},
    ],
)
def test_the_evaluation_meant_may_be_named_as_for_evaluate(write_run, asked):
    both = "/data/faces,/data/other"
    found = compare([write_run("a", scores(1), scored=both)], **asked)
    assert found.source.name == "faces and other"


def test_other_images_are_not_compared(write_run):
    fewer = write_run("fewer", scores(1)[:-2], LABELS[:-2], model="resnet")
    with pytest.raises(UserError, match=r"same images.*\(120 and 118 images"):
        compare([write_run("all", scores(1)), fewer])


def test_one_training_is_not_counted_twice(write_run):
    runs = [write_run("a", scores(1)), write_run("b", scores(1))]
    with pytest.raises(UserError, match="same training, seed included"):
        compare(runs)


@pytest.mark.parametrize("fakes", [0, 1])
def test_a_class_of_one_group_at_most_allows_no_comparison(write_run, fakes):
    labels = (np.arange(120) < fakes).astype(int)
    run = write_run("a", scores(1), labels)
    with pytest.raises(UserError, match="reals and fakes"):
        compare([run])


def test_all_that_a_run_was_trained_on_is_named(write_run):
    found = compare(
        [
            write_run("a", scores(2), data_dir="data/faces,data/other"),
            write_run("b", scores(1), data_dir="data/faces"),
        ]
    )
    assert [row.settings for row in found.rows] == [
        "trained on faces and other",
        "trained on faces",
    ]


def test_a_removed_file_of_scores_is_missed(write_run):
    run = write_run("a", scores(1))
    (run / "scores-faces-test.csv").unlink()
    with pytest.raises(UserError, match="evaluate again"):
        compare([run])


@pytest.mark.parametrize("lines", [0, 1, 2, 60])
def test_damaged_scores_are_named_with_a_remedy(write_run, lines):
    path = write_run("a", scores(1)) / "scores-faces-test.csv"
    kept = path.read_text().splitlines(keepends=True)[:lines]
    # Cut off inside a line, and between two lines.
    for end in (-3, None):
        path.write_text("".join(kept)[:end])
        with pytest.raises(UserError, match=r"csv is damaged: evaluate again"):
            compare([path.parent])
