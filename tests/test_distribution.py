"""One device, two devices and two processes train the same; what is killed stops in time and goes on."""

import contextlib
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import typer

from keras_llm import files
from keras_llm.cli import app
from keras_llm.models import lstm
from keras_llm.models.bert import BertMaskedLM
from keras_llm.recipes import launch as launching
from keras_llm.training import distribution

TESTS = pathlib.Path(__file__).parent

# --- Two devices, in a process of its own ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    run = subprocess.run(
        [sys.executable, TESTS / "mirrored_checks.py", tmp_path_factory.mktemp("mirrored")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def assert_close(one, other, relative, absolute=0.0):
    """All numbers in two nested structures are the same up to a difference."""
    one, other = keras.tree.flatten(one), keras.tree.flatten(other)
    assert len(one) > 1
    np.testing.assert_allclose(one, other, relative, absolute)


@pytest.mark.parametrize("model", ["gpt2", "bert_masked_lm", "transformer"])
def test_two_devices_train_as_one(found, model):
    one, two = found["one"][model], found["mirrored"][model]
    assert_close(one["history"], two["history"], 1e-6)
    assert_close(one["change"], two["change"], 1e-3, 5e-3)  # keys need no bias: theirs is noise
    assert one["history"]["loss"] != one["history"]["token_loss"]  # batches with unequal numbers of tokens


def test_two_devices_with_two_parts_each_train_as_one(found):
    one, two = found["one"]["gpt2"], found["in parts"]
    assert_close(one["history"], two["history"], 1e-6)
    assert_close(one["change"], two["change"], 1e-3, 5e-3)  # as above


def test_evaluate_and_predict_on_two_devices(found):
    for name in ("evaluated", "predicted"):
        assert_close(found["one"]["gpt2"][name], found["mirrored"]["gpt2"][name], 1e-5)


def test_the_shares_of_a_loss_add_up_to_the_whole(found):
    assert_close(found["losses"], found["losses mirrored"], 1e-6)


def test_a_cut_run_on_two_devices_ends_with_the_same_bits(found):
    assert found["whole"] == found["cut"]


def test_what_cannot_be_split_is_refused(found):
    assert re.search("3 rows cannot be split evenly over 2 replicas. Choose a batch size", found["odd batch"])
    assert re.search("2 rows cannot be split evenly over 2 replicas and 2 copies of each", found["odd twins"])
    assert re.search("needs the whole batch on one device: choose the strategy 'one'", found["pairs"])
    assert found["xla"] == [True, False]


# --- The word -------------------------------------------------------------------------------------------------

TWO = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}


@pytest.mark.parametrize(
    ("strategy", "config", "message"),
    [
        (
            "both",
            None,
            "'both' is not known on the backend tensorflow; choose from auto, one, mirrored, multi-worker",
        ),
        ("mirrored", None, "'mirrored' needs several devices; this machine has .*CPU:0 alone. Choose 'one'"),
        ("tpu", None, "There is no TPU"),
        ("multi-worker", None, "TF_CONFIG, which is not set"),
        ("auto", "{", "TF_CONFIG is '{', but must be JSON such as"),
        ("auto", json.dumps({"cluster": TWO}), "must be JSON such as"),
        (
            "one",
            json.dumps({"cluster": TWO, "task": {"type": "worker", "index": 1}}),
            "TF_CONFIG lists 2 workers",
        ),
    ],
)
def test_a_wrong_word_is_told(strategy, config, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=message):
        distribution.use(strategy)


def test_one_device_is_chosen_where_there_is_one():
    distribution.use("auto")
    assert distribution.allows_xla() and distribution.is_chief()
    assert distribution.gather(3.0).tolist() == [3.0]


def test_an_unknown_trainer_is_told(monkeypatch):
    from keras.src.backend.tensorflow import trainer

    monkeypatch.delattr(trainer, "reduce_per_replica")
    with pytest.raises(
        ImportError, match=rf"Keras {keras.__version__} has another trainer than Keras 3\.15\.1"
    ):
        distribution._correct_trainer()


def test_a_worker_that_keeps_nothing_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_kept", False)
    with files.atomic_path(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("gone")
    assert not list(tmp_path.iterdir()) and not temporary.exists()


# --- The launcher, without TensorFlow -------------------------------------------------------------------------

WORKER = """
import json, os, signal, sys, time
place = json.loads(os.environ["TF_CONFIG"])
index = place["task"]["index"]
print("place", index, len(set(place["cluster"]["worker"])))
"""


def launched(code, **keywords):
    """Runs two such programs: the exit status and what was printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = launching.launch(["train"], 2, program=(sys.executable, "-c", WORKER + code), **keywords)
    return status, out.getvalue()


def test_lines_tell_their_worker():
    status, out = launched("print('done', file=sys.stderr)")
    assert status == 0
    for i in (0, 1):
        assert f"[worker {i}] place {i} 2\n" in out and f"[worker {i}] done\n" in out


@pytest.mark.parametrize(
    ("end", "status", "message"),
    [("sys.exit(3)", 3, "ended with status 3"), ("os.kill(os.getpid(), 9)", 137, "was killed by SIGKILL")],
)
def test_when_one_is_gone_the_others_are_stopped(end, status, message, monkeypatch):
    monkeypatch.setattr(launching, "SECONDS_ALONE", 0.2)
    monkeypatch.setattr(launching, "SECONDS_TO_STOP", 0.5)
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    started = time.monotonic()
    found = launched(f"if index: {end}\n{deaf}")
    assert time.monotonic() - started < 20
    assert found[0] == status
    assert re.search(rf"Worker 1 {message}, and the others were stopped.*the same command goes on", found[1])


def test_a_signal_is_passed_on():
    code = """
signal.signal(signal.SIGTERM, lambda *_: (print("saved"), sys.exit(143)))
print("ready")
time.sleep(60)
"""
    out = io.StringIO()

    def stop_when_ready():
        while out.getvalue().count("ready") < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    with contextlib.redirect_stdout(out):
        threading.Thread(target=stop_when_ready, daemon=True).start()
        status = launching.launch(["train"], 2, program=(sys.executable, "-c", WORKER + code))
    assert status == 143
    assert out.getvalue().count("saved") == 2


def test_what_is_launched_must_be_a_training():
    with pytest.raises(ValueError, match="--workers must be at least 2, not 1"):
        launching.launch(["train", "gpt2"], 1)
    with pytest.raises(ValueError, match="Behind -- comes a training"):
        launching.launch(["generate"])


# --- Two workers ----------------------------------------------------------------------------------------------

WORDS = "train bert --data text.txt --vocabulary 60 --length 12 --batch-size 4 --steps 30 --evaluate-every 15"
WORDS = f"{WORDS} --save-every 5 --size tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdef"), random.integers(1, 4))) for _ in range(40)]
    lines = [" ".join(random.choice(words, random.integers(1, 14))) for _ in range(300)]
    (folder / "text.txt").write_text(".\n\n".join(lines))
    return folder


def start(words, folder, output):
    program = pathlib.Path(sys.executable).with_name("keras-llm")
    command = [program, "launch", "--workers", "2", "--", *words.split(), "--output", output]
    with open(folder / f"{output}.log", "a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)


def stop_worker(process, folder, output, number):
    """Sends a signal to worker 1 when a state is there: the launcher's exit status, and how long it took to end."""
    while process.poll() is None and not list(folder.glob(f"{output}/states/step-*")):
        time.sleep(0.02)
    text = (folder / f"{output}.log").read_text()
    os.kill(int(re.search(r"\[worker 1\] is process (\d+)", text)[1]), number)
    begun = time.monotonic()
    return process.wait(timeout=120), time.monotonic() - begun


def finished(words, folder, output):
    process = start(words, folder, output)
    assert process.wait(timeout=300) == 0, (folder / f"{output}.log").read_text()
    return (folder / f"{output}.log").read_text()


def rows(folder):
    return [
        [float(cell) for cell in line.split(",")] for line in (folder / "history.csv").read_text().split()[1:]
    ]


def test_two_workers_train_as_one_process_and_go_on_when_one_was_killed(folder, monkeypatch):
    status, seconds = stop_worker(start(WORDS, folder, "two"), folder, "two", signal.SIGKILL)
    text = (folder / "two.log").read_text()
    assert status == 137 and seconds < launching.SECONDS_TO_STOP + 5
    assert "Worker 1 was killed by SIGKILL, and the others were stopped" in text
    assert "Error: Another worker is gone" in text and "Traceback" not in text

    text = finished(WORDS, folder, "two")
    assert re.search(r"\[worker 0\] Going on after step \d+, from two/states", text)
    assert "Training for" in text and "[worker 1] Training for" not in text  # the first one alone prints
    names = {path.name for path in (folder / "two").iterdir()}
    assert names == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"),
        *("curves.png", "history.csv", "metrics.json", "run.json"),
    }

    monkeypatch.chdir(folder)
    monkeypatch.setattr(distribution, "allows_xla", lambda: False)  # XLA rounds otherwise
    typer.main.get_command(app)([*WORDS.split(), "--output", "one"], standalone_mode=False)
    np.testing.assert_allclose(rows(folder / "two"), rows(folder / "one"), rtol=1e-5)
    one, two = (BertMaskedLM.from_pretrained(folder / name).weights for name in ("one", "two"))
    for weight, other in zip(one, two):
        if not weight.path.endswith("key/bias"):  # which changes no output: its gradient is rounding
            np.testing.assert_allclose(*map(np.asarray, (weight, other)), atol=1e-4, err_msg=weight.path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_two_workers_go_on_to_the_same_bits(number, folder):
    words = f"{WORDS} --dropout 0.2"
    if not (folder / "whole").exists():
        finished(words, folder, "whole")
    output = number.name
    status, _ = stop_worker(start(words, folder, output), folder, output, number)
    assert status == 128 + number
    if number == signal.SIGTERM:
        assert "Stopped after step" in (folder / f"{output}.log").read_text()
    finished(words, folder, output)
    assert rows(folder / output) == rows(folder / "whole")
    weights = [(folder / name / "model.safetensors").read_bytes() for name in (output, "whole")]
    assert weights[0] == weights[1]


# --- XLA ------------------------------------------------------------------------------------------------------


def test_xla_compiles_an_lstm():
    """The others' steps are compiled in the tests of their models."""
    keras.utils.set_random_seed(0)
    model = lstm.build_model("classifier", 20, 2, embedding_dim=4, units=4)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=True)
    inputs = np.random.default_rng(0).integers(1, 20, (8, 6))
    losses = model.fit(inputs, inputs[:, 0] % 2, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
