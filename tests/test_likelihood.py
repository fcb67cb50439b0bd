"""Likelihoods of continuations, and perplexity with a stride, against sums over the model's own logits."""

import json
import math

import numpy as np
import pytest
import typer

from keras_llm.cli import app
from keras_llm.datasets import load
from keras_llm.evaluation.language import evaluate_language_model
from keras_llm.evaluation.likelihood import (
    continuation_ids,
    evaluate_choices,
    evaluate_last_words,
    score_continuations,
)
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.tokenizers import Tokenizer

TEXT = "the cat sat on the mat and the dog sat on the log. a bird sang in the tree; the cat looked up."


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([TEXT * 3], "byte_bpe", 300)


@pytest.fixture(scope="module")
def model(tokenizer):
    sizes = {"context_length": 24, "hidden_dim": 16, "num_layers": 1, "num_heads": 2, "dropout": 0.0}
    model = GPT2Model(tokenizer.vocabulary_size, **sizes)
    for i, variable in enumerate(model.trainable_variables):
        noise = np.random.default_rng(i).normal(size=variable.shape, scale=0.3)
        variable.assign(noise + variable.path.endswith("gamma"))
    return model


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def by_hand(model, before, after):
    """The log-probability of `after` behind `before`, and whether it is what greedy writing gives."""
    log_p = log_softmax(model(np.array([before + after])))[0]
    places = range(len(before) - 1, len(before) + len(after) - 1)
    greedy = all(log_p[place].argmax() == token for place, token in zip(places, after))
    return sum(log_p[place, token] for place, token in zip(places, after)), greedy


def test_scores_equal_the_model_s_logits_whatever_stands_beside(model, tokenizer):
    pairs = [("the cat", " sat on the mat"), ("a", " bird"), ("the dog sat on the", " log"), ("", "the cat")]
    scores = score_continuations(model, tokenizer, pairs, batch_size=3)
    for pair, score in zip(pairs, scores):
        before, after = continuation_ids(tokenizer, *pair)
        log_likelihood, greedy = by_hand(model, before, after)
        assert score.log_likelihood == pytest.approx(log_likelihood, rel=1e-5)
        assert (score.is_greedy, score.tokens) == (greedy, len(after))
    (alone,) = score_continuations(model, tokenizer, pairs[1:2], batch_size=1)
    assert alone.log_likelihood == pytest.approx(scores[1].log_likelihood, rel=1e-5)


def test_what_greedy_writing_gives_is_called_greedy(model, tokenizer):
    found = []
    for context in ("the cat", "a bird", "the dog sat", "in the", "looked", "sang in", "log. a bird"):
        before = tokenizer.encode(context)
        after = tokenizer.decode([int(np.asarray(model(np.array([before])))[0, -1].argmax())])
        if len(tokenizer.encode(context + after)) == len(before) + 1 and after.strip():
            found.append((context, after))
    assert found and all(score.is_greedy for score in score_continuations(model, tokenizer, found))


def test_a_long_context_loses_its_oldest_tokens(model, tokenizer):
    context, continuation = TEXT, " the end"
    before, after = continuation_ids(tokenizer, context, continuation)
    assert len(before) > 24
    kept = before[-(25 - len(after)) :]  # the last token of the continuation is foretold and not read
    log_p = log_softmax(model(np.array([(kept + after)[:-1]])))[0]
    expected = sum(log_p[len(kept) - 1 + i, token] for i, token in enumerate(after))
    (score,) = score_continuations(model, tokenizer, [(context, continuation)])
    assert score.log_likelihood == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="it must have 1 to 24"):
        score_continuations(model, tokenizer, [("the", TEXT)])


def test_space_at_the_border_belongs_to_the_continuation(tokenizer):
    expected = tokenizer.encode("the cat"), tokenizer.encode(" sat")
    assert continuation_ids(tokenizer, "the cat", " sat") == expected
    assert continuation_ids(tokenizer, "the cat ", "sat") == expected
    assert continuation_ids(tokenizer, "", "the cat") == (
        [tokenizer.end_of_text_id],
        tokenizer.encode("the cat"),
    )
    assert continuation_ids(tokenizer, "  ", "sat")[1] == tokenizer.encode("  sat")


def test_accuracies_of_choices_by_hand(model, tokenizer):
    choices = ["log", "mat and the dog", "tree"]
    sums = [by_hand(model, *continuation_ids(tokenizer, "sat on the", f" {c}"))[0] for c in choices]
    best, best_norm = np.argmax(sums), np.argmax(np.array(sums) / [3, 15, 4])
    assert best != best_norm  # else the two could not be told apart
    rows = [{"context": "sat on the", "choices": choices, "answer": int(best)}]
    rows += [{"context": "sat on the", "choices": choices, "answer": int(best_norm)}] * 2
    figures = evaluate_choices(model, tokenizer, rows)
    assert figures == {"accuracy": 1 / 3, "accuracy_norm": 2 / 3, "questions": 3}
    assert evaluate_choices(model, tokenizer, rows, delimiter=" the ") != figures


def test_last_words_by_hand(model, tokenizer):
    texts = ["the cat sat on the mat", "a bird sang"]
    split = [("the cat sat on the", " mat"), ("a bird", " sang")]
    sums = [by_hand(model, *continuation_ids(tokenizer, *pair)) for pair in split]
    figures = evaluate_last_words(model, tokenizer, [{"text": text} for text in texts])
    assert figures["perplexity"] == pytest.approx(math.exp(-np.mean([s for s, _ in sums])), rel=1e-5)
    assert figures["accuracy"] == np.mean([greedy for _, greedy in sums]) and figures["words"] == 2
    with pytest.raises(ValueError, match="'word' has no last word"):
        evaluate_last_words(model, tokenizer, [{"text": "word"}])


@pytest.mark.parametrize("stride", [5, 24])
def test_perplexity_with_a_stride_by_hand(model, stride):
    token_ids = np.random.default_rng(0).integers(0, 200, 101)
    total, done, start = 0.0, 0, 0  # done: tokens foretold so far, in order
    while done < 100:
        log_p = log_softmax(model(token_ids[None, start : min(start + 24, 100)]))[0]
        for place in range(log_p.shape[0]):
            if start + place >= done:
                total -= log_p[place, token_ids[start + place + 1]]
                done = start + place + 1
        start += stride
    figures = evaluate_language_model(model, token_ids, batch_size=4, stride=stride)
    assert figures["tokens"] == 100
    assert figures["loss"] == pytest.approx(total / 100, rel=1e-5)
    if stride == 24:
        plain = evaluate_language_model(model, token_ids, batch_size=4)
        assert plain["loss"] == pytest.approx(figures["loss"], rel=1e-6)


def test_the_command_measures_files(model, tokenizer, tmp_path, capsys):
    model.save_pretrained(tmp_path / "run")
    tokenizer.save(tmp_path / "run")
    rows = [{"context": "the cat", "choices": ["sat", "sang"], "answer": i % 2} for i in range(4)]
    (tmp_path / "choices.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "words.jsonl").write_text('{"text": "the cat sat"}\n')
    (tmp_path / "text.txt").write_text(TEXT)
    assert load(tmp_path / "choices.jsonl") == rows
    command = typer.main.get_command(app)

    def evaluate(*words):
        command(["evaluate", str(tmp_path / "run"), *map(str, words)], standalone_mode=False)
        return capsys.readouterr().out

    assert "accuracy 0.5000, by characters 0.5000, 4 questions" in evaluate(
        "--task", tmp_path / "choices.jsonl"
    )
    assert "1 texts" in evaluate("--task", tmp_path / "words.jsonl")
    strided = evaluate("--data", tmp_path / "text.txt", "--split", "all", "--stride", 3)
    assert "perplexity" in strided and strided != evaluate("--data", tmp_path / "text.txt", "--split", "all")
    with pytest.raises(ValueError, match="stride=25 must lie in 1 to the model's context, 24"):
        evaluate("--data", tmp_path / "text.txt", "--split", "all", "--stride", 25)
    with pytest.raises(ValueError, match="leave out --data and --stride"):
        evaluate("--task", tmp_path / "words.jsonl", "--stride", 3)
    with pytest.raises(ValueError, match="neither choices nor text"):
        evaluate("--task", "dialogue_en")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"context": "a", "choices": ["b"], "answer": 0}, "at least two texts"),
        ({"context": "a", "choices": ["b", "c"], "answer": 2}, "0 to 1, got 2"),
        ({"context": "a", "choices": ["b", "c"], "answer": "b"}, "0 to 1, got 'b'"),
    ],
)
def test_broken_questions_are_named_with_their_line(row, message, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "rows.jsonl")
