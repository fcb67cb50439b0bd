"""From the start of the process to a validation loss of 1.88 a character on tinyshakespeare: ours, and a plain PyTorch.

    .venv-peers/bin/python benchmarks/race.py --result results/bench_race.json

Needs tinyshakespeare/ in the folder that KERAS_LLM_DATA names. The last tenth of the text validates. All sides train the
same small GPT-2 in steps of 12 windows of 64 characters, with AdamW, warmup and cosine over 2,000 steps, and after each
100 steps they read all of the validation text; the first reading at 1.88 or below ends the race. Imports and compilation
count. Ours reads windows that tile the text, PyTorch's begins each at random, as small trainers do.
"""

import json
import math
import pathlib
import subprocess
import sys
import time

import numpy as np
import turns

from keras_llm.datasets import load  # neither Keras nor TensorFlow comes with it

GOAL, STEPS, LOOK = 1.88, 2000, 100
LAYERS, WIDTH, HEADS, CONTEXT, BATCH, READ_BATCH = 4, 128, 4, 64, 12, 64
PEAK, FLOOR, WARMUP, BETA_2 = 3e-3, 3e-4, 100, 0.99


def read_text():
    """Ids of the training and of the validation text, and the number of different characters."""
    (row,) = load("tinyshakespeare/input.txt")
    text = row["text"]
    characters = sorted(set(text))
    ids = np.array([characters.index(c) for c in text], "int32")
    cut = len(ids) * 9 // 10
    return ids[:cut], ids[cut:], len(characters)


def run_keras_llm():
    """Trains ours by `fit`."""
    import keras

    from keras_llm import AdamW, GPT2Model, TokenCrossEntropy, WarmupCosine
    from keras_llm.datasets.batches import TokenWindows
    from keras_llm.training.losses import TokenLoss

    train, validation, vocabulary = read_text()
    keras.utils.set_random_seed(0)
    model = GPT2Model(vocabulary, CONTEXT, WIDTH, LAYERS, HEADS, dropout=0.0)
    optimizer = AdamW(WarmupCosine(PEAK, WARMUP, STEPS, FLOOR), beta_2=BETA_2)
    model.compile(optimizer, TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=True)

    class Finish(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            report(LOOK * (epoch + 1), logs["val_token_loss"])
            self.model.stop_training = logs["val_token_loss"] <= GOAL

    model.fit(
        TokenWindows(train, CONTEXT, BATCH).stream(),
        validation_data=TokenWindows(validation, CONTEXT, READ_BATCH, shuffle=False).stream(),
        steps_per_epoch=LOOK,
        epochs=STEPS // LOOK,
        callbacks=[Finish()],
        verbose=0,
        shuffle=False,
    )


def run_torch(compiled=False):
    """Trains PyTorch's by a loop."""
    import torch
    from readable_gpt import ReadableGPT, make_step
    from torch.nn import functional

    train, validation, vocabulary = read_text()
    torch.manual_seed(0)
    model = ReadableGPT(vocabulary, CONTEXT, WIDTH, LAYERS, HEADS, dropout=0.0)
    forward = torch.compile(model) if compiled else model
    step = make_step(model, lambda output: output, forward, rate, (0.9, BETA_2))
    train = torch.from_numpy(train.astype("int64"))
    tiles = np.arange(0, len(validation) - CONTEXT, CONTEXT)
    windows = torch.from_numpy(np.stack([validation[i : i + CONTEXT + 1] for i in tiles]).astype("int64"))
    for done in range(1, STEPS + 1):
        starts = torch.randint(len(train) - CONTEXT, (BATCH,))
        rows = torch.stack([train[i : i + CONTEXT + 1] for i in starts])
        step(rows[:, :-1], rows[:, 1:])
        if done % LOOK == 0:
            total = 0.0
            with torch.no_grad():
                for part in windows.split(READ_BATCH):
                    scores = forward(part[:, :-1]).flatten(0, 1)  # [windows * CONTEXT, vocabulary]
                    total += functional.cross_entropy(scores, part[:, 1:].flatten(), reduction="sum").item()
            loss = total / (len(windows) * CONTEXT)
            report(done, loss)
            if loss <= GOAL:
                return


def rate(step):
    """What `WarmupCosine` gives."""
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return FLOOR + (PEAK - FLOOR) / 2 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def report(steps, loss):
    """A line for the process that counts the time."""
    print(json.dumps({"steps": steps, "loss": loss}), flush=True)


def timed(call):
    """A function that runs `call` in a new process: seconds, steps and the last loss."""
    command = [sys.executable, "-c", f"import race; race.{call}"]
    folder = pathlib.Path(__file__).parent

    def work():
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(done.stderr)
        last = json.loads(done.stdout.splitlines()[-1])
        if last["loss"] > GOAL:
            raise SystemExit(f"{call} ended with a loss of {last['loss']:.3f}, above {GOAL}.")
        return {"s": seconds, **last}

    return work


def keras_llm(options):
    """Ours."""
    return timed("run_keras_llm()")


def torch_eager(options):
    """PyTorch, operation by operation."""
    return timed("run_torch()")


def torch_compiled(options):
    """PyTorch, compiled by its own compiler."""
    return timed("run_torch(compiled=True)")


SIDES = (keras_llm, torch_eager, torch_compiled)

if __name__ == "__main__":
    turns.main(__doc__.splitlines()[0], SIDES)
