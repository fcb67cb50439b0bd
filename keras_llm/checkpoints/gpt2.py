"""GPT-2 in Hugging Face's layout (`config.json` and `model.safetensors` of `GPT2LMHeadModel`)."""

import pathlib

import numpy as np

from keras_llm.checkpoints import tf_checkpoints
from keras_llm.checkpoints.names import activation_name, hugging_face_activation
from keras_llm.checkpoints.safetensors import assign, collect, read_tensors, write_tensors
from keras_llm.files import read_json, resolve_folder, write_json

# What GPT-2 variants may ask for that changes the computation, and the only value that is computed here.
REQUIRED = {
    "model_type": "gpt2",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def load(model_class, path_or_name, **overrides):
    """Builds a `model_class` (`GPT2Model`) from a folder or a hub name and fills it with the weights there."""
    folder = resolve_folder(path_or_name, ["config.json", "*.safetensors", "*.safetensors.index.json"])
    if (folder / tf_checkpoints.GPT2_CONFIG).is_file():
        config, tensors = tf_checkpoints.read_gpt2(folder)
    else:
        config, tensors = read_json(folder / "config.json"), read_tensors(folder)
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    model = model_class(**{**_sizes(config, folder), **overrides})
    output = tensors.get("lm_head.weight")
    if output is not None and not np.array_equal(output, tensors.get("wte.weight")):
        raise ValueError(
            f"{folder}: lm_head.weight differs from wte.weight; GPT-2's output layer is tied to it."
        )
    assign(_variables(model), tensors, folder)
    return model


def save(model, folder):
    """Writes a `GPT2Model` so that `transformers.GPT2LMHeadModel.from_pretrained(folder)` reads it."""
    folder = pathlib.Path(folder)
    tensors = {f"transformer.{name}": tensor for name, tensor in collect(_variables(model)).items()}
    write_tensors(folder, tensors)
    write_json(
        folder / "config.json",
        {
            "architectures": ["GPT2LMHeadModel"],
            **REQUIRED,
            "vocab_size": model.vocabulary_size,
            "n_positions": model.context_length,
            "n_embd": model.hidden_dim,
            "n_layer": model.num_layers,
            "n_head": model.num_heads,
            "n_inner": model.inner_dim,
            "activation_function": hugging_face_activation(model.activation),
            "layer_norm_epsilon": model.epsilon,
            "embd_pdrop": model.dropout_rate,
            "attn_pdrop": model.dropout_rate,
            "resid_pdrop": model.dropout_rate,
        },
    )


def _sizes(config, folder):
    """The constructor's arguments that a `config.json` stands for."""
    for name, value in REQUIRED.items():
        if config.get(name, value) != value:
            raise ValueError(
                f"{folder}: the config has {name}={config[name]!r}; only {value!r} is supported."
            )
    try:
        return {
            "vocabulary_size": config["vocab_size"],
            "context_length": config["n_positions"],
            "hidden_dim": config["n_embd"],
            "num_layers": config["n_layer"],
            "num_heads": config["n_head"],
            "inner_dim": config.get("n_inner"),
            "dropout": config.get("resid_pdrop", 0.1),
            "activation": activation_name(config.get("activation_function", "gelu_new"), folder),
            "epsilon": config.get("layer_norm_epsilon", 1e-5),
        }
    except KeyError as error:
        raise ValueError(f"{folder}: the config lacks {error}; is it a GPT-2?") from error


def _variables(model):
    """Which variables each tensor is made of. Kernels are `[in, out]` on both sides."""
    tensors = {
        "wte.weight": [model.token_embedding.embeddings],
        "wpe.weight": [model.position_embedding.embeddings],
        "ln_f.weight": [model.final_norm.gamma],
        "ln_f.bias": [model.final_norm.beta],
    }
    for i, block in enumerate(model.blocks):
        attention, feed_forward = block.attention, block.feed_forward
        # Hugging Face keeps the query, key and value projections side by side in one kernel.
        inputs = (attention.query_projection, attention.key_projection, attention.value_projection)
        layers = {
            "attn.c_attn": ([layer.kernel for layer in inputs], [layer.bias for layer in inputs]),
            "attn.c_proj": ([attention.output_projection.kernel], [attention.output_projection.bias]),
            "mlp.c_fc": ([feed_forward.inner.kernel], [feed_forward.inner.bias]),
            "mlp.c_proj": ([feed_forward.outer.kernel], [feed_forward.outer.bias]),
            "ln_1": ([block.attention_norm.gamma], [block.attention_norm.beta]),
            "ln_2": ([block.feed_forward_norm.gamma], [block.feed_forward_norm.beta]),
        }
        for name, (weights, biases) in layers.items():
            tensors[f"h.{i}.{name}.weight"] = weights
            tensors[f"h.{i}.{name}.bias"] = biases
    return tensors
