"""Which stages of a backbone learn, how fast, and how an update is made."""

import keras
import tensorflow as tf

from dfk.errors import UserError
from dfk.models import Detector, Recipe, backbone_layers

Stages = dict[str, tuple[str, ...]]


def trained_stages(detector: Detector, first_stage: str) -> Stages:
    """The stages of a backbone that phase two trains.

    Args:
        detector: a detector's entry in the registry.
        first_stage: a stage's name, `all` or `none`.

    Returns:
        That stage and all after it, in order, with the prefixes of their
        layers' names.

    Raises:
        UserError: the backbone has no stage of that name.

    Example:
        >>> trained_stages(models.get("facenet"), "mixed_7a")
        {'mixed_7a': ('Mixed_7a_',), 'block8': ('Block8_',)}
    """
    stages = list(detector.stages.items())
    begin = {name: place for place, (name, _) in enumerate(stages)}
    begin |= {"all": 0, "none": len(stages)}
    if first_stage not in begin:
        raise UserError(
            f"--unfreeze={first_stage} is no stage of {detector.name}: pass "
            f"all, none or one of {', '.join(detector.stages)}."
        )
    return dict(stages[begin[first_stage] :])


def unfreeze(model: keras.Model, stages: Stages, statistics: bool) -> None:
    """Makes some stages of a backbone trainable, and freezes the others.

    Args:
        model: a detector's model.
        stages: the ones to train.
        statistics: whether their batch normalisations learn too. Pretrained
            statistics come from millions of images; small batches of another
            kind of image would spoil them.
    """
    prefixes = tuple(prefix for each in stages.values() for prefix in each)
    for layer in backbone_layers(model):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name.startswith(prefixes) and (
            statistics or not is_norm
        )


def stage_rates(stages: Stages, decay: float) -> dict[str, float]:
    """How fast each stage learns, as a share of the learning rate.

    Early stages hold what all images have in common and need the least
    change (Howard & Ruder, "Universal Language Model Fine-tuning for Text
    Classification", ACL 2018, section 3.2).

    Args:
        stages: the stages that are trained, in order.
        decay: each earlier stage learns at this share of the next one's rate.

    Returns:
        The shares by the prefixes of the layers' names.

    Example:
        >>> stage_rates({"mixed_7a": ("Mixed_7a_",), "last": ("L_",)}, 0.5)
        {'L_': 1.0, 'Mixed_7a_': 0.5}
    """
    return {
        prefix: decay**distance
        for distance, prefixes in enumerate(reversed(stages.values()))
        for prefix in prefixes
    }


def build(
    recipe: Recipe, stages: Stages, updates: int, precision: str = "float32"
) -> keras.optimizers.Optimizer:
    """The optimizer of phase two, with its learning rate schedule.

    Args:
        recipe: the learning rate, its decays, the warm-up and the epochs.
        stages: the stages that are trained.
        updates: of the weights in an epoch.
        precision: of the training.
    """
    warm_up = round(updates * recipe.warm_up)
    optimizer = StagewiseAdamW(
        stage_rates(stages, recipe.stage_decay),
        learning_rate=keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=max(1, updates * recipe.epochs - warm_up),
            warmup_target=recipe.learning_rate,
            warmup_steps=warm_up,
        ),
        weight_decay=recipe.weight_decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


class StagewiseAdamW(keras.optimizers.AdamW):
    """AdamW with a share of the learning rate for each stage of a backbone.

    Args:
        rates: shares of the learning rate by the prefix of the layer's name.
            Other layers learn at the full rate.
        **kwargs: as for `keras.optimizers.AdamW`.

    Example:
        >>> StagewiseAdamW({"stem_": 0.1}, learning_rate=1e-4)

    Reference:
        Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR
        2019.
    """

    def __init__(self, rates: dict[str, float], **kwargs):
        super().__init__(**kwargs)
        self._rates = rates
        self._shares: list[float] = []

    def build(self, variables):
        """Finds the share of each variable."""
        super().build(variables)
        self._shares = [
            next(
                (
                    share
                    for prefix, share in self._rates.items()
                    if variable.path.startswith(prefix)
                ),
                1.0,
            )
            for variable in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable at its own rate."""
        share = self._shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * share)


class Updates:
    """Makes one update of the mean gradient of one or several steps.

    Keras's optimizers accumulate gradients too, but not under a distribution
    strategy, and they detect an overflow of half precision only on the first
    device (Keras 3.15).

    Args:
        model: what is trained, built under the strategy's scope.
        optimizer: likewise.
        strategy: the devices to train on.
        label_smoothing: labels are moved towards 0.5 by half of this.
        accumulate: steps that make one update together.

    Example:
        >>> loss, updated = Updates(model, optimizer, strategy)(images, labels)
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        label_smoothing: float = 0.0,
        accumulate: int = 1,
    ):
        self._model = model
        self._optimizer = optimizer
        self._strategy = strategy
        self._label_smoothing = label_smoothing
        self._accumulate = accumulate
        self._waiting = 0
        with strategy.scope():
            optimizer.build(model.trainable_variables)
            self._totals = [
                _summed_on_each_device(variable)
                for variable in model.trainable_variables
                if accumulate > 1
            ]
        self._step = tf.function(self._distributed_step)
        self._update = tf.function(self._distributed_update)

    def __call__(
        self, images, labels, is_last: bool = False
    ) -> tuple[tf.Tensor, bool]:
        """Makes a step.

        Args:
            images: float32 `[B, S, S, 3]` in 0..255, distributed by the
                strategy.
            labels: float32 `[B, 1]`, likewise.
            is_last: whether this is the epoch's last step, so that the
                gradients so far make an update.

        Returns:
            The mean loss, and whether the step ended in an update.
        """
        loss = self._step(images, labels)
        self._waiting += 1
        if self._waiting < self._accumulate and not is_last:
            return loss, False
        if self._totals:
            self._update(tf.constant(float(self._waiting)))
        self._waiting = 0
        return loss, True

    def _distributed_step(self, images, labels):
        losses = self._strategy.run(self._replica_step, args=(images, labels))
        return self._strategy.reduce("MEAN", losses, axis=None)

    def _distributed_update(self, steps):
        self._strategy.run(self._replica_update, args=(steps,))

    def _replica_step(self, images, labels):
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            scores = self._model(images, training=True)
            loss = tf.reduce_mean(
                keras.losses.binary_crossentropy(
                    labels, scores, label_smoothing=self._label_smoothing
                )
            )
            # Gradients are summed over the replicas.
            share = loss / self._strategy.num_replicas_in_sync
            scaled = self._optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, variables)
        if self._totals:
            for total, gradient in zip(self._totals, gradients, strict=True):
                total.assign_add(gradient)
        else:
            self._apply(gradients)
        return loss

    def _replica_update(self, steps):
        self._apply([total / steps for total in self._totals])
        for total in self._totals:
            total.assign(tf.zeros_like(total))

    def _apply(self, gradients):
        optimizer = self._optimizer
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if scaled and self._strategy.num_replicas_in_sync > 1:
            # 0 on all devices, or NaN on all if one has an overflow.
            context = tf.distribute.get_replica_context()
            here = tf.add_n([tf.reduce_sum(g * 0) for g in gradients])
            overflow = context.all_reduce(tf.distribute.ReduceOp.SUM, here)
            gradients = [gradient + overflow for gradient in gradients]
        optimizer.apply(gradients, self._model.trainable_variables)


def _summed_on_each_device(variable: keras.Variable) -> tf.Variable:
    return tf.Variable(
        tf.zeros(variable.shape),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
