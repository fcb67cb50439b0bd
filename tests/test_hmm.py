"""The HMM tagger against probabilities multiplied by hand, and all sequences tried."""

import itertools
import math

import pytest

from keras_llm.baselines.hmm import SHAPES, HmmTagger, shape

SENTENCES = [["Ada", "runs"], ["Ada", "sees", "Bo"], ["he", "runs"], ["he", "sees", "Cy"]]
TAGS = [["N", "V"], ["N", "V", "N"], ["P", "V"], ["P", "V", "N"]]
# Ada, runs, sees and he occur twice and are known; Bo and Cy are <capital>.


def by_hand(sentence, tags, smoothing=0.1):
    """log P(words, tags), counted with the fingers."""
    first = {"N": 2, "P": 2, "V": 0}
    after = {"N": {"V": 2}, "P": {"V": 2}, "V": {"N": 2}}
    words = {"N": {"Ada": 2, "<capital>": 2}, "P": {"he": 2}, "V": {"runs": 2, "sees": 2}}
    symbols = 4 + len(SHAPES)
    known = [word if word in ("Ada", "runs", "sees", "he") else shape(word) for word in sentence]
    total = math.log((first[tags[0]] + smoothing) / (4 + 3 * smoothing))
    for before, tag in itertools.pairwise(tags):
        total += math.log(
            (after[before].get(tag, 0) + smoothing) / (sum(after[before].values()) + 3 * smoothing)
        )
    for word, tag in zip(known, tags):
        counts = words[tag]
        total += math.log((counts.get(word, 0) + smoothing) / (sum(counts.values()) + symbols * smoothing))
    return total


@pytest.fixture(scope="module")
def tagger():
    return HmmTagger(0.1).fit(SENTENCES, TAGS)


@pytest.mark.parametrize(
    "sentence",
    [["Ada", "runs"], ["he", "sees", "Dee"], ["runs", "Ada", "he"], ["?", "42", "unseen", "Ada"]],
)
def test_viterbi_finds_what_trying_all_sequences_finds(tagger, sentence):
    every = list(itertools.product("NPV", repeat=len(sentence)))
    scores = [by_hand(sentence, tags) for tags in every]
    assert [tagger.log_probability(sentence, tags) for tags in every] == pytest.approx(scores)
    (found,) = tagger.predict([sentence])
    assert by_hand(sentence, found) == pytest.approx(max(scores))


def test_unseen_words_are_not_impossible_and_go_by_their_shape(tagger):
    assert math.isfinite(tagger.log_probability(["zzz", "¤", "@x"], ["V", "P", "N"]))
    assert tagger.predict([["Dee", "runs"], []]) == [["N", "V"], []]


def test_words_of_a_tag_sum_to_one(tagger):
    words = [*tagger.vocabulary, *SHAPES]  # the name of a shape stands for all words of it
    for tag in tagger.tags:
        total = sum(2 ** tagger._model._output_logprob(tag, word) for word in words)
        assert total == pytest.approx(1)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Ada", "capital"),
        ("NASA", "all capitals"),
        ("@ada", "user"),
        ("#nlp", "topic"),
        ("http://t.co/x", "address"),
        ("3,000", "number"),
        ("R2D2", "letters and digits"),
        ("runs", "small"),
        ("...", "mark"),
        ("東京", "other"),
        ("", "other"),
    ],
)
def test_shapes(word, name):
    assert shape(word) == f"<{name}>"


def test_saved_is_loaded(tagger, tmp_path):
    tagger.save(tmp_path / "counts.json")
    loaded = HmmTagger.load(tmp_path / "counts.json")
    sentences = [*SENTENCES, ["new", "Words", "7"]]
    assert loaded.predict(sentences) == tagger.predict(sentences)
    assert loaded.log_probability(["Ada", "x"], ["N", "V"]) == tagger.log_probability(
        ["Ada", "x"], ["N", "V"]
    )


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(ValueError, match="smoothing must be above 0"):
        HmmTagger(0)
    with pytest.raises(ValueError, match="Sentence 1 has 1 words and 2 tags"):
        HmmTagger().fit([["a"], ["b"]], [["O"], ["O", "O"]])
    with pytest.raises(ValueError, match="sentences holds no word"):
        HmmTagger().fit([], [])
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json is no file of an HMM"):
        HmmTagger.load(tmp_path / "x.json")
