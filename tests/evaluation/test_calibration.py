import numpy as np
import pytest

from dfk.errors import UserError
from dfk.evaluation import calibration
from dfk.evaluation.calibration import conformal_thresholds, fit_scaling


def sigmoid(x):
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def faces(generator, count, separation=2.0):
    """Labels and overlapping scores, `count` of each class."""
    labels = np.arange(2 * count) % 2
    logits = separation * (labels - 0.5) + generator.normal(size=2 * count)
    return labels, sigmoid(logits)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 0.7])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_and_bias_are_recovered(temperature, bias):
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=2, size=20_000)
    labels = generator.random(20_000) < 1 / (1 + np.exp(-logits))
    raw = (logits - bias) * temperature
    fitted = fit_scaling(raw, labels.astype(int))
    assert fitted[0] == pytest.approx(temperature, rel=0.05)
    assert fitted[1] == pytest.approx(bias, abs=0.05)


def test_temperature_of_separated_classes_stays_moderate():
    # Platt's target for 50 images of a class is 51/52, whose logit is log 51.
    labels = np.arange(100) % 2
    temperature, bias = fit_scaling(5.0 * (2 * labels - 1), labels)
    assert temperature == pytest.approx(5 / np.log(51), rel=1e-3)
    assert bias == pytest.approx(0, abs=1e-3)


def test_temperature_of_useless_logits_ends_at_its_bound():
    labels = np.arange(100) % 2
    temperature, _ = fit_scaling(5.0 * (1 - 2 * labels), labels)
    assert temperature == pytest.approx(calibration.TEMPERATURES[1], rel=0.01)


@pytest.mark.parametrize("label", [0, 1])
def test_calibration_needs_both_classes(label):
    with pytest.raises(UserError, match="both classes"):
        fit_scaling(np.ones(9), np.full(9, label))
    with pytest.raises(UserError, match="both classes"):
        conformal_thresholds(np.ones(9), np.full(9, label))


def test_overlapping_classes_leave_what_both_could_be_uncertain():
    # n = 3 and 25 %: k = 3, the largest real and the smallest fake.
    scores = np.float32([0.1, 0.2, 0.7, 0.4, 0.8, 0.9])
    labels = np.array([0, 0, 0, 1, 1, 1])
    thresholds = conformal_thresholds(scores, labels, error_rate=0.25)
    assert thresholds == (np.float32(0.4), np.float32(0.7))


def test_separated_classes_leave_what_neither_could_be_uncertain():
    scores = np.float32([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    labels = np.array([0, 0, 0, 1, 1, 1])
    below, above = conformal_thresholds(scores, labels, error_rate=0.25)
    # The images that set the thresholds are themselves still decided.
    assert np.float32(0.3) < np.float32(below) < np.float32(0.3000001)
    assert np.float32(0.6999998) < np.float32(above) < np.float32(0.7)


def test_thresholds_hold_for_neighbouring_floats():
    low = np.float32(0.5)
    scores = np.array([low, np.nextafter(low, np.float32(1))] * 3, np.float32)
    labels = np.arange(6) % 2
    below, above = conformal_thresholds(scores, labels, error_rate=0.25)
    below, above = np.float32([below, above])
    assert (scores < below).tolist() == [True, False] * 3
    assert (scores > above).tolist() == [False, True] * 3


def test_saturated_scores_are_still_decided():
    labels = np.arange(60) % 2
    below, above = conformal_thresholds(labels.astype(np.float32), labels)
    assert np.float32(0) < np.float32(below) < np.float32(above) < 1


def test_equal_scores_of_both_classes_are_uncertain():
    labels = np.arange(60) % 2
    below, above = conformal_thresholds(np.full(60, 0.3, np.float32), labels)
    assert below == above == np.float32(0.3)


@pytest.mark.parametrize(
    ("error_rate", "needed"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.3, 3)]
)
def test_needed_is_where_verdicts_begin(error_rate, needed):
    assert calibration.needed(error_rate) == needed

    def thresholds(count):
        labels = np.arange(2 * count) % 2
        return conformal_thresholds(sigmoid(2.0 * labels), labels, error_rate)

    assert thresholds(needed - 1) == (0.0, 1.0)
    assert thresholds(needed) != (0.0, 1.0)


def test_too_few_reals_rule_out_fake_only():
    labels = np.array([0] * 5 + [1] * 30)
    below, above = conformal_thresholds(sigmoid(4.0 * labels - 2), labels)
    assert above == 1.0
    assert 0.0 < below < 1.0


@pytest.mark.parametrize("error_rate", [0.0, 1.0, 5])
def test_an_error_rate_is_a_share(error_rate):
    with pytest.raises(UserError, match=f"error_rate={error_rate}"):
        calibration.needed(error_rate)


@pytest.mark.parametrize(
    ("separation", "low", "high"), [(2.0, 0.045, 0.055), (6.0, 0.0, 0.01)]
)
def test_errors_keep_to_the_error_rate(separation, low, high):
    """A class rarely gets the other's verdict, over many calibrations.

    With 99 images a class and 5 %, a label is ruled out above the 95th
    score, which a new image exceeds with a chance of exactly 5/100. Where
    the classes overlap, ruling out one label is the other's verdict; where
    they do not, most of the ruled out are uncertain.
    """
    generator = np.random.default_rng(0)
    wrong = []
    for _ in range(400):
        labels, scores = faces(generator, 99, separation)
        below, above = conformal_thresholds(scores, labels)
        labels, scores = faces(generator, 200, separation)
        wrong.append(
            [
                np.mean(scores[labels == 0] > np.float32(above)),
                np.mean(scores[labels == 1] < np.float32(below)),
            ]
        )
    # The standard error of a mean over 400 repetitions is about 0.0013.
    rates = np.mean(wrong, axis=0)
    assert (low <= rates).all()
    assert (rates <= high).all()


def test_fit_gives_what_the_layer_of_a_detector_needs():
    from dfk.models.head import CalibratedScore, verdicts

    generator = np.random.default_rng(5)
    labels = np.arange(400) % 2
    logits = 6 * (labels - 0.5) + 3 * generator.normal(size=400)
    layer = CalibratedScore()
    layer.build((None, 1))
    layer.calibration = calibration.fit(logits[:, None], labels)

    fitted = layer.calibration
    assert (fitted.temperature, fitted.bias) == pytest.approx(
        fit_scaling(logits, labels)
    )
    scores = layer(logits[:, None].astype(np.float32))[:, 0]
    words = verdicts(scores, layer.thresholds).numpy().astype(str)
    # 200 images: k = ceil(201 * .95) = 191 of each class are not ruled out.
    assert np.sum(words[labels == 0] == "fake") == 9
    assert np.sum(words[labels == 1] == "real") == 9


def test_temperature_changes_no_verdict():
    generator = np.random.default_rng(6)
    labels = np.arange(200) % 2
    logits = 3 * (labels - 0.5) + generator.normal(size=200)

    def words(scores):
        below, above = np.float32(conformal_thresholds(scores, labels))
        return np.where(scores < below, 0, np.where(scores > above, 1, 2))

    assert (words(sigmoid(logits)) == words(sigmoid(logits / 2.5))).all()
