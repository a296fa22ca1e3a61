"""One training run, from a configuration to a calibrated detector on disk."""

import contextlib
import dataclasses
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.table import Table

from dfk import data, models
from dfk.errors import UserError
from dfk.files import write_json
from dfk.models import calibration, out_of_distribution
from dfk.runs import Run, provenance
from dfk.training import stages, strategies
from dfk.training.batches import TrainingBatches
from dfk.training.config import Config
from dfk.training.head_fit import fit_head
from dfk.training.loop import FineTuning
from dfk.training.optimizer import StagewiseAdamW
from dfk.training.resume import find_run, locked, require_same
from dfk.training.self_blends import SelfBlends
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
        UserError: data, weights or devices that cannot be had, or a folder
            that holds another run.

    Example:
        >>> run = train(Config("facenet", data_dir="faces"), "runs/mine")
    """
    config = config.resolved()
    strategy = strategies.choose(config.strategy)
    if config.batch_size % strategy.num_replicas_in_sync:
        raise UserError(
            f"{config.batch_size} pictures a step cannot be dealt out evenly "
            f"to {strategies.describe(strategy)}: pass --batch_size."
        )
    run = find_run(config.record(), workdir)
    chief = strategies.is_chief(strategy)
    with locked(run.path) if chief else contextlib.nullcontext():
        if run.model_path.is_file():
            print(f"The run at {run.path} is finished already.")
        else:
            with data.unreadable_files():
                _train(config, strategy, run)
    return run


def _train(config: Config, strategy, run: Run) -> None:
    console = Console(markup=False)
    started = time.monotonic()
    keras.utils.set_random_seed(config.seed)
    faces = data.load(
        config.dataset,
        config.data_dir,
        image_size=config.image_size,
        splits=("train", "validation"),
        manual_dir=config.manual_dir,
        limit=config.limit,
    )
    training, validation = faces.splits["train"], faces.splits["validation"]
    console.print(
        f"{faces.name}: {training.size} training and {validation.size} "
        f"validation pictures of {faces.image_size} pixels; "
        f"{config.model} ({config.weights}) on {strategies.describe(strategy)}",
        soft_wrap=True,
    )
    blends = blended = None
    fitted_on = [training]
    if config.blend:
        blends = SelfBlends(training, config.blend)
        # The same ones for each seed, so that seeds can be compared.
        blended = SelfBlends(validation, share=1.0).split(seed=0)
        fitted_on.append(blends.split(config.seed))
        console.print(
            f"Self-blends, each beside the picture that it was blended into: "
            f"{blends.size // 2} an epoch, {blended.size // 2} for validation.",
            soft_wrap=True,
        )
    recipe = models.get(config.model).recipe
    epochs = config.epochs or recipe.epochs_for(training.size)
    config = dataclasses.replace(config, epochs=epochs)
    require_same(run, config.record())
    chief = strategies.is_chief(strategy)
    with tempfile.TemporaryDirectory(prefix="dfk-") as scratch:
        batches = TrainingBatches(
            training,
            config.batch_size,
            config.seed,
            Path(scratch),
            blends,
            recipe.augmentation,
        )
        model, tuning = _build(
            config, faces.image_size, batches.steps, strategy, run
        )
        if chief and not run.config_path.is_file():
            write_json(run.config_path, config.record())
        resumed = tuning.restore()
        # Of processes that were stopped.
        earlier = sum(row["seconds"] for row in tuning.history)
        if not resumed and _starts_frozen(config):
            fitted = fit_head(model, fitted_on, strategy)
            console.print(
                "The head is a logistic regression on {features} frozen "
                "features (C = {penalty:g}).".format(**fitted),
                soft_wrap=True,
            )
        validate = Validation(model, validation, Path(scratch), blended)
        tuning.run(
            batches,
            validate,
            0 if config.unfreeze == "none" else config.epochs,
            recipe.patience,
        )
        if config.precision != "float32":
            model = _in_float32(model, config)
            validate = Validation(model, validation, Path(scratch), blended)
        if not _starts_frozen(config):
            _solve_head(model, fitted_on, validate, strategy)
        # Of the split alone: a score is the probability of such fakes.
        logits, labels = validate.logits_and_labels()
        models.score_layer(model).calibration = calibration.fit(logits, labels)
        out_of_distribution.fit(model, training, validation)
    if chief:
        seconds = earlier + time.monotonic() - started
        record = {
            **provenance(),
            "images": training.size,
            "seconds": round(seconds, 1),
            "epochs": tuning.history,
            "validation": measure(logits, labels) | validate.on_blends(),
        }
        _finish(run, model, record)
        _summarize(console, run, model, record)


def _starts_frozen(config: Config) -> bool:
    """Whether the head is fitted to the backbone as it comes.

    Random features are not worth it, except to be measured by themselves.
    """
    return config.weights != "none" or config.unfreeze == "none"


def _solve_head(model, fitted_on, validate, strategy) -> None:
    """Ends a training from scratch with a regression on what was learnt.

    Features that differ little between images, as those of the finest grain
    do, ask for larger weights than the head reaches in so few steps. If
    validation does not find it better, the head stays as it was trained.
    """
    trained, before = model.get_weights(), validate()
    fitted = fit_head(model, fitted_on, strategy)
    after = validate()
    gain = quality(after) - quality(before)
    better = strategies.agree(strategy, float(gain > 0)) > 0
    if not better:
        model.set_weights(trained)
    Console(markup=False).print(
        f"A logistic regression on the {fitted['features']} trained features "
        f"has {_aucs(after)} instead of {_aucs(before)}: "
        f"{'used' if better else 'not used'}.",
        soft_wrap=True,
    )


def _aucs(metrics: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.4f}"
        for name, value in metrics.items()
        if name.endswith("_auc")
    )


def _build(config, image_size, steps, strategy, run):
    recipe = models.get(config.model).recipe
    keras.config.set_dtype_policy(config.precision)
    try:
        with strategy.scope():
            model = models.build(config.model, image_size, config.weights)
            stages.unfreeze(model, models.get(config.model), config.unfreeze)
            if config.weights != "none":
                stages.freeze_statistics(model)
            optimizer = _optimizer(config, recipe, steps)
    finally:
        keras.config.set_dtype_policy("float32")
    tuning = FineTuning(
        model,
        optimizer,
        strategy,
        run.checkpoints,
        run.logs,
        config.seed,
        recipe.label_smoothing,
        recipe.averaging,
        config.accumulate,
    )
    return model, tuning


def _in_float32(model: keras.Model, config: Config) -> keras.Model:
    """A trained detector that answers with all digits, on every machine.

    Half precision pays in training; a score must not depend on the size of
    its batch or on what a server's processor can do.
    """
    full = models.build(config.model, model.input_shape[1], weights="none")
    full.set_weights(model.get_weights())
    return full


def _optimizer(config, recipe, steps) -> keras.optimizers.Optimizer:
    updates = math.ceil(steps / config.accumulate)
    warm_up = round(updates * recipe.warm_up)
    optimizer = StagewiseAdamW(
        stages.stage_rates(
            models.get(config.model), config.unfreeze, recipe.stage_decay
        ),
        learning_rate=keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=max(1, updates * config.epochs - warm_up),
            warmup_target=config.learning_rate,
            warmup_steps=warm_up,
        ),
        weight_decay=recipe.weight_decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if config.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _finish(run: Run, model: keras.Model, record: dict[str, Any]) -> None:
    write_json(run.results_path, {"training": record})
    # What makes a run a finished one comes last, and whole.
    partial = run.path / "partial.keras"
    model.save(partial)
    os.replace(partial, run.model_path)


def _summarize(console, run: Run, model, record) -> None:
    history = record["epochs"]
    best = max(history, key=quality)
    fitted = models.score_layer(model).calibration
    table = Table(title=f"{model.name}, trained in {record['seconds']:.0f} s")
    table.add_column("on validation")
    table.add_column("", justify="right")
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
    for row in rows:
        table.add_row(*row)
    console.print(table)
    print(f"Run: {run.path}")
    print(f"Next: python -m dfk.evaluate {run.path}")
