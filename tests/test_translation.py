"""Translators from start to end, on a language of a dozen words."""

import json
import random
import re

import pytest
import typer

from keras_llm.cli import app
from keras_llm.models.transformer import PRESETS
from keras_llm.recipes import sequences
from keras_llm.tokenizers import Tokenizer

WORDS = dict(
    zip(
        "the cat dog sees hears red old river house and".split(),
        "le chat chien voit entend rouge vieux fleuve maison et".split(),
    )
)
TINY = {"hidden_dim": 48, "num_layers": 2, "num_heads": 4, "inner_dim": 96, "dropout": 0.0}


def keras_llm(*words):
    typer.main.get_command(app)([str(word) for word in words], standalone_mode=False)


def printed(capsys, *words):
    capsys.readouterr()
    keras_llm(*words)
    return capsys.readouterr().out.splitlines()


def write_pairs(path, count, seed):
    """Sentences of two to six words, translated word by word."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        words = draw.choices(list(WORDS), k=draw.randint(2, 6))
        lines.append(f"{' '.join(words)}\t{' '.join(WORDS[word] for word in words)}\n")
    path.write_text("source\ttarget\n" + "".join(lines))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translation")
    for split, count in (("train", 1000), ("validation", 30), ("test", 30)):
        write_pairs(folder / f"{split}.tsv", count, len(split))
    return folder


@pytest.fixture(scope="module", params=["shared", "separate"])
def run(request, folder):
    output = folder / request.param
    own = ["--separate", "--reverse"] if request.param == "separate" else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "nano", TINY)
        keras_llm(
            *(
                "train",
                "translate",
                "--data",
                folder / "train.tsv",
                "--validation",
                folder / "validation.tsv",
            ),
            *("--test", folder / "test.tsv", "--vocabulary", 320, "--length", 16, "--steps", 600),
            *("--tokens-per-batch", 512, "--evaluate-every", 200, "--warmup", 50, *own),
            *("--output", output, "--result", folder / f"{request.param}.json"),
        )
    return output


def test_a_translator_learns_and_leaves_its_files(run, folder):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test_bleu"] >= 95 and metrics["validation_chrf"] >= 95
    names = {path.name for path in run.iterdir()}
    assert {"model.keras", "tokenizer.json", "run.json", "curves.png", "history.csv"} <= names
    assert ("target" in names) == (run.name == "separate")
    assert json.loads((folder / f"{run.name}.json").read_text())["metrics"] == metrics


def test_it_is_measured_and_used(run, folder, capsys):
    metrics = json.loads((run / "metrics.json").read_text())
    (line,) = printed(capsys, "evaluate", run, "--split", "test")
    assert f"BLEU {metrics['test_bleu']:.2f}, chrF {metrics['test_chrf']:.2f}" in line
    given, expected = ["the cat sees", "old house"], ["le chat voit", "vieux maison"]
    if run.name == "separate":
        given, expected = expected, given
    (folder / "lines.txt").write_text("\n".join(given))
    assert printed(capsys, "predict", run, *given) == expected
    assert printed(capsys, "predict", run, "--file", folder / "lines.txt") == expected


def test_it_shows_where_it_looked(run, folder, capsys):
    text = "vieux maison" if run.name == "separate" else "old house"
    lines = printed(capsys, "attention", run, text, "--output", folder / "attention.png")
    assert lines[0] == ("old house" if run.name == "separate" else "vieux maison")
    assert [line.split()[0] for line in lines[1:-1]] == [*lines[0].split(), "(end)"]
    assert all(line.split()[2] in text for line in lines[1:-1])
    assert (folder / "attention.png").read_bytes()[:4] == b"\x89PNG"
    given = printed(capsys, "attention", run, text, "--target", text, "--output", folder / "attention.png")
    assert given[0] == text
    with pytest.raises(ValueError, match="layer=2 must lie in 0 to 1"):
        keras_llm("attention", run, text, "--layer", 2)


def test_long_sources_are_cut_and_long_targets_left_out():
    special = ["[PAD]", "[BOS]", "<|endoftext|>"]
    tokenizer = Tokenizer.train(["a b c d e"] * 3, "byte_bpe", 300, special_tokens=special)
    sources, targets = ["a b c d e a b c d e", "a b", ""], ["a b", "a b c d e a b c d e", "a"]
    batches = sequences.make_batches(sources, targets, tokenizer, tokenizer, 4, 6, 64)
    assert batches.num_rows == 1
    inputs, labels = batches[0]
    assert inputs["source_ids"][0].tolist() == tokenizer.encode(sources[0])[:4]
    target = tokenizer.encode(targets[0])
    assert inputs["target_ids"][0].tolist()[: len(target) + 1] == [1, *target]
    assert labels[0].tolist()[: len(target) + 1] == [*target, 2]
    longer = sequences.make_batches(["a"], ["a b c d e a b c"], tokenizer, tokenizer, 4, 40, 64)
    assert longer[0][0]["source_ids"].shape[1] == 4 and longer[0][0]["target_ids"].shape[1] == 40
    with pytest.raises(ValueError, match="No pair has a target below 2 tokens"):
        sequences.make_batches(sources, targets, tokenizer, tokenizer, 4, 2, 64)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train translate --data topics_en", "have no column source, only text, label"),
        ("train translate --size huge", "--size huge is not known; choose from nano, small, base"),
        ("train translate --data {folder}/none.tsv", "none.tsv"),
        ("generate {folder}/empty_run x", "is a model of `train translate`; prompts are continued by"),
        ("predict {folder}/empty_run x", "has no model.keras"),
    ],
)
def test_a_wrong_input_is_named(folder, words, message):
    (folder / "empty_run").mkdir(exist_ok=True)
    settings = {"command": "train translate", "arguments": {}}
    (folder / "empty_run" / "run.json").write_text(json.dumps(settings))
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        keras_llm(*(word.format(folder=folder) for word in words.split()))
