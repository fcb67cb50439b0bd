"""How long an LSTM classifier trains here and in PyTorch.

    .venv-peers/bin/python benchmarks/lstm.py --result results/bench_lstm.json

The same sizes, the same random texts of 4 to `--length` tokens, Adam, the gradients' norm cut to 1, float32. A round is
a pass over the texts.
"""

import time

import numpy as np
import turns

VOCABULARY, EMBEDDING, UNITS, CLASSES = 10_000, 64, 128, 2


def arrays(options):
    """Ids `[texts, length]`, padded with 0 on the right, their lengths and labels."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(4, options.length + 1, options.texts)
    ids = draw.integers(1, VOCABULARY, (options.texts, options.length)).astype("int32")
    ids[np.arange(options.length)[None, :] >= lengths[:, None]] = 0
    return ids, lengths, draw.integers(0, CLASSES, options.texts).astype("int32")


def timed(options, train):
    """A function that trains for a pass: milliseconds a step."""

    def work():
        started = time.perf_counter()
        train()
        return {"ms": 1000 * (time.perf_counter() - started) / (options.texts // options.batch)}

    work()
    return work


def keras_llm(options):
    """Ours, as `keras-llm train lstm` trains it."""
    from keras_llm import AdamW
    from keras_llm.datasets.batches import ArrayBatches
    from keras_llm.models import lstm

    ids, _, labels = arrays(options)
    model = lstm.build_model(
        "classifier", VOCABULARY, CLASSES, EMBEDDING, UNITS, bidirectional=options.bidirectional
    )
    lstm.compile_model(model, AdamW(1e-3, weight_decay=0.0))
    batches = ArrayBatches(ids, labels, options.batch)
    stream = batches.stream()
    steps = batches.steps_per_epoch
    return timed(
        options, lambda: model.fit(stream, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)
    )


def torch(options):
    """`torch.nn.LSTM` over packed sequences, which leave the padding out."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence

    directions = 2 if options.bidirectional else 1

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
            self.lstm = nn.LSTM(EMBEDDING, UNITS, batch_first=True, bidirectional=directions == 2)
            self.output = nn.Linear(directions * UNITS, CLASSES)

        def forward(self, ids, lengths):
            packed = pack_padded_sequence(
                self.embedding(ids), lengths, batch_first=True, enforce_sorted=False
            )
            states = self.lstm(packed)[1][0]  # [directions, batch, units]
            return self.output(states.transpose(0, 1).reshape(len(ids), -1))

    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    ids, lengths, labels = (torch.from_numpy(array.astype("int64")) for array in arrays(options))

    def train():
        order = torch.randperm(options.texts)
        for start in range(0, options.texts, options.batch):
            rows = order[start : start + options.batch]
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(model(ids[rows], lengths[rows]), labels[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return timed(options, train)


SIDES = (keras_llm, torch)

if __name__ == "__main__":
    own = [("texts", 3200), ("batch", 32), ("length", 64), ("bidirectional", 0)]
    turns.main(__doc__.splitlines()[0], SIDES, own)
