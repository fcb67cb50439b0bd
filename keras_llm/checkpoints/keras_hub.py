"""KerasHub's BERT and GPT-2 (`keras_hub.models.BertBackbone` and `GPT2Backbone`), in and out.

Both sides are stacked from the same layers; their attention keeps kernels `[hidden_dim, num_heads, head_dim]`
where ours are `[hidden_dim, hidden_dim]`, which is the same numbers in the same order.
"""

import os
from operator import attrgetter

import keras
from keras import ops

# Our constructors' arguments and theirs.
SIZES = {
    "vocabulary_size": "vocabulary_size",
    "context_length": "max_sequence_length",
    "hidden_dim": "hidden_dim",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "inner_dim": "intermediate_dim",
    "num_segments": "num_segments",
    "dropout": "dropout",
}
# Arguments of ours that their constructors do not have: what their code always computes.
FIXED = {
    "BertBackbone": {"activation": "gelu_tanh", "epsilon": 1e-12, "pooler": True},
    "GPT2Backbone": {"activation": "gelu_tanh", "epsilon": 1e-5},
}
# Our layers and theirs, of the model and of a block; a model has those that it needs.
LAYERS = {
    "token_embedding": "token_embedding",
    "segment_embedding": "segment_embedding",
    "embedding_norm": "embeddings_layer_norm",
    "final_norm": "layer_norm",
    "pooler": "pooled_dense",
}
BLOCK_LAYERS = {
    "attention.query_projection": "_self_attention_layer.query_dense",
    "attention.key_projection": "_self_attention_layer.key_dense",
    "attention.value_projection": "_self_attention_layer.value_dense",
    "attention.output_projection": "_self_attention_layer.output_dense",
    "attention_norm": "_self_attention_layer_norm",
    "feed_forward.inner": "_feedforward_intermediate_dense",
    "feed_forward.outer": "_feedforward_output_dense",
    "feed_forward_norm": "_feedforward_layer_norm",
}


def load(model_class, backbone_name, backbone, **overrides):
    """Builds a `model_class` from a backbone, or from a preset's name or folder, and fills it."""
    models = _keras_hub().models
    if isinstance(backbone, (str, os.PathLike)):
        backbone = models.Backbone.from_preset(str(backbone))
    if not isinstance(backbone, getattr(models, backbone_name)):
        raise ValueError(
            f"{model_class.__name__} reads a keras_hub.models.{backbone_name}, not a {type(backbone).__name__}."
        )
    sizes = {ours: getattr(backbone, theirs) for ours, theirs in SIZES.items() if hasattr(backbone, theirs)}
    settings = {**sizes, **FIXED[backbone_name], "dtype": backbone.dtype_policy}
    model = model_class(**{**settings, **overrides})
    for ours, theirs in _variable_pairs(model, backbone):
        if not keras.backend.is_float_dtype(theirs.dtype):
            raise ValueError("The backbone is quantized; only its original weights can be read.")
        if ops.size(theirs) != ops.size(ours):
            raise ValueError(
                f"{ours.path} has shape {tuple(ours.shape)}, the backbone's has {tuple(theirs.shape)}."
            )
        ours.assign(ops.reshape(theirs, ours.shape))
    return model


def export(model, backbone_name):
    """Builds the backbone that computes what `model` computes."""
    backbone_class = getattr(_keras_hub().models, backbone_name)
    config, fixed = model.get_config(), FIXED[backbone_name]
    different = {name: config[name] for name, value in fixed.items() if config[name] != value}
    if different:
        raise ValueError(
            f"keras_hub.models.{backbone_name} always has {_listed(fixed)}; this model has {_listed(different)}."
        )
    sizes = {theirs: config[ours] for ours, theirs in SIZES.items() if ours in config}
    backbone = backbone_class(**sizes, dtype=model.dtype_policy)
    for ours, theirs in _variable_pairs(model, backbone):
        theirs.assign(ops.reshape(ours, theirs.shape))
    return backbone


def _variable_pairs(model, backbone):
    """Each of our variables with the one of theirs that holds the same numbers."""
    layers = [
        (getattr(model, ours), getattr(backbone, theirs))
        for ours, theirs in LAYERS.items()
        if getattr(model, ours, None) is not None
    ]
    for block, their_block in zip(model.blocks, backbone.transformer_layers):
        layers += [
            (attrgetter(ours)(block), attrgetter(theirs)(their_block))
            for ours, theirs in BLOCK_LAYERS.items()
        ]
    pairs = [(model.position_embedding.embeddings, backbone.position_embedding.position_embeddings)]
    for ours, theirs in layers:
        # By name: with LoRA, the `kernel` of theirs is the sum that the layer computes with.
        names = [name for name in ("embeddings", "kernel", "bias", "gamma", "beta") if hasattr(ours, name)]
        pairs += [(getattr(ours, name), getattr(theirs, name)) for name in names]
    return pairs


def _keras_hub():
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(
            "KerasHub's models need the package keras-hub: pip install keras-nlp (which brings it)."
        ) from error
    return keras_hub


def _listed(settings):
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())
