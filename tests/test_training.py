"""Loss, metrics, optimizer and callbacks against computations by hand."""

import csv
import json
import math
import pathlib

import keras
import numpy as np
import pytest
from keras import ops
from test_gpt2 import tiny

from keras_llm.datasets.batches import IGNORED_LABEL, TokenWindows
from keras_llm.evaluation.language import evaluate_language_model
from keras_llm.files import atomic_path, read_json
from keras_llm.training import optimizers
from keras_llm.training.callbacks import Curves, Progress, SaveBest
from keras_llm.training.losses import (
    Perplexity,
    RDropCrossEntropy,
    SquaredError,
    TokenAccuracy,
    TokenCrossEntropy,
    TokenLoss,
)
from keras_llm.training.optimizers import AdamW, WarmupCosine
from keras_llm.training.results import checksum, write_result

LABELS = np.array([[0, 2, 1], [3, 3, 0]], "int32")
LOGITS = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def by_hand(labels, logits):
    """-log softmax at the label, token by token; ignored ones left out."""
    losses = []
    for label, scores in zip(labels.ravel(), logits.reshape(-1, logits.shape[-1]).astype("float64")):
        if label != IGNORED_LABEL:
            losses.append(math.log(sum(math.exp(score) for score in scores)) - scores[label])
    return losses


def test_loss_is_the_mean_over_tokens():
    loss = float(TokenCrossEntropy()(LABELS, LOGITS))
    assert loss == pytest.approx(np.mean(by_hand(LABELS, LOGITS)), rel=1e-6)


@pytest.mark.parametrize("length", [8, 16, 64])
def test_padding_does_not_dilute_the_loss(length):
    rng = np.random.default_rng(1)
    labels = np.full((2, length), IGNORED_LABEL, "int32")
    logits = rng.normal(size=(2, length, 5)).astype("float32")
    labels[:, :4], logits[:, :4] = (
        np.arange(8).reshape(2, 4) % 5,
        np.linspace(-2, 2, 40).reshape(2, 4, 5) ** 2,
    )
    expected = np.mean(by_hand(labels[:, :4], logits[:, :4]))  # 8 real tokens
    assert float(TokenCrossEntropy()(labels, logits)) == pytest.approx(expected, rel=1e-6)


def test_a_batch_without_any_label_gives_zero_not_nan():
    assert float(TokenCrossEntropy()(np.full((1, 3), IGNORED_LABEL), LOGITS[:1])) == 0.0


def test_smoothed_labels_by_hand():
    labels, logits = np.array([[1, IGNORED_LABEL]]), np.array([[[1.0, 2.0, 4.0], [9.0, 0.0, 0.0]]], "float32")
    log_p = [x - math.log(math.exp(1) + math.exp(2) + math.exp(4)) for x in (1, 2, 4)]
    expected = -(0.7 * log_p[1] + 0.1 * sum(log_p))  # 0.3 of the label, spread over three tokens
    assert float(TokenCrossEntropy(0.3)(labels, logits)) == pytest.approx(expected, rel=1e-6)
    assert TokenCrossEntropy.from_config(TokenCrossEntropy(0.3).get_config()).label_smoothing == 0.3


def test_twins_are_compared_by_hand():
    logits = np.array([[1.0, 0.0], [0.0, 2.0], [0.5, 0.5], [3.0, 1.0]], "float32")
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    both = [sum(a * np.log(a / b) + b * np.log(b / a)) / 2 for a, b in ((p[0], p[1]), (p[2], p[3]))]
    labels = np.array([1, 1, 0, 0])
    entropy = -np.log(p[[0, 1, 2, 3], labels]).mean()
    assert float(RDropCrossEntropy(3.0)(labels, logits)) == pytest.approx(
        entropy + 3 * np.mean(both), rel=1e-5
    )
    labels[2:] = IGNORED_LABEL  # rows that fill up a batch
    expected = -np.log(p[:2, 1]).mean() + 3 * both[0]
    assert float(RDropCrossEntropy(3.0)(labels, logits)) == pytest.approx(expected, rel=1e-5)
    assert RDropCrossEntropy.from_config(RDropCrossEntropy(3.0).get_config()).weight == 3.0


def test_squared_error_counts_numbers_alone():
    labels = np.array([1.0, np.nan, 4.0], "float32")
    outputs = np.array([[2.0], [100.0], [2.0]], "float32")
    assert float(SquaredError()(labels, outputs)) == pytest.approx((1.0 + 4.0) / 2)
    assert float(SquaredError()(np.full(3, np.nan, "float32"), outputs)) == 0.0


def test_loss_of_half_precision_logits_is_computed_in_float32():
    logits = ops.cast(LOGITS * 50, "float16")
    expected = np.mean(by_hand(LABELS, np.asarray(ops.cast(logits, "float32"))))
    assert float(TokenCrossEntropy()(LABELS, logits)) == pytest.approx(expected, rel=1e-5)


def test_metrics_weigh_tokens_not_batches():
    labels = LABELS.copy()
    labels[1, 1:] = IGNORED_LABEL  # batches of 3 and of 1 token
    losses = by_hand(labels, LOGITS)
    hits = [
        int(LOGITS[i, t].argmax() == labels[i, t]) for i in range(2) for t in range(3) if labels[i, t] >= 0
    ]
    for metric, expected in (
        (TokenLoss(), np.mean(losses)),
        (Perplexity(), math.exp(np.mean(losses))),
        (TokenAccuracy(), np.mean(hits)),
    ):
        for i in range(2):
            metric.update_state(labels[i : i + 1], LOGITS[i : i + 1])
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
        metric.reset_state()
        assert float(metric.result()) == pytest.approx(1.0 if isinstance(metric, Perplexity) else 0.0)


def test_warmup_and_cosine_by_hand():
    rate = WarmupCosine(peak=1.0, warmup_steps=4, total_steps=14, floor=0.2)
    steps = {0: 0.2, 1: 0.4, 3: 0.8, 4: 1.0, 9: 0.2 + 0.8 / 2, 14: 0.2, 99: 0.2}
    for step, expected in steps.items():
        assert float(rate(step)) == pytest.approx(expected, abs=1e-6), step
    assert float(WarmupCosine(1.0, 0, 10)(0)) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="warmup_steps=10 must lie in 0 to total_steps=10"):
        WarmupCosine(1.0, 10, 10)


def adamw_by_hand(weights, gradients, rate, decay, clip_norm, beta_1=0.9, beta_2=0.95, epsilon=1e-8):
    """Loshchilov and Hutter 2019, algorithm 2, array by array in float64; `gradients`: a list a step."""
    weights = [np.asarray(weight).astype("float64") for weight in weights]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step, own in enumerate(gradients, 1):
        norm = math.sqrt(sum(float(np.sum(g.astype("float64") ** 2)) for g in own if g is not None))
        scale = clip_norm / max(norm, clip_norm) if clip_norm else 1.0
        for i, g in enumerate(own):
            if g is None:
                continue
            means[i] = beta_1 * means[i] + (1 - beta_1) * g * scale
            squares[i] = beta_2 * squares[i] + (1 - beta_2) * (g * scale) ** 2
            change = means[i] / (1 - beta_1**step) / (np.sqrt(squares[i] / (1 - beta_2**step)) + epsilon)
            weights[i] = weights[i] - rate * (change + decay * weights[i] * (weights[i].ndim >= 2))
    return weights


@pytest.mark.parametrize("small", [2**18, 4, 0])
@pytest.mark.parametrize("clip_norm", [None, 0.7, 1000.0])
def test_adamw_equals_its_formula_and_decays_matrices_alone(clip_norm, small, monkeypatch):
    """Whether all variables share one vector, some do, or none."""
    monkeypatch.setattr(optimizers, "SMALL", small)
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (4,), (2, 2, 2), (5, 1)]
    variables = [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in shapes]
    before = [np.array(ops.convert_to_numpy(variable)) for variable in variables]
    gradients = [[rng.normal(size=shape).astype("float32") for shape in shapes] for _ in range(4)]
    for own in gradients:
        own[3] = None  # a variable without a gradient stays as it is, not even decayed
    optimizer = AdamW(0.1, weight_decay=0.5, clip_norm=clip_norm)
    for own in gradients:
        optimizer.apply([None if g is None else ops.convert_to_tensor(g) for g in own], variables)
    expected = adamw_by_hand(before, gradients, 0.1, 0.5, clip_norm)
    for variable, value in zip(variables, expected):
        np.testing.assert_allclose(ops.convert_to_numpy(variable), value, rtol=2e-5, atol=2e-6)
    assert (ops.convert_to_numpy(variables[3]) == before[3]).all()


def test_adamw_is_made_again_from_its_config():
    optimizer = AdamW(WarmupCosine(0.1, 2, 9), 0.3, 0.8, 0.9, 1e-6, None)
    again = AdamW.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert (again.decay, again.beta_1, again.beta_2, again.epsilon, again.clip_norm) == (
        0.3,
        0.8,
        0.9,
        1e-6,
        None,
    )


def compiled(model, rate=1e-2):
    model.compile(AdamW(rate), TokenCrossEntropy(), metrics=[TokenLoss(), Perplexity()], jit_compile=True)
    return model


TEXT = np.tile(np.arange(1, 13), 60)  # the next token follows from the last


def test_fit_learns_and_the_callbacks_leave_their_files(tmp_path, capsys):
    model = compiled(tiny(num_layers=1))
    train, validation = TokenWindows(TEXT, 12, 8, seed=0), TokenWindows(TEXT[:100], 12, 4, shuffle=False)
    keras.utils.set_random_seed(0)
    history = model.fit(
        train,
        steps_per_epoch=40,
        epochs=3,
        shuffle=False,
        validation_data=validation,
        verbose=0,
        callbacks=[
            SaveBest(tmp_path / "model.keras"),
            Progress(120, 96, every_seconds=0),
            Curves(tmp_path, title="test"),
        ],
    ).history
    assert history["val_token_loss"][-1] < 0.2 < 2 < history["token_loss"][0] + 1.5
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [40, 80, 120]
    assert [float(row["val_perplexity"]) for row in rows] == pytest.approx(history["val_perplexity"])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert (
        "step    120 of 120" in printed and "tokens/s" in printed and "validation after step 120" in printed
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "history.csv", "model.keras"]

    best = keras.saving.load_model(tmp_path / "model.keras")
    figures = evaluate_language_model(best, TEXT[:100])
    assert figures["tokens"] == 99
    logits = [np.asarray(best(TEXT[None, i : min(i + 24, 99)].astype("int32"))) for i in range(0, 99, 24)]
    labels = [TEXT[None, i + 1 : min(i + 24, 99) + 1] for i in range(0, 99, 24)]
    losses = [loss for label, scores in zip(labels, logits) for loss in by_hand(label, scores)]
    assert figures["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert figures["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-4)


def test_save_best_keeps_the_best_and_survives_a_failed_write(tmp_path, monkeypatch):
    model = tiny(num_layers=1)
    callback = SaveBest(tmp_path / "model.keras", monitor="val_accuracy", mode="max")
    callback.set_model(model)
    saved = []
    for value in (0.5, 0.7, 0.6):
        callback.on_epoch_end(0, {"val_accuracy": value})
        saved.append((tmp_path / "model.keras").stat().st_mtime_ns)
    assert saved[0] != saved[1] == saved[2]
    good = (tmp_path / "model.keras").read_bytes()

    def half(path, *args, **kwargs):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(model, "save", half)
    with pytest.raises(OSError, match="No space"):
        callback.on_epoch_end(0, {"val_accuracy": 0.9})
    assert (tmp_path / "model.keras").read_bytes() == good
    assert len(list(tmp_path.iterdir())) == 1  # no half file is left


def test_atomic_path_and_json(tmp_path):
    with atomic_path(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("one")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "one"
    (tmp_path / "broken.json").write_text('{"a": ')
    with pytest.raises(ValueError, match=r"broken\.json is not valid JSON"):
        read_json(tmp_path / "broken.json")
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        read_json(tmp_path / "none.json")


def test_results_say_what_led_to_them(tmp_path):
    (tmp_path / "text.txt").write_text("abc")
    data = {"text.txt": tmp_path / "text.txt", "words": "abc"}
    write_result(
        tmp_path / "run.json", seed=3, data=data, wall_seconds=1.26, metrics={"validation_loss": 0.5}
    )
    result = json.loads((tmp_path / "run.json").read_text())
    sha_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert [entry["sha256"] for entry in result["data"]] == [sha_of_abc] * 2
    assert (result["name"], result["seed"], result["wall_seconds"]) == ("run", 3, 1.3)
    assert result["metrics"] == {"validation_loss": 0.5}
    assert result["versions"]["keras"] == keras.__version__
    assert result["versions"]["backend"] == keras.backend.backend()
    assert result["hardware"]["cores"] >= 1 and result["command"]
    assert checksum(["ab", "c"]) != checksum(["a", "bc"])
