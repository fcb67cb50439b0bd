"""Word vectors against steps calculated in NumPy, counted draws and a toy language; the text format, both ways."""

import itertools
import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_llm.checkpoints.word_vectors import fill_embedding, read_word_vectors, write_word_vectors
from keras_llm.models.bert import BertEncoder
from keras_llm.models.word2vec import NegativeSamplingLoss, SkipGram, SkipGramBatches, WordVectors
from keras_llm.tokenizers import Tokenizer

# --- The model ------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_step_is_the_one_calculated_by_hand():
    random = np.random.default_rng(0)
    model = SkipGram(5, 3)
    inside, outside = random.normal(size=(2, 5, 3)).astype("float32")
    model.embedding.set_weights([inside])
    model.output_embedding.set_weights([outside])
    centers, targets = np.array([0, 3]), np.array([[1, 2, 4], [2, 2, 0]])
    labels = np.array([[1, 0, 0], [1, -100, 0]])  # the second one's first negative is the right word

    loss, d_inside, d_outside = 0.0, np.zeros_like(inside), np.zeros_like(outside)
    for center, own, kinds in zip(centers, targets, labels):
        for target, label in zip(own, kinds):
            if label == -100:
                continue
            score = sigmoid(inside[center] @ outside[target])
            loss -= np.log(score if label else 1 - score) / 2  # mean over the two pairs
            d_inside[center] += (score - label) * outside[target] / 2
            d_outside[target] += (score - label) * inside[center] / 2

    model.compile(keras.optimizers.SGD(0.1), NegativeSamplingLoss(), jit_compile=False)
    found = model.train_on_batch({"centers": centers, "targets": targets}, labels)
    assert float(np.asarray(found)) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(model.embedding.get_weights()[0], inside - 0.1 * d_inside, rtol=1e-5)
    np.testing.assert_allclose(model.output_embedding.get_weights()[0], outside - 0.1 * d_outside, rtol=1e-5)


def test_saved_is_loaded(tmp_path):
    model = SkipGram(6, 4)
    model.output_embedding.set_weights([np.ones((6, 4), "float32")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = {"centers": np.array([1, 2]), "targets": np.array([[3, 4], [0, 5]])}
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(inputs)), ops.convert_to_numpy(model(inputs)))


# --- The batches ----------------------------------------------------------------------------------------


def test_pairs_are_the_words_within_reach_of_the_same_document():
    documents = [[1, 2, 3], [4, 5]]
    batches = SkipGramBatches(documents, 6, batch_size=2, window=1, subsample=1, negatives=1)
    assert sorted(map(tuple, batches.pairs(0))) == [(1, 2), (2, 1), (2, 3), (3, 2), (4, 5), (5, 4)]
    wide = SkipGramBatches([list(range(50))], 50, batch_size=2, window=3, subsample=1)
    distances = np.abs(np.diff(wide.pairs(0), axis=1))
    assert distances.max() == 3 and (distances == 1).sum() > (distances == 2).sum() > (distances == 3).sum()
    assert (distances == 1).sum() == 2 * 49  # every word reaches its neighbours


def test_special_ids_are_stepped_over():
    batches = SkipGramBatches([[1, 0, 2, 0, 3]], 4, batch_size=2, window=1, subsample=1, skip=[0])
    assert sorted(map(tuple, batches.pairs(0))) == [(1, 2), (2, 1), (2, 3), (3, 2)]
    assert all(0 not in batches.batch(i)[0]["targets"] for i in range(20))


def text_of(counts, seed=0):
    words = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(words)


def test_a_batch_depends_on_seed_and_number_alone():
    text = text_of([40, 30, 20])
    one, two, other = (SkipGramBatches([text], 3, 16, subsample=1, seed=seed) for seed in (1, 1, 2))
    numbers = [0, 5, one.steps_per_epoch, 2 * one.steps_per_epoch + 1]
    for i, j in zip(numbers, reversed(numbers)):  # in any order
        one.batch(j)
        for ours, theirs in zip(keras.tree.flatten(one.batch(i)), keras.tree.flatten(two.batch(i))):
            np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(one.batch(0)[0]["targets"], other.batch(0)[0]["targets"])
    assert not np.array_equal(one.batch(0)[0]["targets"], one.batch(1)[0]["targets"])


def test_negatives_follow_the_counts_to_the_power_of_three_quarters():
    counts = np.array([1600, 400, 100, 0])
    batches = SkipGramBatches([text_of(counts)], 4, batch_size=500, subsample=1, negatives=20)
    drawn, labels = [], []
    for i in range(8):
        inputs, own = batches.batch(i)
        drawn.append(inputs["targets"][:, 1:])
        labels.append(own[:, 1:])
        right = inputs["targets"][:, :1] == inputs["targets"][:, 1:]
        np.testing.assert_array_equal(own[:, 0], 1)
        np.testing.assert_array_equal(own[:, 1:], np.where(right, -100, 0))
    found = np.bincount(np.concatenate(drawn).ravel(), minlength=4) / np.concatenate(drawn).size
    np.testing.assert_allclose(found, counts**0.75 / (counts**0.75).sum(), atol=0.01)


def test_frequent_words_are_left_out_as_often_as_the_paper_says():
    counts = np.array([80_000, 10_000, 500])
    share = counts / counts.sum()
    batches = SkipGramBatches([text_of(counts)], 3, batch_size=10, window=1, subsample=0.01)
    kept = np.bincount(batches.pairs(0)[:, 0], minlength=3) / 2 / counts  # each kept word has two neighbours
    np.testing.assert_allclose(kept, np.minimum(np.sqrt(0.01 / share), 1), rtol=0.05)


# --- Nearness -------------------------------------------------------------------------------------------


def test_words_of_the_same_contexts_become_neighbours():
    keras.utils.set_random_seed(0)
    groups = [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    random = np.random.default_rng(0)
    # A sentence is of one group's words, with the group's own two of 9-14 between them; 0-8 are never side by side
    sentences = []
    for _ in range(1500):
        group = random.integers(3)
        sentences.append([9 + 2 * group, random.choice(groups[group]), 10 + 2 * group])
    batches = SkipGramBatches(sentences, 15, batch_size=256, window=1, subsample=1)
    model = SkipGram(15, 8)
    model.compile(keras.optimizers.Adam(0.02), NegativeSamplingLoss(), jit_compile=False)
    model.fit(batches.stream(), steps_per_epoch=150, shuffle=False, verbose=0)
    vectors = WordVectors(map(str, range(9)), model.embedding.get_weights()[0][:9])
    for group in groups:
        for word in group:
            near = {int(name) for name, _ in vectors.nearest(str(word), top=2)}
            assert near == set(group) - {word}
    assert vectors.odd_one_out(["0", "1", "3", "2"]) == "3"


def test_nearest_and_sums_by_hand():
    vectors = WordVectors(
        ["king", "man", "woman", "queen", "fish"], [[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1], [-1, 0, 0]]
    )
    # (1,1,0)/sqrt 2 - (1,0,0) + (0,0,1) = (-0.29, 0.71, 1): the cosine with the queen's (0,1,1)/sqrt 2 is 0.959
    ((word, cosine),) = vectors.nearest("king - man + woman", top=1)
    assert word == "queen" and cosine == pytest.approx(0.9586, abs=1e-4)
    assert vectors.similarity("king", "man") == pytest.approx(2**-0.5)
    assert [name for name, _ in vectors.nearest("man")] == ["king", "woman", "queen", "fish"]
    for wrong, message in (
        ("ghost", "no vector for 'ghost'"),
        ("king man", "neither a word"),
        ("", "neither"),
    ):
        with pytest.raises(ValueError, match=message):
            vectors.nearest(wrong)


# --- The text format ------------------------------------------------------------------------------------


def test_both_text_formats_are_read(tmp_path):
    (tmp_path / "glove.txt").write_text("the 0.5 -1 2e-1\n. . . 1 2 3\n的 4 5 6\n", encoding="utf-8")
    words, vectors = read_word_vectors(tmp_path / "glove.txt")
    assert words == ["the", ". . .", "的"]  # GloVe's largest file has such words
    np.testing.assert_allclose(vectors, [[0.5, -1, 0.2], [1, 2, 3], [4, 5, 6]], rtol=1e-6)
    write_word_vectors(tmp_path / "word2vec.txt", ["the", "的"], vectors[[0, 2]])
    assert (tmp_path / "word2vec.txt").read_text(encoding="utf-8") == "2 3\nthe 0.5 -1 0.2\n的 4 5 6\n"
    words, again = read_word_vectors(tmp_path / "word2vec.txt", ["的", "nothing"])
    assert words == ["的"]
    np.testing.assert_array_equal(again, [[4, 5, 6]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\nb 1\n", "line 2"),
        ("a 1 2\nb 1 x\n", "line 2"),
        ("1 2\n", "none of the words"),
        ("a\n", "line 1"),
    ],
)
def test_broken_files_are_told(tmp_path, text, message):
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_word_vectors(tmp_path / "v.txt")


def test_words_with_spaces_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="'a b' is no word that this format can hold"):
        write_word_vectors(tmp_path / "v.txt", ["a b"], np.zeros((1, 2)))


def test_an_embedding_is_filled(tmp_path):
    (tmp_path / "v.txt").write_text("cat 1 2\nghost 5 6\ndog 3 4\n")
    embedding = keras.layers.Embedding(4, 2)
    embedding.build()
    before = embedding.get_weights()[0]
    assert fill_embedding(embedding, {"[PAD]": 0, "dog": 1, "cat": 2, "bird": 3}, tmp_path / "v.txt") == 2
    after = embedding.get_weights()[0]
    np.testing.assert_array_equal(after[[1, 2]], [[3, 4], [1, 2]])
    np.testing.assert_array_equal(after[[0, 3]], before[[0, 3]])
    wide = keras.layers.Embedding(4, 3)
    wide.build()
    with pytest.raises(ValueError, match="vectors of 2 numbers, but the embedding is 3 wide"):
        fill_embedding(wide, {"cat": 0}, tmp_path / "v.txt")


# --- Pictures and contexts ------------------------------------------------------------------------------


def test_contextual_vectors_are_the_means_of_the_pieces():
    from keras_llm.explain.words import contextual_vectors

    tokenizer = Tokenizer.train(["cats dogs cat dog sat"] * 3, "wordpiece", 40, lowercase=True)
    encoder = BertEncoder(
        tokenizer.vocabulary_size, 32, hidden_dim=8, num_layers=1, num_heads=2, pooler=False
    )
    sentences = [["zcatz", "sat"], ["dog"]]
    found = contextual_vectors(encoder, tokenizer, sentences)
    for words, vectors in zip(sentences, found):
        pieces = [tokenizer.encode(word)[1:-1] for word in words]
        ids = np.array([[tokenizer.class_id, *itertools.chain(*pieces), tokenizer.separator_id]])
        hidden = ops.convert_to_numpy(encoder(ids)["sequence_output"])[0]
        start = 1
        for own, vector in zip(pieces, vectors):
            np.testing.assert_allclose(vector, hidden[start : start + len(own)].mean(axis=0), atol=1e-5)
            start += len(own)
    with pytest.raises(ValueError, match="sentences is empty"):
        contextual_vectors(encoder, tokenizer, [])


def test_words_are_drawn_in_the_directions_in_which_they_differ_most(tmp_path):
    from keras_llm.explain.words import draw_words, plane

    vectors = np.zeros((6, 5))
    vectors[:, 3], vectors[:, 1] = [-30, -10, 10, 30, -10, 10], [-1, 3, -3, 1, -1, 1]
    places = plane(vectors)
    np.testing.assert_allclose(np.abs(places[:, 0]), np.abs(vectors[:, 3]), rtol=0.2)
    for method in ("pca", "tsne"):
        draw_words(["猫", "dog", "a", "b", "c", "d"], vectors, tmp_path / "w.png", method, groups=[0, 1] * 3)
        assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="method='umap' is not known"):
        plane(vectors, "umap")
    with pytest.raises(ValueError, match="2 words make no picture"):
        plane(vectors[:2])


# --- The command ----------------------------------------------------------------------------------------


def test_a_run_leaves_vectors_that_predict_uses(tmp_path, monkeypatch):
    from keras_llm.recipes.predict import TASKS
    from keras_llm.recipes.word2vec import train_word2vec

    monkeypatch.chdir(tmp_path)
    metrics = train_word2vec("topics_en", epochs=1, dim=4, batch_size=2048, vocabulary=300, output="run")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    vectors = WordVectors.load(tmp_path / "run" / "vectors.txt")
    assert len(vectors.words) == metrics["words"] == 298  # without [PAD] and [UNK]
    lines = list(TASKS["train word2vec"][0]("run", ["Team - game", "team"], None, 3))
    expected = [f"{cosine:.3f}  {word}" for word, cosine in vectors.nearest("team - game", 3)]
    assert lines[:4] == [*expected, ""] and len(lines) == 7
    with pytest.raises(ValueError, match="questions_en has no column text"):
        train_word2vec("questions_en")
