"""How fast text becomes batches: training a tokenizer, encoding, packing, and the input pipeline beside the step.

    .venv-peers/bin/python benchmarks/text.py --result results/bench_text.json

The text is WikiText-2's training part (KERAS_LLM_DATA), 10.8 MB, or any other by --data. Our tokenizer stands on the
Rust library `tokenizers`, as that of transformers does; the peers are that library through transformers, and
KerasHub's (tf-text) byte-pair tokenizer with the same vocabulary.

The pipeline's figures are of ours alone: milliseconds of `TokenWindows.stream()` and of packed rows a batch, to hold
against the milliseconds of a training step in `bench_training_*.json`.
"""

import json
import pathlib
import tempfile
import time

import turns

VOCABULARY = 8192


def documents(options):
    """The text in pieces of about a thousand characters, cut at line ends."""
    from keras_llm.datasets import load

    texts, piece = [], []
    for row in load(options.data):
        for line in row["text"].splitlines(keepends=True):
            piece.append(line)
            if sum(map(len, piece)) >= 1000:
                texts.append("".join(piece))
                piece = []
    return [*texts, "".join(piece)]


def timed(options, learn, encode):
    """A function that encodes the text, with a tokenizer that it learns first: seconds of both."""
    texts = documents(options)

    def work():
        started = time.perf_counter()
        tokenizer = learn(texts)
        learnt = time.perf_counter()
        encode(tokenizer, texts)
        return {"encode_s": time.perf_counter() - learnt, "learn_s": learnt - started}

    work()
    return work


def keras_llm(options):
    """Ours."""
    from keras_llm import Tokenizer

    def encode(tokenizer, texts):
        tokenizer.encode(texts)

    return timed(options, lambda texts: Tokenizer.train(texts, "byte_bpe", VOCABULARY), encode)


def transformers(options):
    """The fast tokenizer of transformers, which learns by `train_new_from_iterator`."""
    from transformers import PreTrainedTokenizerFast

    from keras_llm import Tokenizer

    folder = tempfile.mkdtemp()
    Tokenizer.train(documents(options)[:50], "byte_bpe", 300).save(folder)
    start = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
    return timed(
        options,
        lambda texts: start.train_new_from_iterator(texts, VOCABULARY),
        lambda tokenizer, texts: tokenizer(texts),
    )


def keras_hub(options):
    """KerasHub's byte-pair tokenizer; it learns nothing, so it gets our vocabulary."""
    import keras_hub

    from keras_llm import Tokenizer

    with tempfile.TemporaryDirectory() as folder:
        Tokenizer.train(documents(options), "byte_bpe", VOCABULARY).save(folder)
        model = json.loads((pathlib.Path(folder) / "tokenizer.json").read_text())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    tokenizer = keras_hub.tokenizers.BytePairTokenizer(model["vocab"], merges)
    encode = timed(options, lambda texts: tokenizer, lambda tokenizer, texts: tokenizer(texts))
    return lambda: {"encode_s": encode()["encode_s"]}


def pipeline(options):
    """Our input pipeline: packing, and milliseconds a batch of windows of two sizes and of packed rows."""
    import numpy as np

    from keras_llm import Tokenizer
    from keras_llm.datasets.batches import PaddedBatches, TokenWindows
    from keras_llm.datasets.packing import pack

    texts = documents(options)
    ids = Tokenizer.train(texts, "byte_bpe", VOCABULARY).encode(texts)
    rows = [row[:256] for row in ids]
    running = np.concatenate(ids)

    def milliseconds(batches, count):
        stream = iter(batches.stream())
        next(stream)
        started = time.perf_counter()
        for _ in range(count):
            next(stream)
        return 1000 * (time.perf_counter() - started) / count

    def work():
        started = time.perf_counter()
        token_ids, segment_ids, labels = pack(rows, rows, 256)
        packed = time.perf_counter() - started
        packed_rows = PaddedBatches({"token_ids": token_ids, "segment_ids": segment_ids}, labels, 8, [256])
        return {
            "pack_s": packed,
            "windows_12x64_ms": milliseconds(TokenWindows(running, 64, 12), 300),
            "windows_8x256_ms": milliseconds(TokenWindows(running, 256, 8), 300),
            "packed_8x256_ms": milliseconds(packed_rows, 100),
        }

    work()
    return work


SIDES = (keras_llm, transformers, keras_hub, pipeline)

if __name__ == "__main__":
    turns.main(__doc__.splitlines()[0], SIDES, [("data", "wikitext2/train.txt")])
