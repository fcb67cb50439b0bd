"""How much memory a training step takes, foreseen from the model and the shape of its batches.

Five things fill the memory. With `n` weights, `R` rows of `T` tokens, width `h`, inner width `f`, `a` heads, `V` tokens
in the vocabulary, and `c` bytes a number (4; in mixed precision 2), they are in bytes:

- weights `4 n`, their gradients `4 n` (with accumulation twice), Adam's two moments `8 n` (with averaged weights
  `12 n`): float32 in mixed precision too;
- activations that the backward pass reads again, of each block `R T (10 h + 3 f) c`: what goes into each product and
  each norm, and what gelu and residual sums keep. And of its attention `R a T T (8 + c)`: scores and softmax in
  float32, and the weights that the values are multiplied by; with dropout `4 + c` more, for what drops and what is
  left; of 1,024 keys and more nothing, as attention then goes block by block (`layers/blockwise.py`);
- logits `R T V (12 + c)`: the logits, and log-softmax, labels and gradient in float32.

The count of what each layer keeps is that of Korthikanti et al. 2022, "Reducing Activation Recomputation in Large
Transformer Models", section 4.1; the factors are those of this package's blocks as XLA compiles them. What XLA says
that it reserves differs from it by less than `FACTOR` (`tests/test_memory.py`, in float32 on a CPU). No GPU was tried,
and half precision is counted, not measured: for a CPU XLA turns it into float32.
"""

import pathlib
import subprocess
import warnings

import keras

from keras_llm.layers import DecoderBlock
from keras_llm.layers.attention import LONG
from keras_llm.models.bert import BertMaskedLM
from keras_llm.training.distribution import replicas

FACTOR = 1.5  # by which a forecast may be wrong


def forecast(model, inputs, labels, accumulate=1, half=None, rematerialize=None):
    """The bytes that a training step with `AdamW` takes on one device.

    Args:
        model: of GPT-2, BERT with a head, or a Transformer; compiled or not.
        inputs, labels: a batch.
        accumulate: parts that it is worked through in.
        half: activations in 2 bytes; by default as the model has it.
        rematerialize: as `layers.rematerialize` has it; by default as the model has it.

    Returns:
        A dict of `weights`, `gradients`, `optimizer`, `activations` and `logits`.
    """
    blocks = [layer for layer in model._flatten_layers() if hasattr(layer, "rematerialize")]
    if half is None:
        half = keras.backend.standardize_dtype(model.compute_dtype) != "float32"
    if rematerialize is None:
        rematerialize = any(block.rematerialize for block in blocks)
    size = 2 if half else 4
    weights = sum(4 * int(keras.ops.size(weight)) for weight in model.trainable_weights)
    optimizer = getattr(model, "optimizer", None)
    averages = getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False)

    arrays = inputs if isinstance(inputs, dict) else {"token_ids": inputs}
    inside, kept = [], []
    for block in blocks:
        for rows, length, source_length in _passes(block, arrays):
            inside.append(_block_bytes(block, -(-rows // accumulate), length, source_length, size))
            kept.append(-(-rows // accumulate) * length * block.hidden_dim * size)
    if rematerialize:
        activations = sum(kept) + max(inside)
    else:
        activations = sum(inside)
    return {
        "weights": weights,
        "gradients": weights * (1 if accumulate == 1 else 2),
        "optimizer": weights * (3 if averages else 2),
        "activations": activations,
        "logits": -(-labels.size // accumulate) * _classes(model) * (12 + size),
    }


def _passes(block, arrays):
    """Rows, tokens, and tokens of the source that is read across, for each time that a block runs in a step."""
    if "source_ids" in arrays:
        rows, source_length = arrays["source_ids"].shape
        if isinstance(block, DecoderBlock):
            return [(rows, arrays["target_ids"].shape[1], source_length)]
        return [(rows, source_length, 0)]
    return [(*arrays[name].shape, 0) for name in ("token_ids", "pair_ids") if name in arrays]


def _block_bytes(block, rows, length, source_length, size):
    features = 10 * block.hidden_dim + 3 * block.inner_dim
    keys = sum(own for own in (length, source_length) if own < LONG)  # in one matrix of scores
    if (
        source_length
    ):  # a norm, the query, what was attended to, its projection, a sum; keys and values of the source
        features += 5 * block.hidden_dim + 2 * block.hidden_dim * source_length // length
    scores = 12 + 2 * size if block.dropout_rate else 8 + size
    return rows * length * (features * size + block.num_heads * keys * scores)


def _classes(model):
    """Numbers that are scored for each label."""
    if isinstance(model, BertMaskedLM):
        return model.encoder.vocabulary_size
    for name in ("num_classes", "target_vocabulary_size", "vocabulary_size"):
        if hasattr(model, name):
            return getattr(model, name)
    return 0  # as few as tokens or rows


def check(model, batches, accumulate=1):
    """Compares the forecast of a step with the memory there is, before the first step.

    Args:
        model: compiled.
        batches: `Batches` to train on; of several shapes the one that takes most counts.
        accumulate: parts that each is worked through in.

    Raises:
        ValueError: a step would need more than there is even if the forecast were `FACTOR` too high. Nearer than that
            it is a warning. Both name what would help. With several devices nothing is checked.
    """
    there_is = available_bytes()
    if there_is is None or keras.distribution.distribution() is not None or replicas() > 1:
        return
    shapes = [batches.batch(i) for i in batches.different_shapes()]
    batch = max(shapes, key=lambda own: sum(forecast(model, *own, accumulate).values()))
    parts = forecast(model, *batch, accumulate)
    needed = sum(parts.values())
    if needed <= there_is:
        return
    message = (
        f"A training step needs about {_readable(needed)} "
        f"({', '.join(f'{name} {_readable(value)}' for name, value in parts.items())}), and there are "
        f"{_readable(there_is)}. {_help(model, batch, accumulate, needed)}"
    )
    if needed > FACTOR * there_is:
        raise ValueError(message)
    warnings.warn(message, stacklevel=2)


def _help(model, batch, accumulate, needed):
    """What would save how much, the most first."""
    twice = 2 * accumulate
    options = {
        f"--accumulate {twice}": {"accumulate": twice},
        "--precision mixed_bfloat16": {"half": True},
        "--rematerialize": {"rematerialize": True},
    }
    saved = {
        name: needed - sum(forecast(model, *batch, **{"accumulate": accumulate, **changed}).values())
        for name, changed in options.items()
    }
    half = keras.tree.map_structure(lambda array: array[: max(len(array) // 2, 1)], batch)
    saved["half the batch"] = needed - sum(forecast(model, *half, accumulate).values())
    found = sorted((value, name) for name, value in saved.items() if value > 0)
    return (
        "What would save: " + ", ".join(f"{name} {_readable(value)}" for value, name in reversed(found)) + "."
    )


def available_bytes():
    """The memory of the first GPU or TPU; without one, what is free of the machine's; None where nobody tells."""
    if keras.backend.backend() == "jax":
        import jax

        limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
        if limit:
            return limit
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
            answer = subprocess.run(command, capture_output=True, text=True)
            return None if answer.returncode else int(answer.stdout.split()[0]) * 2**20
    return _free_bytes()


def _free_bytes():
    """What Linux has free, and what the container may still take; None elsewhere."""
    machine = pathlib.Path("/proc/meminfo")
    if not machine.exists():
        return None
    lines = (line.split() for line in machine.read_text().splitlines())
    free = next(int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    limit, used = (pathlib.Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def compiled_bytes(model, inputs, labels):
    """What XLA reserves for a training step of a compiled model, on the JAX backend: the measure of `forecast`.

    Returns:
        Bytes: of the step's inputs (weights, optimizer, batch) and of everything between them and its results.
    """
    import jax

    model.optimizer.build(model.trainable_variables)
    model._symbolic_build(data_batch=(inputs, labels))
    groups = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")
    state = model._get_jax_state(**dict.fromkeys(groups, True))
    step = jax.jit(model.train_step, donate_argnums=0).lower(state, (inputs, labels)).compile()
    analysis = step.memory_analysis()
    return analysis.argument_size_in_bytes + analysis.temp_size_in_bytes


def _readable(value):
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"
