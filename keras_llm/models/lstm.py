"""LSTM and GRU models as Keras `Sequential`: a label a text, a label a token, or the next token.

The cells are those of Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000 (LSTM), and of
Cho et al. 2014 (GRU). From rows to figures:

    rows = load_data("topics_en", "train")
    tokenizer, labels = train_tokenizer(rows), label_names(rows)
    X_train, y_train = preprocess_data(rows, tokenizer, labels, 40, "classifier")  # the same for the other splits
    model = build_model("classifier", tokenizer.vocabulary_size, len(labels))
    train_model(model, X_train, y_train, X_validation, y_validation, epochs=10, batch_size=32)
    evaluate_model(model, X_test, y_test)  # {"loss": ..., "accuracy": ...}

Padding changes no result: `Embedding(mask_zero=True)` hides id 0 from the cells, and the label -100
(`IGNORED_LABEL`) is left out of the loss and the accuracy.
"""

import keras
import numpy as np

from keras_llm.datasets import load
from keras_llm.datasets.batches import IGNORED_LABEL, pad_rows
from keras_llm.tokenizers import Tokenizer

CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
TASKS = ("classifier", "tagger", "language_model")

load_data = load

# --- From rows to arrays --------------------------------------------------------------------------------


def train_tokenizer(rows, vocabulary_size=10_000, lowercase=False, chinese="characters"):
    """A word-level tokenizer; give it the rows for training and no others.

    `[UNK]` is only learnt if `vocabulary_size` is smaller than the number of different words in `rows`. For
    `chinese` see `Tokenizer.train`.
    """
    texts = [" ".join(row["tokens"]) if "tokens" in row else row["text"] for row in rows]
    return Tokenizer.train(texts, "word", vocabulary_size, lowercase=lowercase, chinese=chinese)


def label_names(rows):
    """The labels or tags of the rows for training, sorted; a model's label `i` is number `i` in this list."""
    _require(rows, ("label",), ("tags",))
    return sorted({name for row in rows for name in (row["tags"] if "tags" in row else [row["label"]])})


def preprocess_data(rows, tokenizer, labels, max_sequence_length, task):
    """Turns rows into the two arrays that `model.fit` wants.

    Args:
        rows: `dict`s with `text` and `label` (classifier), `tokens` and `tags` (tagger), or `text`.
        tokenizer: a `Tokenizer` whose id 0 is special, such as `[PAD]`.
        labels: `label_names` of the rows for training; None for a language model.
        max_sequence_length: `T`. What is longer is cut off, but for a language model: it reads a text in
            windows of `T`, and each token but the first is to be predicted once.
        task: `"classifier"`, `"tagger"` or `"language_model"`.

    Returns:
        `(X, y)`, int32: token ids `[n, T]`, 0 at padding, and label numbers, `[n]` for a classifier, else
        `[n, T]` with -100 at padding and, for a tagger, at every piece of a token but the first.

    Raises:
        ValueError: no rows, missing columns, a label not in `labels`, or id 0 is an ordinary token.
    """
    _check_task(task)
    if task == "classifier":
        _require(rows, ("text", "label"))
        y = _numbers([row["label"] for row in rows], labels)
        return encode_texts([row["text"] for row in rows], tokenizer, max_sequence_length), np.array(
            y, "int32"
        )
    _check_padding_id(tokenizer)
    if task == "tagger":
        _require(rows, ("tokens", "tags"))
        pairs = [_tag_pieces(tokenizer, row["tokens"], _numbers(row["tags"], labels)) for row in rows]
    else:
        _require(rows, ("text",))
        pairs = _windows(tokenizer.encode([row["text"] for row in rows]), max_sequence_length)
    inputs, targets = zip(*pairs)
    X = pad_rows(inputs, max_sequence_length, 0)
    return X, pad_rows(targets, max_sequence_length, IGNORED_LABEL)


def encode_texts(texts, tokenizer, max_sequence_length):
    """Texts as a classifier reads them: int32 `[n, max_sequence_length]`, padded with 0 on the right."""
    _check_padding_id(tokenizer)
    sequences = [ids or [tokenizer.unknown_id or 0] for ids in tokenizer.encode(texts)]
    return pad_rows(sequences, max_sequence_length, 0)


def _tag_pieces(tokenizer, tokens, tags):
    """A tokenizer may cut a token into pieces: the first one gets the tag, the others none."""
    inputs, targets = [], []
    for ids, tag in zip(tokenizer.encode(tokens), tags):
        ids = [index for index in ids if index not in (tokenizer.class_id, tokenizer.separator_id)]
        ids = ids or [tokenizer.unknown_id or 0]
        inputs += ids
        targets += [tag] + [IGNORED_LABEL] * (len(ids) - 1)
    return inputs, targets


def _windows(texts, length):
    """Pairs of up to `length` tokens and, for each, the token that follows it."""
    starts = [(ids, start) for ids in texts for start in range(0, len(ids) - 1, length)]
    if not starts:
        raise ValueError("rows: no text has two tokens, so there is no next token to predict.")
    return [(ids[:-1][start : start + length], ids[1:][start : start + length]) for ids, start in starts]


def _numbers(names, labels):
    unknown = sorted(set(names) - set(labels))
    if unknown:
        raise ValueError(f"The label {unknown[0]!r} is not in labels, {labels}.")
    return [labels.index(name) for name in names]


# --- The model ------------------------------------------------------------------------------------------


def build_model(
    task,
    vocabulary_size,
    num_labels=None,
    embedding_dim=64,
    units=128,
    num_layers=1,
    cell="lstm",
    bidirectional=False,
    dropout=0.0,
):
    """Embedding, recurrent layers, softmax.

    Args:
        task: `"classifier"` (a label a text, from the last state), `"tagger"` (a label a token) or
            `"language_model"` (at each token, the next one).
        vocabulary_size: number of token ids.
        num_labels: number of labels; None for a language model, whose labels are the tokens.
        embedding_dim: width of the token vectors.
        units: width of the state, in each direction.
        num_layers: recurrent layers.
        cell: `"lstm"` or `"gru"`.
        bidirectional: also read from the end to the beginning, with weights of its own.
        dropout: rate after the embedding and after each recurrent layer.

    Returns:
        A `keras.Sequential` from int ids `[batch, T]`, padded with 0 on the right, to probabilities:
        `[batch, num_labels]`, `[batch, T, num_labels]` or `[batch, T, vocabulary_size]`.

    Raises:
        ValueError: a wrong argument, or a bidirectional language model.
    """
    _check_task(task)
    if cell not in CELLS:
        raise ValueError(f"cell must be one of {list(CELLS)}, got {cell!r}.")
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}.")
    if task == "language_model":
        if bidirectional:
            raise ValueError("bidirectional=True would show a language model the token it has to predict.")
        if num_labels is not None:
            raise ValueError(f"num_labels={num_labels}: the labels of a language model are its tokens.")
        num_labels = vocabulary_size
    elif num_labels is None or num_labels < 2:
        raise ValueError(f"num_labels must be at least 2 for a {task}, got {num_labels}.")

    model = keras.Sequential([keras.Input([None], dtype="int32")], name=task)  # [batch, T]
    model.add(keras.layers.Embedding(vocabulary_size, embedding_dim, mask_zero=True, name="embedding"))
    model.add(keras.layers.Dropout(dropout))  # [batch, T, embedding_dim]
    for i in range(num_layers):
        last_state_only = task == "classifier" and i == num_layers - 1
        layer = CELLS[cell](units, return_sequences=not last_state_only, name=f"{cell}_{i}")
        model.add(keras.layers.Bidirectional(layer, name=layer.name) if bidirectional else layer)
        model.add(keras.layers.Dropout(dropout))  # [batch, T, units], or [batch, units] of the last state
    model.add(keras.layers.Dense(num_labels, activation="softmax", name="output"))
    return model


def set_output_bias(model, y):
    """Sets the output layer's bias to the logarithms of how frequent the labels are; each gets one more count.

    For the language model of `build_model`, before it is trained. With a bias of zeros it first learns these
    frequencies, by states that are the same for every text: they grow until their slopes vanish, and behind several
    layers little that tells one text from another comes through after that.

    Args:
        model: from `build_model`.
        y: labels of `preprocess_data`; -100 is not counted.
    """
    kernel, bias = model.layers[-1].get_weights()  # [units, num_labels], [num_labels]
    counts = 1 + np.bincount(y[y != IGNORED_LABEL], minlength=len(bias))
    model.layers[-1].set_weights([kernel, np.log(counts / counts.sum())])


def transfer_weights(pretrained, model):
    """Copies all weights below the output layer, from a language model into a classifier or a tagger.

    Raises:
        ValueError: the two models have other layers or sizes there.
    """
    sources, targets = ([layer for layer in m.layers[:-1] if layer.weights] for m in (pretrained, model))
    sizes = [[(layer.name, [w.shape for w in layer.weights]) for layer in m] for m in (sources, targets)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"pretrained and model differ below the output layer: {sizes[0]} and {sizes[1]}.")
    for source, target in zip(sources, targets):
        target.set_weights(source.get_weights())


# --- Training and evaluation ----------------------------------------------------------------------------


def compile_model(model, optimizer):
    """`model.compile` with the cross-entropy of all labels but -100, and `accuracy` by the weights that `fit` gets."""
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=IGNORED_LABEL),  # "sparse": on integers
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )


def train_model(
    model,
    X_train,
    y_train,
    X_validation,
    y_validation,
    epochs,
    batch_size,
    learning_rate=1e-3,
    ema_momentum=None,
    patience=None,
    monitor="val_accuracy",
    callbacks=(),
    verbose=0,
):
    """Trains with Adam on the cross-entropy of all labels but -100.

    Args:
        model: from `build_model`.
        X_train, y_train, X_validation, y_validation: arrays of `preprocess_data`.
        epochs: passes over the training data, at most.
        batch_size: rows a step.
        learning_rate: of Adam.
        ema_momentum: validate and keep an exponential moving average of the weights; 0.99 averages over
            about 100 steps.
        patience: stop when `monitor` has not risen for so many epochs, and go back to the best one.
        monitor: a quantity in Keras' logs, the higher the better.
        callbacks: further Keras callbacks.
        verbose: as in `model.fit`.

    Returns:
        Keras' `History` with `loss`, `accuracy`, `val_loss` and `val_accuracy`.
    """
    averaging = {} if ema_momentum is None else {"use_ema": True, "ema_momentum": ema_momentum}
    compile_model(model, keras.optimizers.Adam(learning_rate, global_clipnorm=1.0, **averaging))
    callbacks = [*([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if averaging else []), *callbacks]
    if patience is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(monitor, mode="max", patience=patience, restore_best_weights=True)
        )
    return model.fit(
        X_train,
        y_train,
        sample_weight=_counted(y_train),
        validation_data=(X_validation, y_validation, _counted(y_validation)),
        epochs=epochs,
        batch_size=batch_size,
        callbacks=callbacks,
        verbose=verbose,
    )


def evaluate_model(model, X_test, y_test, batch_size=128):
    """Cross-entropy in nats and accuracy, each the mean over all labels but -100, whatever their batch.

    Returns:
        `{"loss": float, "accuracy": float}`; `exp(loss)` of a language model is its perplexity.

    Raises:
        ValueError: `X_test` and `y_test` differ in length, or no label counts.
    """
    if len(X_test) != len(y_test):
        raise ValueError(f"X_test has {len(X_test)} rows, but y_test {len(y_test)}.")
    loss = hits = count = 0
    for start in range(0, len(X_test), batch_size):
        labels = y_test[start : start + batch_size]
        probabilities = model.predict_on_batch(X_test[start : start + batch_size])
        counted = _counted(labels)
        labels, probabilities = labels[counted], probabilities[counted]  # [n], [n, num_labels]
        of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)
        loss -= np.log(np.maximum(of_label, 1e-7)).sum()  # not below the limit that Keras' loss has
        hits += (probabilities.argmax(axis=1) == labels).sum()
        count += len(labels)
    if count == 0:
        raise ValueError("y_test holds no label to evaluate on.")
    return {"loss": float(loss / count), "accuracy": float(hits / count)}


def predict_tags(model, tokenizer, labels, sentences, batch_size=128):
    """The tag of each token, for taggers.

    Args:
        model: a tagger of `build_model`.
        tokenizer: its `Tokenizer`.
        labels: its `label_names`.
        sentences: lists of words, of any length: the cells read on and on.
        batch_size: sentences a step.

    Returns:
        For each sentence a list of tags, one a word.
    """
    pieces, owners = zip(*(_tag_pieces(tokenizer, words, range(len(words))) for words in sentences))
    X = pad_rows(pieces, max(map(len, pieces)), 0)
    tags = []
    for start in range(0, len(X), batch_size):
        found = model.predict_on_batch(X[start : start + batch_size]).argmax(axis=-1)  # [batch, T]
        for own, row in zip(owners[start:], found):
            tags.append([labels[tag] for owner, tag in zip(own, row) if owner != IGNORED_LABEL])
    return tags


def _counted(labels):
    return labels != IGNORED_LABEL


# --- What is wrong is told ------------------------------------------------------------------------------


def _check_task(task):
    if task not in TASKS:
        raise ValueError(f"task must be one of {list(TASKS)}, got {task!r}.")


def _check_padding_id(tokenizer):
    if 0 not in tokenizer.special_ids:
        raise ValueError(
            f"tokenizer: id 0 is the ordinary token {tokenizer.id_to_token(0)!r}, but here 0 is padding. "
            'Train it with special_tokens=["[PAD]", "[UNK]"].'
        )


def _require(rows, *choices):
    if not rows:
        raise ValueError("rows is empty.")
    if not any(all(column in row for row in rows for column in columns) for columns in choices):
        wanted = " or ".join(" and ".join(columns) for columns in choices)
        raise ValueError(f"rows must all have {wanted}; the first one has {sorted(rows[0])}.")
