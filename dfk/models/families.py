"""One class for each family of fakes, and one score for all of them.

A detector that is shown several kinds of fakes at once loses what it had on
each, if it must find one direction from real to fake. With a class for each
family it keeps it. The probability of fake is that of all families together.
"""

import keras
import tensorflow as tf
from keras import ops

# A family is named where it has this share of the probability of all fakes.
CLEAR = 0.8


@keras.saving.register_keras_serializable("dfk")
class FakeLogit(keras.layers.Layer):
    """Logits `[N, 1 + F]` of real and each family to the log-odds of fake.

    Under a softmax over all classes, `log(P(fake) / P(real))`, `[N, 1]`.

    Args:
        families: the names of the F families, in the order of the logits.

    Example:
        >>> layer = FakeLogit(["gan", "swap"])
        >>> layer(tf.constant([[0.0, 1.0, 1.0]])).numpy()
        array([[1.693...]], dtype=float32)
    """

    def __init__(self, families: list[str], **kwargs):
        super().__init__(**kwargs)
        self.families = families

    def call(self, logits):
        """Sums the families' probabilities, as logits."""
        fakes = ops.logsumexp(logits[:, 1:], axis=1, keepdims=True)
        return fakes - logits[:, :1]

    def name_of(self, logits: tf.Tensor) -> tf.Tensor:
        """The family that images resemble if they are fake, string `[N]`.

        Empty where no family has `CLEAR` of the probability of all fakes.

        Args:
            logits: float32 `[N, 1 + F]`, what the layer is called with.
        """
        shares = tf.nn.softmax(logits[:, 1:])
        likeliest = tf.gather(self.families, tf.argmax(shares, axis=1))
        return tf.where(tf.reduce_max(shares, axis=1) >= CLEAR, likeliest, "")

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"families": self.families}
