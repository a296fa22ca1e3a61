"""How far a detector carries over: each family of fakes is left out once.

A detector is measured on fakes of the kinds that it was shown, but it meets
others. So the head is fitted again without one family, and then measured on
it; and so for each. The backbone is frozen, so that this takes minutes.

What a detector knows of a family's real images helps as well. So each family is
measured twice: with the real images that came with it in training, as where one
trains on one's own photographs, and without these.
"""

import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dfk import data, models
from dfk.data import FaceData, names
from dfk.errors import UserError
from dfk.evaluation import records
from dfk.evaluation.by_source import by_source
from dfk.evaluation.records import Scores
from dfk.models import head
from dfk.models.features import (
    Features,
    backbone_features,
    require_numbers,
)
from dfk.models.registry import Detector
from dfk.prediction.signatures import answers, forward_pass
from dfk.progress import track
from dfk.provenance import provenance
from dfk.runs import Run
from dfk.training.calibrate import calibrate_head
from dfk.training.head_fit import (
    KnownSource,
    Source,
    fit_to_features,
    within_memory,
)
from dfk.training.plan import made_sources
from dfk.training.self_blends import FAMILY

# What is left out of training, as tables call it.
LEFT_OUT = {
    "fakes": "the fakes of each data set left out of training",
    "all": "each data set left out of training, its reals too",
}


def leave_one_out(run_path: str, split: str = "validation") -> dict[str, Any]:
    """Fits a run's head without each of its families, and measures it there.

    The record is kept as `leave_one_out.<split>` in the run's `results.json`.

    Args:
        run_path: the folder of a finished run that was trained on several
            families, on a backbone that stayed as it was.
        split: which images of the family that is left out: `validation`; or
            `test`, once, after all choices were made.

    Returns:
        The record: rows as by `dfk.evaluation.by_source.by_source`, of heads
        without the `fakes` of a data set, and of heads without `all` of it;
        and how, where and when they were measured.

    Raises:
        UserError: no finished run, or another kind of run; its data are not
            there any more; or the training split.

    Example:
        >>> record = leave_one_out("runs/clip")
        >>> record["fakes"][-1]["values"]["roc_auc"]["value"]
        0.83
    """
    if split == "train":
        raise UserError(
            "The heads are fitted to training pictures, so these say nothing: "
            "leave --split out, or pass --split=test. Received: --split=train."
        )
    run = Run.finished(run_path)
    config = run.config
    detector = models.load(run.path)
    if not models.knows_families(detector) or config["unfreeze"] != "none":
        raise UserError(
            f"{run.path} cannot leave a family out: that takes a run on "
            "several families (`python -m dfk.train --data_dir=A,B`) whose "
            "backbone stayed frozen (--model=clip, or --unfreeze=none)."
        )
    faces = data.load(
        config["dataset"],
        config["data_dir"],
        image_size=detector.input_shape[1],
        splits=tuple(dict.fromkeys(("train", "validation", split))),
        limit=config["limit"],
    )
    entry = models.get(detector.name)
    with data.unreadable_files():
        known, made = _features(detector, faces, entry, config)
    left_out = [row for row, part in enumerate(faces.parts) if part.has_fakes]
    prefixes = names.prefixes([part.name for part in faces.parts])
    found = {what: [] for what in LEFT_OUT}
    for row in track(left_out, "leaving one out", len(left_out)):
        for what, scores in found.items():
            model = _without(row, faces, known, made, entry, what == "fakes")
            scores.append(_scores(model, known[row][split], prefixes[row]))
    sources = [prefixes[row] for row in left_out]
    own = records.source_of(run, None, None, split)
    record = {
        "split": split,
        "command": f"{records.command([run], own)} --leave_one_out",
        **provenance(),
        **{
            what: [row._asdict() for row in by_source(_joined(each), sources)]
            for what, each in found.items()
        },
    }
    with run.updating_results() as results:
        results.setdefault("leave_one_out", {})[split] = record
    return record


def _features(
    detector: keras.Model,
    faces: FaceData,
    entry: Detector,
    config: dict[str, Any],
) -> tuple[list[dict[str, Features]], list[list[KnownSource]]]:
    """Of each part those of its splits, and what was made of its training.

    They are those that the run's own head was fitted to, from the cache.
    """
    made = made_sources(
        faces.parts,
        entry.recipe,
        config["blend"],
        config["augment"],
        config["seed"],
    )
    sources = [
        Source(each.family, each.splits["train"]) for each in faces.parts
    ]
    sources += itertools.chain.from_iterable(made)
    fitted = iter(
        KnownSource(
            source.family, backbone_features(detector, split), source.weight
        )
        for source, split in zip(
            sources, within_memory(detector, sources), strict=True
        )
    )
    known = [
        {
            "train": of_training.features,
            **{
                name: backbone_features(detector, images)
                for name, images in part.splits.items()
                if name != "train"
            },
        }
        for part, of_training in zip(faces.parts, fitted, strict=False)
    ]
    return known, [[next(fitted) for _ in of_part] for of_part in made]


def _without(
    row: int,
    faces: FaceData,
    known: list[dict[str, Features]],
    made: list[list[KnownSource]],
    detector: Detector,
    keep_reals: bool,
) -> keras.Model:
    """A head without one part, or its fakes, calibrated on all other parts.

    The reals that are scored afterwards are never among those that it was
    calibrated on.
    """
    kept = [number for number in range(len(known)) if number != row]
    parts = [faces.parts[number] for number in kept]
    sources = [
        KnownSource(faces.parts[number].family, known[number]["train"])
        for number in kept
    ]
    families = {part.family for part in parts if part.has_fakes}
    if keep_reals:
        reals = known[row]["train"].reals()
        sources.append(KnownSource(faces.parts[row].family, reals))
    fitted_too = [source for number in kept for source in made[number]]
    if keep_reals:
        fitted_too += [
            # Blends are made of reals alone.
            source
            if source.family == FAMILY
            else source._replace(features=source.features.reals())
            for source in made[row]
        ]
    if any(source.family == FAMILY for source in fitted_too):
        families.add(FAMILY)
    model = head.alone(
        sources[0].features.values.shape[2],
        sorted(families),
        detector.ood_parts,
    )
    fit_to_features(model, [*sources, *fitted_too], detector.recipe)
    validation = [
        KnownSource(faces.parts[number].family, known[number]["validation"])
        for number in kept
    ]
    calibrate_head(model, sources, fitted_too, validation, detector)
    return model


def _joined(found: list[Scores]) -> Scores:
    return Scores(*map(np.concatenate, zip(*found, strict=True)))


def _scores(model: keras.Model, found: Features, prefix: str) -> Scores:
    """What a head says of the part that it was not shown."""
    outputs = forward_pass(model)(tf.constant(found.mean))
    answer = {
        name: values.numpy()
        for name, values in answers(
            outputs, models.score_layer(model).limits
        ).items()
    }
    text = {
        name: answer[name].astype(bytes).astype(str)
        for name in ("verdict", "reason", "family")
    }
    require_numbers(answer["fake_probability"])
    return Scores(
        ids=np.char.add(f"{prefix}/", found.ids),
        groups=np.char.add(f"{prefix}/", found.groups),
        labels=found.labels,
        probabilities=answer["fake_probability"],
        ood_score=outputs.ood_score.numpy(),
        verdicts=text["verdict"],
        reasons=text["reason"],
        families=text["family"],
    )
