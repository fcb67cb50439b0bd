"""How long a training step of a GPT-2 takes here, in PyTorch, in transformers and in KerasHub.

    .venv-peers/bin/python benchmarks/training.py --size small --result results/bench_training_small.json
    .venv-peers/bin/python benchmarks/training.py --size medium --result results/bench_training_medium.json

All sides train a model of the same sizes on the same random ids with AdamW, the gradients' norm cut to 1, in float32,
with all that their `fit` or their loop does around a step. Ours and KerasHub's go through `fit`.
"""

import time
import types

import numpy as np
import turns

SIZES = {  # layers, width, heads, context, batch, vocabulary, steps a round
    "small": dict(layers=4, width=128, heads=4, context=64, batch=12, vocabulary=65, steps=100),
    "medium": dict(layers=6, width=384, heads=6, context=256, batch=8, vocabulary=8192, steps=4),
}


def sizes(options):
    """The sizes by name."""
    return types.SimpleNamespace(**SIZES[options.size])


def random_ids(options):
    """Ids and labels `[batch * 8, context]`, int32."""
    own = sizes(options)
    ids = np.random.default_rng(0).integers(0, own.vocabulary, (8 * own.batch, own.context + 1))
    return ids[:, :-1].astype("int32"), ids[:, 1:].astype("int32")


def keras_llm(options):
    """Ours, as the recipe trains it."""
    import keras

    from keras_llm import AdamW, GPT2Model, TokenCrossEntropy
    from keras_llm.datasets.batches import ArrayBatches

    own = sizes(options)
    keras.utils.set_random_seed(0)
    model = GPT2Model(own.vocabulary, own.context, own.width, own.layers, own.heads, dropout=options.dropout)
    model.compile(AdamW(1e-3), TokenCrossEntropy(), jit_compile=True)

    class Pairs(ArrayBatches):
        def rows(self, numbers, epoch):
            return super().rows(numbers, epoch)[:2]

    stream = Pairs(*random_ids(options), own.batch).stream()
    return timed_fit(model, stream, own.steps)


def timed_fit(model, stream, steps):
    """A function that trains for some steps by `fit`: milliseconds a step."""

    def train(steps):
        model.fit(stream, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)

    def work():
        train(1)  # not counted, see `turns`
        started = time.perf_counter()
        train(steps)
        return {"ms": 1000 * (time.perf_counter() - started) / steps}

    train(3)
    work()
    return work


def keras_hub(options, jit_compile=False):
    """KerasHub's GPT-2 with its tied output matrix."""
    import keras
    import keras_hub
    import tensorflow as tf

    own = sizes(options)
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.GPT2Backbone(
        own.vocabulary, own.layers, own.heads, own.width, 4 * own.width, options.dropout, own.context
    )
    model = keras_hub.models.GPT2CausalLM(backbone)
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.1, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    ids, labels = random_ids(options)
    features = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    stream = tf.data.Dataset.from_tensor_slices((features, labels)).repeat().batch(own.batch).prefetch(2)
    settings = tf.data.Options()
    settings.autotune.enabled = (
        False  # else each `fit` ends with up to seconds of waiting for the tuning thread
    )
    return timed_fit(model, stream.with_options(settings), own.steps)


def keras_hub_jit(options):
    """The same, compiled by XLA."""
    return keras_hub(options, jit_compile=True)


def torch_model(options):
    """The readable one."""
    from readable_gpt import ReadableGPT

    own = sizes(options)
    return ReadableGPT(own.vocabulary, own.context, own.width, own.layers, own.heads, options.dropout)


def timed_loop(options, step):
    """A function that calls `step` on some batches: milliseconds a step."""
    import torch

    own = sizes(options)
    ids, labels = (torch.from_numpy(array.astype("int64")) for array in random_ids(options))

    def train(steps):
        for i in range(steps):
            rows = slice(i % 8 * own.batch, (i % 8 + 1) * own.batch)
            loss = step(ids[rows], labels[rows])
        return loss.item()

    def work():
        train(1)  # not counted, see `turns`
        started = time.perf_counter()
        train(own.steps)
        return {"ms": 1000 * (time.perf_counter() - started) / own.steps}

    train(3)
    work()
    return work


def torch_eager(options):
    """PyTorch, operation by operation."""
    from readable_gpt import make_step

    return timed_loop(options, make_step(torch_model(options), lambda output: output))


def torch_compiled(options):
    """PyTorch, compiled by its own compiler."""
    import torch
    from readable_gpt import make_step

    model = torch_model(options)
    return timed_loop(options, make_step(model, lambda output: output, torch.compile(model)))


def transformers(options, compiled=False):
    """GPT2LMHeadModel with PyTorch's attention kernel."""
    import torch
    from readable_gpt import make_step
    from transformers import GPT2Config, GPT2LMHeadModel

    own = sizes(options)
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), options.dropout)
    config = GPT2Config(
        vocab_size=own.vocabulary,
        n_positions=own.context,
        n_embd=own.width,
        n_layer=own.layers,
        n_head=own.heads,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
        **rates,
    )
    model = GPT2LMHeadModel(config).train()
    forward = torch.compile(model) if compiled else model
    return timed_loop(options, make_step(model, lambda output: output.logits, forward))


def transformers_compiled(options):
    """The same, compiled."""
    return transformers(options, compiled=True)


SIDES = (
    keras_llm,
    torch_eager,
    torch_compiled,
    transformers,
    transformers_compiled,
    keras_hub,
    keras_hub_jit,
    turns.ceilings,
)

if __name__ == "__main__":
    turns.main(__doc__.splitlines()[0], SIDES, [("size", tuple(SIZES)), ("dropout", 0.0)])
