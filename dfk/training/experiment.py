"""One training run, from a configuration to a calibrated detector on disk."""

import dataclasses
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.table import Table

from dfk import data, models
from dfk.errors import UserError
from dfk.evaluation import calibration, novelty
from dfk.evaluation.provenance import provenance
from dfk.runs import Run, write_json
from dfk.training import recipes, strategies
from dfk.training.batches import TrainingBatches
from dfk.training.blends import SelfBlends
from dfk.training.head_fit import fit_head
from dfk.training.loop import FineTuning
from dfk.training.optimizer import StagewiseAdamW
from dfk.training.validation import Validation

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run gives; `None` is the recipe's value.

    Args:
        model: a detector's name.
        weights: `default`, a name, `none` or a file.
        dataset: a TFDS name, or a folder.
        data_dir: a folder of pictures, in place of `dataset`.
        manual_dir: where a data set's archive was downloaded to by hand.
        image_size: the side of the pictures; the data set's own by default.
        limit: use the first so many pictures of each split.
        blend: the share of the real training pictures, 0..1, of which each
            epoch makes a self-blended fake.
        unfreeze: the first stage that phase two trains, `all` or `none`.
        epochs: of phase two.
        batch_size: pictures a step, over all devices.
        accumulate: steps whose gradients make one update together.
        learning_rate: the peak in phase two.
        strategy: one of `dfk.training.strategies.STRATEGIES`.
        precision: one of `PRECISIONS`.
        seed: of the order, the augmentation, the dropout and new weights.
    """

    model: str
    weights: str = "default"
    dataset: str | None = None
    data_dir: str | None = None
    manual_dir: str | None = None
    image_size: int | None = None
    limit: int | None = None
    blend: float = 0.0
    unfreeze: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    learning_rate: float | None = None
    strategy: str = "auto"
    precision: str = "float32"
    seed: int = 0

    def resolved(self) -> "Config":
        """This configuration with the recipe's values filled in.

        Raises:
            UserError: a value that cannot be.
        """
        detector = models.get(self.model)
        recipe = recipes.RECIPES[self.model]
        if self.precision not in PRECISIONS:
            raise UserError(
                f"--precision={self.precision} is unknown: pass one of "
                f"{', '.join(PRECISIONS)}."
            )
        weights = detector.resolve(self.weights)
        filled = {
            name: getattr(recipe, name)
            for name in ("unfreeze", "epochs", "batch_size", "learning_rate")
            if getattr(self, name) is None
        }
        if weights == "none" and "unfreeze" in filled:
            # There is nothing worth freezing in random weights.
            filled["unfreeze"] = "all"
        if self.dataset is None and self.data_dir is None:
            filled["dataset"] = data.DEFAULT
        full = dataclasses.replace(self, weights=weights, **filled)
        recipes.trained_stages(detector, full.unfreeze)
        return full


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
    run = _find(config, workdir)
    if run.model_path.is_file():
        print(f"The run at {run.path} is finished already.")
    else:
        with data.unreadable_files():
            _train(config, strategy, run)
    return run


def _train(config: Config, strategy, run: Run) -> None:
    console = Console()
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
    blends = SelfBlends(training, config.blend) if config.blend else None
    recipe = recipes.RECIPES[config.model]
    with tempfile.TemporaryDirectory(prefix="dfk-") as scratch:
        batches = TrainingBatches(
            training,
            config.batch_size,
            config.seed,
            Path(scratch),
            blends,
            recipe.degraded,
        )
        model, tuning = _build(
            config, faces.image_size, batches.steps, strategy, run
        )
        if strategies.is_chief(strategy):
            write_json(run.config_path, dataclasses.asdict(config))
        if not tuning.restore() and _starts_frozen(config):
            fitted = fit_head(model, training, strategy)
            console.print(
                "The head is a logistic regression on {features} frozen "
                "features (C = {penalty:g}).".format(**fitted),
                soft_wrap=True,
            )
        validate = Validation(model, validation, Path(scratch))
        tuning.run(
            batches,
            validate,
            0 if config.unfreeze == "none" else config.epochs,
            recipe.patience,
        )
        if config.precision != "float32":
            model = _in_float32(model, config)
            validate = Validation(model, validation, Path(scratch))
        models.score_layer(model).calibration = calibration.fit(
            *validate.logits_and_labels()
        )
        novelty.fit(model, training, validation)
    if strategies.is_chief(strategy):
        seconds = time.monotonic() - started
        record = {
            **provenance(),
            "images": training.size,
            "seconds": round(seconds, 1),
            "epochs": tuning.history,
        }
        _finish(run, model, record)
        _summarize(console, run, model, tuning.history, seconds)


def _find(config: Config, workdir: str | None) -> Run:
    """The run to go on with, or a new one."""
    settings = dataclasses.asdict(config)
    if workdir is None and config.strategy == "multi_worker":
        raise UserError(
            "--strategy=multi_worker needs --workdir: all workers must name "
            "the same folder."
        )
    if workdir is None:
        run = _unfinished(settings) or Run(
            f"runs/{config.model}-{time.strftime('%Y%m%d-%H%M%S')}"
        )
    else:
        run = Run(workdir)
    if run.config_path.is_file():
        _require_same(run, settings)
    return run


def _unfinished(settings: dict) -> Run | None:
    for path in sorted(Path("runs").glob("*/config.json"), reverse=True):
        run = Run(path.parent)
        if not run.model_path.is_file() and run.config == settings:
            return run
    return None


def _require_same(run: Run, settings: dict) -> None:
    for name, value in run.config.items():
        if settings.get(name) != value:
            raise UserError(
                f"{run.path} holds a run with {name} {value!r}, not "
                f"{settings.get(name)!r}: choose another --workdir, or repeat "
                "that run's own command to continue it."
            )


def _starts_frozen(config: Config) -> bool:
    """Whether the head is fitted to the backbone as it comes.

    Random features are not worth it, except to be measured by themselves.
    """
    return config.weights != "none" or config.unfreeze == "none"


def _build(config, image_size, steps, strategy, run):
    recipe = recipes.RECIPES[config.model]
    keras.config.set_dtype_policy(config.precision)
    try:
        with strategy.scope():
            model = models.build(config.model, image_size, config.weights)
            recipes.unfreeze(model, models.get(config.model), config.unfreeze)
            if config.weights != "none":
                recipes.freeze_statistics(model)
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
    updates = max(1, steps // config.accumulate)
    optimizer = StagewiseAdamW(
        recipes.stage_rates(
            models.get(config.model), config.unfreeze, recipe.stage_decay
        ),
        learning_rate=keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=max(1, updates * (config.epochs - 1)),
            warmup_target=config.learning_rate,
            warmup_steps=updates,
        ),
        weight_decay=recipe.weight_decay,
        gradient_accumulation_steps=(
            config.accumulate if config.accumulate > 1 else None
        ),
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


def _summarize(console, run: Run, model, history, seconds) -> None:
    best = max(history, key=lambda row: row["val_auc"])
    fitted = models.score_layer(model).calibration
    table = Table(title=f"{model.name}, trained in {seconds:.0f} s")
    table.add_column("on validation")
    table.add_column("", justify="right")
    for name, value in (
        ("best epoch", f"{best['epoch']} of {history[-1]['epoch']}"),
        ("ROC AUC", f"{best['val_auc']:.4f}"),
        ("accuracy", f"{best['val_accuracy']:.2%}"),
        ("temperature", f"{fitted.temperature:.2f}"),
        ("bias", f"{fitted.bias:.2f}"),
        ("uncertain", "{:.3f} to {:.3f}".format(*fitted.uncertain)),
    ):
        table.add_row(name, value)
    console.print(table)
    print(f"Run: {run.path}")
    print(f"Next: python -m dfk.evaluate {run.path}")
