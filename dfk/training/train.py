"""One training run, from a configuration to a calibrated detector on disk."""

import contextlib
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from dfk import cli, data, models
from dfk.files import scratch_dir
from dfk.provenance import provenance
from dfk.runs import Run
from dfk.training import optimizer, strategies
from dfk.training.batches import TrainingBatches
from dfk.training.calibrate import calibrate
from dfk.training.config import Config
from dfk.training.head_fit import fit_head
from dfk.training.loop import FineTuning
from dfk.training.plan import Plan
from dfk.training.resume import (
    find_run,
    locked,
    require_same_images,
    require_same_run,
)
from dfk.training.validation import Validation, measure, quality


def train(config: Config, workdir: str | None = None) -> Run:
    """Trains a detector, or goes on with a run that was stopped.

    Phase one fits the head on the frozen backbone, phase two fine-tunes the
    backbone's upper stages; then temperature and thresholds are fitted on
    validation. The test split is not touched.

    Args:
        config: what to train, on what, how.
        workdir: the run's folder; by default a new one under `runs/`, or the
            one that an equal configuration left unfinished there.

    Returns:
        The finished run.

    Raises:
        UserError: data, weights or devices that are not available, a training
            that diverged, or a folder that holds another run, or a damaged
            one.

    Example:
        >>> run = train(Config("facenet", data_dir="faces"), "runs/mine")
    """
    config = config.resolved()
    strategy = strategies.choose(config.strategy)
    strategies.require_equal_shares(strategy, config.batch_size)
    run = find_run(config.settings(), workdir)
    is_chief = strategies.is_chief(strategy)
    with locked(run.path) if is_chief else contextlib.nullcontext():
        if run.model_path.is_file():
            Run.finished(run.path)
            print(f"The run at {run.path} is finished already.")
        else:
            with data.unreadable_files(), strategies.lost_workers(strategy):
                _train(config, strategy, run)
    return run


def _train(config: Config, strategy: tf.distribute.Strategy, run: Run) -> None:
    """The whole training: configuration and data, plan, phases, results."""
    started = time.monotonic()
    plan = _plan(config, strategy)
    # Not earlier: TFDS draws the names of its scratch folders at random, and
    # two processes with one seed would draw the same.
    keras.utils.set_random_seed(config.seed)
    settings = config.settings() | {"epochs": plan.recipe.epochs}
    require_same_run(run, settings)
    require_same_images(run, plan.record())
    with tempfile.TemporaryDirectory(
        prefix="dfk-", dir=scratch_dir()
    ) as folder:
        scratch = Path(folder)
        batches = TrainingBatches(
            plan.training,
            plan.recipe.batch_size,
            plan.seed,
            scratch,
            plan.blends,
            plan.recipe.augmentation,
        )
        model, tuning = _build(plan, batches.steps, run)
        if plan.is_chief and not run.config_path.is_file():
            run.write_config(settings | {"plan": plan.record()})

        # Phase one: the head, on the backbone as it comes.
        is_resumed = tuning.restore()
        earlier = sum(row["seconds"] for row in tuning.history)
        if plan.starts_frozen and not is_resumed:
            fitted = fit_head(model, plan.sources, strategy, plan.recipe)
            _say(
                "The head is a {method} on {features} frozen features of "
                "{images:,} pictures (penalty {penalty:g}).".format(**fitted)
            )

        # Phase two: the backbone's upper stages and the head.
        validate = _validation(model, plan, scratch)
        tuning.run(batches, validate)

        # The detector as it will answer.
        if plan.precision != "float32":
            model = _in_float32(model, plan)
            validate = _validation(model, plan, scratch)
        if not plan.starts_frozen:
            _solve_head(model, plan, validate)
        logits, labels = validate.logits_and_labels()
        calibrate(model, plan, logits, labels)
        metrics = measure(logits, labels) | validate.on_blends()
    if plan.is_chief:
        seconds = earlier + time.monotonic() - started
        record = {
            **provenance(),
            "images": plan.training_images,
            "seconds": round(seconds, 1),
            "epochs": tuning.history,
            "validation": metrics,
        }
        run.finish(model, {"training": record})
        _summarize(run, model, record)


def _plan(config: Config, strategy: tf.distribute.Strategy) -> Plan:
    """Opens the data and makes the plan, and says what is trained on what."""
    faces = data.load(
        config.dataset,
        config.data_dir,
        image_size=_image_size(config),
        splits=("train", "validation"),
        manual_dir=config.manual_dir,
        limit=config.limit,
    )
    _say(
        f"{faces.name}: {faces.images('train'):,} training and "
        f"{faces.images('validation'):,} validation pictures of "
        f"{faces.image_size} pixels; {config.model} ({config.weights}) on "
        f"{strategies.describe(strategy)}"
    )
    plan = Plan.make(config, faces, strategy)
    if plan.self_blends:
        when = ""
        if plan.validation_blends:
            count = plan.validation_blends.size // 2
            when = f" an epoch, {count} for validation"
        _say(
            "Self-blends, each beside the picture that it was blended into: "
            f"{plan.self_blends // 2}{when}."
        )
    if plan.augmented:
        _say(f"Changed copies of training pictures: {plan.augmented}.")
    return plan


def _image_size(config: Config) -> int | None:
    """What is asked for, or the detector's own; a TFDS set has its size."""
    if config.image_size or config.dataset:
        return config.image_size
    return models.get(config.model).image_size


def _validation(model: keras.Model, plan: Plan, scratch: Path) -> Validation:
    return Validation(
        model,
        plan.validations,
        scratch,
        plan.validation_blends,
        plan.stays_frozen,
    )


def _build(plan: Plan, steps: int, run: Run) -> tuple[keras.Model, FineTuning]:
    """The detector with its stages to train, and what trains them."""
    recipe = plan.recipe
    keras.config.set_dtype_policy(plan.precision)
    try:
        with plan.strategy.scope():
            model = models.build(
                plan.detector.name,
                plan.image_size,
                plan.weights,
                plan.families,
                plan.enlarges,
            )
            optimizer.unfreeze(
                model, plan.stages, statistics=not plan.is_pretrained
            )
            adamw = optimizer.build(
                recipe,
                plan.stages,
                math.ceil(steps / plan.accumulate),
                plan.precision,
            )
    finally:
        keras.config.set_dtype_policy("float32")
    tuning = FineTuning(
        model,
        adamw,
        plan.strategy,
        run,
        recipe,
        plan.seed,
        plan.accumulate,
    )
    return model, tuning


def _in_float32(model: keras.Model, plan: Plan) -> keras.Model:
    """A trained detector that answers with all digits, on every machine.

    Half precision pays in training; a score must not depend on the size of
    its batch or on what a server's processor can do.
    """
    full = models.build(
        model.name, plan.image_size, "none", plan.families, plan.enlarges
    )
    full.set_weights(model.get_weights())
    return full


def _solve_head(model: keras.Model, plan: Plan, validate: Validation) -> None:
    """Ends a training from scratch with a regression on what was learnt.

    Features that differ little between images, as those of the finest grain
    do, ask for larger weights than the head reaches in so few steps. If
    validation does not find it better, the head stays as it was trained.
    """
    trained, before = model.get_weights(), validate()
    fitted = fit_head(
        model, plan.sources, plan.strategy, plan.recipe, keep_features=False
    )
    after = validate()
    gain = quality(after) - quality(before)
    better = strategies.agree(plan.strategy, float(gain > 0)) > 0
    if not better:
        model.set_weights(trained)
    _say(
        f"A {fitted['method']} on the {fitted['features']} trained features "
        f"has {_aucs(after)} instead of {_aucs(before)}: "
        f"{'used' if better else 'not used'}."
    )


def _aucs(metrics: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.4f}"
        for name, value in metrics.items()
        if name.endswith("_auc")
    )


def _say(sentence: str) -> None:
    Console(markup=False).print(sentence, soft_wrap=True)


def _summarize(run: Run, model: keras.Model, record: dict[str, Any]) -> None:
    history = record["epochs"]
    best = max(history, key=quality)
    fitted = models.score_layer(model).calibration
    validation = record["validation"]
    rows = [
        ("best epoch", f"{best['epoch']} of {history[-1]['epoch']}"),
        ("ROC AUC", f"{validation['val_auc']:.4f}"),
        ("accuracy", f"{validation['val_accuracy']:.2%}"),
        ("temperature", f"{fitted.temperature:.2f}"),
        ("bias", f"{fitted.bias:.2f}"),
        ("uncertain", "{:.3f} to {:.3f}".format(*fitted.uncertain)),
    ]
    if "val_blend_auc" in validation:
        auc = f"{validation['val_blend_auc']:.4f}"
        rows.insert(2, ("ROC AUC on self-blends", auc))
    title = f"{model.name}, trained in {record['seconds']:.0f} s"
    cli.print_table(title, ("on validation", ""), rows)
    print(f"Run: {run.path}")
    print(f"Next: python -m dfk.evaluate {run.path}")
