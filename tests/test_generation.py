"""Writing: the cache changes nothing, batches change nothing, samplers do what their papers say."""

import keras
import numpy as np
import pytest
from test_gpt2 import FIXTURES, tiny

from keras_llm.generation import GREEDY, Sampler, TextGenerator, compiled
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.tokenizers import Tokenizer

PROMPTS = [[3, 1, 4], [1, 5, 9, 2, 6, 5, 3, 5, 8, 9], [7], [2, 7, 1, 8, 2]]


@pytest.fixture(scope="module")
def model():
    return tiny(context_length=64)


@pytest.fixture(scope="module")
def writer(model):
    return TextGenerator(model)


def greedy_without_cache(model, prompt, count):
    """The whole text read anew for each token, filled up behind to one length."""
    text = list(prompt)
    for _ in range(count):
        filled = np.zeros((1, model.context_length), "int32")
        filled[0, : len(text)] = text
        text.append(int(np.asarray(model(filled))[0, len(text) - 1].argmax()))
    return text[len(prompt) :]


def sampled_without_cache(model, prompt, count, sampler, seed):
    """As above, but drawn by an uncompiled sampler with the draws of a first row."""
    text, seen = list(prompt), np.zeros((1, model.vocabulary_size), bool)
    for uniform in np.random.default_rng((seed, 0)).random(count, "float32"):
        seen[0, text] = True
        filled = np.zeros((1, model.context_length), "int32")
        filled[0, : len(text)] = text
        logits = np.asarray(model(filled))[:, len(text) - 1]
        text.append(int(np.asarray(sampler.choose(logits, uniform[None], seen))[0]))
    return text[len(prompt) :]


def test_greedy_ids_equal_those_without_cache(model, writer):
    for prompt in PROMPTS:
        assert writer.generate_ids([prompt], 12, GREEDY) == [greedy_without_cache(model, prompt, 12)]


def test_prompts_of_one_piece_and_of_several_are_read_alike():
    model = tiny(context_length=1300, num_layers=1)
    writer = TextGenerator(model)
    for length in (
        17,
        18,
        65,
        66,
        257,
        258,
        1100,
    ):  # the last of each number of pieces, and the first of the next
        prompt = np.random.default_rng(length).integers(0, model.vocabulary_size, length).tolist()
        assert writer.generate_ids([prompt], 3, GREEDY) == [greedy_without_cache(model, prompt, 3)]


def test_a_ragged_batch_equals_its_rows_alone(model, writer):
    together = writer.generate_ids(PROMPTS, 12, GREEDY)
    assert together == [greedy_without_cache(model, prompt, 12) for prompt in PROMPTS]


@pytest.mark.parametrize("name", ["gpt2_odd", "gpt2_variant"])
def test_greedy_ids_equal_those_of_transformers(name):
    expected = np.load(FIXTURES / name / "expected.npz")
    writer = TextGenerator(GPT2Model.from_pretrained(FIXTURES / name))
    assert writer.generate_ids(expected["prompt"], 20, GREEDY) == expected["greedy"].tolist()


def test_streaming_gives_the_same_ids_and_compiles_nothing_new(writer):
    settings = {"max_new_tokens": 20, "sampler": Sampler(temperature=0.9, top_k=20), "seed": 5}
    rows = writer.generate_ids(PROMPTS[:2], **settings)
    compilations = writer.compilations
    steps = list(writer.stream_ids(PROMPTS[:2], **settings))
    assert [list(row) for row in zip(*steps)] == rows
    stop = rows[0][10]  # inside a piece
    ended = [row[: row.index(stop)] if stop in row else row for row in rows]
    assert len(ended[0]) != len(ended[1])
    steps = list(writer.stream_ids(PROMPTS[:2], **settings, stop=[stop]))
    assert len(steps) == max(map(len, ended))
    assert [[token for token in row if token is not None] for row in zip(*steps)] == ended
    assert writer.compilations == compilations


def test_transposed_kernels_write_the_same_texts(monkeypatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    monkeypatch.setattr(compiled, "TRANSPOSED_ROWS", range(4, 5))
    monkeypatch.setattr(compiled, "TRANSPOSED_PARAMETERS", 0)
    model = tiny(context_length=64)
    writer = TextGenerator(model)
    expected = [greedy_without_cache(model, prompt, 12) for prompt in PROMPTS]
    # A step and a loop for each number of prompts, and for four the transposition.
    for count, compilations in ((3, 2), (4, 5)):
        assert writer.generate_ids(PROMPTS[:count], 12, GREEDY) == expected[:count]
        assert writer.compilations == compilations
    kernel = model.blocks[0].feed_forward.inner.kernel
    kernel.assign(kernel * -3)  # what was transposed before is not used again
    after = [greedy_without_cache(model, prompt, 12) for prompt in PROMPTS]
    assert after != expected
    assert writer.generate_ids(PROMPTS, 12, GREEDY) == after


def test_seeds(writer):
    sampler = Sampler(temperature=1.5)
    first = writer.generate_ids(PROMPTS, 15, sampler, seed=1)
    assert writer.generate_ids(PROMPTS, 15, sampler, seed=1) == first
    assert writer.generate_ids(PROMPTS, 15, sampler, seed=2) != first
    same_prompt_twice = writer.generate_ids([PROMPTS[0]] * 2, 15, sampler, seed=1)
    assert same_prompt_twice[0] != same_prompt_twice[1]  # each row draws for itself
    assert same_prompt_twice[0] == first[0]


def test_stop_tokens_end_a_row_and_only_that_row(model, writer):
    plain = [greedy_without_cache(model, prompt, 12) for prompt in PROMPTS]
    stop = plain[0][3]
    expected = [row[: row.index(stop)] if stop in row else row for row in plain]
    assert len(expected[0]) <= 3
    assert any(len(row) == 12 for row in expected)
    assert writer.generate_ids(PROMPTS, 12, GREEDY, stop=[stop]) == expected
    assert writer.generate_ids([PROMPTS[0]], 12, GREEDY, stop=[stop]) == [expected[0]]


def test_fifty_prompt_lengths_compile_at_most_seven_times():
    writer = TextGenerator(tiny(context_length=1024, num_layers=1))
    lengths = np.unique(np.linspace(1, 990, 50).astype(int))
    assert len(lengths) == 50
    for length in lengths:
        writer.generate_ids([[1 + length % 7] * int(length)], 8, Sampler(top_k=3), seed=0)
    assert 2 <= writer.compilations <= 7


def test_other_numbers_of_a_sampler_compile_nothing_new(model):
    writer = TextGenerator(model)
    samplers = [
        Sampler(
            temperature=0.5 + 0.2 * i,
            top_k=3 + 4 * i,
            top_p=0.5 + 0.05 * i,
            min_p=0.01 * i,
            repetition_penalty=1.1 + 0.1 * i,
        )
        for i in range(10)
    ]
    texts = [writer.generate_ids([PROMPTS[0]], 6, sampler, seed=2)[0] for sampler in samplers]
    assert writer.compilations == 2  # the prompt's step and the loop
    assert len(set(map(tuple, texts))) > 3
    for i in (0, 4, 9):
        assert texts[i] == sampled_without_cache(model, PROMPTS[0], 6, samplers[i], seed=2)


def test_the_cache_is_no_longer_than_the_context(monkeypatch):
    model, lengths = tiny(context_length=100, num_layers=1), []
    initial_cache = model.initial_cache
    monkeypatch.setattr(
        model, "initial_cache", lambda batch, length: lengths.append(length) or initial_cache(batch, length)
    )
    text = np.random.default_rng(0).integers(0, 50, 90).tolist()
    prompts = [text, text[:70], text[:3]]
    written = TextGenerator(model).generate_ids(prompts, 10, GREEDY)
    assert lengths == [100]
    assert written == [greedy_without_cache(model, prompt, 10) for prompt in prompts]


# Beyond the context


def test_too_long_a_prompt_is_refused(writer):
    with pytest.raises(ValueError, match="60 tokens and 5 new ones are more than the model's context of 64"):
        writer.generate_ids([[1] * 60], 5)


def test_sliding_forgets_the_oldest_tokens(model, writer):
    prompt = np.random.default_rng(0).integers(0, 50, 60).tolist()
    written = writer.generate_ids([prompt], 30, GREEDY, overflow="slide")[0]
    text = prompt + written
    assert written[:4] == greedy_without_cache(model, prompt, 4)  # up to the full context
    assert written[4:] == greedy_without_cache(model, text[64 - 32 : 64], 26)  # then from its newer half
    assert list(writer.stream_ids([prompt], 30, GREEDY, overflow="slide")) == [[token] for token in written]


def test_a_context_of_one_token_has_no_room_to_slide():
    writer = TextGenerator(tiny(context_length=1))
    with pytest.raises(ValueError, match="context of 1 has no room"):
        writer.generate_ids([[3]], 4, GREEDY, overflow="slide")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": [[]]}, "at least one token"),
        ({"prompts": []}, "at least one token"),
        ({"prompts": [[50]]}, "Token id 50 is outside the vocabulary of 50"),
        ({"prompts": [[-1]]}, "Token id -1 is outside"),
        ({"prompts": [[1]], "max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"prompts": [[1]], "overflow": "wrap"}, "overflow='wrap' is not known"),
    ],
)
def test_wrong_inputs_are_named(writer, arguments, message):
    with pytest.raises(ValueError, match=message):
        writer.generate_ids(**arguments)


# Text


def test_text_in_text_out():
    tokenizer = Tokenizer.train(
        ["the cat sat on the mat, naïve café 猫"] * 3, "byte_bpe", vocabulary_size=300
    )
    model = tiny(vocabulary_size=tokenizer.vocabulary_size, context_length=64)
    writer = TextGenerator(model, tokenizer)
    text = writer.generate("the cat", 20, Sampler(temperature=2.0), seed=3, stop=())
    ids = writer.generate_ids([tokenizer.encode("the cat")], 20, Sampler(temperature=2.0), seed=3)[0]
    assert text == tokenizer.decode(ids)
    assert "".join(writer.stream("the cat", 20, Sampler(temperature=2.0), seed=3, stop=())) == text
    assert writer.generate(["the cat"], 20, Sampler(temperature=2.0), seed=3, stop=()) == [text]
    ended = writer.generate("the cat", 20, Sampler(temperature=2.0), seed=3, stop=[ids[4]])
    assert ended == tokenizer.decode(ids[: ids.index(ids[4])])


def test_a_tokenizer_larger_than_the_model_is_refused():
    tokenizer = Tokenizer.train(["abc"], "byte_bpe", vocabulary_size=300)
    with pytest.raises(ValueError, match="do not belong together"):
        TextGenerator(tiny(), tokenizer)


# Samplers, on one distribution

PROBABILITIES = np.array([[0.4, 0.3, 0.15, 0.1, 0.05]])
LOGITS = np.log(PROBABILITIES).astype("float32") + 2.0


def kept(sampler, logits=LOGITS, **arguments):
    scores = np.asarray(sampler.scores(logits, **arguments))
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (Sampler(), [0.4, 0.3, 0.15, 0.1, 0.05]),
        (Sampler(top_k=2), [4 / 7, 3 / 7, 0, 0, 0]),
        (Sampler(top_k=9), [0.4, 0.3, 0.15, 0.1, 0.05]),
        (Sampler(top_p=0.69), [4 / 7, 3 / 7, 0, 0, 0]),
        (Sampler(top_p=0.71), [0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]),
        (Sampler(top_p=0.1), [1, 0, 0, 0, 0]),
        (Sampler(min_p=0.3), [0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]),
        (Sampler(temperature=0.5), np.array([0.16, 0.09, 0.0225, 0.01, 0.0025]) / 0.285),
        (Sampler(temperature=0.5, top_p=0.6), [0.16 / 0.25, 0.09 / 0.25, 0, 0, 0]),
        (Sampler(top_k=3, min_p=0.5), [4 / 7, 3 / 7, 0, 0, 0]),
    ],
)
def test_samplers_keep_what_their_papers_say(sampler, expected):
    np.testing.assert_allclose(kept(sampler), [expected], atol=1e-6)


def test_repetition_penalty_divides_positive_and_multiplies_negative_scores():
    logits = np.array([[3.0, -1.0, 2.0, -2.0]], "float32")
    seen = np.array([[True, True, False, False]])
    scores = np.asarray(Sampler(repetition_penalty=2.0).scores(logits, seen))
    np.testing.assert_allclose(scores, [[1.5, -2.0, 2.0, -2.0]])


def test_repetition_penalty_counts_prompt_and_new_tokens(model, writer):
    prompt, sampler = PROMPTS[1], Sampler(temperature=0.0, repetition_penalty=1e6)
    written = writer.generate_ids([prompt], 20, sampler)[0]
    assert written != writer.generate_ids([prompt], 20, GREEDY)[0]
    seen, text = np.zeros((1, 50), bool), list(prompt)
    for token in written:
        seen[0, text] = True
        filled = np.array([text + [0] * (64 - len(text))], "int32")
        logits = np.asarray(model(filled))[:, len(text) - 1]
        assert token == int(np.asarray(sampler.scores(logits, seen)).argmax())
        text.append(token)


def test_draws_follow_the_probabilities():
    uniform = (np.arange(10_000, dtype="float32") + 0.5) / 10_000
    drawn = np.asarray(Sampler(top_k=4).choose(np.repeat(LOGITS, 10_000, axis=0), uniform))
    shares = np.bincount(drawn, minlength=5) / 10_000
    np.testing.assert_allclose(shares, [0.4 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.1 / 0.95, 0], atol=2e-4)


def test_the_ends_of_the_random_range_draw_tokens_that_can_be_drawn():
    logits = np.array([[-1e9, 0.0, 0.0, -1e9]], "float32")
    assert np.asarray(Sampler().choose(logits, np.array([0.0], "float32"))).tolist() == [1]
    assert np.asarray(Sampler().choose(logits, np.array([1 - 2**-24], "float32"))).tolist() == [2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* is not possible"):
        Sampler(**wrong)
