"""LoRA: fine-tuning through small matrices beside frozen ones.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4: a layer's kernel `W` stays as it is and
`alpha / rank * A B` is added to it, with `A` `[in, rank]` and `B` `[rank, out]`, which is zero at the start.

The adapters are those of Keras' own `Dense` layer, which knows how to save itself merged: `model.save` and
`save_pretrained` write a plain model with the adapters in its kernels. Keras adds `A B` to `W` before the product with
the inputs, so what LoRA saves here is the optimizer's memory and the size of what is kept, and little time.
"""

import pathlib
import tempfile

import keras

from keras_llm.checkpoints.safetensors import assign, collect, read_tensors, write_tensors
from keras_llm.files import read_json, write_json
from keras_llm.training.callbacks import SaveBest

SETTINGS = "adapter.json"


def add_lora(model, rank=8, alpha=16, layers=("query", "value")):
    """Freezes a model and gives some of its dense layers adapters, which are all that is trained from then on.

    At first the model computes what it computed before. Compile it afterwards.

    Args:
        model: any model of ours, in float32.
        rank: of the adapters.
        alpha: their sum with the kernel is weighed with `alpha / rank`.
        layers: names of dense layers: `"query"`, `"key"`, `"value"` and `"output"` of attention, `"inner"` and
            `"outer"` of feed-forward layers.

    Raises:
        ValueError: a name that no dense layer has, a rank below 1, a model that has adapters already, or one that
            does not compute in float32.
    """
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    names = {layer.name for layer in dense}
    for name in layers:
        if name not in names:
            raise ValueError(f"layers: there is no dense layer {name!r}; choose from {sorted(names)}.")
    if rank < 1:
        raise ValueError(f"rank must be at least 1, not {rank}.")
    if adapters(model):
        raise ValueError("The model has adapters already; merge_lora makes a plain model of it.")
    if model.compute_dtype != "float32":  # Keras would save the adapted kernels rounded to it
        raise ValueError(f"Adapters need a model in float32, not {model.compute_dtype}.")
    for variable in model.variables:
        variable.trainable = False
    for layer in dense:
        if layer.name in layers:
            layer.enable_lora(rank, alpha)


def adapters(model):
    """The dense layers of a model that have adapters, always in the same order."""
    return [layer for layer in model._flatten_layers() if getattr(layer, "lora_enabled", False)]


def merge_lora(model):
    """A plain model, all of it trainable, that computes what `model` does with its adapters."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "merged.keras"
        model.save(path)
        return keras.saving.load_model(path, compile=False)


def save_lora(model, folder):
    """Writes the adapters alone: `adapter.json` and `model.safetensors`.

    Raises:
        ValueError: there are none.
    """
    found = adapters(model)
    if not found:
        raise ValueError("The model has no adapters; add_lora gives it some.")
    folder = pathlib.Path(folder)
    write_tensors(folder, collect(_variables(found)))
    names = list(dict.fromkeys(layer.name for layer in found))
    settings = {"rank": found[0].lora_rank, "alpha": found[0].lora_alpha, "layers": names}
    write_json(folder / SETTINGS, settings)


def load_lora(model, folder):
    """Gives a plain model the adapters that `save_lora` wrote; it must be the one they were trained on.

    Raises:
        FileNotFoundError: there are none in the folder.
        ValueError: they do not fit the model.
    """
    folder = pathlib.Path(folder)
    add_lora(model, **read_json(folder / SETTINGS))
    assign(_variables(adapters(model)), read_tensors(folder), folder)


def _variables(layers):
    """Which variable each tensor is; the layers are numbered, as their names repeat."""
    return {
        f"{number}.{layer.name}.{matrix}": [variable]
        for number, layer in enumerate(layers)
        for matrix, variable in (("A", layer.lora_kernel_a), ("B", layer.lora_kernel_b))
    }


class SaveBestAdapters(SaveBest):
    """Keeps the adapters of the best evaluation so far; see `SaveBest`, whose `path` is a folder here."""

    def save(self):
        """Writes them."""
        save_lora(self.model, self.path)
