"""Many devices on JAX: each sees a part of the batch, or holds a part of the model.

XLA divides a program over the devices by where its inputs lie (Xu et al. 2021, "GSPMD"). So nothing in models and
training knows of devices: `distribute` says where variables and batches lie, before the model is made.
"""

import keras

# Which axis of a variable is cut over the "model" devices. As in Shoeybi et al. 2019, "Megatron-LM", section 3, a pair
# of dense layers needs one sum over the devices and nothing between the two:
LAYOUTS = {
    # The first of a pair is cut by columns. Each device works out features of its own, which for queries, keys and
    # values are whole heads; what is done to each feature or head (bias, gelu, attention) needs no other device.
    r".*/(query|key|value|inner)/kernel": (None, "model"),
    r".*/(query|key|value|inner)/bias": ("model",),
    # The second is cut by rows: each device multiplies the features that it has, and the products are added up. Its
    # bias is added after that sum, and so are norms and residuals: all devices hold them whole.
    r".*attention/output/kernel": ("model", None),
    r".*/outer/kernel": ("model", None),
    # An embedding, which is the output layer too, is cut by its tokens. Each device scores its own part of the
    # vocabulary, and of the logits, the largest tensor of all, nothing but the sums of the softmax is exchanged.
    r".*/(token|source|target)_embedding/embeddings": ("model", None),
    r".*/output_bias": ("model",),  # of BertMaskedLM: one for each token
}


def distribute(model_devices=1):
    """Spreads models that are made from here on, and their batches, over all local devices.

    With `model_devices=1` each device has all weights and a part of each batch. Otherwise the devices stand in a grid
    (batch, model): each row of `model_devices` devices shares one copy of the weights, cut as in `LAYOUTS`, and one
    part of the batch. `keras.distribution.set_distribution(None)` ends it.

    A step is that of one device within rounding. The rows of a batch must be a multiple of the first axis of the grid
    (with `accumulate`, those of a part). A network between the devices of a row must be fast: activations cross it
    four times a block and step.

    Args:
        model_devices: devices that share one copy of the weights. It should divide the number of heads; a variable
            whose cut axis it does not divide is cut along its other axis, or is held whole.

    Returns:
        The `keras.distribution.Distribution` that was set.

    Raises:
        ValueError: another backend than JAX, or a number that does not divide that of the devices.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"keras.distribution works on the JAX backend; this is {keras.backend.backend()}. Set KERAS_BACKEND=jax."
        )
    devices = keras.distribution.list_devices()
    if model_devices < 1 or len(devices) % model_devices:
        raise ValueError(
            f"model_devices={model_devices} does not divide the {len(devices)} devices there are."
        )
    if model_devices == 1:
        distribution = keras.distribution.DataParallel(devices=devices)
    else:
        mesh = keras.distribution.DeviceMesh(
            (len(devices) // model_devices, model_devices), ("batch", "model"), devices
        )
        layouts = keras.distribution.LayoutMap(mesh)
        for pattern, axes in LAYOUTS.items():
            layouts[pattern] = axes
        distribution = _WholeShares(layout_map=layouts, batch_dim_name="batch")
    keras.distribution.set_distribution(distribution)
    return distribution


class _WholeShares(keras.distribution.ModelParallel):
    """`ModelParallel` that finds an axis which the devices can share evenly: JAX wants nothing else.

    50,257, the tokens of GPT-2, is 29 * 1,733: its embedding is cut by width, and its logits are added up.
    """

    def get_variable_layout(self, variable):
        """The variable's `TensorLayout`."""
        layout = super().get_variable_layout(variable)
        devices = self.device_mesh.shape[1]
        axes = layout.axes
        if "model" not in axes or variable.shape[axes.index("model")] % devices == 0:
            return layout
        other = tuple(
            "model" if axis is None and size % devices == 0 else None
            for axis, size in zip(axes, variable.shape)
        )
        return keras.distribution.TensorLayout(other, self.device_mesh)
