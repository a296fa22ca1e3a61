"""Phase two: epochs of fine-tuning, the best of which is kept.

Keras's `fit` does not train under `MultiWorkerMirroredStrategy` (Keras 3.15).
This loop is the same for one device, several devices and several workers, and
goes on where it was stopped.
"""

import contextlib
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from dfk.errors import UserError
from dfk.files import read_json, replacing, write_json, writing
from dfk.models import Recipe
from dfk.models.features import require_numbers
from dfk.progress import track
from dfk.runs import Run
from dfk.training import strategies
from dfk.training.batches import TrainingBatches
from dfk.training.optimizer import Updates
from dfk.training.validation import quality

Validate = Callable[[], dict[str, float]]

# Averaging the weights at each update would cost a twentieth of its time.
_AVERAGED_EVERY = 4
_REMEDY = (
    "delete the folder checkpoints and repeat the command, which then begins "
    "with the first epoch"
)

_UNREADABLE = (
    *(tf.errors.OpError, OSError, EOFError, zipfile.BadZipFile),
    *(ValueError, LookupError),
)


class FineTuning:
    """Trains what is trainable in a model, and keeps its best epoch.

    What is validated and kept is a moving average of the weights, which lies
    in a flatter region of the loss than the weights of a single step (Polyak &
    Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992).
    Epoch 0 is the model before training: if no epoch is better on validation,
    its weights are kept.

    Args:
        model: a detector, built under the strategy's scope.
        optimizer: likewise.
        strategy: the devices to train on.
        run: gets checkpoints, history and logs; all workers share its folder.
        recipe: the number of epochs, the patience, and how labels are smoothed
            and weights averaged.
        seed: of the dropout.
        accumulate: steps whose mean gradient makes one update; the remaining
            steps of an epoch make one as well.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        run: Run,
        recipe: Recipe,
        seed: int = 0,
        accumulate: int = 1,
    ):
        self.history: list[dict[str, float]] = []
        self._model = model
        self._optimizer = optimizer
        self._strategy = strategy
        self._recipe = recipe
        self._updates = Updates(
            model, optimizer, strategy, recipe.label_smoothing, accumulate
        )
        self._seed = seed
        self._chief = strategies.is_chief(strategy)
        self._folder = run.checkpoints
        self._logs = run.logs
        self._history_path = run.checkpoints / "history.json"
        self._best_path = run.checkpoints / "best.weights.npz"
        self._next_epoch = tf.Variable(0, dtype=tf.int64)
        # With the statistics of the batch normalisations that train.
        self._averaged = [
            weight
            for layer in model.layers
            if layer.trainable_weights
            for weight in layer.weights
        ]
        self._averages = [
            tf.Variable(weight.numpy()) for weight in self._averaged
        ]
        with self._undamaged():
            self._checkpoints = tf.train.CheckpointManager(
                tf.train.Checkpoint(
                    model=model,
                    optimizer=optimizer,
                    averages=self._averages,
                    next_epoch=self._next_epoch,
                ),
                str(run.checkpoints),
                max_to_keep=1,
            )
        self._writer = tf.summary.create_file_writer(str(run.logs))
        self._average = tf.function(self._update_averages)

    def restore(self) -> bool:
        """Restores the last finished epoch of an earlier process.

        Returns:
            Whether there was one.

        Raises:
            UserError: a file of it is damaged or missing.
        """
        rows = []
        with self._undamaged():
            if self._history_path.is_file():
                rows = read_json(self._history_path, ["epochs"], _REMEDY)[
                    "epochs"
                ]
            latest = self._checkpoints.latest_checkpoint
            if latest:
                # Needed at the end, and so tried now.
                self._load_best()
                self._checkpoints.restore_or_initialize()
            # An epoch is in the history just before it is in a checkpoint.
            epochs = int(self._next_epoch)
            if not epochs <= len(rows) <= epochs + 1:
                raise ValueError("it is not of the epochs in history.json")
        self.history = rows[:epochs]
        return bool(latest)

    @contextlib.contextmanager
    def _undamaged(self) -> Iterator[None]:
        """Names the folder of the checkpoint that the block cannot read."""
        try:
            yield
        except _UNREADABLE as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"The checkpoint in {self._folder} is damaged ({reason}): "
                f"{_REMEDY}."
            ) from error

    def run(self, batches: TrainingBatches, validate: Validate) -> None:
        """Trains until the last epoch, or until the patience is used up.

        The model then holds the weights of its best epoch.

        Args:
            batches: the training images.
            validate: measures the model. The `quality` of its metrics decides
                which epoch is the best.
        """
        console = Console()
        patience = self._recipe.patience
        epochs = 0 if self._recipe.unfreeze == "none" else self._recipe.epochs
        if not self.history:
            self._reset_averages()
        while (epoch := int(self._next_epoch)) <= epochs:
            if epoch and epoch - self._best() > patience:
                console.print(f"No better epoch in {patience}: done.")
                break
            start = time.monotonic()
            row = {"epoch": epoch}
            if epoch:
                row["loss"] = self.train_epoch(batches, epoch)
            with self._averages_in_place():
                row |= {
                    name: float(strategies.agree(self._strategy, value))
                    for name, value in validate().items()
                }
                row["seconds"] = round(time.monotonic() - start, 1)
                self._record(row)
            self._checkpoint()
            console.print(
                _describe(row, best=self._best() == epoch), soft_wrap=True
            )
        # Workers wait here for each other, so that the best weights are on
        # disk before anyone reads them.
        strategies.agree(self._strategy, 0.0)
        self._load_best()

    def _reset_averages(self) -> None:
        for average, weight in zip(self._averages, self._averaged, strict=True):
            average.assign(weight.numpy())

    @contextlib.contextmanager
    def _averages_in_place(self) -> Iterator[None]:
        """Puts the averaged weights into the model while the block runs."""
        trained = [weight.numpy() for weight in self._averaged]
        for weight, average in zip(self._averaged, self._averages, strict=True):
            weight.assign(average.numpy())
        try:
            yield
        finally:
            for weight, value in zip(self._averaged, trained, strict=True):
                weight.assign(value)

    def _best(self) -> int:
        return int(np.argmax([quality(row) for row in self.history]))

    def train_epoch(self, batches: TrainingBatches, epoch: int) -> float:
        """Trains for one epoch, without validation or checkpoints.

        Args:
            batches: the training images.
            epoch: its number, which decides its images and its dropout.

        Returns:
            The mean loss of its steps.

        Raises:
            UserError: the training diverged.
        """
        _reseed(self._model, [self._seed, epoch])
        distributed = self._strategy.distribute_datasets_from_function(
            lambda context: batches.epoch(epoch, context)
        )
        losses, updates = [], 0
        steps = track(distributed, f"epoch {epoch}", batches.steps)
        for number, (images, labels) in enumerate(steps, 1):
            is_last = number == batches.steps
            loss, updated = self._updates(images, labels, is_last)
            losses.append(loss)
            if updated and updates % _AVERAGED_EVERY == 0:
                self._average()
            updates += updated
        # One step in half precision may overflow, and is skipped then. After
        # a step that is not skipped, all further losses are NaN.
        require_numbers(np.array(losses[-1:]))
        return float(tf.reduce_mean(losses))

    def _update_averages(self):
        # A short average at first, to forget the initial weights soon.
        updates = tf.cast(self._optimizer.iterations, tf.float32)
        times = updates / _AVERAGED_EVERY
        keep = tf.minimum(self._recipe.averaging, (1 + times) / (10 + times))
        for average, weight in zip(self._averages, self._averaged, strict=True):
            average.assign(keep * average + (1 - keep) * weight.value)

    def _record(self, row: dict[str, float]) -> None:
        self.history.append(row)
        if not self._chief:
            return
        with writing(self._logs), self._writer.as_default(step=row["epoch"]):
            for name, value in row.items():
                tf.summary.scalar(name, value)
            self._writer.flush()
        if self._best() == row["epoch"]:
            # On a full disk, Keras's .h5 files end in a segmentation fault.
            with replacing(self._best_path) as partial:
                np.savez(partial, *self._model.get_weights())
        write_json(self._history_path, {"epochs": self.history})

    def _load_best(self) -> None:
        with np.load(self._best_path) as weights:
            self._model.set_weights(list(weights.values()))

    def _checkpoint(self) -> None:
        """Ends an epoch: a restored run goes on after it, so it comes last."""
        self._next_epoch.assign(len(self.history))
        if not self._chief:
            return
        try:
            with writing(self._folder):
                self._checkpoints.save()
        finally:
            for unfinished in self._folder.glob("*_temp"):
                shutil.rmtree(unfinished)


def _reseed(model: keras.Model, seed: list[int]) -> None:
    """Makes the dropout depend only on the seed and the epoch."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            layer.seed_generator.state.assign(seed)


def _describe(row: dict[str, float], best: bool) -> str:
    numbers = "  ".join(
        f"{name} {value:.4f}"
        for name, value in row.items()
        if name not in ("epoch", "seconds")
    )
    # Before the first step: frozen features, or random ones.
    start = f"epoch {row['epoch']:2d}" if row["epoch"] else "untuned "
    star = "  [green]best[/green]" if best else ""
    return f"{start}  {numbers}  [dim]{row['seconds']:.0f} s[/dim]{star}"
