"""Batches: pure functions of the seed and the number, complete, and nothing from beyond the text."""

import keras
import numpy as np
import pytest

from keras_llm.datasets.batches import IGNORED_LABEL, Batches, PaddedBatches, TokenWindows, pad_rows

TEXT = np.arange(1000, 1101)  # 101 tokens, each of its own, so that a place can be told from its id


def test_labels_are_the_next_tokens():
    token_ids, labels = TokenWindows(TEXT, 10, 4, seed=1).batch(0)
    assert token_ids.shape == labels.shape == (4, 10) and token_ids.dtype == labels.dtype == np.int32
    np.testing.assert_array_equal(labels, token_ids + 1)


def test_a_batch_depends_on_seed_and_number_alone():
    windows = TokenWindows(TEXT, 10, 3, seed=5)
    first = [windows.batch(i) for i in range(9)]
    again = TokenWindows(TEXT, 10, 3, seed=5)
    for i in reversed(range(9)):  # in any order
        np.testing.assert_array_equal(again.batch(i), first[i])
    later = TokenWindows(TEXT, 10, 3, seed=5, first_batch=4)
    np.testing.assert_array_equal(later[2], first[6])
    assert not np.array_equal(TokenWindows(TEXT, 10, 3, seed=6).batch(0), first[0])


def test_two_workers_share_one_run():
    windows = TokenWindows(TEXT, 10, 2, seed=5)
    whole = [windows.batch(i)[0] for i in range(10)]
    shares = [[TokenWindows(TEXT, 10, 2, seed=5).batch(i)[0] for i in range(w, 10, 2)] for w in range(2)]
    for i in range(10):
        np.testing.assert_array_equal(shares[i % 2][i // 2], whole[i])


def test_an_epoch_holds_every_window_once_and_epochs_differ():
    windows = TokenWindows(TEXT, 10, 2, seed=0)
    assert windows.steps_per_epoch == 5 and windows.num_batches is None
    epochs = [np.concatenate([windows.batch(e * 5 + i)[0] for i in range(5)]) for e in range(3)]
    for epoch in epochs:
        starts = np.sort(epoch[:, 0])
        np.testing.assert_array_equal(np.diff(starts), 10)  # side by side, none twice
    assert not np.array_equal(epochs[0], epochs[1])


def test_shuffled_epochs_cut_the_text_at_other_offsets():
    text = np.arange(2000, 2108)  # 107 tokens to predict: 10 windows of 10, 7 to spare
    windows = TokenWindows(text, 10, 10, seed=0)
    offsets = {int(windows.batch(epoch)[0].min()) - 2000 for epoch in range(30)}
    assert offsets <= set(range(8)) and len(offsets) >= 4


@pytest.mark.parametrize("tokens", [2, 10, 11, 12, 57, 101])
def test_evaluation_predicts_each_token_exactly_once(tokens):
    windows = TokenWindows(TEXT[:tokens], 10, 3, shuffle=False)
    labels = np.concatenate([windows[i][1].ravel() for i in range(windows.num_batches)])
    np.testing.assert_array_equal(labels[labels != IGNORED_LABEL], TEXT[1:tokens])
    for i in range(windows.num_batches):
        token_ids, labels = windows[i]
        counted = labels != IGNORED_LABEL
        np.testing.assert_array_equal(labels[counted], token_ids[counted] + 1)


def padded(sizes, labels=None, **options):
    rows = [[i + 1] * size for i, size in enumerate(sizes)]  # row i is full of i + 1
    labels = np.arange(len(rows)) if labels is None else labels
    return PaddedBatches({"token_ids": rows, "segment_ids": rows}, labels, **{"batch_size": 2, **options})


def test_rows_stand_with_rows_of_like_length():
    batches = padded([3, 1, 8, 2, 7, 4], lengths=(2, 4, 8), shuffle=False)
    inputs, labels = batches[0]
    assert inputs["token_ids"].tolist() == [[2, 0], [4, 4]] and labels.tolist() == [1, 3]
    np.testing.assert_array_equal(inputs["segment_ids"], inputs["token_ids"])
    assert batches[1][0]["token_ids"].tolist() == [[1, 1, 1, 0], [6] * 4]
    assert batches[2][0]["token_ids"].shape == (2, 8) and batches.num_batches == 3


def test_what_does_not_fill_a_batch_goes_to_the_next_length_or_is_filled_up():
    batches = padded([1, 2, 2, 4, 6], lengths=(2, 4, 8), shuffle=False)
    assert [batches[i][0]["token_ids"].shape[1] for i in range(3)] == [2, 4, 8]
    assert batches[1][1].tolist() == [2, 3]
    inputs, labels = batches[2]
    assert inputs["token_ids"].tolist() == [[5] * 6 + [0, 0], [0] * 8]
    assert labels.tolist() == [4, IGNORED_LABEL]
    ratings = padded([1], np.array([0.5]), shuffle=False)[0][1]
    assert ratings.dtype == np.float32 and ratings[0] == 0.5 and np.isnan(ratings[1])
    places = padded([1], np.array([[3, 4]]), shuffle=False)[0][1]
    assert places.tolist() == [[3, 4], [IGNORED_LABEL] * 2]
    tags = padded([3, 1], [[1, 0, 1], [1]], lengths=(4,), shuffle=False)[0][1]
    assert tags.tolist() == [[1, 0, 1, IGNORED_LABEL], [1] + [IGNORED_LABEL] * 3]


def test_a_batch_has_as_many_rows_as_fit_its_tokens():
    sizes = [3] * 40 + [9] * 5 + [30]
    batches = padded(sizes, lengths=(4, 10, 32), batch_size=None, tokens_per_batch=80, shuffle=False)
    shapes = [batches[i][0]["token_ids"].shape for i in range(batches.num_batches)]
    # 80 / 4 = 20, of which 16 are whole eights; 80 / 10 = 8; 80 / 32 = 2
    assert shapes == [(16, 4), (16, 4), (8, 10), (2, 32), (2, 32), (2, 32)]
    seen = np.concatenate([batches[i][1] for i in range(6)])
    assert sorted(seen[seen != IGNORED_LABEL]) == list(range(46))
    with pytest.raises(ValueError, match="either batch_size or tokens_per_batch"):
        padded([1], tokens_per_batch=8)


def test_copies_stand_one_behind_the_other():
    inputs, labels = padded([1, 2, 2], lengths=(2,), shuffle=False, copies=2)[1]
    assert inputs["token_ids"].tolist() == [[3, 3], [3, 3], [0, 0], [0, 0]]
    assert labels.tolist() == [2, 2, IGNORED_LABEL, IGNORED_LABEL]


def test_a_second_text_has_lengths_of_its_own():
    source, target = [[5] * 3, [6] * 7, [7] * 2], [[8], [9] * 2, [4] * 4]
    lengths = {"source_ids": (4, 8), "target_ids": (2, 5)}
    features, labels = {"source_ids": source, "target_ids": target}, [row[::-1] for row in target]
    batches = PaddedBatches(features, labels, 2, lengths, shuffle=False)
    inputs, own = batches[0]  # row 0 alone is short in both texts
    assert inputs["source_ids"].shape == (2, 8) and inputs["target_ids"].tolist() == [
        [8, 0, 0, 0, 0],
        [9, 9, 0, 0, 0],
    ]
    assert own.tolist() == [[8] + [IGNORED_LABEL] * 4, [9, 9] + [IGNORED_LABEL] * 3]
    assert batches[1][0]["source_ids"].tolist() == [[7, 7] + [0] * 6, [0] * 8]


def test_the_longest_feature_of_a_row_decides_its_length():
    first, second = [[5], [6], [7] * 3], [[8] * 4, [9], [9] * 2]
    features = {"token_ids": first, "pair_ids": second}
    batches = PaddedBatches(features, np.zeros(3, int), 2, lengths=(2, 4), shuffle=False)
    inputs, labels = batches[0]  # row 1 alone is short; it goes with the long ones
    assert inputs["token_ids"].tolist() == [[6, 0, 0, 0], [5, 0, 0, 0]] and labels.tolist() == [0, 0]
    assert inputs["pair_ids"].tolist() == [[9, 0, 0, 0], [8] * 4]
    assert batches[1][0]["token_ids"].tolist() == [[7, 7, 7, 0], [0] * 4]
    with pytest.raises(ValueError, match="Row 0 has 4 tokens, more than the longest length, 3"):
        PaddedBatches(features, None, 2, lengths=(3,))
    with pytest.raises(ValueError, match="Token id 9 is outside the vocabulary of 9"):
        PaddedBatches(features, None, 2, vocabulary_size=9)
    with pytest.raises(ValueError, match="There are 3 rows but 2 pair_ids"):
        PaddedBatches({**features, "pair_ids": second[:2]}, None, 2)


def test_every_row_comes_once_an_epoch_with_its_label_in_an_order_of_its_own():
    sizes = np.random.default_rng(0).integers(1, 30, 101)
    batches = padded(sizes, batch_size=8, lengths=(8, 16, 32), seed=3)
    assert batches.num_batches is None and batches.steps_per_epoch == 13
    orders = []
    for epoch in range(2):
        seen = []
        for i in range(epoch * 13, epoch * 13 + 13):
            inputs, labels = batches[i]
            real = labels >= 0
            np.testing.assert_array_equal(inputs["token_ids"][real, 0], labels[real] + 1)
            np.testing.assert_array_equal((inputs["token_ids"] > 0).sum(axis=1)[real], sizes[labels[real]])
            assert (inputs["token_ids"][~real] == 0).all()
            seen += labels[real].tolist()
        assert sorted(seen) == list(range(101))
        orders.append(seen)
    assert orders[0] != orders[1]
    later = padded(sizes, batch_size=8, lengths=(8, 16, 32), seed=3, first_batch=9)
    np.testing.assert_array_equal(later[5][1], batches[14][1])


def test_pad_rows():
    assert pad_rows([[1], [1, 2, 3]], 2, 9).tolist() == [[1, 9], [1, 2]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TokenWindows([1, 2, 70], 1, 1, vocabulary_size=65),
            "Token id 70 is outside the vocabulary of 65",
        ),
        (lambda: TokenWindows([1, -2, 3], 1, 1, vocabulary_size=65), "Token id -2 is outside"),
        (lambda: TokenWindows([1, 2], 10, 1), "2 tokens is too short for windows of 10"),
        (lambda: TokenWindows(TEXT, 10, 0), "batch_size must be at least 1"),
        (lambda: padded([1], np.array([1, 2])), "1 rows but 2 labels"),
        (lambda: padded([3, 9], lengths=(4, 8)), "Row 1 has 9 tokens, more than the longest length, 8"),
        (lambda: padded([3, 2], vocabulary_size=2), "Token id 2 is outside the vocabulary of 2"),
        (lambda: Batches(0, 1), "0 rows do not fill one batch"),
    ],
)
def test_wrong_inputs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere the batches themselves")
def test_a_stream_gives_the_same_batches_again_and_again():
    for batches in (
        TokenWindows(TEXT, 10, 4, seed=1, first_batch=3),
        TokenWindows(TEXT, 10, 4, shuffle=False),
        padded([1, 9, 3, 30, 2, 7], lengths=(4, 8, 32), shuffle=False),
        padded([1, 9, 3, 30, 2, 7], lengths=(4, 8, 32), seed=1),
        *(
            padded([1, 2, 3, 4] * 3 + [7] * 4, batch_size=4, lengths=(4, 8), first_batch=first)
            for first in range(4)
        ),
    ):
        stream = batches.stream()
        for _ in range(2):  # each reading begins at the first batch
            read = list(stream.take(7).as_numpy_iterator())
            assert len(read) == (7 if batches.num_batches is None else batches.num_batches)
            for i, batch in enumerate(read):
                keras.tree.map_structure(np.testing.assert_array_equal, batch, batches[i])
        assert not stream.options().autotune.enabled  # or `fit` may wait a minute for it at its end


def test_windows_of_evaluation_have_one_shape():
    windows = TokenWindows(TEXT, 10, 4, shuffle=False)
    assert {windows[i][0].shape for i in range(windows.num_batches)} == {(4, 10)}
