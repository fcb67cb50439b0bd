"""Beam search against greedy choice, against all texts there are, and against itself."""

import itertools

import keras
import numpy as np
import pytest
import test_gpt2
import test_transformer

from keras_llm.generation import GREEDY, BeamSearch, TextGenerator, compiled
from keras_llm.tokenizers import Tokenizer

START, END = 1, 2


@pytest.fixture(scope="module")
def translator():
    return test_transformer.tiny()


@pytest.fixture(scope="module")
def writer():
    return test_gpt2.tiny()


def sources(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(3, 41, size).tolist() for size in (6, 3, 11, 4)]


def scores_of(model, given, texts, length_penalty):
    """The score of each of `texts` (of one length) behind a source (of a Transformer) or a prompt, in float64."""
    texts, count = np.array(texts), len(texts)  # [n, T]
    given = np.tile(given, (count, 1))
    if hasattr(model, "read_source"):
        targets = np.pad(texts[:, :-1], ((0, 0), (1, 0)), constant_values=START)
        logits = np.asarray(model({"source_ids": given, "target_ids": targets}), "float64")
    else:
        whole = np.concatenate([given, texts[:, :-1]], axis=1)
        logits = np.asarray(model(whole), "float64")[:, given.shape[1] - 1 :]
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))  # [n, T, vocabulary_size]
    chosen = np.take_along_axis(logits, texts[:, :, None], axis=2)[:, :, 0]  # [n, T]
    return chosen.sum(axis=1) / ((5 + texts.shape[1]) / 6) ** length_penalty


def test_one_beam_is_greedy(translator, writer):
    prompts = [row[:4] for row in sources()]
    stop = TextGenerator(writer).generate_ids(prompts, 12, GREEDY)[0][3]  # a token that is really written
    expected = TextGenerator(writer).generate_ids(prompts, 12, GREEDY, stop=(stop,))
    found = BeamSearch(writer).search_ids(prompts, num_beams=1, max_new_tokens=12, end_id=stop)
    assert [own[0].text for own in found] == expected and len(expected[0]) == 3

    found = BeamSearch(translator).search_ids(sources(), 1, 10, start_id=START)
    for source, own in zip(sources(), found):
        ids = []
        for _ in range(10):
            target = np.array([[START, *ids]])
            inputs = {"source_ids": np.array([source]), "target_ids": target}
            ids.append(int(np.asarray(translator(inputs))[0, -1].argmax()))
        assert own[0].text == ids


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("kind", ["translator", "writer"])
def test_enough_beams_find_what_trying_all_texts_finds(kind, length_penalty):
    tiny = {"translator": test_transformer.tiny, "writer": test_gpt2.tiny}[kind]
    model, given, longest = tiny(vocabulary_size=5), [3, 4, 1], 4
    scored = []
    for length in range(1, longest + 1):
        every = itertools.product(range(5), repeat=length)
        texts = [ids for ids in every if END not in ids[:-1] and (ids[-1] == END or length == longest)]
        scored += zip(scores_of(model, given, texts, length_penalty), texts)
    scored = sorted(scored, reverse=True)[:5]
    (found,) = BeamSearch(model).search_ids(
        [given], 64, longest, length_penalty, False, num_results=5, start_id=START, end_id=END
    )
    assert [own.text for own in found] == [[token for token in ids if token != END] for _, ids in scored]
    np.testing.assert_allclose([own.score for own in found], [own for own, _ in scored], rtol=1e-4)


@pytest.mark.parametrize("kind", ["translator", "writer"])
def test_scores_are_those_of_the_whole_text_and_more_beams_do_not_harm(kind, request):
    model, best = request.getfixturevalue(kind), []
    for num_beams in (1, 2, 6):
        found = BeamSearch(model).search_ids(
            sources(), num_beams, 8, 0.0, False, num_results=num_beams, start_id=START
        )
        for given, own in zip(sources(), found):
            scores = [hypothesis.score for hypothesis in own]
            assert scores == sorted(scores, reverse=True)
            assert len({tuple(hypothesis.text) for hypothesis in own}) == num_beams
            expected = scores_of(model, given, [hypothesis.text for hypothesis in own], 0.0)
            np.testing.assert_allclose(scores, expected, rtol=1e-4)
        best.append([own[0].score for own in found])
    assert np.sum(best[0]) <= np.sum(best[1]) + 1e-3 <= np.sum(best[2]) + 2e-3


@pytest.mark.parametrize("kind", ["translator", "writer"])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_row_does_not_depend_on_the_others(kind, early_stopping, request):
    model = request.getfixturevalue(kind)
    options = {"num_beams": 3, "max_new_tokens": 10, "num_results": 3, "start_id": START, "end_id": 7}
    search = BeamSearch(model)
    together = search.search_ids(sources(), early_stopping=early_stopping, **options)
    for row, expected in zip(sources(), together):
        (alone,) = search.search_ids([row], early_stopping=early_stopping, **options)
        assert [own.text for own in alone] == [own.text for own in expected]
    in_twos = search.search_ids(sources(), early_stopping=early_stopping, batch_size=2, **options)
    assert [[own.text for own in rows] for rows in in_twos] == [
        [own.text for own in rows] for rows in together
    ]


@pytest.mark.parametrize("kind", ["translator", "writer"])
def test_transposed_kernels_find_the_same(kind, request, monkeypatch):
    model = request.getfixturevalue(kind)
    options = {"num_beams": 2, "max_new_tokens": 8, "num_results": 2, "start_id": START, "end_id": END}
    search = BeamSearch(model)
    expected = search.search_ids(sources(), **options)
    count = search.compilations
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    monkeypatch.setattr(compiled, "TRANSPOSED_PARAMETERS", 0)
    monkeypatch.setattr(compiled, "TRANSPOSED_ROWS", [2 * len(sources())])
    found = search.search_ids(sources(), **options)
    assert search.compilations == count + 2
    for own, others in zip(found, expected):
        assert [hypothesis.text for hypothesis in own] == [hypothesis.text for hypothesis in others]
        np.testing.assert_allclose(
            [hypothesis.score for hypothesis in own], [hypothesis.score for hypothesis in others], rtol=1e-5
        )


def test_a_new_length_compiles_nothing_new(translator):
    search = BeamSearch(translator)
    search.search_ids(sources(), 2, 5, start_id=START)
    count = search.compilations
    search.search_ids([row[:2] for row in sources()], 2, 9, 1.5, start_id=START, end_id=END)
    assert search.compilations == count


def test_text_in_text_out():
    texts = ["the cat sat on the mat", "ein Hund läuft", "一只狗在跑"]
    special = ["[PAD]", "[BOS]", "<|endoftext|>"]
    tokenizer = Tokenizer.train(texts * 3, "byte_bpe", 300, special_tokens=special)
    assert [tokenizer.pad_id, tokenizer.start_id, tokenizer.end_of_text_id] == [0, 1, 2]
    model = test_transformer.tiny(vocabulary_size=tokenizer.vocabulary_size, context_length=64)
    search = BeamSearch(model, tokenizer)
    found = search.search(texts, num_beams=3, max_new_tokens=6, num_results=2)
    assert [len(own) for own in found] == [2, 2, 2]
    best = search.generate(texts, num_beams=3, max_new_tokens=6)
    assert best == [own[0].text for own in found] and all(isinstance(text, str) for text in best)
    assert search.generate(texts[1], num_beams=3, max_new_tokens=6) == best[1]
    assert search.search([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [[]]}, "Source 0 is empty"),
        ({"rows": [[3]], "start_id": None}, "give start_id"),
        ({"rows": [[99]]}, "Token id 99 is outside the vocabulary of 41"),
        ({"rows": [[3] * 17]}, "Row 0 has 17 tokens, more than the longest length, 16"),
        ({"rows": [[3]], "num_beams": 0}, "num_results=1 must lie in 1 to num_beams=0"),
        ({"rows": [[3]], "num_results": 5}, "num_results=5 must lie in 1 to num_beams=4"),
        ({"rows": [[3]], "max_new_tokens": 0}, "max_new_tokens must lie in 1 to 16, not 0"),
        ({"rows": [[3]], "max_new_tokens": 17}, "max_new_tokens must lie in 1 to 16, not 17"),
        ({"rows": [[3]], "end_id": 41}, "end_id=41 is outside the vocabulary of 41"),
    ],
)
def test_wrong_inputs_are_named(translator, arguments, message):
    with pytest.raises(ValueError, match=message):
        BeamSearch(translator).search_ids(**{"start_id": START, **arguments})


def test_prompts_and_tokenizers_are_checked(writer, translator):
    with pytest.raises(ValueError, match="at least one token"):
        BeamSearch(writer).search_ids([[1], []])
    with pytest.raises(ValueError, match="20 tokens and 5 new ones are more than the model's context of 24"):
        BeamSearch(writer).search_ids([[1] * 20], max_new_tokens=5)
    with pytest.raises(ValueError, match="no tokenizer"):
        BeamSearch(translator).search(["a"])
