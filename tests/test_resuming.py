"""A run that is cut anywhere and goes on ends with the same bits as one that is not."""

import contextlib
import csv
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pytest
import typer

from keras_llm.cli import app
from keras_llm.datasets.batches import PaddedBatches, TokenWindows
from keras_llm.models.bert import BertClassifier, BertEncoder
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.training import resuming
from keras_llm.training.callbacks import AveragedWeights, Curves, Guard, Measure, Progress, SaveBest
from keras_llm.training.losses import Perplexity, TokenCrossEntropy, TokenLoss
from keras_llm.training.optimizers import AdamW, WarmupCosine

STEPS, EPOCHS = 4, 3


class Cut(Exception):
    pass


def cut_now():
    raise Cut


class At(keras.callbacks.Callback):
    """Does something after a number of steps."""

    def __init__(self, step, action=cut_now):
        super().__init__()
        self.left = step
        self.action = action

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.action()


def gpt2_run(
    folder,
    cut=None,
    save_every=1,
    averaging=False,
    action=cut_now,
    learning_rate=1e-2,
    vocabulary=20,
    further=(),
):
    """Trains a small GPT-2 with dropout: its weights at the end."""
    keras.utils.set_random_seed(0)
    ids = np.random.default_rng(0).integers(0, vocabulary, 150)
    model = GPT2Model(vocabulary, 8, 16, 1, 2, dropout=0.2)
    optimizer = AdamW(
        WarmupCosine(learning_rate, 2, 12), **({"use_ema": True, "ema_momentum": 0.8} if averaging else {})
    )
    jit_compile = keras.backend.backend() == "jax"  # which is slow without
    model.compile(
        optimizer, TokenCrossEntropy(), metrics=[TokenLoss(), Perplexity()], jit_compile=jit_compile
    )
    best = SaveBest(folder / "model.keras")
    callbacks = [*([AveragedWeights()] if averaging else []), Guard(), best, Progress(12, 32), Curves(folder)]
    resuming.fit(
        model,
        TokenWindows(ids, 8, 3, seed=1),
        folder,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        callbacks=[*callbacks, *([At(cut, action)] if cut else []), *further],
        save_every=save_every,
        validation=TokenWindows(ids[:40], 8, 3, shuffle=False),
    )
    kept = keras.saving.load_model(folder / "model.keras", compile=False)
    return [*model.get_weights(), *kept.get_weights()]


def history(folder):
    with open(folder / "history.csv") as file:
        return list(csv.DictReader(file))


def assert_same(run, other):
    assert len(run) == len(other)
    for one, two in zip(run, other):
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module", params=[False, True], ids=["weights", "averaged"])
def averaging(request):
    return request.param


@pytest.fixture(scope="module")
def whole(tmp_path_factory, averaging):
    folder = tmp_path_factory.mktemp("whole")
    return gpt2_run(folder, averaging=averaging), history(folder)


@pytest.mark.parametrize(("cut", "save_every"), [(1, 1), (3, 1), (4, 1), (5, 2), (7, 3), (11, 1), (12, 1)])
def test_a_cut_run_ends_as_one_that_was_not(cut, save_every, whole, averaging, tmp_path):
    with pytest.raises(Cut):
        gpt2_run(tmp_path, cut, save_every, averaging)
    weights = gpt2_run(tmp_path, None, save_every, averaging)
    assert_same(weights, whole[0])
    assert history(tmp_path) == whole[1]


def test_a_run_may_be_cut_again_and_again(whole, averaging, tmp_path):
    for cut in (2, 3, 2, 4):
        with pytest.raises(Cut):
            gpt2_run(tmp_path, cut, 1, averaging)
    assert_same(gpt2_run(tmp_path, None, 1, averaging), whole[0])
    assert history(tmp_path) == whole[1]


def test_dropout_would_differ_if_its_seeds_were_not_saved(tmp_path, monkeypatch):
    """So the tests above can fail."""
    whole = gpt2_run(tmp_path / "whole")
    save = resuming._arrays

    def without_seeds(group, variables):
        seeds = [group == "model" and "int" in str(variable.dtype) for variable in variables]
        return {
            name: np.zeros_like(array) if is_seed else array
            for is_seed, (name, array) in zip(seeds, save(group, variables).items())
        }

    monkeypatch.setattr(resuming, "_arrays", without_seeds)
    with pytest.raises(Cut):
        gpt2_run(tmp_path / "cut", 6)
    assert any((one != two).any() for one, two in zip(whole, gpt2_run(tmp_path / "cut")))


def bert_run(folder, cut=None):
    """Fine-tunes a small BERT, measured by a function and ended early: its weights and epochs."""
    keras.utils.set_random_seed(0)
    rows = [list(np.random.default_rng(i).integers(5, 20, 3 + i % 5)) for i in range(24)]
    train = PaddedBatches({"token_ids": rows}, np.arange(24) % 2, 6, (4, 8), seed=3)
    model = BertClassifier(BertEncoder(20, 8, 16, 1, 2, dropout=0.2))
    model.compile(AdamW(1e-3), TokenCrossEntropy(), jit_compile=False)
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.9])
    done = len(history(folder)) if (folder / "history.csv").exists() else 0
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.9][done:])
    best = SaveBest(folder / "best", "val_accuracy", "max", patience=2)
    callbacks = [Measure(lambda: {"accuracy": next(scores)}), best, Curves(folder, "loss", "val_accuracy")]
    callbacks += [At(cut)] if cut else []
    resuming.fit(
        model,
        train,
        folder,
        epochs=5,
        steps_per_epoch=train.steps_per_epoch,
        callbacks=callbacks,
        save_every=1,
    )
    return model.get_weights(), history(folder)


def test_early_stopping_counts_on(tmp_path):
    weights, rows = bert_run(tmp_path / "whole")
    assert [row["val_accuracy"] for row in rows] == [
        "0.5",
        "0.7",
        "0.6",
        "0.7",
    ]  # two in a row were not better
    with pytest.raises(Cut):
        bert_run(tmp_path / "cut", 3 * len(rows) + 2)
    again, rows_again = bert_run(tmp_path / "cut")
    assert_same(weights, again)
    assert rows_again == rows
    same, _ = bert_run(tmp_path / "cut")  # it has ended: nothing is trained
    assert_same(weights, same)


def test_a_damaged_state_falls_back_to_the_one_before(whole, averaging, tmp_path):
    with pytest.raises(Cut):
        gpt2_run(tmp_path, 7, 1, averaging)
    newest, before = sorted((tmp_path / "states").iterdir(), reverse=True)
    arrays = newest / resuming.ARRAYS
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"arrays\.safetensors is damaged\. Going back to the state before"):
        assert_same(gpt2_run(tmp_path, None, 1, averaging), whole[0])
    assert (before.name, newest.name) == ("step-000000005", "step-000000006")


def test_without_a_whole_state_it_says_so(tmp_path):
    with pytest.raises(Cut):
        gpt2_run(tmp_path, 3)
    for state in (tmp_path / "states").iterdir():
        (state / resuming.FACTS).write_text("{")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"No state in .*states is whole\. Remove that folder"):
            gpt2_run(tmp_path)


def test_the_state_of_another_model_is_refused(tmp_path):
    with pytest.raises(Cut):
        gpt2_run(tmp_path, 3)
    with pytest.raises(
        ValueError, match=r"step-000000002 is the state of another model: .*embedding.* does not fit"
    ):
        gpt2_run(tmp_path, vocabulary=21)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(number, tmp_path, capsys):
    whole = gpt2_run(tmp_path / "whole")
    handlers = [signal.getsignal(own) for own in resuming.SIGNALS]
    with pytest.raises(resuming.Interrupted) as stopped:
        gpt2_run(tmp_path / "cut", 6, 1000, action=lambda: os.kill(os.getpid(), number))
    assert stopped.value.code == 128 + number
    assert "Stopped after step 6, which is saved in" in capsys.readouterr().err
    assert [signal.getsignal(own) for own in resuming.SIGNALS] == handlers
    assert_same(gpt2_run(tmp_path / "cut"), whole)


def test_a_full_disk_leaves_the_last_state(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    whole = gpt2_run(tmp_path / "whole")
    folder, filler = disk / "run", disk / "filler"

    def fill():
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"0" * 4096)

    try:
        with pytest.raises(Cut):
            gpt2_run(folder, 5)
        before = sorted((folder / "states").iterdir())
        with pytest.warns(UserWarning, match="No space left for the state after step 5"), pytest.raises(Cut):
            gpt2_run(folder, 1, action=fill, further=[At(2)])
        assert sorted((folder / "states").iterdir()) == before
        filler.unlink()
        assert_same(gpt2_run(folder), whole)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_numbers_that_are_none_end_the_run(tmp_path):
    with pytest.raises(
        ValueError, match=r"After step 1, .* holds NaN or infinite numbers; the state is not saved"
    ):
        gpt2_run(tmp_path, learning_rate=float("nan"))
    with pytest.raises(ValueError, match=r"The loss is nan at step \d+, in batch \d+ of the training data"):
        gpt2_run(tmp_path, save_every=1000, learning_rate=float("nan"))
    assert not list((tmp_path / "states").glob("step-*"))


def test_a_jump_of_the_loss_is_told(capsys):
    guard = Guard()
    guard.on_epoch_begin(0)
    losses = [3.0, 3.1, 2.9, 3.0, 3.05] * 12
    losses[40] = 9.0
    for i in range(len(losses)):
        guard.on_train_batch_end(i, {"loss": np.mean(losses[: i + 1])})
    (line,) = capsys.readouterr().out.splitlines()
    assert "step     41: the loss jumps to 9.000" in line


def test_the_same_command_goes_on_after_sigterm_and_sigkill(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    letters = np.random.default_rng(0).choice(list("abcdefgh "), 20_000)
    (tmp_path / "text.txt").write_text("".join(letters))
    words = "train gpt2 --data text.txt --tokenizer character --layers 1 --heads 2 --width 16 --context 16 --dropout 0.2"
    words += " --steps 2000 --evaluate-every 500 --evaluate-on 2 --batch-size 4 --save-every 20 --output"
    command = typer.main.get_command(app)
    command([*words.split(), "whole"], standalone_mode=False)

    for number in (signal.SIGTERM, signal.SIGKILL):
        program = pathlib.Path(sys.executable).with_name("keras-llm")
        process = subprocess.Popen([program, *words.split(), "cut"], stderr=subprocess.PIPE, text=True)
        before = set(tmp_path.glob("cut/states/step-*"))
        while process.poll() is None and set(tmp_path.glob("cut/states/step-*")) == before:
            time.sleep(0.01)
        process.send_signal(number)
        error = process.communicate()[1]
        if number == signal.SIGTERM:
            assert process.returncode == 128 + signal.SIGTERM
            assert re.search(
                r"Stopped after step [\d,]+, which is saved in cut/\. The same command goes on", error
            )
        else:
            assert process.returncode == -signal.SIGKILL

    with pytest.raises(ValueError, match="cut already holds a run, finished or with other options"):
        command([*words.split(), "cut", "--seed", "1"], standalone_mode=False)
    capsys.readouterr()
    command([*words.split(), "cut"], standalone_mode=False)
    assert re.search(r"Going on after step \d+, from cut/states", capsys.readouterr().out)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    models = [keras.saving.load_model(tmp_path / run / "model.keras") for run in ("whole", "cut")]
    assert_same(*(model.get_weights() for model in models))
    assert not (tmp_path / "cut" / "states").exists()
    with pytest.raises(ValueError, match="cut already holds a run, finished"):
        command([*words.split(), "cut"], standalone_mode=False)
