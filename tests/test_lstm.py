"""LSTM and GRU models against the papers' formulas in NumPy, and against hand computations."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.models import lstm
from keras_llm.recipes.lstm import train_lstm
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.callbacks import Guard

VOCABULARY, LABELS, LENGTH = 11, 3, 6


def tiny(task="classifier", **options):
    keras.utils.set_random_seed(1)
    sizes = {"embedding_dim": 5, "units": 4, **options}
    model = lstm.build_model(task, VOCABULARY, None if task == "language_model" else LABELS, **sizes)
    for i, variable in enumerate(model.trainable_variables):  # biases are 0 or 1 at first: make them count
        noise = np.random.default_rng(i).normal(size=variable.shape, scale=0.3)
        variable.assign(np.asarray(variable) + noise.astype("float32"))
    return model


def ids(*shape):
    return np.random.default_rng(sum(shape)).integers(1, VOCABULARY, shape).astype("int32")


def close(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=tolerance, atol=tolerance)


# The formulas


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def np_lstm(x, kernel, recurrent_kernel, bias):
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000; Keras' columns are i, f, g, o."""
    h = c = np.zeros([len(x), len(recurrent_kernel)])
    states = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)  # forget some of the old, write some of the new
        h = sigmoid(o) * np.tanh(c)  # show some of it
        states.append(h)
    return np.stack(states, axis=1)


def np_gru(x, kernel, recurrent_kernel, bias):
    """Cho et al. 2014 in the variant that cuDNN computes (reset after the product); columns z, r, candidate."""
    h = np.zeros([len(x), len(recurrent_kernel)])
    states = []
    for t in range(x.shape[1]):
        x_z, x_r, x_g = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        h_z, h_r, h_g = np.split(h @ recurrent_kernel + bias[1], 3, axis=1)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        h = z * h + (1 - z) * np.tanh(x_g + r * h_g)
        states.append(h)
    return np.stack(states, axis=1)


CELLS = {"lstm": np_lstm, "gru": np_gru}


def weights_of(model, name):
    return [np.asarray(w, "float64") for w in model.get_layer(name).get_weights()]


@pytest.mark.parametrize("task", lstm.TASKS)
@pytest.mark.parametrize("cell", CELLS)
def test_two_layers_equal_the_formula(cell, task):
    model = tiny(task, cell=cell, num_layers=2)
    token_ids = ids(3, LENGTH)
    x = weights_of(model, "embedding")[0][token_ids]
    for i in range(2):
        x = CELLS[cell](x, *weights_of(model, f"{cell}_{i}"))
    kernel, bias = weights_of(model, "output")
    expected = softmax((x[:, -1] if task == "classifier" else x) @ kernel + bias)
    close(model(token_ids), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_equal_the_formula(cell):
    model = tiny("tagger", cell=cell, bidirectional=True)
    token_ids = ids(3, LENGTH)
    x = weights_of(model, "embedding")[0][token_ids]
    weights = weights_of(model, f"{cell}_0")
    forward = CELLS[cell](x, *weights[:3])
    backward = CELLS[cell](x[:, ::-1], *weights[3:])[:, ::-1]
    kernel, bias = weights_of(model, "output")
    close(model(token_ids), softmax(np.concatenate([forward, backward], axis=-1) @ kernel + bias))


# Shapes, padding, masks

SHAPES = {"classifier": (3, LABELS), "tagger": (3, LENGTH, LABELS), "language_model": (3, LENGTH, VOCABULARY)}
BIDIRECTIONAL = [
    (task, both) for task in lstm.TASKS for both in (False, True) if task != "language_model" or not both
]


@pytest.mark.parametrize(("task", "bidirectional"), BIDIRECTIONAL)
def test_outputs_are_probabilities(task, bidirectional):
    model = tiny(task, bidirectional=bidirectional, num_layers=2, dropout=0.5)
    probabilities = np.asarray(model(ids(3, LENGTH)))
    assert probabilities.shape == SHAPES[task]
    assert probabilities.min() > 0
    close(probabilities.sum(-1), np.ones(SHAPES[task][:-1]))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("task", "bidirectional"), BIDIRECTIONAL)
def test_padding_changes_nothing(task, bidirectional, cell):
    model = tiny(task, bidirectional=bidirectional, cell=cell, num_layers=2)
    token_ids = ids(3, LENGTH)
    padded = np.pad(token_ids, [(0, 0), (0, 5)])
    output = np.asarray(model(padded))
    close(output if task == "classifier" else output[:, :LENGTH], model(token_ids), tolerance=1e-6)


@pytest.mark.parametrize(("task", "bidirectional"), BIDIRECTIONAL)
def test_what_a_token_sees(task, bidirectional):
    model = tiny(task, bidirectional=bidirectional)
    token_ids = ids(1, LENGTH)
    changed = token_ids.copy()
    changed[0, -1] = changed[0, -1] % (VOCABULARY - 1) + 1
    difference = np.abs(np.asarray(model(token_ids)) - np.asarray(model(changed)))[0]
    if task == "classifier":
        assert difference.max() > 1e-4
    else:  # only what reads backwards knows the last token at the first one
        assert (difference[0].max() > 1e-6) == bidirectional
        assert difference[-1].max() > 1e-4


def test_dropout_is_on_in_training_alone():
    model = tiny(dropout=0.5)
    token_ids = ids(2, LENGTH)
    close(model(token_ids), model(token_ids))
    assert np.abs(np.asarray(model(token_ids, training=True)) - np.asarray(model(token_ids))).max() > 1e-4


def test_layers_and_parameters():
    model = lstm.build_model("tagger", 100, 7, embedding_dim=8, units=16, num_layers=3)
    assert [layer.name for layer in model.layers if layer.weights] == [
        "embedding",
        "lstm_0",
        "lstm_1",
        "lstm_2",
        "output",
    ]
    lstm_parameters = [4 * 16 * (width + 16 + 1) for width in (8, 16, 16)]
    assert model.count_params() == 100 * 8 + sum(lstm_parameters) + (16 + 1) * 7


# From rows to arrays

TAGGED = [
    {"tokens": ["Ada", "met", "Bo"], "tags": ["PER", "O", "PER"]},
    {"tokens": ["Rome"], "tags": ["LOC"]},
    {"tokens": ["She", "met", "Ada", "in", "Rome"], "tags": ["O", "O", "PER", "O", "LOC"]},
]


def test_english_texts():
    rows = [{"text": "a cat sat", "label": "cat"}, {"text": "a dog, a DOG", "label": "dog"}]
    tokenizer = lstm.train_tokenizer(rows, lowercase=True)
    labels = lstm.label_names(rows)
    X, y = lstm.preprocess_data(rows, tokenizer, labels, 4, "classifier")
    assert labels == ["cat", "dog"]
    assert [[tokenizer.id_to_token(i) for i in row] for row in X.tolist()] == [
        ["a", "cat", "sat", "[PAD]"],
        ["a", "dog", ",", "a"],
    ]
    assert X.dtype == y.dtype == "int32"
    assert y.tolist() == [0, 1]
    assert lstm.encode_texts([row["text"] for row in rows], tokenizer, 4).tolist() == X.tolist()


def test_a_chinese_sentence_is_many_tokens():
    rows = [{"text": "这家酒店很好。", "label": "1"}, {"text": "房间太小了", "label": "0"}]
    tokenizer = lstm.train_tokenizer(rows)
    X, y = lstm.preprocess_data(rows, tokenizer, lstm.label_names(rows), 9, "classifier")
    assert (X != 0).sum(axis=1).tolist() == [7, 5]
    assert tokenizer.decode(X[0]) == "这家酒店很好。"
    assert y.tolist() == [1, 0]


def test_chinese_words():
    rows = [{"text": "这家酒店很好。", "label": "1"}]
    words = lstm.train_tokenizer(rows, chinese="words").vocabulary
    assert "酒店" in words
    assert "酒" not in words


@pytest.mark.parametrize(
    "rows", [TAGGED[:2], [{"text": "Ada met Bo", "label": "x"}, {"text": "Rome", "label": "y"}]]
)
def test_the_vocabulary_is_that_of_the_rows_given(rows):
    tokenizer = lstm.train_tokenizer(rows)
    assert set(tokenizer.vocabulary) == {"[PAD]", "[UNK]", "Ada", "met", "Bo", "Rome"}
    assert lstm.encode_texts(["Ada met Cy"], tokenizer, 3)[0, 2] == tokenizer.unknown_id
    assert lstm.train_tokenizer(rows, vocabulary_size=4).vocabulary_size == 4


def test_an_empty_text_is_one_unknown_token():
    tokenizer = lstm.train_tokenizer(TAGGED)
    assert lstm.encode_texts(["", "Rome"], tokenizer, 2)[0].tolist() == [tokenizer.unknown_id, 0]


def test_tags():
    tokenizer = lstm.train_tokenizer(TAGGED)
    labels = lstm.label_names(TAGGED)
    X, y = lstm.preprocess_data(TAGGED, tokenizer, labels, 4, "tagger")
    assert labels == ["LOC", "O", "PER"]
    assert y.tolist() == [[2, 1, 2, -100], [0, -100, -100, -100], [1, 1, 2, 1]]
    assert (X == 0).tolist() == (y == -100).tolist()
    assert X.dtype == y.dtype == "int32"


@pytest.mark.parametrize("kind", ["word", "wordpiece", "byte_bpe"])
def test_the_first_piece_of_a_token_has_its_tag(kind):
    rows = [{"tokens": ["U.S.A.", "won"], "tags": ["LOC", "O"]}]
    tokenizer = Tokenizer.train(["U.S.A. won"], kind, 300)
    X, y = lstm.preprocess_data(rows, tokenizer, ["LOC", "O"], 20, "tagger")
    pieces = [tokenizer.id_to_token(i) for i in X[0] if i]
    assert "".join(pieces).replace("##", "") == "U.S.A.won"
    first_of_won = len("".join(pieces).replace("##", "")[: len("U.S.A.")])
    lengths = np.cumsum([len(piece.replace("##", "")) for piece in pieces]).tolist()
    expected = [-100] * 20
    expected[0], expected[lengths.index(first_of_won) + 1] = 0, 1
    assert len(pieces) > 2
    assert y[0].tolist() == expected


def test_next_tokens_are_each_asked_once():
    text = "b a c a d a b a c"
    tokenizer = lstm.train_tokenizer([{"text": text}])
    rows = [{"text": text}, {"text": "d"}, {"text": "d b"}]
    X, y = lstm.preprocess_data(rows, tokenizer, None, 3, "language_model")
    a, b, c, d = (tokenizer.token_to_id(letter) for letter in "abcd")
    assert X.tolist() == [[b, a, c], [a, d, a], [b, a, 0], [d, 0, 0]]
    assert y.tolist() == [[a, c, a], [d, a, b], [a, c, -100], [b, -100, -100]]


def test_load_data_reads_the_samples():
    rows = lstm.load_data("topics_zh", split="validation")
    assert lstm.label_names(rows) == ["business", "health", "sports", "technology", "travel"]


# Training and evaluation


def first_token_decides(n, length=8, seed=0):
    X = np.random.default_rng(seed).integers(1, VOCABULARY, (n, length)).astype("int32")
    for row, count in zip(X, np.random.default_rng(seed + 1).integers(2, length + 1, n)):
        row[count:] = 0
    return X, X[:, 0] % LABELS


def tag_is_parity(n, length=8, seed=0):
    X, _ = first_token_decides(n, length, seed)
    return X, np.where(X == 0, IGNORED_LABEL, X % 2)


def count_up(n, length=8, seed=0):
    start = np.random.default_rng(seed).integers(0, 10, (n, 1))
    text = (start + np.arange(length + 1)) % 10 + 1
    return text[:, :-1].astype("int32"), text[:, 1:].astype("int32")


LEARNABLE = [
    ("classifier", first_token_decides, {}),
    ("tagger", tag_is_parity, {"cell": "gru", "bidirectional": True}),
    ("language_model", count_up, {}),
]


@pytest.mark.parametrize(("task", "data", "options"), LEARNABLE)
def test_learns_a_rule(task, data, options):
    model = tiny(task, **{"embedding_dim": 16, "units": 16, **options})
    history = lstm.train_model(
        model, *data(512), *data(64, seed=5), epochs=12, batch_size=16, learning_rate=0.01
    )
    assert lstm.evaluate_model(model, *data(200, seed=9))["accuracy"] > 0.98
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history.history["val_accuracy"][-1] > 0.98


def by_hand(model, X, y):
    losses, hits = [], []
    for row, labels in zip(X, y):
        for probabilities, label in zip(
            np.atleast_2d(np.asarray(model(row[None]))[0]), np.atleast_1d(labels)
        ):
            if label != IGNORED_LABEL:
                losses.append(-np.log(float(probabilities[label])))
                hits.append(probabilities.argmax() == label)
    return np.mean(losses), np.mean(hits)


@pytest.mark.parametrize("batch_size", [4, 100])
@pytest.mark.parametrize(("task", "data"), [(task, data) for task, data, _ in LEARNABLE])
def test_evaluation_weighs_each_label_the_same(task, data, batch_size):
    model = tiny(task)
    X, y = data(10)
    loss, accuracy = by_hand(model, X, y)
    result = lstm.evaluate_model(model, X, y, batch_size=batch_size)
    close(result["loss"], loss)
    close(result["accuracy"], accuracy)


def test_training_counts_real_labels_alone():
    X, y = tag_is_parity(10)
    y[:, 0] = IGNORED_LABEL  # a real token without a label, as the second piece of a word
    model = tiny("tagger")
    loss, accuracy = by_hand(model, X, y)
    history = lstm.train_model(model, X, y, X, y, epochs=1, batch_size=10, learning_rate=0.0).history
    close([history["loss"][0], history["val_loss"][0]], [loss, loss])
    close([history["accuracy"][0], history["val_accuracy"][0]], [accuracy, accuracy])


def test_more_padding_gives_the_same_step():
    X, y = tag_is_parity(12)
    trained = []
    for extra in (0, 9):
        padded = (
            np.pad(X, [(0, 0), (0, extra)]),
            np.pad(y, [(0, 0), (0, extra)], constant_values=IGNORED_LABEL),
        )
        model = tiny("tagger")
        lstm.train_model(model, *padded, *padded, epochs=1, batch_size=12)
        trained.append(model.get_weights())
    for without, with_padding in zip(*trained):
        close(without, with_padding, tolerance=1e-4)


class Recorder(keras.callbacks.Callback):
    """Keeps the weights that a callback sees at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def test_patience_goes_back_to_the_best_epoch():
    X, y = first_token_decides(40)
    X_validation, y_validation = first_token_decides(40, seed=7)
    model, recorder = tiny(), Recorder()
    history = lstm.train_model(
        model, X, y, X_validation, y_validation, 40, 20, learning_rate=0.05, patience=2, callbacks=[recorder]
    ).history["val_accuracy"]
    best = int(np.argmax(history))
    assert len(history) == best + 3 < 40
    close(lstm.evaluate_model(model, X_validation, y_validation)["accuracy"], history[best])
    for kept, recorded in zip(model.get_weights(), recorder.weights[best]):
        np.testing.assert_array_equal(kept, recorded)


@pytest.mark.parametrize("patience", [None, 2])
def test_averaged_weights_are_validated_and_kept(patience):
    X, y = first_token_decides(32)
    plain, averaged = Recorder(), Recorder()
    options = {"epochs": 4, "batch_size": 32, "learning_rate": 0.05}  # one step an epoch
    lstm.train_model(tiny(), X, y, X, y, **options, callbacks=[plain])
    model = tiny()
    history = lstm.train_model(
        model, X, y, X, y, **options, ema_momentum=0.5, patience=patience, callbacks=[averaged]
    ).history["val_accuracy"]
    expected = plain.weights[:1]
    for weights in plain.weights[1:]:
        expected.append([0.5 * before + 0.5 * now for before, now in zip(expected[-1], weights)])
    for epoch, weights in enumerate(averaged.weights):
        for seen, average in zip(weights, expected[epoch]):
            close(seen, average, tolerance=1e-4)
    kept = -1 if patience is None else int(np.argmax(history))
    for ours, seen in zip(model.get_weights(), averaged.weights[kept]):
        close(ours, seen, tolerance=1e-5)
    close(lstm.evaluate_model(model, X, y)["accuracy"], history[kept])


def test_a_saved_model_loads_in_a_fresh_process(tmp_path):
    X, y = first_token_decides(20)
    model = tiny(bidirectional=True, dropout=0.1)
    lstm.train_model(model, X, y, X, y, epochs=1, batch_size=8)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "expected.npz", X=X, probabilities=np.asarray(model(X)))
    code = (  # Keras alone: there is no class of ours in these models
        "import keras, numpy as np, sys; "
        f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r}); "
        f"expected = np.load({str(tmp_path / 'expected.npz')!r}); "
        "np.testing.assert_array_equal(np.asarray(model(expected['X'])), expected['probabilities']); "
        "assert 'keras_llm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# Pretraining


def test_the_output_bias_begins_with_the_frequencies():
    model = tiny("language_model")
    output = model.layers[-1]
    y = np.array([[1, 2, 2, -100], [2, 1, -100, -100]])  # 1 twice, 2 three times
    lstm.set_output_bias(model, y)
    kernel, _ = output.get_weights()
    output.kernel.assign(np.zeros_like(kernel))
    expected = np.array([1, 3, 4] + [1] * (VOCABULARY - 3)) / (5 + VOCABULARY)  # each once more
    close(model.predict(ids(2, 4), verbose=0), np.broadcast_to(expected, (2, 4, VOCABULARY)))


@pytest.mark.parametrize("task", ["classifier", "tagger"])
def test_weights_of_a_language_model_are_carried_over(task):
    pretrained, model = tiny("language_model", num_layers=3, dropout=0.1), tiny(task, num_layers=3)
    output = model.layers[-1].get_weights()
    lstm.transfer_weights(pretrained, model)
    for name in ("embedding", "lstm_0", "lstm_1", "lstm_2"):
        for ours, theirs in zip(
            model.get_layer(name).get_weights(), pretrained.get_layer(name).get_weights()
        ):
            np.testing.assert_array_equal(ours, theirs)
    for now, before in zip(model.layers[-1].get_weights(), output):
        np.testing.assert_array_equal(now, before)
    assert np.asarray(model(ids(3, LENGTH))).shape == SHAPES[task]


@pytest.mark.parametrize(
    "options",
    [{"units": 6}, {"embedding_dim": 6}, {"num_layers": 2}, {"cell": "gru"}, {"bidirectional": True}],
)
def test_weights_of_another_shape_are_refused(options):
    model = tiny("classifier", **options)
    before = model.get_weights()
    with pytest.raises(ValueError, match="pretrained and model differ below the output layer"):
        lstm.transfer_weights(tiny("language_model"), model)
    for now, then in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, then)


SMALL = {"embedding": 4, "units": 5, "vocabulary": 300, "batch_size": 64, "length": 12}


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start_from") / "pretrained"
    train_lstm(task="language_model", data="topics_en", epochs=1, **SMALL, output=str(folder))
    return folder


def test_a_language_model_run_begins_with_the_frequencies(language_model):
    model = keras.saving.load_model(language_model / "model.keras")
    tokenizer = Tokenizer.from_pretrained(language_model)
    rows = lstm.load_data("topics_en", "train")
    _, y = lstm.preprocess_data(rows, tokenizer, None, SMALL["length"], "language_model")
    counts = 1 + np.bincount(y[y >= 0], minlength=tokenizer.vocabulary_size)
    bias = model.layers[-1].get_weights()[1]  # after one pass, of few small steps
    assert np.abs(bias - np.log(counts / counts.sum())).max() < 0.5


def test_a_run_starts_from_a_language_model_frozen_first(language_model, tmp_path):
    frozen = tmp_path / "frozen"
    train_lstm(**SMALL, start_from=str(language_model), frozen_epochs=1, epochs=0, output=str(frozen))
    pretrained, model = (keras.saving.load_model(run / "model.keras") for run in (language_model, frozen))
    for ours, theirs in zip(model.layers[:-1], pretrained.layers[:-1]):
        for now, then in zip(ours.get_weights(), theirs.get_weights()):
            np.testing.assert_array_equal(now, then)
    assert (frozen / "tokenizer.json").read_bytes() == (language_model / "tokenizer.json").read_bytes()
    free = tmp_path / "free"
    train_lstm(**SMALL, start_from=str(language_model), epochs=1, output=str(free))
    moved = keras.saving.load_model(free / "model.keras").get_layer("lstm_0").get_weights()[0]
    assert not np.array_equal(moved, pretrained.get_layer("lstm_0").get_weights()[0])


class Cut(Exception):
    pass


def test_a_run_that_is_cut_while_frozen_and_after_ends_with_the_same_bits(
    language_model, tmp_path, monkeypatch
):
    plan = {**SMALL, "start_from": str(language_model), "frozen_epochs": 1, "epochs": 1, "averaging": 0.9}
    train_lstm(**plan, output=str(tmp_path / "whole"))
    usual = Guard.on_train_batch_end
    left = iter([False, True] + [False] * 6 + [True])  # of the steps; a pass has six

    def cut_now(self, batch, logs=None):
        usual(self, batch, logs)
        if next(left):
            raise Cut

    monkeypatch.setattr(Guard, "on_train_batch_end", cut_now)
    for _ in range(2):
        with pytest.raises(Cut):
            train_lstm(**plan, save_every=1, output=str(tmp_path / "cut"))
    assert (tmp_path / "cut" / "frozen" / "states").exists() and (tmp_path / "cut" / "states").exists()
    monkeypatch.setattr(Guard, "on_train_batch_end", usual)
    train_lstm(**plan, save_every=1, output=str(tmp_path / "cut"))
    whole, cut = (keras.saving.load_model(tmp_path / run / "model.keras") for run in ("whole", "cut"))
    for one, other in zip(whole.get_weights(), cut.get_weights()):
        np.testing.assert_array_equal(one, other)
    histories = [(tmp_path / run / "history.csv").read_text() for run in ("whole", "cut")]
    assert histories[0] == histories[1]


def test_a_run_starts_from_word_vectors(tmp_path, capsys):
    vectors = {"team": [1.0, 2.0, 3.0, 4.0], "the": [5.0, 6.0, 7.0, 8.0]}
    lines = [f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in vectors.items()]
    (tmp_path / "vectors.txt").write_text("".join(lines))
    train_lstm(
        **SMALL,
        vectors=str(tmp_path / "vectors.txt"),
        frozen_epochs=1,
        epochs=0,
        output=str(tmp_path / "run"),
    )
    assert "2 of 300 words have their vector from" in capsys.readouterr().out
    table = keras.saving.load_model(tmp_path / "run" / "model.keras").get_layer("embedding").get_weights()[0]
    tokenizer = Tokenizer.from_pretrained(tmp_path / "run")
    for word, numbers in vectors.items():
        np.testing.assert_array_equal(table[tokenizer.token_to_id(word)], numbers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 6}, "has units 5, but this run 6. They must be equal: --config"),
        ({"vocabulary": 299}, "has vocabulary 300, but this run 299"),
        ({"lowercase": True}, "has lowercase False, but this run True"),
    ],
)
def test_another_vocabulary_or_size_than_the_start_is_refused(language_model, options, message):
    with pytest.raises(ValueError, match=message):
        train_lstm(**{**SMALL, **options}, start_from=str(language_model))


def test_what_cannot_be_frozen_is_refused():
    with pytest.raises(ValueError, match="--frozen-epochs needs --start-from or --vectors"):
        train_lstm(frozen_epochs=1)


# What is wrong is told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"task": "translator"},
            r"task must be one of \['classifier', 'tagger', 'language_model'\], got 'translator'",
        ),
        ({"cell": "rnn"}, r"cell must be one of \['lstm', 'gru'\], got 'rnn'"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"num_labels": None}, "num_labels must be at least 2 for a classifier, got None"),
        ({"task": "tagger", "num_labels": 1}, "num_labels must be at least 2 for a tagger, got 1"),
        ({"task": "language_model"}, "num_labels=3: the labels of a language model are its tokens"),
        (
            {"task": "language_model", "num_labels": None, "bidirectional": True},
            "bidirectional=True would show a language model the token",
        ),
    ],
)
def test_build_model_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        lstm.build_model(**{"task": "classifier", "vocabulary_size": 10, "num_labels": 3, **options})


TEXT = [{"text": "Ada met", "label": "a"}]


@pytest.mark.parametrize(
    ("rows", "task", "message"),
    [
        ([], "classifier", "rows is empty"),
        (TEXT, "translator", "task must be one of"),
        (TAGGED, "classifier", r"rows must all have text and label; the first one has \['tags', 'tokens'\]"),
        (TEXT, "tagger", r"rows must all have tokens and tags; the first one has \['label', 'text'\]"),
        (TAGGED, "language_model", "rows must all have text; the first one has"),
        ([{"text": "Ada", "label": "z"}], "classifier", r"label 'z' is not in labels, \['a', 'O'\]"),
        (TAGGED[:1], "tagger", r"label 'PER' is not in labels, \['a', 'O'\]"),
        ([{"text": "Ada"}], "language_model", "no text has two tokens"),
    ],
)
def test_preprocess_data_refuses(rows, task, message):
    tokenizer = lstm.train_tokenizer(TAGGED)
    with pytest.raises(ValueError, match=message):
        lstm.preprocess_data(rows, tokenizer, ["a", "O"], 5, task)


@pytest.mark.parametrize("task", lstm.TASKS)
def test_an_ordinary_token_with_id_0_is_refused(task):
    tokenizer = Tokenizer.train(["Ada met"], "character")
    rows = [{**TAGGED[0], **TEXT[0]}]
    with pytest.raises(ValueError, match="id 0 is the ordinary token ' '"):
        lstm.preprocess_data(rows, tokenizer, ["a", "O", "PER"], 5, task)


def test_rows_without_labels_have_no_label_names():
    with pytest.raises(ValueError, match=r"rows must all have label or tags; the first one has \['text'\]"):
        lstm.label_names([{"text": "Ada"}])


def test_evaluate_model_refuses():
    X, y = first_token_decides(4)
    with pytest.raises(ValueError, match="X_test has 4 rows, but y_test 3"):
        lstm.evaluate_model(tiny(), X, y[:3])
    with pytest.raises(ValueError, match="no label to evaluate on"):
        lstm.evaluate_model(tiny("tagger"), X, np.full(X.shape, IGNORED_LABEL))
