"""The command line as a newcomer meets it."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import typer

from keras_llm.cli import app

COMMAND = [sys.executable, "-m", "keras_llm.cli"]
ROOT = pathlib.Path(__file__).parents[1]


def keras_llm(*words, folder, status=0):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "HF_HUB_OFFLINE": "1"}
    words = [*COMMAND, *map(str, words)]
    run = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == status, run.stdout + run.stderr
    return run.stdout if status == 0 else run.stderr


TINY = "--layers 1 --width 16 --heads 2 --context 16 --steps 6 --evaluate-every 3 --batch-size 2".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    lines = [
        f"The {animal} sat on the {thing} number {i}.\n"
        for i in range(30)
        for animal in ("cat", "dog")
        for thing in ("mat", "log")
    ]
    (folder / "story.txt").write_text("".join(lines))
    keras_llm(
        "train",
        "gpt2",
        "--data",
        "story.txt",
        *TINY,
        "--vocabulary",
        300,
        "--output",
        "run",
        "--result",
        "r.json",
        folder=folder,
    )
    return folder


def test_training_leaves_all_that_is_needed(folder):
    names = {path.name for path in (folder / "run").iterdir()}
    assert {"model.keras", "tokenizer.json", "run.json", "metrics.json", "history.csv", "curves.png"} <= names
    assert not any(name.startswith(".writing") for name in names)
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    result = json.loads((folder / "r.json").read_text())
    assert result["metrics"] == metrics
    assert metrics["validation_perplexity"] > 1
    assert result["command"].endswith("--output run --result r.json")


def test_evaluate_gives_the_run_s_own_figure(folder):
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert f"loss {metrics['validation_loss']:.4f} nats" in keras_llm("evaluate", "run", folder=folder)


def test_generate_goes_on_from_the_prompt_and_repeats_with_the_seed(folder):
    words = ["generate", "run", "The cat", "--max-new-tokens", 30, "--seed", 1]
    text = keras_llm(*words, folder=folder)
    assert text.startswith("The cat") and len(text) > 20
    assert keras_llm(*words, folder=folder) == text


def test_config_repeats_a_run_but_for_what_is_given_anew_and_a_run_goes_on_from_another(folder):
    words = ["train", "gpt2", "--config", "run/run.json", "--steps", 3, "--start-from", "run"]
    words += ["--accumulate", 2, "--precision", "mixed_bfloat16", "--rematerialize"]
    printed = keras_llm(*words, folder=folder)
    assert "runs/gpt2/" in printed and (folder / "runs" / "gpt2" / "model.keras").is_file()
    first, again = (
        json.loads((folder / name / "run.json").read_text())["arguments"] for name in ("run", "runs/gpt2")
    )
    anew = {"steps": 3, "start_from": "run"}
    anew |= {"accumulate": 2, "precision": "mixed_bfloat16", "rematerialize": True}
    assert again == first | anew


def test_an_lstm_is_trained_and_measured(folder):
    printed = keras_llm(
        "train", "lstm", "--epochs", 1, "--test", "test", "--units", 8, "--output", "lstm", folder=folder
    )
    accuracy = json.loads((folder / "lstm" / "metrics.json").read_text())["test_accuracy"]
    assert f"test: accuracy {accuracy:.4f}" in printed
    assert f"accuracy {accuracy:.4f}" in keras_llm("evaluate", "lstm", "--split", "test", folder=folder)
    assert "is a model of `train lstm`" in keras_llm("generate", "lstm", "hello", folder=folder, status=1)


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """The command in this process: what it prints."""
    monkeypatch.chdir(folder)

    def run(*words):
        typer.main.get_command(app)([str(word) for word in words], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_n_grams_are_counted_measured_and_write(folder, here):
    here("train", "ngram", "--data", "story.txt", "--vocabulary", 300, "--output", "ngram")
    neural, counted = (json.loads((folder / name / "metrics.json").read_text()) for name in ("run", "ngram"))
    assert counted["validation_tokens"] == neural["validation_tokens"]  # the same text, cut the same way
    assert f"loss {counted['validation_loss']:.4f} nats a token" in here("evaluate", "ngram")
    words = ["generate", "ngram", "The cat", "--max-new-tokens", 12]
    text = here(*words)
    assert text.startswith("The cat sat on the ") and here(*words) == text


def test_an_hmm_is_counted_measured_and_finds_names(folder, here):
    printed = here("train", "hmm", "--test", "test", "--output", "hmm")
    f1 = json.loads((folder / "hmm" / "metrics.json").read_text())["test_entity_f1"]
    assert f"entity f1 {f1:.4f}" in printed
    assert f"entity f1 {f1:.4f}" in here("evaluate", "hmm", "--split", "test")
    assert re.match(r"(PER|LOC|ORG)  \d+-\d+  ", here("predict", "hmm", "He lives in Oslo."))
    with pytest.raises(ValueError, match="is a model of `train hmm`"):
        here("generate", "hmm", "hello")


def test_tokenizer_and_datasets(folder):
    printed = keras_llm(
        "tokenizer", "train", "--data", "story.txt", "--output", "bpe", "--vocabulary", 280, folder=folder
    )
    assert re.match(r"2[5-8]\d tokens, in bpe/", printed)
    assert (folder / "bpe" / "tokenizer.json").is_file()
    listed = keras_llm("datasets", folder=folder)
    assert "topics_zh" in listed and "imdb_reviews" in listed
    assert "label: " in keras_llm("datasets", "topics_en", "--rows", 1, folder=folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "gpt2", "--data", "nothing.txt"], "nothing.txt"),
        (
            ["train", "gpt2", "--data", "story.txt", "--size", "huge"],
            "--size huge is not known; choose from nano",
        ),
        (
            ["train", "gpt2", "--data", "story.txt", "--precision", "half"],
            "--precision half is not known; choose",
        ),
        (
            ["train", "gpt2", "--data", "story.txt", *TINY, "--vocabulary", "300", "--accumulate", "3"],
            "A batch of 2 rows cannot be cut into 3 equal parts",
        ),
        (["train", "gpt2", "--data", "topics_en", "--output", "run"], "run already holds a run"),
        (["train", "gpt2", "--config", "run/metrics.json"], "is not the run.json of this command"),
        (["train", "lstm", "--task", "poet"], "task must be one of"),
        (["generate", "run", ""], "The prompt is empty"),
        (["generate", "nowhere/at/all", "x"], "There is no folder nowhere/at/all"),
        (["generate", "run", "x", "--temperature", "-1"], "temperature=-1.0 is not possible"),
        (["evaluate", "run", "--data", "questions_en"], "questions_en has no column text"),
        (["launch", "--", "train", "ngram"], "`train ngram` is for one process: it has no --strategy."),
    ],
)
def test_a_wrong_input_is_named(folder, words, message, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        typer.main.get_command(app)(words, standalone_mode=False)


def test_an_error_is_one_line_without_traceback(folder):
    error = keras_llm("generate", "nowhere/at/all", "x", folder=folder, status=1)
    assert error == "Error: There is no folder nowhere/at/all.\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["train", "gpt2"],
        ["train", "lstm"],
        ["train", "classify"],
        ["train", "tag"],
        ["train", "answer"],
        ["train", "similar"],
        ["train", "ngram"],
        ["train", "hmm"],
        ["train", "word2vec"],
        ["train", "chat"],
        ["train", "preferences"],
        ["predict"],
        ["generate"],
        ["chat"],
        ["evaluate"],
        ["tokenizer", "train"],
        ["datasets"],
        ["quickstart"],
    ],
)
def test_help_needs_no_tensorflow_and_explains_every_option(folder, words):
    code = f"""
import sys
sys.argv = ["keras-llm", *{words!r}, "--help"]
import keras_llm.cli
try:
    keras_llm.cli.main()
except SystemExit:
    pass
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Usage: keras-llm" in run.stdout
