"""Batches for `model.fit`, each a pure function of the seed and its number.

Nothing here remembers where it is: batch `i` can be made at any time, in any order, by any process. That
is what lets a run continue exactly where it was cut, and several workers share one set of data.
"""

import functools
import itertools
import math

import keras
import numpy as np

from keras_llm.datasets.labels import IGNORED_LABEL


class Batches(keras.utils.PyDataset):
    """A dataset whose batch `i` depends on `(seed, i)` alone.

    Shuffled, for training, it never ends: each pass through the data has an order of its own, and Keras
    counts on from pass to pass. Give `fit` the length of a pass:

        model.fit(batches, steps_per_epoch=batches.steps_per_epoch, epochs=3, shuffle=False)

    Unshuffled, for evaluation, it is one pass, in the order of the rows. `stream()` is the same for `fit`,
    `evaluate` and `predict` to read without a pause at their end.

    Args:
        num_rows: rows in the data.
        batch_size: rows a batch.
        seed: of the order.
        shuffle: as above.
        drop_remainder: leave out the last rows of a pass when they do not fill a batch, so that all
            batches have one shape.
        first_batch: the batch to begin with, to go on with a run that was cut.
    """

    copies = 1  # rows, one behind the other, that must stay on one device

    def __init__(self, num_rows, batch_size, seed=0, shuffle=True, drop_remainder=False, first_batch=0):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
        if num_rows < (batch_size if drop_remainder else 1):
            raise ValueError(f"{num_rows} rows do not fill one batch of {batch_size}.")
        self.num_rows = num_rows
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_remainder = drop_remainder
        self.first_batch = first_batch

    @property
    def steps_per_epoch(self):
        """Batches in one pass through the data."""
        whole, rest = divmod(self.num_rows, self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    @property
    def num_batches(self):
        """For Keras: `None` for ever, when shuffled, else the batches of one pass."""
        return None if self.shuffle else self.steps_per_epoch

    def __getitem__(self, i):
        return self.batch(self.first_batch + i)

    def batch(self, i):
        """Batch `i`, counted from the start of the run: arrays of inputs and labels."""
        epoch, i = divmod(i, self.steps_per_epoch)
        rows = self._order(epoch)[i * self.batch_size : (i + 1) * self.batch_size]
        return self.rows(rows, epoch)

    def stream(self):
        """These batches as a `tf.data.Dataset` that prepares two ahead; on other backends, themselves.

        Under a strategy of `tf.distribute` each replica gets its rows of each batch, the first ones the first replica.
        Every process makes the whole batches and keeps its own rows, so that what a step reads does not depend on the
        number of processes.

        Raises:
            ValueError: the rows of a batch cannot be split evenly.

        Keras makes a `tf.data.Dataset` of a `PyDataset` too, but with autotuning on: when `fit` or `evaluate`
        ends, TensorFlow (2.21) waits for the tuning thread, which may sleep for up to a minute.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        strategy = tf.distribute.get_strategy()
        if strategy.num_replicas_in_sync == 1:
            return self._dataset(1, [0])

        def own_parts(context):
            replicas = context.num_replicas_in_sync
            own = replicas // context.num_input_pipelines  # replicas of this process
            first = own * context.input_pipeline_id
            return self._dataset(replicas, range(first, first + own))

        dataset = strategy.distribute_datasets_from_function(own_parts)
        if self.num_batches is not None:
            dataset._cardinality = (
                self.num_batches
            )  # Keras counts batches, and TensorFlow counted their parts
        return dataset

    def _dataset(self, replicas, own):
        """A `tf.data.Dataset` of those parts of each batch that go to some replicas: `own`, one after the other."""
        import tensorflow as tf

        examples = [self._part(self.batch(i), 0, replicas) for i in self.different_shapes()]
        shapes = [_common_shape(arrays) for arrays in zip(*map(keras.tree.flatten, examples))]
        dtypes = [array.dtype for array in keras.tree.flatten(examples[0])]
        batch = functools.lru_cache(maxsize=1)(self.__getitem__)  # made once for all replicas

        def read(i):
            number, place = divmod(int(i), len(own))
            return keras.tree.flatten(self._part(batch(number), own[place], replicas))

        def element(i):
            arrays = tf.numpy_function(read, [i], dtypes)
            arrays = [tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes)]
            return keras.tree.pack_sequence_as(examples[0], arrays)

        # Not `from_generator`: a step that XLA compiles on one takes and gives back its memory at each call, which
        # costs a fifth of a small step (TensorFlow 2.21).
        numbers = (
            tf.data.Dataset.counter()
            if self.num_batches is None
            else tf.data.Dataset.range(self.num_batches * len(own))
        )
        dataset = numbers.map(element)
        options = tf.data.Options()
        options.autotune.enabled = False
        return dataset.prefetch(2 * len(own)).with_options(options)

    def _part(self, batch, replica, replicas):
        """The rows of a batch that go to one of some replicas, of which each gets as many."""
        rows = len(keras.tree.flatten(batch)[0])
        if rows % (replicas * self.copies):
            copies = f" and {self.copies} copies of each" if self.copies > 1 else ""
            raise ValueError(
                f"A batch of {rows} rows cannot be split evenly over {replicas} replicas{copies}. "
                f"Choose a batch size that is a multiple of {replicas}, or a larger tokens_per_batch."
            )
        own = slice(replica * rows // replicas, (replica + 1) * rows // replicas)
        return keras.tree.map_structure(lambda array: array[own], batch)

    def different_shapes(self):
        """Numbers of batches of the first pass in which every shape occurs."""
        return [0, self.steps_per_epoch - 1]

    def _order(self, epoch):
        if not self.shuffle:
            return np.arange(self.num_rows)
        return np.random.default_rng((self.seed, epoch)).permutation(self.num_rows)


class ArrayBatches(Batches):
    """Rows of two arrays, with a weight that is 0 at labels no loss counts.

    Args:
        inputs: array `[n, ...]`.
        labels: int array `[n]` or `[n, ...]`, with `IGNORED_LABEL` where there is none.
        batch_size, seed, shuffle, first_batch: see `Batches`.

    Each batch is a tuple: inputs, labels, and float32 weights in the labels' shape.
    """

    def __init__(self, inputs, labels, batch_size, seed=0, shuffle=True, first_batch=0):
        if len(inputs) != len(labels):
            raise ValueError(f"There are {len(inputs)} rows of inputs but {len(labels)} of labels.")
        super().__init__(len(inputs), batch_size, seed, shuffle, first_batch=first_batch)
        self.inputs = inputs
        self.labels = labels

    def rows(self, numbers, epoch):
        """Rows `numbers`."""
        labels = self.labels[numbers]
        return self.inputs[numbers], labels, (labels != IGNORED_LABEL).astype("float32")


class TokenWindows(Batches):
    """Running text cut into windows of equal length, for language models: labels are the next tokens.

    No token is padding and none is left out but for the last few: when shuffled, each epoch cuts the text
    at another offset, so that a token is seen at all places of a window.

    Args:
        token_ids: int `[n]`, the text.
        length: tokens a window.
        batch_size, seed, shuffle, first_batch: see `Batches`.
        vocabulary_size: when given, ids beyond it are refused.

    Each batch is a pair of int32 arrays `[batch_size, length]`: token ids and labels. Unshuffled, for
    evaluation, the last window and the last batch are filled up with `IGNORED_LABEL`: every token but the very
    first is predicted exactly once, and all batches have one shape.
    """

    def __init__(
        self, token_ids, length, batch_size, seed=0, shuffle=True, vocabulary_size=None, first_batch=0
    ):
        token_ids = np.asarray(token_ids, dtype="int32")
        check_ids(token_ids, vocabulary_size)
        windows = (len(token_ids) - 1) // length
        if not shuffle:
            windows = math.ceil((len(token_ids) - 1) / (length * batch_size)) * batch_size  # whole batches
        if windows < 1:
            raise ValueError(f"A text of {len(token_ids)} tokens is too short for windows of {length}.")
        self.token_ids = token_ids
        self.length = length
        super().__init__(windows, batch_size, seed, shuffle, shuffle and windows >= batch_size, first_batch)

    def rows(self, numbers, epoch):
        """Windows `numbers` of this epoch's cut."""
        spare = len(self.token_ids) - 1 - self.num_rows * self.length
        offset = int(np.random.default_rng((self.seed, epoch, 1)).integers(spare + 1)) if self.shuffle else 0
        starts = offset + np.asarray(numbers)[:, None] * self.length
        places = starts + np.arange(self.length + 1)  # [batch, length + 1]
        text = self.token_ids[np.minimum(places, len(self.token_ids) - 1)]
        labels = np.where(places[:, 1:] < len(self.token_ids), text[:, 1:], IGNORED_LABEL)
        return text[:, :-1], labels.astype("int32")


LENGTHS = (16, 32, 64, 128, 256, 512)  # of padded rows; each is a shape to compile a step for


class PaddedBatches(Batches):
    """Rows of unequal length, each in a batch with rows of like length and padded to one of a few lengths.

    Where the rows of a length do not fill a batch, the rest goes to the next longer one; the last batch of a
    pass is filled up with rows of padding whose labels no loss counts. So all batches of a length have one shape.

    Args:
        features: dict of name to list of lists of ints: `"token_ids"`, and what else stands beside each token,
            such as `"segment_ids"`, or in a row of its own length, such as a second text.
        labels: an array `[n]` or `[n, k]`, ints, or floats for regression; or a list of lists of ints, one a
            token of the last feature; or `None`.
        batch_size: rows a batch; or `None`, see `tokens_per_batch`.
        lengths: the lengths to pad to, ascending: one tuple for all features, or a dict of a feature's name to its
            tuple, all as long. A row goes where all its features fit.
        seed, shuffle, first_batch: see `Batches`.
        pad_id: fills the token ids; other features are filled with 0.
        vocabulary_size: when given, ids beyond it are refused.
        tokens_per_batch: in place of `batch_size`: so many places a batch in the longest of its features, padding
            counted, so that short rows come many together; above 8, the number of rows is one of 8, 16, 24, ...
        copies: how often each row stands in its batch, one copy behind the other; 2 for `RDropCrossEntropy`.

    Each batch is a tuple: a dict of int32 arrays `[rows, length]`, and labels `[rows, ...]` or `[rows, length]`,
    filled with `IGNORED_LABEL` (floats with NaN); without labels the dict alone.

    Raises:
        ValueError: a row is longer than the longest length, or features and labels differ in number.
    """

    def __init__(
        self,
        features,
        labels,
        batch_size=None,
        lengths=LENGTHS,
        seed=0,
        shuffle=True,
        pad_id=0,
        vocabulary_size=None,
        first_batch=0,
        tokens_per_batch=None,
        copies=1,
    ):
        num_rows = len(next(iter(features.values())))
        for name, values in (features if labels is None else {**features, "labels": labels}).items():
            if len(values) != num_rows:
                raise ValueError(f"There are {num_rows} rows but {len(values)} {name}.")
        if (batch_size is None) == (tokens_per_batch is None):
            raise ValueError("Give either batch_size or tokens_per_batch.")
        super().__init__(num_rows, batch_size or 1, seed, shuffle, first_batch=first_batch)
        for row in itertools.chain(*features.values()):
            check_ids(np.asarray(row), vocabulary_size)
        self.features = features
        self.labels = labels
        self.lengths = lengths if isinstance(lengths, dict) else {name: sorted(lengths) for name in features}
        self.pad_id = pad_id
        self.copies = copies
        self.bucket_of = np.max([self._buckets(name) for name in features], axis=0)  # [num_rows]
        longest = [max(own) for own in zip(*self.lengths.values())]  # of each bucket
        self.batch_sizes = [batch_size or _whole_eights(tokens_per_batch // length) for length in longest]
        self._steps_per_epoch = len(self._plan(0))

    def _buckets(self, name):
        """For each row the first length that is long enough for this feature, by its number."""
        sizes, lengths = np.array([len(row) for row in self.features[name]]), self.lengths[name]
        if sizes.max() > lengths[-1]:
            raise ValueError(
                f"Row {int(sizes.argmax())} has {sizes.max()} tokens, more than the longest length, {lengths[-1]}."
            )
        return np.searchsorted(lengths, sizes)

    def _plan(self, epoch):
        """The batches of an epoch: pairs of a bucket's number and row numbers."""
        order, plan, rest = self._order(epoch), [], np.array([], int)
        for bucket, size in enumerate(self.batch_sizes):
            rows = np.concatenate([rest, order[self.bucket_of[order] == bucket]])
            whole = len(rows) // size * size
            plan += [(bucket, part) for part in rows[:whole].reshape(-1, size)]
            rest = rows[whole:]
        if len(rest):
            plan.append((int(self.bucket_of[rest].max()), rest))
        if self.shuffle:
            plan = [plan[i] for i in np.random.default_rng((self.seed, epoch, 1)).permutation(len(plan))]
        return plan

    @property
    def steps_per_epoch(self):
        """Batches in one pass through the data; as many in every pass."""
        return self._steps_per_epoch

    def batch(self, i):
        """Batch `i`, counted from the start of the run."""
        bucket, rows = self.rows_of(i)
        missing = self.batch_sizes[bucket] - len(rows)
        inputs = {
            name: pad_rows(
                [values[row] for row in rows] + [[]] * missing,
                self.lengths[name][bucket],
                self.pad_id if name == "token_ids" else 0,
            )
            for name, values in self.features.items()
        }
        batch = inputs if self.labels is None else (inputs, self._labels(rows, bucket, missing))
        return keras.tree.map_structure(lambda array: np.repeat(array, self.copies, axis=0), batch)

    def rows_of(self, i):
        """The number of its length, and the row numbers, of batch `i`."""
        epoch, i = divmod(i, self.steps_per_epoch)
        return self._plan(epoch)[i]

    def _labels(self, rows, bucket, missing):
        if isinstance(self.labels, list):
            length = [*self.lengths.values()][-1][bucket]
            return pad_rows([self.labels[row] for row in rows] + [[]] * missing, length, IGNORED_LABEL)
        labels = self.labels[rows]
        kind, filler = ("float32", np.nan) if labels.dtype.kind == "f" else ("int32", IGNORED_LABEL)
        return np.concatenate([labels, np.full((missing, *labels.shape[1:]), filler)]).astype(kind)

    def different_shapes(self):
        """Numbers of batches of the first pass, one of each length."""
        buckets = [bucket for bucket, _ in self._plan(0)]
        return [buckets.index(bucket) for bucket in dict.fromkeys(buckets)]


def _whole_eights(rows):
    """The number of rows rounded down to a multiple of 8, which suits an accelerator; at least 1."""
    return rows // 8 * 8 if rows > 8 else max(rows, 1)


def _common_shape(arrays):
    """The shape of several arrays of equal rank; None where they differ."""
    return [sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*(array.shape for array in arrays))]


def pad_rows(rows, length, value):
    """Lists of ints cut or filled with `value` to one int32 array `[len(rows), length]`."""
    padded = np.full((len(rows), length), value, dtype="int32")
    for row, target in zip(rows, padded):
        target[: len(row)] = row[:length]
    return padded


def check_ids(token_ids, vocabulary_size):
    """Refuses ids outside `[0, vocabulary_size)`: a lookup on an accelerator would not notice them."""
    if vocabulary_size is None or token_ids.size == 0:
        return
    low, high = int(token_ids.min()), int(token_ids.max())
    if low < 0 or high >= vocabulary_size:
        raise ValueError(
            f"Token id {high if high >= vocabulary_size else low} is outside the vocabulary of {vocabulary_size}. "
            "Was the text encoded with the tokenizer of this model?"
        )
