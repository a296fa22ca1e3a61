"""From batches to updates of the weights, alike on one and on many devices."""

import keras
import tensorflow as tf


class Updates:
    """Makes one update of the mean gradient of one or several steps.

    Keras's optimizers accumulate gradients too, but fail to do so under a
    distribution, and look for an overflow of half precision on the first device
    alone (Keras 3.15).

    Args:
        model: what is trained, built under the strategy's scope.
        optimizer: likewise.
        strategy: the devices to train on.
        label_smoothing: labels are drawn towards 0.5 by half of this.
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
            self._gathered = [
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
            images: float32 `[B, S, S, 3]` in 0..255, as the strategy deals
                them out.
            labels: float32 `[B, 1]`, likewise.
            is_last: no step follows in this epoch, so that what was gathered
                makes an update, however little it is.

        Returns:
            The mean loss, and whether the step ended in an update.
        """
        loss = self._step(images, labels)
        self._waiting += 1
        if self._waiting < self._accumulate and not is_last:
            return loss, False
        if self._gathered:
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
        if self._gathered:
            for total, gradient in zip(self._gathered, gradients, strict=True):
                total.assign_add(gradient)
        else:
            self._apply(gradients)
        return loss

    def _replica_update(self, steps):
        self._apply([total / steps for total in self._gathered])
        for total in self._gathered:
            total.assign(tf.zeros_like(total))

    def _apply(self, gradients):
        optimizer = self._optimizer
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if scaled and self._strategy.num_replicas_in_sync > 1:
            # Shared, it is 0, or not a number where a gradient overflowed.
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
