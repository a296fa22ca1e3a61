"""Classifiers on frozen features, trained detectors, and all of them at once.

Everything is chosen before the test images are looked at: a classifier's
settings by cross-validation on the training images (`candidates`); which
classifier, which parts and what weights on validation (`selection`).
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dfk import data, models
from dfk.data import FaceSplit
from dfk.embedding import candidates
from dfk.embedding.candidates import Candidate
from dfk.embedding.scoreboard import describe
from dfk.errors import UserError
from dfk.models import calibration, logit_model, out_of_distribution
from dfk.models.combination import Part, combine, detector_part
from dfk.models.extractors import extractor
from dfk.models.features import Features, features
from dfk.models.from_sklearn import to_keras
from dfk.progress import track
from dfk.runs import Run, finished, provenance
from dfk.training.selection import Selection, select


@dataclasses.dataclass(frozen=True)
class Source:
    """Something that gives each image a logit, and can be part of a graph.

    Args:
        details: its `name`, and what else is to be recorded of it.
        network: from images to what `answer` takes.
        answer: from that to uncalibrated logits `[N]`.
        part: builds the part.
    """

    details: dict[str, Any]
    network: keras.Model
    answer: Callable[[np.ndarray], np.ndarray]
    part: Callable[[], Part]


def classify(
    dataset: str,
    model: str = "facenet",
    runs: Sequence[str | Path] = (),
    workdir: str | Path | None = None,
    limit: int | None = None,
) -> tuple[Run, dict[str, Any]]:
    """Fits classifiers, combines the best with trained detectors, compares.

    The winner on validation is written as a finished run: a detector of one
    graph, from pixels to the calibrated probability of fake.

    Args:
        dataset: a TFDS name, or a folder `{train,valid,test}/{real,fake}/*`.
        model: the detector whose pretrained features of several stages the
            classifiers are fitted on, beside FaceNet's embedding.
        runs: folders of `dfk.train` whose detectors are compared and
            combined. One with repeats stands for all its seeds.
        workdir: the winner's folder; by default a new one under `runs/`.
        limit: takes only the first images of each split, as `dfk.data.load`.

    Returns:
        The winner's run; and the record, which is in its `results.json` as
        `classification`: `detectors` and `combination` with what each is
        worth on validation and on test, and the names of the `chosen` ones.

    Raises:
        UserError: data or weights that cannot be had, runs of different
            image sizes, or a folder that holds a run already.

    Example:
        >>> run, record = classify("faces", runs=["runs/facenet", "runs/cnn"])
        >>> record["combination"]["test"]["roc_auc"]["value"]
        0.982
    """
    started = time.monotonic()
    target = Run(workdir or time.strftime("runs/combination-%Y%m%d-%H%M%S"))
    if target.config_path.is_file():
        raise UserError(
            f"{target.path} holds a run already: choose another --workdir."
        )
    trained = finished(runs)
    detectors = [models.load(run.path) for run in trained]
    size = _common_size(trained, detectors)
    folder = dataset if Path(dataset).expanduser().is_dir() else None
    faces = data.load(dataset, folder, image_size=size, limit=limit)
    networks = _networks(model, faces.image_size)
    with data.unreadable_files():
        sources = _classifiers(networks, faces.splits["train"])
        count = len(sources)
        sources += map(_detector, trained, detectors)
        validation = _ask(sources, faces.splits["validation"])
        selection = select(
            validation.values, validation.labels, validation.groups, count
        )
        # Nothing is chosen from here on.
        test = _ask(sources, faces.splits["test"])
        winner = _build(sources, selection, validation)
        out_of_distribution.fit(
            winner, faces.splits["train"], faces.splits["validation"]
        )
    details = [source.details for source in sources]
    record = describe(details, selection, validation, test)
    record["seconds"] = round(time.monotonic() - started, 1)
    config = {
        "model": winner.name,
        "dataset": None if folder else dataset,
        "data_dir": folder,
        "image_size": faces.image_size,
        "limit": limit,
        "features": model,
        "runs": [str(run.path) for run in trained],
    }
    _finish(target, winner, config, record)
    return target, record


def _common_size(
    runs: Sequence[Run], detectors: Sequence[keras.Model]
) -> int | None:
    """The image size of all detectors; None without any."""
    sizes = {
        detector.input_shape[1]: run.path
        for run, detector in zip(runs, detectors, strict=True)
    }
    if len(sizes) > 1:
        named = ", ".join(f"{path}: {size}" for size, path in sizes.items())
        raise UserError(
            "Only detectors of one image size can be combined: train them "
            f"with the same --image_size. Received: {named}."
        )
    return next(iter(sizes), None)


def _networks(model: str, image_size: int) -> dict[str, keras.Model]:
    """What makes features of images, by the features' name."""
    if not models.get(model).weights:
        raise UserError(
            f"{model} has no pretrained features: pass --model=facenet, or "
            "train it and name its run in --runs."
        )
    return {
        "embedding": extractor("facenet", image_size),
        f"{model} stages": models.embedder(models.build(model, image_size)),
    }


def _classifiers(
    networks: dict[str, keras.Model], training: FaceSplit
) -> list[Source]:
    """Every kind of classifier on every kind of features, fitted."""
    known = {
        name: features(network, training) for name, network in networks.items()
    }
    jobs = [(kind, name) for name in networks for kind in candidates.KINDS]
    with tempfile.TemporaryDirectory(prefix="dfk-") as memory:
        return [
            _classifier(
                candidates.fit(kind, name, known[name], memory), networks[name]
            )
            for kind, name in track(jobs, "fitting classifiers", len(jobs))
        ]


def _classifier(candidate: Candidate, network: keras.Model) -> Source:
    def part() -> Part:
        head = to_keras(candidate.pipeline, candidate.kind)
        return Part(candidate.kind, network, head)

    details = {
        "name": candidate.name,
        "settings": candidate.settings,
        "cv_auc": candidate.cv_auc,
    }
    return Source(details, network, candidate.logits, part)


def _detector(run: Run, detector: keras.Model) -> Source:
    return Source(
        {"name": str(run.path)},
        logit_model(detector),
        np.ravel,
        lambda: detector_part(run.config["model"], detector),
    )


def _ask(sources: Sequence[Source], split: FaceSplit) -> Features:
    """The logits of all sources, `[N, sources]`, in place of features."""
    seen = [features(source.network, split) for source in sources]
    logits = [
        source.answer(given.values)
        for source, given in zip(sources, seen, strict=True)
    ]
    return dataclasses.replace(seen[0], values=np.stack(logits, axis=1))


def _build(
    sources: Sequence[Source], selection: Selection, validation: Features
) -> keras.Model:
    """The winner in one graph, calibrated."""
    winner = selection.winner
    parts = [sources[number].part() for number in winner.members]
    name = "combination" if len(parts) > 1 else parts[0].name
    detector = combine(parts, winner.stack.weights, winner.stack.bias, name)
    models.score_layer(detector).calibration = calibration.fit(
        winner.held_out, validation.labels
    )
    return detector


def _finish(
    run: Run,
    detector: keras.Model,
    config: dict[str, Any],
    record: dict[str, Any],
) -> None:
    results = {"classification": {**provenance(), **record}}
    run.finish(detector, results)
    # What makes a folder a run comes last, since nothing could go on with
    # half of one.
    run.write_config(config)
