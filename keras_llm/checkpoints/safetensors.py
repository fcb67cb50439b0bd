"""Folders of safetensors files: one file, or shards with an index, as Hugging Face writes them."""

import numpy as np

from keras_llm.files import atomic_path, read_json, require_file

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def read_tensors(folder):
    """Reads all tensors of a checkpoint folder: a dict of name to float32 (or integer) NumPy array.

    Raises:
        FileNotFoundError: no safetensors file, or a shard is missing.
        ValueError: a file is damaged; or there are only pickled weights, which could run code when read.
    """
    if (folder / INDEX).is_file():
        shards = sorted(set(read_json(folder / INDEX)["weight_map"].values()))
    elif (folder / SINGLE).is_file():
        shards = [SINGLE]
    elif list(folder.glob("pytorch_model*.bin")):
        config = read_json(folder / "config.json")
        model_class = (config.get("architectures") or ["AutoModel"])[0]  # which keeps the task's own layers
        raise ValueError(
            f"{folder} holds pickled weights (pytorch_model.bin), which are not read here because a pickle can run "
            "code. Convert them once, where torch and transformers are installed:\n"
            f'  python -c "from transformers import {model_class} as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    else:
        raise FileNotFoundError(f"{folder} has no {SINGLE} and no {INDEX}.")
    tensors = {}
    for shard in shards:
        tensors.update(_read_file(require_file(folder / shard)))
    return tensors


def _read_file(path):
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: _as_float32(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file ({error}). Fetch it again.") from error


def _as_float32(array):
    return array if array.dtype.kind in "biu" else array.astype("float32")


def write_tensors(folder, tensors):
    """Writes a dict of name to NumPy array as `model.safetensors`, atomically."""
    import safetensors.numpy

    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with atomic_path(folder / SINGLE) as temporary:
        safetensors.numpy.save_file(contiguous, temporary, metadata={"format": "pt"})


def assign(variables_of, tensors, source):
    """Puts a checkpoint's tensors into variables; nothing is left as it was drawn.

    Args:
        variables_of: dict of tensor name to the list of Keras variables that hold it, one beside the other
            along the last axis.
        tensors: dict of name to array.
        source: the checkpoint's folder, for messages.

    Raises:
        ValueError: a tensor is missing or has another shape than its variables.
    """
    missing = [name for name in variables_of if name not in tensors]
    if missing:
        raise ValueError(
            f"{source} lacks {len(missing)} of the model's tensors: {', '.join(missing[:5])} ..."
        )
    for name, variables in variables_of.items():
        shape = (*variables[0].shape[:-1], sum(variable.shape[-1] for variable in variables))
        if tuple(tensors[name].shape) != shape:
            raise ValueError(
                f"{source}: {name} has shape {tuple(tensors[name].shape)}, the model needs {shape}."
            )
    for name, variables in variables_of.items():
        ends = np.cumsum([variable.shape[-1] for variable in variables])[:-1]
        for variable, part in zip(variables, np.split(tensors[name], ends, axis=-1)):
            variable.assign(part)


def collect(variables_of):
    """The reverse of `assign`: a dict of tensor name to NumPy array."""
    return {
        name: np.concatenate([np.asarray(variable) for variable in variables], axis=-1)
        for name, variables in variables_of.items()
    }
