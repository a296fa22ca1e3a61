import functools
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dfk.errors import UserError
from dfk.evaluation import comparison, tables
from dfk.evaluation.measure import evaluate
from dfk.evaluation.paired import PairedAucs, holm, mcnemar, weighted_auc

LABELS = np.arange(120) % 2
# Fewer resamples than the command draws, to be quick.
compare = functools.partial(comparison.compare, resamples=999)
NOISE = np.random.default_rng(0).normal(size=(4, len(LABELS)))


def scores(skill, noise=0):
    """Scores of a detector: the more skill, the better; noise 0 is shared."""
    logits = skill * (2 * LABELS - 1) + NOISE[noise]
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def test_equal_detectors_cannot_be_told_apart(write_run):
    found = compare(
        [write_run("a", scores(1)), write_run("b", scores(1), model="resnet")]
    )
    (difference,) = found.differences
    assert (difference.auc.value, difference.auc.low) == (0, 0)
    assert difference.auc.p == difference.mcnemar.p == 1
    (sentence,) = tables.sentences(found)
    assert "cannot be told apart on 120 pictures" in sentence


def test_a_worse_detector_is_called_worse(write_run):
    weak = write_run("weak", scores(0.3, noise=1), model="resnet")
    found = compare([weak, write_run("strong", scores(2))])
    assert [row.detector for row in found.rows] == ["cnn", "resnet"]
    assert found.differences[0].is_real
    assert re.match(
        r"resnet is worse than cnn: AUC -0\.\d{3} \(-0\.\d{3} to -0\.\d{3}\), "
        r"p = 0\.002; the first alone is right on \d+ pictures, the second on "
        r"\d+, p < 0\.001 \(McNemar\)",
        tables.sentences(found)[0],
    )


def test_runs_that_differ_in_their_seed_are_one_row(write_run):
    for seed, skill in enumerate((1, 2)):
        write_run(f"cnn/seed-{seed}", scores(skill), seed=seed)
    folder = write_run("other", scores(0.5), model="resnet").parent / "cnn"
    (folder / "repeats.json").write_text('{"seeds": [0, 1]}')
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


def test_a_row_says_what_sets_it_apart(write_run):
    full = write_run("full", scores(2), limit=None)
    few = write_run("few", scores(1), limit=350)
    frozen = write_run("frozen", scores(0.5), limit=None, unfreeze="none")
    rows = compare([few, frozen, full]).rows
    assert [row.settings for row in rows] == [
        "",
        "limit 350",
        comparison.FROZEN,
    ]
    part = write_run("part", scores(0.2), limit=None, unfreeze="stage3")
    rows = compare([frozen, full, part]).rows
    assert [row.settings for row in rows] == [
        "unfreeze all",
        comparison.FROZEN,
        "unfreeze stage3",
    ]


def test_what_evaluate_writes_is_what_is_compared(make_run, face_folder):
    run = make_run(face_folder())
    evaluate(run)
    (row,) = compare([run]).rows
    assert row.values("roc_auc") == [1]


def test_the_luck_of_one_seed_is_no_real_difference():
    groups = np.arange(len(LABELS))
    steady = np.stack([scores(0.3), scores(0.3)])
    lucky = np.stack([scores(3), scores(0.3)])
    one = PairedAucs(LABELS, groups, [lucky[:1], steady], 999)
    assert one.difference(1, 0).p < 0.01
    both = PairedAucs(LABELS, groups, [lucky, steady], 999)
    assert both.difference(1, 0).value < -0.1
    assert both.difference(1, 0).p > 0.5


def test_images_of_one_group_count_once():
    groups = np.arange(len(LABELS))
    teams = [scores(1)[None], scores(0.8, noise=1)[None]]
    once = PairedAucs(LABELS, groups, teams, 200)
    repeated = PairedAucs(
        LABELS.repeat(3), groups.repeat(3), [t.repeat(3, 1) for t in teams], 200
    )
    ours, theirs = once.difference(1, 0), repeated.difference(1, 0)
    assert theirs.low == pytest.approx(ours.low)
    assert theirs.p == ours.p


def test_the_interval_holds_the_known_difference_as_often_as_it_says():
    generator = np.random.default_rng(0)
    # Logits N(+-d, 1) have an area of Phi(d * sqrt(2)).
    true = 0.760250 - 0.921350
    held = []
    for _ in range(100):
        shared = generator.normal(size=len(LABELS)) * 0.8
        teams = [
            (d * (2 * LABELS - 1) + shared + 0.6 * own)[None]
            for d, own in zip(
                (1, 0.5), generator.normal(size=(2, len(LABELS))), strict=True
            )
        ]
        groups = np.arange(len(LABELS))
        found = PairedAucs(LABELS, groups, teams, 100).difference(1, 0)
        held.append(found.low <= true <= found.high)
    # Three standard errors of 0.95 over 100 trials.
    assert np.mean(held) == pytest.approx(0.95, abs=0.065)


def test_weighted_areas_equal_those_of_scikit_learn():
    generator = np.random.default_rng(1)
    rounded = np.round([scores(1), scores(0.2, noise=1)], 1)
    weights = generator.integers(0, 3, len(LABELS)) * 1.0
    assert weighted_auc(LABELS, rounded)(weights) == pytest.approx(
        [roc_auc_score(LABELS, row, sample_weight=weights) for row in rounded]
    )


def test_mcnemar_counts_the_images_on_which_only_one_is_right():
    first = np.array([True] * 1 + [False] * 9 + [True] * 20)
    test = mcnemar(first, ~first | (np.arange(30) > 9))
    assert (test.only_first, test.only_second) == (1, 9)
    # Twice the chance of at most one head in ten throws.
    assert test.p == pytest.approx(2 * 11 / 1024)


def test_holm_corrects_the_smallest_p_most():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx(
        [0.04, 0.09, 0.09, 0.5]
    )


def test_all_pairs_are_corrected_for_since_the_best_was_picked(write_run):
    runs = [
        write_run(name, scores(skill), model=name)
        for name, skill in (("a", 3), ("b", 0.1), ("c", 0.2))
    ]
    found = compare(runs, resamples=99)
    # The smallest p of 99 resamples, and three pairs.
    assert found.differences[-1].auc.p == pytest.approx(3 * 2 / 100)


def test_runs_without_scores_are_told_the_command(write_run):
    done, lacking = write_run("a", scores(1)), write_run("b", scores(1))
    (lacking / "results.json").write_text("{}")
    command = f"python -m dfk.evaluate {lacking} --data_dir=/data/faces"
    with pytest.raises(UserError, match=re.escape(command)):
        compare([done, lacking])
    (done / "results.json").unlink()
    with pytest.raises(UserError, match=f"dfk.evaluate {done} {lacking}`"):
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


def test_seeds_are_one_row_however_their_folder_was_spelled(write_run):
    runs = [
        write_run(str(seed), scores(1, seed), seed=seed, data_dir=spelled)
        for seed, spelled in enumerate(("faces", "faces/", "./faces"))
    ]
    (row,) = compare(runs).rows
    assert (len(row.runs), row.label) == (3, "cnn")


def test_more_rows_are_resampled_more_often(write_run):
    runs = [
        write_run(str(n), scores(1, noise=n % 4), model=str(n))
        for n in range(11)
    ]
    assert comparison.compare(runs[:2]).resamples == 10_000
    found = comparison.compare(runs)
    assert found.resamples == 200 * 55
    assert "which can show no p below 0.01." in tables.notes(found)


def test_other_images_are_not_compared(write_run):
    fewer = write_run("fewer", scores(1)[:-2], LABELS[:-2], model="resnet")
    with pytest.raises(UserError, match=r"same images.*\(120 and 118 images"):
        compare([write_run("all", scores(1)), fewer])


def test_one_training_is_not_counted_twice(write_run):
    runs = [write_run("a", scores(1)), write_run("b", scores(1))]
    with pytest.raises(UserError, match="same training, seed included"):
        compare(runs)


def test_one_class_allows_no_comparison(write_run):
    run = write_run("a", scores(1), np.ones_like(LABELS))
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


def test_the_table_takes_the_place_between_the_markers(write_run, tmp_path):
    found = compare([write_run("a", scores(1))])
    page = tmp_path / "README.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    for _ in range(2):
        tables.update(page, tables.markdown(found, "the command"))
    text = page.read_text()
    assert text.startswith(f"before\n{tables.BEGIN}\n<!-- the command -->\n|")
    assert text.endswith(f"\n{tables.END}\nafter\n")
    assert "old" not in text
    assert text.count("| `cnn` |") == 1


def test_a_file_without_markers_is_left_alone(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("no place for a table")
    with pytest.raises(UserError, match=re.escape(tables.BEGIN)):
        tables.update(page, "table")
    assert page.read_text() == "no place for a table"


def test_the_command_prints_a_table_without_tensorflow(write_run):
    runs = [write_run("a", scores(1)), write_run("b", scores(2), model="x")]
    code = (
        "import sys\nfrom dfk import cli, compare\n"
        "try: cli.run(compare.main)\n"
        "finally: assert 'tensorflow' not in sys.modules"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *map(str, runs), "--markdown"],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert f"python -m dfk.compare {runs[0]} {runs[1]} -->" in answer.stdout
    assert "| `x` |" in answer.stdout


def test_brackets_in_a_name_are_shown(write_run):
    runs = [
        write_run("a", scores(1), data_dir="/data/[bold]"),
        write_run("b", scores(2), data_dir="/data/faces"),
    ]
    answer = subprocess.run(
        [sys.executable, "-m", "dfk.compare", *map(str, runs)],
        capture_output=True,
        text=True,
    )
    assert answer.stdout.count("[bold]") == 3, answer.stderr


def test_a_removed_file_of_scores_is_missed(write_run):
    run = write_run("a", scores(1))
    (run / "scores-faces-test.csv").unlink()
    with pytest.raises(UserError, match="evaluate again"):
        compare([run])
