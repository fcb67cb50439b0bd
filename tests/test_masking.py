"""Masks: as many as asked, of the kinds asked, on the right tokens, and a function of seed, epoch and row."""

import itertools

import numpy as np
import pytest

from keras_llm.datasets.batches import IGNORED_LABEL
from keras_llm.datasets.masking import MaskedBatches, continuing_pieces, mask_tokens, pack_documents
from keras_llm.tokenizers import Tokenizer

PAD, UNK, CLS, SEP, MASK = SPECIAL = range(5)
VOCABULARY = 50
LENGTH = 40


def make_rows(num_rows=2000, seed=0, words=33):
    """Rows `[CLS] words [SEP] padding`: `words` ordinary tokens each, ids 5 to 49."""
    tokens = np.random.default_rng(seed).integers(5, VOCABULARY, size=(num_rows, words))
    rows = np.full((num_rows, LENGTH), PAD)
    rows[:, 0] = CLS
    rows[:, 1 : 1 + words] = tokens
    rows[:, 1 + words] = SEP
    return rows


def mask(rows, seed=0, **options):
    return mask_tokens(rows, np.random.default_rng(seed), MASK, VOCABULARY, SPECIAL, **options)


def sequences(num_rows, words=33):
    return [row[: words + 2].tolist() for row in make_rows(num_rows, words=words)]


def make_batches(texts, batch_size, **options):
    return MaskedBatches(texts, LENGTH, batch_size, MASK, PAD, SPECIAL, VOCABULARY, **options)


def hidden_places(positions, labels):
    """All chosen (row, place, label), read off the output one by one."""
    return [
        (row, int(place), int(label))
        for row, (places, names) in enumerate(zip(positions, labels))
        for place, label in zip(places, names)
        if label != IGNORED_LABEL
    ]


# ------------------------------------------------------------------------------------------------- packing


def test_packed_rows_hold_all_tokens_in_order():
    documents = [list(range(10, 13)), [], list(range(20, 45)), [50], [60, 61], list(range(70, 78))]
    rows = pack_documents(documents, 10, CLS, SEP)
    assert all(row[0] == CLS and row[-1] == SEP and len(row) <= 10 for row in rows)
    assert [index for row in rows for index in row if index > SEP] == [*itertools.chain(*documents)]
    assert rows[-2:] == [[CLS, 44, SEP, 50, SEP, 60, 61, SEP], [CLS, *range(70, 78), SEP]]
    assert rows[1] == [CLS, *range(20, 28), SEP]
    assert pack_documents([], 10, CLS, SEP) == []


# ------------------------------------------------------------------------------------------------- masking


def test_shapes_and_dtypes():
    masked_ids, positions, labels = mask(make_rows(7))
    assert masked_ids.shape == (7, LENGTH) and positions.shape == labels.shape == (7, 6)  # 0.15 * 40
    assert {masked_ids.dtype, positions.dtype, labels.dtype} == {np.dtype("int32")}


@pytest.mark.parametrize(
    ("rate", "words", "expected"), [(0.15, 33, 5), (0.15, 2, 1), (0.5, 7, 4), (0.4, 0, 0)]
)
def test_each_row_has_its_share_of_masks(rate, words, expected):
    _, positions, labels = mask(make_rows(200, words=words), rate=rate)
    np.testing.assert_array_equal((labels != IGNORED_LABEL).sum(axis=1), expected)
    np.testing.assert_array_equal(positions[labels == IGNORED_LABEL], 0)


def test_labels_are_the_original_ids_and_other_places_stay():
    rows = make_rows()
    masked_ids, positions, labels = mask(rows)
    chosen = np.zeros(rows.shape, bool)
    for row, place, label in hidden_places(positions, labels):
        assert rows[row, place] == label and label not in SPECIAL
        assert not chosen[row, place]  # none twice
        chosen[row, place] = True
    np.testing.assert_array_equal(masked_ids[~chosen], rows[~chosen])
    assert 0.14 < chosen.sum() / (2000 * 33) < 0.16
    places = np.where(labels == IGNORED_LABEL, LENGTH, positions)
    assert (np.diff(places, axis=1)[labels[:, 1:] != IGNORED_LABEL] > 0).all()  # ascending


def test_every_place_is_chosen_equally_often():
    _, positions, labels = mask(make_rows(20_000))
    counts = np.bincount(positions[labels != IGNORED_LABEL], minlength=LENGTH)
    expected = 20_000 * 5 / 33
    assert np.abs(counts[1:34] - expected).max() < 5 * np.sqrt(expected)
    assert counts[0] == counts[34:].sum() == 0


def test_eighty_ten_ten_and_random_ids_evenly():
    rows = make_rows(20_000)
    rows[:, 1:34] = 5  # one token everywhere: what else comes out was put in at random
    masked_ids, positions, labels = mask(rows)
    places = hidden_places(positions, labels)
    outcome = np.array([masked_ids[row, place] for row, place, _ in places])
    n = len(outcome)
    assert n == 100_000
    assert abs((outcome == MASK).mean() - 0.8) < 0.01
    assert abs((outcome == 5).mean() - (0.1 + 0.1 / 45)) < 0.01  # kept, and 1 of 45 random ids
    counts = np.bincount(outcome, minlength=VOCABULARY)
    assert counts[[PAD, UNK, CLS, SEP]].sum() == 0
    expected = n * 0.1 / 45
    assert np.abs(counts[6:] - expected).max() < 5 * np.sqrt(expected)  # each of the others, evenly


def test_one_generator_a_row_makes_rows_independent():
    rows = make_rows(6)
    whole = mask_tokens(rows, [np.random.default_rng(i) for i in range(6)], MASK, VOCABULARY, SPECIAL)
    part = mask_tokens(rows[4:], [np.random.default_rng(i) for i in (4, 5)], MASK, VOCABULARY, SPECIAL)
    for all_rows, last_rows in zip(whole, part):
        np.testing.assert_array_equal(all_rows[4:], last_rows)


# --------------------------------------------------------------------------------------------- whole words

CONTINUES = np.arange(VOCABULARY) >= 30  # ids 30 to 49 go on with the word before them


def words_of(row):
    """The places of each word, by a plain loop."""
    words = []
    for place, index in enumerate(row):
        if index in SPECIAL:
            continue
        if CONTINUES[index] and row[place - 1] not in SPECIAL:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def test_whole_words_stay_together():
    rows = make_rows(500)
    _, positions, labels = mask(rows, rate=0.3, continues=CONTINUES)
    chosen = [set() for _ in rows]
    for row, place, label in hidden_places(positions, labels):
        assert rows[row, place] == label
        chosen[row].add(place)
    counts = []
    for row, places in zip(rows, chosen):
        words = words_of(row)
        taken = [word for word in words if set(word) <= places]
        assert sum(map(len, taken)) == len(places)  # whole words and nothing else
        room = 10 - len(places)  # 10 = round(0.3 * 33)
        assert room >= 0
        assert all(len(word) > room for word in words if word not in taken)  # no other word would fit
        counts.append(len(places))
    assert np.mean(counts) > 9.5


def test_a_row_without_a_word_that_fits_has_no_mask():
    rows = np.array([[CLS, 10, 30, SEP], [CLS, 10, 11, SEP]])
    _, _, labels = mask(rows, continues=CONTINUES)
    assert (labels != IGNORED_LABEL).sum(axis=1).tolist() == [0, 1]


def test_a_piece_after_a_special_token_is_a_word_of_its_own():
    rows = np.array([[CLS, 30, SEP, 31, 32]] * 50)
    _, positions, labels = mask(rows, rate=0.4, continues=CONTINUES)  # room for one token
    assert {place for _, place, _ in hidden_places(positions, labels)} == {1}
    _, positions, labels = mask(rows, rate=0.6, continues=CONTINUES)  # for two
    found = {tuple(row[names != IGNORED_LABEL]) for row, names in zip(positions, labels)}
    assert found == {(1,), (3, 4)}


def test_continuing_pieces_of_a_tokenizer():
    text = "reading readers read sleeping sleepers sleep"
    tokenizer = Tokenizer.train([text] * 3, "wordpiece", vocabulary_size=40)
    continues = continuing_pieces(tokenizer)
    assert continues.shape == (tokenizer.vocabulary_size,) and 0 < continues.sum() < len(continues)
    ids = np.array([tokenizer.encode(text)])
    begins = [index for index in ids[0] if index not in tokenizer.special_ids and not continues[index]]
    assert len(begins) == 6  # one beginning a word


# ------------------------------------------------------------------------------------------------- batches


def assert_equal(batch, other):
    for name in ("token_ids", "masked_positions"):
        np.testing.assert_array_equal(batch[0][name], other[0][name])
    np.testing.assert_array_equal(batch[1], other[1])


def restored(batch):
    """The rows before they were masked."""
    inputs, labels = batch
    rows = inputs["token_ids"].copy()
    for row, place, label in hidden_places(inputs["masked_positions"], labels):
        rows[row, place] = label
    return rows


def test_a_batch_depends_on_seed_and_number_alone():
    texts = sequences(20)
    batches = make_batches(texts, 4, seed=3)
    assert batches.steps_per_epoch == 5 and batches.num_batches is None
    first = [batches.batch(i) for i in range(12)]
    again = make_batches(texts, 4, seed=3, first_batch=2)
    for i in reversed(range(10)):
        assert_equal(again[i], first[i + 2])
    assert not np.array_equal(make_batches(texts, 4, seed=4).batch(0)[1], first[0][1])


def masked_rows(batches, epoch):
    """Original row -> its masked form, over one epoch."""
    steps = batches.steps_per_epoch
    found = {}
    for i in range(epoch * steps, (epoch + 1) * steps):
        batch = batches.batch(i)
        for original, masked in zip(restored(batch).tolist(), batch[0]["token_ids"].tolist()):
            found[tuple(original)] = masked
    return found


def test_masks_of_a_row_do_not_depend_on_its_batch():
    texts = sequences(24)
    assert masked_rows(make_batches(texts, 4), 1) == masked_rows(make_batches(texts, 6), 1)


def test_fresh_masks_differ_between_epochs_and_fixed_do_not():
    texts = sequences(20)
    fresh = make_batches(texts, 4, seed=1)
    first, second = masked_rows(fresh, 0), masked_rows(fresh, 1)
    assert first.keys() == second.keys() and len(first) == 20
    assert sum(first[row] != second[row] for row in first) >= 18
    fixed = make_batches(texts, 4, seed=1, fresh=False)
    assert masked_rows(fixed, 0) == masked_rows(fixed, 1) == first


def test_two_rows_of_one_text_have_masks_of_their_own():
    batches = make_batches(sequences(1) * 8, 8, shuffle=False)
    assert len({tuple(row) for row in batches[0][0]["token_ids"].tolist()}) == 8


def test_padding_is_never_hidden():
    batches = MaskedBatches([[5]] * 50, LENGTH, 50, MASK, PAD, [CLS, SEP, MASK], VOCABULARY)
    _, labels = batches.batch(0)
    assert (labels[:, 0] == 5).all() and (labels[:, 1:] == IGNORED_LABEL).all()


def test_evaluation_counts_each_row_once_in_one_shape():
    texts = sequences(10)
    batches = make_batches(texts, 4, shuffle=False)
    assert batches.num_batches == 3
    read = [batches[i] for i in range(3)]
    for inputs, labels in read:
        assert inputs["token_ids"].shape == (4, LENGTH)
        assert inputs["masked_positions"].shape == labels.shape == (4, 6)
    rows = np.concatenate([restored(batch) for batch in read])
    np.testing.assert_array_equal(rows[:10, :35], texts)
    assert (rows[:10, 35:] == PAD).all() and (rows[10:] == PAD).all()
    assert (read[2][1][2:] == IGNORED_LABEL).all() and (read[2][1][:2] != IGNORED_LABEL).any()
    assert_equal(batches.batch(3), read[0])  # a second pass is the same


def test_training_leaves_the_rest_of_an_epoch_out_if_it_can():
    assert make_batches(sequences(10), 4).steps_per_epoch == 2
    few = make_batches(sequences(3), 4)
    assert few.steps_per_epoch == 1 and few.batch(0)[1].shape == (3, 6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pack_documents([[1]], 2, CLS, SEP), "length must be at least 3.*got 2"),
        (lambda: mask(make_rows(1), rate=0.0), "rate must be above 0 and below 1, got 0.0"),
        (lambda: make_batches([[70]], 1), "Token id 70 is outside the vocabulary of 50"),
        (lambda: make_batches([], 1), "0 rows do not fill one batch"),
        (lambda: make_batches([[5]], 0, shuffle=False), "batch_size must be at least 1"),
        (lambda: MaskedBatches([[5]], 4, 1, None, PAD, SPECIAL, 50), "mask_id=None"),
    ],
)
def test_wrong_inputs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
