"""The names that other libraries give to activations."""

_OURS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_THEIRS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "silu": "silu"}


def activation_name(name, source):
    """Our name of an activation that Hugging Face calls `name`; `source`: the checkpoint, for the error."""
    if name not in _OURS:
        raise ValueError(f"{source}: the activation {name!r} is not known; known are {sorted(_OURS)}.")
    return _OURS[name]


def hugging_face_activation(name):
    """Hugging Face's name of one of our activations."""
    return _THEIRS[name]
