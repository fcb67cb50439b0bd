"""Masked language modelling (Devlin et al. 2019, section 3.1 and appendix A.1): some tokens are hidden.

Chosen tokens are the labels. 80 % of them become `[MASK]`, 10 % a random token and 10 % stay: a model that
sees no `[MASK]` later, in fine-tuning, must have learnt to keep an eye on every token.
"""

import math

import numpy as np

from keras_llm.datasets.batches import IGNORED_LABEL, Batches, check_ids, pad_rows


def pack_documents(documents, length, class_id, separator_id):
    """Cuts documents into rows `[CLS] piece [SEP]`; short pieces share a row: `[CLS] a [SEP] b [SEP]`.

    Args:
        documents: list of lists of token ids, without `[CLS]` and `[SEP]`.
        length: the most ids a row.
        class_id, separator_id: the ids of `[CLS]` and `[SEP]`.

    Returns:
        A list of lists of ids: all tokens of the documents, in their order.

    Raises:
        ValueError: `length` leaves no place for a token.
    """
    if length < 3:
        raise ValueError(f"length must be at least 3, for [CLS], a token and [SEP], got {length}.")
    rows = []
    for document in documents:
        for start in range(0, len(document), length - 2):
            piece = [*document[start : start + length - 2], separator_id]
            if not rows or len(rows[-1]) + len(piece) > length:
                rows.append([class_id])
            rows[-1] += piece
    return rows


def mask_tokens(token_ids, rng, mask_id, vocabulary_size, special_ids, rate=0.15, continues=None):
    """Hides tokens for a model to find.

    Args:
        token_ids: int `[batch, length]`.
        rng: a `numpy.random.Generator`, or a list of one for each row: then a row's masks do not depend on
            the other rows.
        mask_id: the id of `[MASK]`.
        vocabulary_size: random tokens have ids below it.
        special_ids: ids, that of the padding among them, that are neither hidden nor put in as random tokens.
        rate: the share of a row's ordinary tokens to choose, rounded to a whole number, at least 1.
        continues: bool `[vocabulary_size]`, True for pieces that go on with the word before them (see
            `continuing_pieces`). When given, all pieces of a word are chosen or none, as many words as the
            number above has room for: where that is 1, a row without a word of one piece has no mask.

    Returns:
        `(masked_ids, positions, labels)`: int32 `[batch, length]` and twice `[batch, ceil(rate * length)]`.
        `positions` are the chosen places of a row, ascending, and `labels` the ids that stood there; what is
        left over has position 0 and label `IGNORED_LABEL`.

    Raises:
        ValueError: `rate` is not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate must be above 0 and below 1, got {rate}.")
    token_ids = np.asarray(token_ids, dtype="int32")
    batch, length = token_ids.shape
    generators = rng if isinstance(rng, list) else [rng] * batch
    uniform = np.stack([generator.random((3, length)) for generator in generators], axis=1)
    order, fate, substitute = uniform  # each [batch, length]

    is_ordinary = np.ones(vocabulary_size, dtype=bool)
    is_ordinary[list(special_ids)] = False
    ordinary, ordinary_ids = is_ordinary[token_ids], np.flatnonzero(is_ordinary)
    words = _number_words(token_ids, ordinary, continues)
    chosen = _choose_words(words, order, quota=np.maximum(1, np.rint(rate * ordinary.sum(axis=1))))

    substitutes = ordinary_ids[(substitute * len(ordinary_ids)).astype("int32")]
    hidden = np.where(fate < 0.8, mask_id, np.where(fate < 0.9, substitutes, token_ids))
    masked_ids = np.where(chosen, hidden, token_ids).astype("int32")

    most = math.ceil(rate * length)
    positions = np.argsort(~chosen, axis=1, kind="stable")[:, :most]  # the chosen places come first
    used = np.take_along_axis(chosen, positions, axis=1)
    labels = np.where(used, np.take_along_axis(token_ids, positions, axis=1), IGNORED_LABEL)
    return masked_ids, np.where(used, positions, 0).astype("int32"), labels.astype("int32")


def _number_words(token_ids, ordinary, continues):
    """The number of each token's word in its row, from 1 on; 0 for special tokens."""
    begins = ordinary.copy()
    if continues is not None:
        begins[:, 1:] &= ~(np.asarray(continues)[token_ids[:, 1:]] & ordinary[:, :-1])
    return np.cumsum(begins, axis=1) * ordinary


def _choose_words(words, order, quota):
    """Takes the words of each row in random order, each that still has room in the row's quota of tokens."""
    batch, length = words.shape
    rows = np.arange(batch)
    sizes = np.zeros((batch, length + 1), dtype="int32")
    np.add.at(sizes, (rows[:, None], words), 1)
    chosen = np.zeros((batch, length + 1), dtype=bool)
    for word in np.argsort(order, axis=1).T + 1:  # the next word of each row: [batch]
        size = sizes[rows, word]
        fits = size <= quota
        quota = quota - size * fits
        chosen[rows, word] = fits
    return np.take_along_axis(chosen, words, axis=1)  # word 0, the special tokens, is never taken


class MaskedBatches(Batches):
    """Rows of text with hidden tokens, for masked language modelling.

    What is hidden in a row depends on the seed, the epoch and the row's number, not on the rows beside it.

    Args:
        sequences: list of lists of token ids, `[CLS] ... [SEP]` (see `pack_documents`).
        length: tokens a row; longer sequences are cut, shorter ones padded on the right.
        batch_size, seed, shuffle, first_batch: see `Batches`.
        mask_id, pad_id, special_ids, vocabulary_size: of the tokenizer.
        continues: see `mask_tokens`: given, whole words are hidden.
        rate: the share of tokens to choose.
        fresh: hide other tokens in each epoch. Unshuffled, for evaluation, they are always the same.

    Each batch is `({"token_ids": [batch, length], "masked_positions": [batch, M]}, labels [batch, M])`, all
    int32, with `M = ceil(rate * length)`; see `mask_tokens`. Unshuffled, the last batch is filled up with rows
    of padding, whose labels are all `IGNORED_LABEL`; shuffled, the rows left over by the last whole batch of
    an epoch are left out: all batches have one shape.
    """

    def __init__(
        self,
        sequences,
        length,
        batch_size,
        mask_id,
        pad_id,
        special_ids,
        vocabulary_size,
        continues=None,
        seed=0,
        shuffle=True,
        rate=0.15,
        fresh=True,
        first_batch=0,
    ):
        if mask_id is None or pad_id is None:
            raise ValueError(f"Masking needs a tokenizer with [MASK] and [PAD], got {mask_id=}, {pad_id=}.")
        enough = len(sequences) >= batch_size
        super().__init__(len(sequences), batch_size, seed, shuffle, shuffle and enough, first_batch)
        if not shuffle:
            self.num_rows = self.steps_per_epoch * batch_size
        rows_of_padding = [[]] * (self.num_rows - len(sequences))
        self.token_ids = pad_rows([*sequences, *rows_of_padding], length, pad_id)
        check_ids(self.token_ids, vocabulary_size)
        self.fresh = fresh and shuffle
        self._options = {
            "mask_id": mask_id,
            "vocabulary_size": vocabulary_size,
            "special_ids": [*special_ids, pad_id],
            "rate": rate,
            "continues": continues,
        }

    def rows(self, numbers, epoch):
        """Rows `numbers` with this epoch's masks."""
        epoch = epoch if self.fresh else 0
        # The 2 keeps these numbers apart from those of the order, which come from (seed, epoch).
        generators = [np.random.default_rng((self.seed, epoch, 2, int(number))) for number in numbers]
        masked_ids, positions, labels = mask_tokens(self.token_ids[numbers], generators, **self._options)
        return {"token_ids": masked_ids, "masked_positions": positions}, labels


def continuing_pieces(tokenizer):
    """WordPiece's tokens that go on with the word before them, `"##ing"`: bool `[vocabulary_size]`."""
    continues = np.zeros(tokenizer.vocabulary_size, dtype=bool)
    continues[[index for token, index in tokenizer.vocabulary.items() if token.startswith("##")]] = True
    return continues
