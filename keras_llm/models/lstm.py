"""LSTM and GRU models as Keras `Sequential`: a label a text, a label a token, or the next token.

The cells are those of Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000 (LSTM) and of
Cho et al. 2014 (GRU), as Keras has them. From raw rows to a number, with nothing between:

    rows = load_data("topics_en", "train")
    tokenizer, labels = train_tokenizer(rows), label_names(rows)
    X_train, y_train = preprocess_data(rows, tokenizer, labels, 40, "classifier")
    X_validation, y_validation = preprocess_data(load_data("topics_en", "validation"), tokenizer, labels, 40, ...)
    model = build_model("classifier", tokenizer.vocabulary_size, len(labels))
    train_model(model, X_train, y_train, X_validation, y_validation, epochs=10, batch_size=32)
    evaluate_model(model, X_test, y_test)  # {"loss": ..., "accuracy": ...}

Id 0 is padding and nothing else. `Embedding(mask_zero=True)` hides it from the cells, the label -100
(`IGNORED_LABEL`) from the loss and the accuracy, so padding changes no result.
"""

import keras
import numpy as np

from keras_llm.datasets import load
from keras_llm.datasets.batches import IGNORED_LABEL, pad_rows
from keras_llm.tokenizers import Tokenizer

CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
TASKS = ("classifier", "tagger", "language_model")
PADDING = 0

load_data = load  # the documents' name for it


# From rows to arrays


def train_tokenizer(rows, vocabulary_size=10_000, lowercase=False, chinese="characters"):
    """A word-level tokenizer of the texts of these rows; give it the training rows and no others.

    Args:
        rows: `dict`s with `text`, or with `tokens`.
        vocabulary_size: the most frequent words to keep, `[PAD]` (id 0) and `[UNK]` (id 1) among them. Keep
            fewer words than there are: only then `[UNK]` occurs in training, and is learnt.
        lowercase: whether `The` and `the` are one word.
        chinese: `"characters"`, or `"words"` cut by jieba.
    """
    texts = [" ".join(row["tokens"]) if "tokens" in row else row["text"] for row in rows]
    return Tokenizer.train(texts, "word", vocabulary_size, lowercase=lowercase, chinese=chinese)


def label_names(rows):
    """The labels (or tags) that occur in these rows, sorted: label `i` of a model is `label_names(rows)[i]`.

    Raises:
        ValueError: the rows have neither a `label` nor `tags`.
    """
    _require(rows, ("label",), ("tags",))
    names = {tag for row in rows for tag in (row["tags"] if "tags" in row else [row["label"]])}
    return sorted(names)


def preprocess_data(rows, tokenizer, labels, max_sequence_length, task):
    """Turns rows into the two arrays that `model.fit` wants.

    Args:
        rows: `dict`s with `text` and `label` (classifier), `tokens` and `tags` (tagger), `text` (language
            model).
        tokenizer: a `Tokenizer` whose id 0 is special, such as `[PAD]`.
        labels: list of the label names, from `label_names` of the training rows; None for a language model.
        max_sequence_length: `T`. Of longer texts and sentences the rest is cut off; a language model reads
            them in windows of this length and predicts every token but the first of a text once.
        task: `"classifier"`, `"tagger"` or `"language_model"`.

    Returns:
        `(X, y)`, int32: token ids `[n, T]`, 0 where padded, and numbers of labels. `y` is `[n]` for a
        classifier and `[n, T]` else, -100 where no label is asked: at padding, and for a tagger at all
        pieces of a token but its first.

    Raises:
        ValueError: no rows, other columns, a label that is not in `labels`, an unknown task, or a tokenizer
            whose id 0 is an ordinary token.
    """
    _check_task(task)
    if task == "classifier":
        _require(rows, ("text", "label"))
        X = encode_texts([row["text"] for row in rows], tokenizer, max_sequence_length)
        return X, np.array(_numbers([row["label"] for row in rows], labels), "int32")
    _check_id_0(tokenizer)
    if task == "tagger":
        _require(rows, ("tokens", "tags"))
        pairs = [_tag_pieces(tokenizer, row["tokens"], _numbers(row["tags"], labels)) for row in rows]
    else:
        _require(rows, ("text",))
        texts = tokenizer.encode([row["text"] for row in rows])
        pairs = [pair for ids in texts for pair in _windows(ids, max_sequence_length)]
        if not pairs:
            raise ValueError("rows: no text has two tokens, so there is no next token to predict.")
    inputs, targets = zip(*pairs)
    X = pad_rows(inputs, max_sequence_length, PADDING)
    return X, pad_rows(targets, max_sequence_length, IGNORED_LABEL)


def encode_texts(texts, tokenizer, max_sequence_length):
    """Token ids int32 `[n, max_sequence_length]` of a list of texts: what a trained classifier reads."""
    _check_id_0(tokenizer)
    sequences = [ids or [tokenizer.unknown_id or PADDING] for ids in tokenizer.encode(texts)]
    return pad_rows(sequences, max_sequence_length, PADDING)


def _tag_pieces(tokenizer, tokens, tags):
    """A tokenizer may cut a token into pieces: the first one gets its tag, the others none."""
    inputs, targets = [], []
    for ids, tag in zip(tokenizer.encode(tokens), tags):
        ids = [index for index in ids if index not in (tokenizer.class_id, tokenizer.separator_id)]
        ids = ids or [tokenizer.unknown_id or PADDING]
        inputs += ids
        targets += [tag] + [IGNORED_LABEL] * (len(ids) - 1)
    return inputs, targets


def _windows(ids, length):
    inputs, targets = ids[:-1], ids[1:]  # at each place, the token and the one that follows it
    starts = range(0, len(inputs), length)
    return [(inputs[start : start + length], targets[start : start + length]) for start in starts]


def _numbers(names, labels):
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = [name for name in names if name not in numbers]
    if unknown:
        raise ValueError(f"The label {unknown[0]!r} is not in labels, {labels}. Was it never in training?")
    return [numbers[name] for name in names]


# The model


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
        task: `"classifier"`: a label a text, from the last state. `"tagger"`: a label a token.
            `"language_model"`: the next token, at each token.
        vocabulary_size: number of token ids.
        num_labels: number of labels; None for a language model, whose labels are the tokens.
        embedding_dim: width of the token vectors.
        units: width of the state, in each direction.
        num_layers: recurrent layers.
        cell: `"lstm"` or `"gru"`.
        bidirectional: also read from the end to the beginning, with weights of its own.
        dropout: rate after the embedding and after each recurrent layer.

    Returns:
        A `keras.Sequential`: int ids `[batch, T]`, 0 where padded, on the right -> probabilities
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
            raise ValueError(
                "bidirectional=True would show a language model the very token it has to predict."
            )
        if num_labels not in (None, vocabulary_size):
            raise ValueError(
                f"num_labels={num_labels}: the labels of a language model are its tokens; omit it."
            )
        num_labels = vocabulary_size
    elif num_labels is None or num_labels < 2:
        raise ValueError(f"num_labels must be at least 2 for a {task}, got {num_labels}.")

    model = keras.Sequential(name=task)
    model.add(keras.Input([None], dtype="int32"))  # [batch, T]
    model.add(keras.layers.Embedding(vocabulary_size, embedding_dim, mask_zero=True, name="embedding"))
    model.add(keras.layers.Dropout(dropout))  # [batch, T, embedding_dim]
    for i in range(num_layers):
        whole_sequence = task != "classifier" or i < num_layers - 1
        layer = CELLS[cell](units, return_sequences=whole_sequence, name=f"{cell}_{i}")
        model.add(keras.layers.Bidirectional(layer, name=layer.name) if bidirectional else layer)
        model.add(keras.layers.Dropout(dropout))  # [batch, T, units], or [batch, units] of the last state
    model.add(keras.layers.Dense(num_labels, activation="softmax", name="output"))
    return model


def transfer_weights(pretrained, model):
    """Copies everything below the output layer: from a language model into a classifier or a tagger.

    Args:
        pretrained: a model of `build_model`.
        model: one of the same `vocabulary_size`, `embedding_dim`, `units`, `num_layers`, `cell` and
            `bidirectional`. Its output layer stays as it is.

    Raises:
        ValueError: the models are not of the same shape; nothing was copied.
    """
    sources, targets = pretrained.layers[:-1], model.layers[:-1]
    shapes = [
        [(w.path.split("/", 1)[-1], tuple(w.shape)) for layer in part for w in layer.weights]
        for part in (sources, targets)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(f"pretrained and model differ below the output layer: {shapes[0]} and {shapes[1]}.")
    for source, target in zip(sources, targets):
        target.set_weights(source.get_weights())


# Training and evaluation


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
    callbacks=(),
    verbose=0,
):
    """Trains with Adam on the cross-entropy of the labels that are not -100.

    Args:
        model: from `build_model`.
        X_train, y_train, X_validation, y_validation: arrays of `preprocess_data`.
        epochs: passes over the training data, at most.
        batch_size: rows a step.
        learning_rate: of Adam.
        ema_momentum: such as 0.99: validate and keep not the last weights but their exponential moving
            average, which is less noisy.
        patience: stop when `val_accuracy` has not risen for so many epochs, and go back to the weights of
            the best one.
        callbacks: further Keras callbacks.
        verbose: as in `model.fit`.

    Returns:
        Keras' `History`: loss, accuracy, val_loss and val_accuracy of each epoch.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(
            learning_rate,
            global_clipnorm=1.0,
            use_ema=ema_momentum is not None,
            ema_momentum=ema_momentum or 0.99,
        ),
        # Integer labels: the "sparse" form. The categorical one wants each label as a row of 0s and a 1.
        loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=IGNORED_LABEL),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    callbacks = list(callbacks)
    if patience is not None:
        stop = keras.callbacks.EarlyStopping(
            "val_accuracy", patience=patience, mode="max", restore_best_weights=True
        )
        callbacks.insert(0, stop)
    if ema_momentum is not None:
        callbacks.insert(
            0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
        )  # before what looks at the weights
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
    """Mean cross-entropy, in nats a label, and accuracy over all labels that are not -100.

    Every label weighs the same, whichever batch it is in and however many others are in it.

    Returns:
        `{"loss": float, "accuracy": float}`; `exp(loss)` of a language model is its perplexity.

    Raises:
        ValueError: `X_test` and `y_test` differ in length, or no label counts.
    """
    if len(X_test) != len(y_test):
        raise ValueError(f"X_test has {len(X_test)} rows, but y_test {len(y_test)}.")
    if not np.any(_counted(y_test)):
        raise ValueError("y_test holds no label to evaluate on.")
    loss = hits = count = 0
    for start in range(0, len(X_test), batch_size):
        labels = y_test[start : start + batch_size]
        probabilities = model.predict_on_batch(X_test[start : start + batch_size])
        counted = labels != IGNORED_LABEL
        labels, probabilities = labels[counted], probabilities[counted]  # [n], [n, num_labels]
        of_label = probabilities[np.arange(len(labels)), labels]
        loss -= np.log(np.maximum(of_label, 1e-7)).sum()  # Keras' own lower limit for a probability
        hits += (probabilities.argmax(-1) == labels).sum()
        count += len(labels)
    return {"loss": float(loss / count), "accuracy": float(hits / count)}


def _counted(labels):
    """1 where a label counts, else 0: Keras' sample weights, by which the accuracy is weighed."""
    return (np.asarray(labels) != IGNORED_LABEL).astype("float32")


# What is wrong is told


def _check_task(task):
    if task not in TASKS:
        raise ValueError(f"task must be one of {list(TASKS)}, got {task!r}.")


def _check_id_0(tokenizer):
    if PADDING not in tokenizer.special_ids:
        raise ValueError(
            f"tokenizer: id 0 is the ordinary token {tokenizer.id_to_token(PADDING)!r}, but these models take 0 for "
            'padding. Train it with special_tokens=["[PAD]", "[UNK]"].'
        )


def _require(rows, *choices):
    """The rows must all have the columns of one of `choices`."""
    if not rows:
        raise ValueError("rows is empty.")
    if not any(all(column in row for row in rows for column in choice) for choice in choices):
        wanted = " or ".join(" and ".join(choice) for choice in choices)
        raise ValueError(f"rows must have {wanted}, but they have {sorted(rows[0])}.")
