"""The n-gram model against probabilities counted by hand."""

import math

import pytest

from keras_llm.baselines.ngram import NgramModel

TEXT = [0, 1, 0, 2, 0, 1]  # vocabulary of 4; token 3 never occurs


def test_unigrams_by_hand():
    # every token has one count more than in the text: 4, 3, 2, 1 of 10
    model = NgramModel(1, 4).fit(TEXT)
    assert [model.probability(t, []) for t in range(4)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert model.loss([0, 1, 3]) == pytest.approx(-(math.log(0.3) + math.log(0.1)) / 2)


def test_bigrams_by_hand():
    # after 0: 1 twice, 2 once. Discount 0.75; what is saved, 0.75 * 2 kinds / 3, goes to the unigrams.
    model = NgramModel(2, 4).fit(TEXT)
    saved = 0.75 * 2 / 3
    expected = [saved * 0.4, (2 - 0.75) / 3 + saved * 0.3, (1 - 0.75) / 3 + saved * 0.2, saved * 0.1]
    assert [model.probability(t, [2, 0]) for t in range(4)] == pytest.approx(expected)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_sum_to_one_after_any_context(order):
    model = NgramModel(order, 4).fit(TEXT)
    for context in ([], [0], [0, 1], [2, 0], [3, 3], [1, 2, 0]):
        assert sum(model.probability(t, context) for t in range(4)) == pytest.approx(1)


def test_perplexity_of_the_uniform_model_is_the_vocabulary():
    assert NgramModel(1, 5).fit([0, 1, 2, 3, 4]).perplexity([4, 1, 1, 0]) == pytest.approx(5)


def test_a_longer_context_helps_where_it_decides():
    text = [0, 0, 1, 1] * 50  # the next token needs two tokens before it
    losses = [NgramModel(order, 2).fit(text).loss(text) for order in (1, 2, 3)]
    assert losses[2] < losses[1] < losses[0] + 1e-9


def test_order_zero_is_refused():
    with pytest.raises(ValueError, match="order must be at least 1"):
        NgramModel(0, 5)


def test_all_probabilities_at_once_are_those_of_nltk():
    model = NgramModel(3, 4).fit(TEXT)
    for context in ([], [0], [0, 1], [2, 0], [3, 3], [1, 2, 0]):
        expected = [model.probability(t, context) for t in range(4)]
        assert model.probabilities(context) == pytest.approx(expected)


def test_saved_is_loaded(tmp_path):
    model = NgramModel(3, 4).fit(TEXT)
    model.save(tmp_path / "counts.safetensors")
    loaded = NgramModel.load(tmp_path / "counts.safetensors")
    assert loaded.loss([0, 1, 3, 2, 0]) == model.loss([0, 1, 3, 2, 0])
    assert list(loaded.probabilities([0, 1])) == list(model.probabilities([0, 1]))
    # tokens 0-3; the pairs 01 10 02 20; the triples 010 102 020 201
    assert loaded.count_params() == model.count_params() == 12


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "counts.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"counts\.safetensors is not a file of n-grams"):
        NgramModel.load(tmp_path / "counts.safetensors")
