"""BERT in Hugging Face's layout (`config.json` and `model.safetensors`), with the heads of its tasks."""

import inspect
import pathlib

import numpy as np

from keras_llm.checkpoints import tf_checkpoints
from keras_llm.checkpoints.names import activation_name, hugging_face_activation
from keras_llm.checkpoints.safetensors import assign, collect, read_tensors, write_tensors
from keras_llm.files import read_json, resolve_folder, write_json

# What BERT variants may ask for that changes the computation, and the only value that is computed here.
REQUIRED = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
# What the tensors of each task's own layers begin with.
HEADS = {
    "BertForMaskedLM": "cls.predictions",
    "BertForNextSentencePrediction": "cls.seq_relationship",
    "BertForSequenceClassification": "classifier",
    "BertForTokenClassification": "classifier",
    "BertForQuestionAnswering": "qa_outputs",
}
# A classifier of the tokens' mean, which transformers' BERT has not: there it is refused as an unknown type, rather than
# read as something else.
MEAN_POOLED = "bert-mean-pooled"
POOLER = {"pooler.dense.weight", "pooler.dense.bias"}
FILES = ["config.json", "*.safetensors", "*.safetensors.index.json", "1_Pooling/config.json"]


def load_encoder(encoder_class, path_or_name, **overrides):
    """Builds an `encoder_class` (`BertEncoder`) from a folder or a hub name and fills it."""
    folder, config, tensors = _read(path_or_name)
    encoder = _new_encoder(encoder_class, folder, config, tensors, overrides)
    assign(_variables(encoder), tensors, folder)
    return encoder


def load_model(model_class, encoder_class, path_or_name, head="checkpoint", **overrides):
    """Builds a task model and fills it; with `head="new"` its own layers stay as they were drawn."""
    if head not in ("checkpoint", "new"):
        raise ValueError(f'head must be "checkpoint" or "new", not {head!r}.')
    folder, config, tensors = _read(path_or_name)
    own = {
        name: overrides.pop(name) for name in inspect.signature(model_class).parameters if name in overrides
    }
    if head == "checkpoint":
        _require_head(model_class, config, tensors, folder)
    own = {**_task_settings(model_class, config, folder, head), **own}
    has_pooler = "pooler.dense.weight" in tensors
    needs_pooler = model_class.needs_pooler and own.get("pooling") != "mean"
    if needs_pooler and not has_pooler and head == "checkpoint":
        raise ValueError(
            f'{folder} has no pooler, which {model_class.__name__} needs; head="new" makes a fresh one.'
        )
    encoder = _new_encoder(encoder_class, folder, config, tensors, {"pooler": needs_pooler, **overrides})
    model = model_class(encoder, **own)
    variables = _variables(model)
    if head == "new":
        own_layers = set(_head_variables(model)) | (set() if has_pooler else POOLER)
        variables = {name: value for name, value in variables.items() if name not in own_layers}
    assign(variables, tensors, folder)
    return model


def save(model, folder):
    """Writes an encoder or a task model so that the class of `transformers` that it stands for reads it."""
    folder = pathlib.Path(folder)
    encoder = getattr(model, "encoder", model)
    prefix = "" if model.architecture == "BertModel" else "bert."
    head = _head_variables(model)
    tensors = {
        name if name in head else prefix + name: _transposed(name, tensor)
        for name, tensor in collect(_variables(model)).items()
    }
    write_tensors(folder, tensors)
    config = {
        "architectures": [model.architecture],
        **REQUIRED,
        "vocab_size": encoder.vocabulary_size,
        "max_position_embeddings": encoder.context_length,
        "hidden_size": encoder.hidden_dim,
        "num_hidden_layers": encoder.num_layers,
        "num_attention_heads": encoder.num_heads,
        "intermediate_size": encoder.inner_dim,
        "type_vocab_size": encoder.num_segments,
        "hidden_act": hugging_face_activation(encoder.activation),
        "layer_norm_eps": encoder.epsilon,
        "initializer_range": encoder.initializer_range,
        "hidden_dropout_prob": encoder.dropout_rate,
        "attention_probs_dropout_prob": encoder.dropout_rate,
        "pad_token_id": 0,
    }
    if hasattr(model, "labels"):
        config["id2label"] = {str(i): label for i, label in enumerate(model.labels)}
        config["label2id"] = {label: i for i, label in enumerate(model.labels)}
        if getattr(model, "pooling", None) == "mean":
            config["model_type"] = MEAN_POOLED
    elif hasattr(model, "pooling"):
        write_json(
            folder / "1_Pooling" / "config.json",
            {
                "word_embedding_dimension": encoder.hidden_dim,
                "pooling_mode_cls_token": model.pooling == "cls",
                "pooling_mode_mean_tokens": model.pooling == "mean",
            },
        )
    write_json(folder / "config.json", config)


def _read(path_or_name):
    """The folder, its config and its tensors, in today's names of Hugging Face and kernels `[in, out]`."""
    folder = resolve_folder(path_or_name, FILES)
    if (folder / tf_checkpoints.BERT_CONFIG).is_file():
        return folder, *tf_checkpoints.read_bert(folder)
    config = read_json(folder / "config.json")
    tensors = {}
    for name, tensor in read_tensors(folder).items():
        name = name.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        tensors[name] = _transposed(name, tensor)
    return folder, config, tensors


def _transposed(name, tensor):
    """The kernel of a dense layer is `[out, in]` there and `[in, out]` here; other tensors are the same."""
    return tensor.T if tensor.ndim == 2 and "embeddings" not in name else tensor


def _new_encoder(encoder_class, folder, config, tensors, overrides):
    for name, value in REQUIRED.items():
        if config.get(name, value) != value and config[name] != MEAN_POOLED:
            raise ValueError(
                f"{folder}: the config has {name}={config[name]!r}; only {value!r} is supported."
            )
    try:
        sizes = {
            "vocabulary_size": config["vocab_size"],
            "context_length": config["max_position_embeddings"],
            "hidden_dim": config["hidden_size"],
            "num_layers": config["num_hidden_layers"],
            "num_heads": config["num_attention_heads"],
            "inner_dim": config["intermediate_size"],
        }
    except KeyError as error:
        raise ValueError(f"{folder}: the config lacks {error}; is it a BERT?") from error
    sizes |= {
        "num_segments": config.get("type_vocab_size", 2),
        "dropout": config.get("hidden_dropout_prob", 0.1),
        "activation": activation_name(config.get("hidden_act", "gelu"), folder),
        "epsilon": config.get("layer_norm_eps", 1e-12),
        "pooler": "pooler.dense.weight" in tensors,
        "initializer_range": config.get("initializer_range", 0.02),
    }
    return encoder_class(**{**sizes, **overrides})


def _task_settings(model_class, config, folder, head):
    """What a checkpoint says of the task model's own arguments."""
    parameters = inspect.signature(model_class).parameters
    settings = {}
    if "labels" in parameters and head == "checkpoint":
        names = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
        settings["labels"] = [names[key] for key in sorted(names, key=int)]
        settings["num_classes"] = len(names)
    if "pooling" in parameters and config.get("model_type") == MEAN_POOLED:
        settings["pooling"] = "mean"
    pooling = folder / "1_Pooling" / "config.json"
    if model_class.architecture == "BertModel" and pooling.is_file():
        modes = {
            name for name, wanted in read_json(pooling).items() if name.startswith("pooling_mode") and wanted
        }
        known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
        if len(modes) != 1 or not modes <= set(known):
            raise ValueError(f"{pooling} asks for {sorted(modes)}; only one of {sorted(known)} is supported.")
        settings["pooling"] = known[modes.pop()]
    return settings


def _require_head(model_class, config, tensors, folder):
    """Refuses a checkpoint without this task's head, also one whose head has the same name in another task."""
    wanted, prefix = model_class.architecture, HEADS.get(model_class.architecture)
    if prefix is None:
        return
    theirs = (config.get("architectures") or [wanted])[0]
    other_task = prefix == "classifier" and theirs.startswith("Bert") and theirs != wanted
    if f"{prefix}.bias" not in tensors or other_task:
        what = f"is a {theirs}" if theirs != wanted else f"lacks {prefix}.bias"
        raise ValueError(
            f"{folder} has no head for {model_class.__name__} ({wanted}); it {what}. "
            'head="new" makes a fresh one, to be trained.'
        )
    decoder = tensors.get("cls.predictions.decoder.weight")
    if prefix == "cls.predictions" and decoder is not None:
        tied = np.array_equal(decoder.T, tensors["embeddings.word_embeddings.weight"])
        if not tied:
            raise ValueError(f"{folder}: the output layer is not tied to the word embeddings, as BERT's is.")


def _variables(model):
    """Which variable each tensor is; kernels `[in, out]`."""
    encoder = getattr(model, "encoder", model)
    layers = {"embeddings.LayerNorm": encoder.embedding_norm}
    for i, block in enumerate(encoder.blocks):
        attention, feed_forward = block.attention, block.feed_forward
        own = {
            "attention.self.query": attention.query_projection,
            "attention.self.key": attention.key_projection,
            "attention.self.value": attention.value_projection,
            "attention.output.dense": attention.output_projection,
            "attention.output.LayerNorm": block.attention_norm,
            "intermediate.dense": feed_forward.inner,
            "output.dense": feed_forward.outer,
            "output.LayerNorm": block.feed_forward_norm,
        }
        layers |= {f"encoder.layer.{i}.{name}": layer for name, layer in own.items()}
    if encoder.pooler is not None:
        layers["pooler.dense"] = encoder.pooler
    return {
        "embeddings.word_embeddings.weight": [encoder.token_embedding.embeddings],
        "embeddings.position_embeddings.weight": [encoder.position_embedding.embeddings],
        "embeddings.token_type_embeddings.weight": [encoder.segment_embedding.embeddings],
        **_of_layers(layers),
        **_head_variables(model),
    }


def _head_variables(model):
    """The same of a task's own layers alone."""
    if model.architecture == "BertForMaskedLM":
        layers = {
            "cls.predictions.transform.dense": model.transform,
            "cls.predictions.transform.LayerNorm": model.transform_norm,
        }
        return {**_of_layers(layers), "cls.predictions.bias": [model.output_bias]}
    if model.architecture not in HEADS:
        return {}
    return _of_layers({HEADS[model.architecture]: model.output_layer})


def _of_layers(layers):
    """Weight and bias of dense layers and norms, under their names there."""
    variables = {}
    for name, layer in layers.items():
        weight, bias = (layer.kernel, layer.bias) if hasattr(layer, "kernel") else (layer.gamma, layer.beta)
        variables |= {f"{name}.weight": [weight], f"{name}.bias": [bias]}
    return variables
