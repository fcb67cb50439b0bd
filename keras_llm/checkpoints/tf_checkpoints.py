"""The original TensorFlow checkpoints of google-research/bert and openai/gpt-2, in Hugging Face's names."""

import re

from keras_llm.files import read_json

BERT_CONFIG, GPT2_CONFIG = "bert_config.json", "hparams.json"


def read_bert(folder):
    """Reads `bert_config.json` and `bert_model.ckpt`: config and dict of arrays, kernels `[in, out]`.

    Its activation `"gelu"` is taken for the exact one, as transformers does; the original code, and KerasHub,
    compute it by the tanh formula, which `activation="gelu_tanh"` asks for.
    """
    tensors = {}
    for name, tensor in _read(folder, "bert_model.ckpt").items():
        if not name.startswith(("bert/", "cls/")) or name.endswith(("adam_m", "adam_v")):
            continue  # the optimizer's
        name = re.sub(r"layer_(\d+)", r"layer.\1", name.removeprefix("bert/")).replace("/", ".")
        if name == "cls.seq_relationship.output_weights":
            tensor = tensor.T  # the only kernel that is [out, in]
        for theirs, ours in (
            ("kernel", "weight"),
            ("gamma", "weight"),
            ("beta", "bias"),
            ("output_bias", "bias"),
            ("output_weights", "weight"),
        ):
            name = re.sub(rf"\.{theirs}$", f".{ours}", name)
        name = name + ".weight" if name.endswith("_embeddings") else name
        tensors[name] = tensor
    return {"architectures": ["BertForPreTraining"], **read_json(folder / BERT_CONFIG)}, tensors


def read_gpt2(folder):
    """Reads `hparams.json` and `model.ckpt`: config and dict of arrays, kernels `[in, out]`."""
    tensors = {}
    for name, tensor in _read(folder, "model.ckpt").items():
        if not name.startswith("model/"):
            continue  # the optimizer's
        name = re.sub(r"^h(\d+)", r"h.\1", name.removeprefix("model/")).replace("/", ".")
        if name in ("wte", "wpe"):
            name += ".weight"
        name = re.sub(r"\.(g|w)$", ".weight", name)
        name = re.sub(r"\.b$", ".bias", name)
        # Kernels are those of convolutions of width 1, [1, in, out].
        tensors[name] = tensor[0] if tensor.ndim == 3 else tensor
    sizes = read_json(folder / GPT2_CONFIG)
    names = {
        "vocab_size": "n_vocab",
        "n_positions": "n_ctx",
        "n_embd": "n_embd",
        "n_layer": "n_layer",
        "n_head": "n_head",
    }
    return {ours: sizes[theirs] for ours, theirs in names.items() if theirs in sizes}, tensors


def _read(folder, name):
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ValueError(f"{folder} is a TensorFlow checkpoint; reading it needs tensorflow.") from error
    if not (folder / f"{name}.index").is_file():
        raise FileNotFoundError(f"{folder} has no {name}.index.")
    try:
        reader = tf.train.load_checkpoint(str(folder / name))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, IndexError) as error:  # the last: a short file
        message = str(error).splitlines()[0]
        raise ValueError(
            f"{folder / name} is not a complete checkpoint ({message}). Fetch it again."
        ) from error
