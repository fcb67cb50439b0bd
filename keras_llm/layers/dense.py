"""A dense layer that is as fast for a few rows, as in writing texts, as the memory that its kernel comes from."""

import contextlib
import math
import os

import keras
from keras import ops

PARTS = 8  # as many cores can share a product of one row
# Parts of a transposed kernel, each for a core; a power of two, which divides most widths.
TRANSPOSED_PARTS = min(2 ** int(math.log2(os.cpu_count() or 1)), PARTS)


@keras.saving.register_keras_serializable(package="keras_llm")
class Dense(keras.layers.Dense):
    """`keras.layers.Dense`, and the same with other products for a few rows, for the sake of XLA on a CPU.

    One row alone goes in parts: `x W` is the sum of the products of the parts of `x` with theirs of `W`'s rows. As one
    product of a row XLA puts it together with the bias on a single core.

    A few rows are multiplied by `transposed_kernels` within `using_transposed_kernels`: XLA reads `W` in strips of some
    columns, row by row, so what it needs next is never what stands next in the memory; a transposed kernel it reads
    from end to end.
    """

    transposed_kernel = None  # [TRANSPOSED_PARTS, units / TRANSPOSED_PARTS, in]

    def call(self, x, training=None):
        """`[..., in]` -> `[..., units]`."""
        if self.transposed_kernel is not None:
            y = self._by_transposed_kernel(x)
        elif all(size == 1 for size in x.shape[:-1]) and x.shape[-1] % PARTS == 0:
            y = self._in_parts(x)
        else:
            return super().call(x, training=training)
        y = ops.reshape(y, (*x.shape[:-1], self.units))
        if self.use_bias:
            y = y + self.bias
        return y if self.activation is None else self.activation(y)

    def _in_parts(self, x):
        """The product of one row `x` and the kernel, `[1, units]`."""
        width = x.shape[-1]
        parts = ops.reshape(x, (PARTS, 1, width // PARTS))
        kernel = ops.reshape(self.kernel, (PARTS, width // PARTS, self.units))
        return ops.sum(ops.matmul(parts, kernel), axis=0)

    def _by_transposed_kernel(self, x):
        """The product of `x`, of known shape, and the kernel, `[rows, units]`."""
        rows, width = math.prod(x.shape[:-1]), x.shape[-1]
        columns = ops.transpose(ops.reshape(x, (rows, width)))  # [in, rows]
        columns = ops.broadcast_to(columns, (TRANSPOSED_PARTS, width, rows))
        y = ops.matmul(self.transposed_kernel, columns)  # [TRANSPOSED_PARTS, units / TRANSPOSED_PARTS, rows]
        return ops.transpose(ops.reshape(y, (self.units, rows)))


def transposed_kernels(model):
    """The transposed kernels of a model's dense layers, a list of `[TRANSPOSED_PARTS, units / TRANSPOSED_PARTS, in]`."""
    return [
        ops.reshape(
            ops.transpose(ops.cast(layer.kernel, layer.compute_dtype)),
            (TRANSPOSED_PARTS, layer.units // TRANSPOSED_PARTS, -1),
        )
        for layer in _transposable(model)
    ]


@contextlib.contextmanager
def using_transposed_kernels(model, kernels):
    """Within it the dense layers of `model` use `kernels`, its `transposed_kernels`; an empty list changes nothing."""
    layers = _transposable(model)
    for layer, kernel in zip(layers, kernels):
        layer.transposed_kernel = kernel
    try:
        yield
    finally:
        for layer in layers:
            layer.transposed_kernel = None


def _transposable(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, Dense) and layer.units % TRANSPOSED_PARTS == 0
    ]
