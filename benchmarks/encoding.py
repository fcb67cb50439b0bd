"""How fast a BERT reads here, in transformers on PyTorch and in KerasHub.

    .venv-peers/bin/python benchmarks/encoding.py --result results/bench_encoding_bert_base.json
    .venv-peers/bin/python benchmarks/encoding.py --size minilm-l6 --result results/bench_encoding_minilm.json

Random weights of the same sizes. A round is one batch of `--batch` rows of `--length` tokens, all of them real, and then
`--texts` texts of 4 to `--length` tokens: ours by `predict`, which puts texts of like length together; the others in
batches in the order given, each padded to its longest, as a loop over a tokenizer does it. KerasHub pads all texts to
`--length`, as its preprocessors do.
"""

import time

import numpy as np
import turns

SIZES = {"bert-base-uncased": (12, 768, 12), "minilm-l6": (6, 384, 12)}  # layers, width, heads
VOCABULARY = 30522


def full_batch(options):
    """Ids, int32 `[batch, length]`."""
    return (
        np.random.default_rng(0).integers(1000, VOCABULARY, (options.batch, options.length)).astype("int32")
    )


def texts(options):
    """Lists of ids, of uneven lengths: most are short."""
    draw = np.random.default_rng(1)
    lengths = np.clip(draw.gamma(2.0, options.length / 8, options.texts).astype(int), 4, options.length)
    return [draw.integers(1000, VOCABULARY, length).tolist() for length in lengths]


def timed(options, read, read_texts):
    """A function that does both: milliseconds a batch, and texts a second as milliseconds a text."""
    repeat = 4 if options.size == "minilm-l6" else 1

    def work():
        read()  # not counted, see `turns`
        started = time.perf_counter()
        for _ in range(repeat):
            read()
        between = time.perf_counter()
        read_texts()
        ended = time.perf_counter()
        return {
            "ms_a_batch": 1000 * (between - started) / repeat,
            "ms_a_text": 1000 * (ended - between) / options.texts,
        }

    work()
    return work


def keras_llm(options):
    """Ours."""
    from keras_llm import BertEncoder
    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.evaluation.predictions import predict
    from keras_llm.recipes.finetuning import lengths

    model = BertEncoder.from_preset(options.size, vocabulary_size=VOCABULARY)
    batch, rows = {"token_ids": full_batch(options)}, texts(options)
    batches = PaddedBatches({"token_ids": rows}, None, options.batch, lengths(options.length), shuffle=False)
    return timed(options, lambda: model.predict_on_batch(batch), lambda: predict(model, batches))


def transformers(options, compiled=False):
    """BertModel with PyTorch's attention kernel."""
    import torch
    from transformers import BertConfig, BertModel

    layers, width, heads = SIZES[options.size]
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
    )
    model = BertModel(config).eval()
    forward = torch.compile(model) if compiled else model
    batch, rows = torch.from_numpy(full_batch(options).astype("int64")), texts(options)

    def read():
        with torch.inference_mode():
            return forward(batch).pooler_output.numpy()

    def read_texts():
        outputs = []
        with torch.inference_mode():
            for start in range(0, len(rows), options.batch):
                part = rows[start : start + options.batch]
                longest = max(map(len, part))
                ids = torch.tensor([row + [0] * (longest - len(row)) for row in part])
                mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in part])
                outputs.append(forward(ids, attention_mask=mask).pooler_output.numpy())
        return outputs

    return timed(options, read, read_texts)


def transformers_compiled(options):
    """The same, compiled by PyTorch's compiler."""
    return transformers(options, compiled=True)


def keras_hub(options, jit_compile=False):
    """KerasHub's BERT."""
    import keras_hub

    layers, width, heads = SIZES[options.size]
    model = keras_hub.models.BertBackbone(VOCABULARY, layers, heads, width, 4 * width)
    model.compile(jit_compile=jit_compile)
    rows = texts(options)

    def features(ids, mask):
        return {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": mask}

    batch = full_batch(options)
    batch = features(batch, np.ones_like(batch))
    ids = np.zeros((len(rows), options.length), "int32")
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    every = features(ids, (ids > 0).astype("int32"))
    return timed(
        options,
        lambda: model.predict_on_batch(batch),
        lambda: model.predict(every, batch_size=options.batch, verbose=0),
    )


def keras_hub_jit(options):
    """The same, compiled by XLA."""
    return keras_hub(options, jit_compile=True)


SIDES = (keras_llm, transformers, transformers_compiled, keras_hub, keras_hub_jit, turns.ceilings)

if __name__ == "__main__":
    own = [("size", tuple(SIZES)), ("batch", 8), ("length", 128), ("texts", 64)]
    turns.main(__doc__.splitlines()[0], SIDES, own)
