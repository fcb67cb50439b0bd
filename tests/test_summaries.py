"""Summaries from start to end: sentences picked, and sentences written, on texts whose summary follows a rule."""

import json
import random
import re

import pytest
import typer

from keras_llm.baselines.lead import lead
from keras_llm.cli import app
from keras_llm.datasets.windows import read_sentences
from keras_llm.evaluation.summaries import best_sentences
from keras_llm.models import bert, transformer
from keras_llm.tokenizers import Tokenizer

FILLERS = "the a old new red small house river street cat dog walks sits looks sleeps near on by".split()
TINY = {"hidden_dim": 32, "num_layers": 1, "num_heads": 2, "inner_dim": 64, "dropout": 0.0}


def keras_llm(*words):
    typer.main.get_command(app)([str(word) for word in words], standalone_mode=False)


def printed(capsys, *words):
    capsys.readouterr()
    keras_llm(*words)
    return capsys.readouterr().out.splitlines()


def rows(count, seed):
    """Four sentences, of which one begins with a number word: that one is the summary."""
    draw = random.Random(seed)
    for _ in range(count):
        sentences = [
            " ".join(draw.choices(FILLERS, k=draw.randint(3, 6))).capitalize() + "." for _ in range(4)
        ]
        place = draw.randrange(4)
        sentences[place] = f"{draw.choice(['Two', 'Three'])} {draw.choice(['cats', 'dogs', 'birds'])} sing."
        yield {"document": " ".join(sentences), "summary": sentences[place]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("summaries")
    for split, count in (("train", 300), ("validation", 30), ("test", 30)):
        lines = [
            json.dumps({"abstract": row["document"], "tldr": [row["summary"]]})
            for row in rows(count, len(split))
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    return folder


def train(folder, method, *options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(transformer.PRESETS, "nano", TINY)
        patch.setitem(bert.PRESETS, "tiny", {"hidden_dim": 32, "num_layers": 1, "num_heads": 2})
        keras_llm(
            *("train", method, "--data", folder / "train.jsonl", "--validation", folder / "validation.jsonl"),
            *("--test", folder / "test.jsonl", "--document-column", "abstract", "--summary-column", "tldr"),
            *("--length", 64, *options),
            *("--output", folder / method, "--result", folder / f"{method}.json"),
        )
    return folder / method


@pytest.fixture(scope="module")
def extractor(folder):
    options = "--vocabulary 200 --epochs 10 --patience 10 --batch-size 8 --learning-rate 0.003 --dropout 0"
    return train(folder, "extract", *options.split())


@pytest.fixture(scope="module")
def summarizer(folder):
    options = "--vocabulary 320 --summary-length 16 --steps 500 --tokens-per-batch 1024 --evaluate-every 250"
    return train(folder, "summarize", *options.split(), "--warmup", 50, "--learning-rate", 0.005)


@pytest.mark.parametrize("method", ["extractor", "summarizer"])
def test_it_learns_the_rule_and_is_measured_and_used(method, folder, request, capsys):
    run = request.getfixturevalue(method)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test_rouge1"] >= 90 > 60 > metrics["test_lead_rouge1"] > 10
    assert json.loads((folder / f"{run.name}.json").read_text())["metrics"] == metrics
    (line,) = printed(capsys, "evaluate", run, "--split", "test")
    assert f"rouge1 {metrics['test_rouge1']:.2f} (lead: {metrics['test_lead_rouge1']:.2f})" in line
    texts = ["The old cat sits. Two birds sing. A dog walks.", "Three dogs sing. The river. A new street."]
    assert printed(capsys, "predict", run, *texts) == ["Two birds sing.", "Three dogs sing."]


def test_a_text_is_cut_between_sentences_and_a_long_sentence_within():
    tokenizer = Tokenizer.train(["one two three. four five. six"] * 3, "wordpiece", 100)
    text = "One two. Three four five. Six."  # 5, 6 and 4 tokens with [CLS] and [SEP]
    row = read_sentences(tokenizer, text, 11)
    assert row.sentences == ["One two.", "Three four five."] and row.places == [0, 5]
    assert row.spans == [(0, 5), (5, 11)] and len(row.token_ids) == 11
    assert row.token_ids == tokenizer.encode("One two.") + tokenizer.encode("Three four five.")
    cut = read_sentences(tokenizer, text, 4)
    assert cut.sentences == ["One two."] and cut.places == [0]
    assert cut.token_ids == [*tokenizer.encode("One two.")[:3], tokenizer.separator_id]
    with pytest.raises(ValueError, match="without a sentence"):
        read_sentences(tokenizer, "  ", 8)


def test_the_best_sentences_are_found_one_after_the_other():
    sentences = ["A dog ran.", "The cat sat.", "It sat on the mat.", "Rain fell."]
    assert best_sentences(sentences, ["the cat sat on the mat"], 1) == {2}  # 4 of its 5 words, 3 pairs
    assert best_sentences(sentences, ["the cat sat on the mat"], 3) == {1, 2}  # a third one would harm
    assert best_sentences(sentences, ["nothing", "rain fell"], 1) == {3}
    assert lead("One. Two. Three.", 2) == "One. Two."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train extract --sentences 0", "--sentences must be at least 1, not 0"),
        ("train extract --data topics_en", "have no column document"),
        ("train summarize --data topics_en", "have no column document"),
        ("generate {folder}/summarize x", "is a model of `train summarize`; prompts are continued by"),
    ],
)
def test_a_wrong_input_is_named(folder, summarizer, words, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        keras_llm(*(word.format(folder=folder) for word in words.split()))
