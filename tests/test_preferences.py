"""DPO against Rafailov et al. 2023, equation 7, by hand; and a taste that is learned."""

import json

import keras
import numpy as np
import pytest

from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.datasets.chat import ChatTemplate
from keras_llm.datasets.preferences import mismatched_answers, pair_features
from keras_llm.evaluation.predictions import predict
from keras_llm.evaluation.preferences import preference_metrics
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.recipes import runs
from keras_llm.recipes.preferences import train_preferences
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.preferences import PairScorer, PreferenceLoss, reward_margins

COLOURS = ["red", "green", "blue", "black", "white", "pink", "grey", "brown"]


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.fixture(scope="module")
def template():
    return ChatTemplate(
        Tokenizer.train([" ".join(COLOURS) + " Name a colour yes no, please."], "byte_bpe", 300)
    )


def gpt2(template):
    keras.utils.set_random_seed(0)
    sizes = {"context_length": 32, "hidden_dim": 16, "num_layers": 1, "num_heads": 2, "dropout": 0.0}
    return GPT2Model(template.tokenizer.vocabulary_size, **sizes)


def test_scores_are_sums_over_the_answers_tokens_and_padding_changes_none(template):
    model = gpt2(template)
    rows = [{"prompt": "Name a colour", "chosen": "red", "rejected": "green, please"}]
    rows.append({"prompt": "yes or no?", "chosen": "no", "rejected": "yes"})
    features = pair_features(template, rows, 32)
    found = predict(PairScorer(model), PaddedBatches(features, None, 4, (16, 32), shuffle=False))
    for row, own in zip(rows, found):
        for side, score in zip(("chosen", "rejected"), own):
            prompt = template.prompt([{"role": "user", "content": row["prompt"]}])
            answer = [*template.tokenizer.encode(row[side]), template.end_id]
            log_p = log_softmax(model(np.array([prompt + answer])))[0]
            by_hand = sum(log_p[len(prompt) - 1 + i, token] for i, token in enumerate(answer))
            np.testing.assert_allclose(score, by_hand, rtol=1e-5)


def test_the_loss_of_one_pair_by_hand():
    reference, found = np.array([[-10.0, -12.0]]), np.array([[-8.0, -13.0]])
    # The chosen answer has become exp(2) times likelier, the rejected one exp(1) times less likely: 0.5 * (2 + 1).
    assert reward_margins(reference, found, 0.5) == pytest.approx([1.5])
    by_hand = -np.log(1 / (1 + np.exp(-1.5)))
    assert float(PreferenceLoss(0.5)(reference, found)) == pytest.approx(by_hand, rel=1e-6)
    padded = np.array([[-10.0, -12.0], [np.nan, np.nan]]), np.array([[-8.0, -13.0], [0.0, 0.0]])
    assert float(PreferenceLoss(0.5)(*padded)) == pytest.approx(by_hand, rel=1e-6)
    assert float(PreferenceLoss(0.5)(reference, reference)) == pytest.approx(np.log(2), rel=1e-6)


def test_metrics_by_hand():
    reference, found = np.zeros((2, 2)), np.array([[-1.0, -2.0], [-4.0, -3.0]])
    figures = preference_metrics(reference, found, np.array([2, 3]), beta=2.0)
    margins = np.array([2.0, -2.0])
    assert figures == pytest.approx(
        {
            "loss": np.log(1 + np.exp(-margins)).mean(),
            "reward_margin": 0.0,
            "reward_accuracy": 0.5,
            "likelier_accuracy": 0.5,
            "chosen_token_loss": 5 / 5,
        }
    )


def test_mismatched_answers_are_those_of_other_questions():
    rows = load("dialogue_zh")
    pairs = mismatched_answers(rows)
    answers = {row["messages"][0]["content"]: row["messages"][1]["content"] for row in rows}
    assert 0.95 * len(rows) < len(pairs) <= len(rows)
    assert all(answers[pair["prompt"]] == pair["chosen"] != pair["rejected"] for pair in pairs)
    assert len({pair["rejected"] for pair in pairs}) > 0.9 * len(pairs)
    assert mismatched_answers(rows) == pairs != mismatched_answers(rows, seed=1)


def test_pairs_beyond_the_context_are_left_out(template):
    rows = [{"prompt": "yes?", "chosen": "no", "rejected": "yes " * 50}]
    with pytest.raises(ValueError, match="within 32 tokens"):
        pair_features(template, rows, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, template):
    """A taste: of two colours, the one that comes first in COLOURS is the better, whatever the question."""
    folder = tmp_path_factory.mktemp("dpo")
    gpt2(template).save_pretrained(folder / "base")
    template.tokenizer.save(folder / "base")
    generator = np.random.default_rng(0)
    rows = []
    for i in range(300):
        better, worse = sorted(generator.choice(len(COLOURS), 2, replace=False))
        rows.append({"prompt": f"Name {i}", "chosen": COLOURS[better], "rejected": COLOURS[worse]})
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    train_preferences(
        data=str(folder / "pairs.jsonl"),
        start_from=str(folder / "base"),
        test="test",
        epochs=3,
        learning_rate=1e-2,
        output=str(folder / "run"),
    )
    return folder


def test_a_taste_is_learned_and_holds_for_questions_that_were_not_asked(folder, template):
    figures = json.loads((folder / "run" / "metrics.json").read_text())
    assert figures["test_reward_accuracy"] >= 0.8 and figures["test_reward_margin"] > 0.1
    assert figures["test_likelier_accuracy"] > figures["test_likelier_accuracy_before"]
    prompt = np.array([template.prompt([{"role": "user", "content": "Name 1000"}])])
    first = {side: template.tokenizer.encode(name)[0] for side, name in (("best", "red"), ("worst", "brown"))}
    odds = []
    for name in ("base", "run"):
        log_p = log_softmax(runs.open_causal(folder / name)[0](prompt))[0, -1]
        odds.append(log_p[first["best"]] - log_p[first["worst"]])
    assert odds[1] > odds[0] + 0.5


def test_data_of_another_kind_are_refused(folder):
    with pytest.raises(ValueError, match="have no column prompt"):
        train_preferences(data="dialogue_en", start_from=str(folder / "base"))
