"""A dense layer that is as fast for one row as the memory that its kernel comes from."""

import keras
from keras import ops

PARTS = 8  # as many cores can share a product of one row


@keras.saving.register_keras_serializable(package="keras_llm")
class Dense(keras.layers.Dense):
    """`keras.layers.Dense`, and the same for one row alone, as in writing a text, but in parts.

    `x W` is the sum of the products of the parts of `x` with theirs of `W`'s rows. As one product of a row XLA on a CPU
    puts it together with the bias on a single core.
    """

    def call(self, x, training=None):
        """`[..., in]` -> `[..., units]`."""
        width = x.shape[-1]
        if any(size != 1 for size in x.shape[:-1]) or width % PARTS:
            return super().call(x, training=training)
        parts = ops.reshape(x, (PARTS, 1, width // PARTS))
        kernel = ops.reshape(self.kernel, (PARTS, width // PARTS, self.units))
        y = ops.sum(ops.matmul(parts, kernel), axis=0)  # [1, units]
        y = ops.reshape(y, (*x.shape[:-1], self.units))
        if self.use_bias:
            y = y + self.bias
        return y if self.activation is None else self.activation(y)
