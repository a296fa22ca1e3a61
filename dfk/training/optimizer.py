"""AdamW whose learning rate differs from stage to stage."""

import keras


class StagewiseAdamW(keras.optimizers.AdamW):
    """AdamW with a share of the learning rate for each stage of a backbone.

    Args:
        rates: shares of the learning rate by the prefix of the layer's name;
            what matches none learns at the full rate.
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
        """Looks up the share of each variable."""
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
