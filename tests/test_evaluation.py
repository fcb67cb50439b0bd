"""Scores against numbers worked out by hand, and against what must hold for any predictions."""

import json
import math
import types
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from keras_llm.evaluation.answers import answer_metrics
from keras_llm.evaluation.classification import (
    class_table,
    classification_metrics,
    draw_confusion,
    regression_metrics,
)
from keras_llm.evaluation.cross_validation import cross_validate
from keras_llm.evaluation.summaries import summary_metrics
from keras_llm.evaluation.tagging import entities, entity_metrics
from keras_llm.evaluation.translation import translation_metrics
from keras_llm.fonts import drawable

# Right label, row by row, and what was predicted: class 0 is found 2 times in 3, class 1 once in 2, class 2 never.
LABELS = [0, 0, 0, 1, 1, 2]
PREDICTIONS = [0, 0, 1, 1, 0, 0]


# ----------------------------------------------------------------------------------------------- classes


def test_classification_by_hand():
    metrics = classification_metrics(LABELS, PREDICTIONS, ["red", "green", "blue"])
    assert metrics["confusion"] == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]  # rows: the right class
    assert metrics["accuracy"] == pytest.approx(3 / 6)
    red, green, blue = (metrics["per_class"][name] for name in ("red", "green", "blue"))
    # red: 2 of 4 predicted are right, 2 of 3 are found: F1 = 2 * 2 / (4 + 3)
    assert red == pytest.approx({"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7, "support": 3})
    assert green == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "support": 2})
    assert blue == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert metrics["macro"] == pytest.approx(
        {"precision": (1 / 2 + 1 / 2) / 3, "recall": (2 / 3 + 1 / 2) / 3, "f1": (4 / 7 + 1 / 2) / 3}
    )
    assert metrics["micro"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5})


def test_classification_goes_to_json_and_back():
    metrics = classification_metrics(np.array(LABELS), np.array(PREDICTIONS))
    assert json.loads(json.dumps(metrics)) == metrics
    assert list(metrics["per_class"]) == ["0", "1", "2"]


def test_ignored_labels_are_left_out_whatever_was_predicted_there():
    labels = np.array([[0, 0, 0, -100], [1, 1, 2, -100]])
    predictions = np.array([[0, 0, 1, 7], [1, 0, 0, -1]])
    assert classification_metrics(labels, predictions) == classification_metrics(LABELS, PREDICTIONS)


def test_a_class_that_does_not_occur_is_listed_but_not_in_the_macro_average():
    without = classification_metrics(LABELS, PREDICTIONS)
    metrics = classification_metrics(LABELS, PREDICTIONS, ["a", "b", "c", "never"])
    assert metrics["per_class"]["never"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert [row[3] for row in metrics["confusion"]] == [0, 0, 0, 0] == metrics["confusion"][3]
    assert metrics["macro"] == without["macro"]


def test_order_and_batches_do_not_matter():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 50)
    predictions = np.where(rng.random(50) < 0.6, labels, rng.integers(0, 4, 50))
    whole = classification_metrics(labels, predictions)
    order = rng.permutation(50)
    assert classification_metrics(labels[order], predictions[order]) == whole
    parts = [
        slice(0, 7),
        slice(7, 40),
        slice(40, 50),
    ]  # confusions of unequal batches add up to that of the whole
    names = list(whole["per_class"])
    counts = [np.array(classification_metrics(labels[p], predictions[p], names)["confusion"]) for p in parts]
    assert sum(counts).tolist() == whole["confusion"]
    accuracy = np.trace(sum(counts)) / 50
    assert whole["accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    "labels, predictions, names, message",
    [
        ([0, 1], [0], None, r"must have one shape; they have \(2,\) and \(1,\)"),
        ([0, 1], [[0.1, 0.9], [0.8, 0.2]], None, r"they have \(2,\) and \(2, 2\)"),
        ([0, 1], [0.1, 0.9], None, "predictions must be int class ids, not float64"),
        (["a"], ["a"], None, "labels must be int class ids"),
        ([], [], None, "nothing to count"),
        ([-100, -100], [0, 1], None, "every label is -100"),
        ([0, 2], [0, 1], ["a", "b"], "labels holds the id 2; the 2 classes are 0 to 1"),
        ([0, 1], [0, 5], ["a", "b"], "predictions holds the id 5"),
        ([0, -1], [0, 1], None, "labels holds the id -1"),
        ([0, 1], [0, 1], ["a", "a"], "names must differ"),
    ],
)
def test_classification_errors(labels, predictions, names, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, predictions, names)


def test_class_table():
    metrics = classification_metrics(LABELS, PREDICTIONS, ["red", "体育", "blue"])
    lines = class_table(metrics).splitlines()
    assert lines[0].split() == ["class", "precision", "recall", "F1", "support"]
    assert lines[1].split() == ["red", "0.500", "0.667", "0.571", "3"]
    assert lines[2].split() == ["体育", "0.500", "0.500", "0.500", "2"]
    assert lines[4].split() == ["macro", "average", "0.333", "0.389", "0.357", "6"]
    assert lines[5].split() == ["accuracy", "0.500", "6"]
    # In a terminal each Chinese character takes two columns: all lines end at the same one.
    assert len({len(line) + line.count("体") + line.count("育") for line in lines}) == 1


# ----------------------------------------------------------------------------------------------- the picture


@pytest.fixture
def drawn(monkeypatch):
    """The figures saved by a test."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    return figures


@pytest.mark.parametrize("classes", [2, 20])
def test_confusion_picture_holds_the_numbers(tmp_path, drawn, classes):
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 2000, (classes, classes))
    names = [f"a class called {i}" for i in range(classes)]
    path = tmp_path / "new" / "confusion.png"
    draw_confusion({"confusion": counts.tolist(), "accuracy": 0.5}, names, path)
    axes = drawn[0].axes[0]
    assert [text.get_text() for text in axes.texts] == [f"{count:,}" for count in counts.ravel()]
    assert [text.get_position() for text in axes.texts[:2]] == [(0, 0), (1, 0)]  # a row is a right class
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert matplotlib.image.imread(path).shape[0] == round((3 + 0.45 * classes) * 120)
    assert [file.name for file in path.parent.iterdir()] == ["confusion.png"]


def test_confusion_numbers_fit_their_cells(tmp_path, drawn):
    counts = np.full((20, 20), 12345)
    names = [f"a rather long name {i}" for i in range(20)]
    draw_confusion({"confusion": counts.tolist(), "accuracy": 0.05}, names, tmp_path / "confusion.png")
    axes = drawn[0].axes[0]
    cell = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]  # pixels
    assert max(text.get_window_extent().width for text in axes.texts) < cell


def test_chinese_names_without_a_chinese_font(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(fontManager, "get_font_names", lambda: ["DejaVu Sans"])
    metrics = classification_metrics([0, 1, 1], [0, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of characters that it cannot draw
        draw_confusion(metrics, ["sport", "财经"], tmp_path / "confusion.png")
    assert [label.get_text() for label in drawn[0].axes[0].get_yticklabels()] == ["sport", "1"]


@pytest.mark.filterwarnings("ignore:Glyph")  # where the font is not really installed
def test_chinese_names_with_a_chinese_font(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(fontManager, "get_font_names", lambda: ["DejaVu Sans", "WenQuanYi Micro Hei"])
    draw_confusion(classification_metrics([0, 1], [0, 1]), ["sport", "财经"], tmp_path / "confusion.png")
    labels = drawn[0].axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["sport", "财经"]
    assert labels[1].get_fontfamily() == ["DejaVu Sans", "WenQuanYi Micro Hei"]


def test_a_packaged_font_is_taken_where_none_is_installed(tmp_path, monkeypatch):
    font = tmp_path / "fonts" / "NotoSansCJKsc-Regular.otf"
    font.parent.mkdir()
    font.touch()
    package = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    names = ["DejaVu Sans"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: package if name == "mplfonts" else None)
    monkeypatch.setattr(fontManager, "get_font_names", lambda: names)
    monkeypatch.setattr(
        fontManager, "addfont", lambda path: names.append("Noto Sans CJK SC") if path == font else 0
    )
    assert drawable(["sport"])[1] == ["DejaVu Sans"]  # not needed
    assert drawable(["财经"]) == (["财经"], ["DejaVu Sans", "Noto Sans CJK SC"])


def test_an_empty_row_and_a_long_name_can_be_drawn(tmp_path, drawn):
    metrics = classification_metrics([0, 0], [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion(metrics, ["n" * 60, "other"], tmp_path / "confusion.png")
    assert drawn[0].axes[0].get_yticklabels()[0].get_text() == "n" * 23 + "…"


def test_a_wrong_number_of_names_leaves_the_old_picture(tmp_path):
    path = tmp_path / "confusion.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="names has 1 names for 2 classes"):
        draw_confusion(classification_metrics([0, 1], [0, 1]), ["a"], path)
    assert path.read_bytes() == b"old"


# ----------------------------------------------------------------------------------------------- numbers


def test_regression_by_hand():
    metrics = regression_metrics([1.0, 2.0, 3.0], [1.0, 2.0, 6.0])
    # Around their means 2 and 3: (-1, 0, 1) and (-2, -1, 3). Products 2 + 0 + 3 = 5; squares 2 and 14.
    assert metrics["pearson"] == pytest.approx(5 / (2 * 14) ** 0.5)
    assert metrics["spearman"] == pytest.approx(1.0)  # the same order
    assert metrics["mean_squared_error"] == pytest.approx((0 + 0 + 9) / 3)


def test_spearman_with_a_tie_by_hand():
    # ranks (1, 2, 3) and (3, 1.5, 1.5); around 2: (-1, 0, 1) and (1, -0.5, -0.5)
    metrics = regression_metrics([1, 5, 9], [8, 4, 4])
    assert metrics["spearman"] == pytest.approx(-1.5 / (2 * 1.5) ** 0.5)


def test_equal_predictions_correlate_with_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = regression_metrics([1, 2, 3], [2, 2, 2])
    assert metrics == {"pearson": 0.0, "spearman": 0.0, "mean_squared_error": pytest.approx(2 / 3)}
    assert json.loads(json.dumps(metrics)) == metrics


@pytest.mark.parametrize(
    "labels, predictions, message",
    [
        ([1.0, 2.0], [1.0], "two lists of one length"),
        ([1.0], [1.0], "at least 2"),
        ([1.0, 2.0], [[1.0], [2.0]], r"\(2,\) and \(2, 1\)"),
        ([1.0, float("nan")], [1.0, 2.0], "labels must be finite numbers; it holds nan"),
        ([1.0, 2.0], [1.0, float("inf")], "predictions must be finite numbers; it holds inf"),
    ],
)
def test_regression_errors(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        regression_metrics(labels, predictions)


# ----------------------------------------------------------------------------------------------- entities

TAGS = ["B-PER I-PER O B-LOC O".split(), "B-ORG I-ORG I-ORG O".split(), "O O".split()]
# Of four predicted entities two are right: the place, and the person. The organisation ends too early; one is made up.
TAGGED = ["B-PER I-PER O B-LOC O".split(), "B-ORG I-ORG O O".split(), "O B-PER".split()]


def test_entities_by_hand():
    metrics = entity_metrics(TAGS, TAGGED)
    assert metrics["entities"] == 3
    assert metrics["precision"] == pytest.approx(2 / 4)
    assert metrics["recall"] == pytest.approx(2 / 3)
    assert metrics["f1"] == pytest.approx(2 * 2 / (4 + 3))
    assert metrics["per_type"] == {
        "LOC": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
        "ORG": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
        "PER": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
    }
    assert json.loads(json.dumps(metrics)) == metrics


def test_the_order_of_sentences_does_not_matter():
    assert entity_metrics(TAGS[::-1], TAGGED[::-1]) == entity_metrics(TAGS, TAGGED)


def test_an_entity_does_not_cross_sentences():
    right = [["B-PER"], ["I-PER"]]  # two entities: joined they would be one
    assert entity_metrics(right, right)["entities"] == 2


def test_a_type_inside_another_begins_an_entity_as_in_conlleval():
    # Right: PER over words 0-1. Predicted I-PER I-PER without a B-: the same entity.
    assert entity_metrics([["B-PER", "I-PER"]], [["I-PER", "I-PER"]])["f1"] == 1.0
    # B-PER I-LOC: a person of one word and a place of one word; neither is the person of two.
    assert entity_metrics([["B-PER", "I-PER"]], [["B-PER", "I-LOC"]])["f1"] == 0.0


def test_nothing_to_find_and_nothing_found():
    none = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert entity_metrics([["O", "O"], []], [["O", "O"], []]) == none | {"entities": 0, "per_type": {}}
    missed = entity_metrics([["B-PER"]], [["O"]])
    assert missed == none | {"entities": 1, "per_type": {"PER": none | {"support": 1}}}
    invented = entity_metrics([["O"]], [["B-PER"]])
    assert invented == none | {"entities": 0, "per_type": {"PER": none | {"support": 0}}}


def test_rows_may_be_tuples_and_arrays():
    assert entity_metrics([tuple(row) for row in TAGS], [np.array(row) for row in TAGGED]) == entity_metrics(
        TAGS, TAGGED
    )


@pytest.mark.parametrize(
    "tags, predictions, message",
    [
        ([], [], "at least 1: 0 and 0"),
        ([["O"]], [["O"], ["O"]], "the same sentences, at least 1: 1 and 2"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "Sentence 1 has 2 tags and 1 predictions"),
        ([["PER"]], [["O"]], "'PER' is not a BIO tag"),
        ([["O"]], [["S-PER"]], "'S-PER' is not a BIO tag"),
        ([["B-"]], [["O"]], "'B-' is not a BIO tag"),
        ([[3]], [["O"]], "3 is not a BIO tag"),
    ],
)
def test_entity_metrics_errors(tags, predictions, message):
    with pytest.raises(ValueError, match=message):
        entity_metrics(tags, predictions)


TEXT = "Ada Lovelace met Babbage, London."
OFFSETS = [(0, 3), (4, 12), (13, 16), (17, 24), (24, 25), (26, 32), (32, 33)]


def test_entities_of_a_text():
    found = entities(TEXT, ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O"], OFFSETS)
    assert found == [
        {"type": "PER", "start": 0, "end": 12, "text": "Ada Lovelace"},
        {"type": "PER", "start": 17, "end": 24, "text": "Babbage"},
        {"type": "LOC", "start": 26, "end": 32, "text": "London"},
    ]


def test_entities_from_untidy_tags():
    # I- without B-; a second B- begins a new one; another type begins a new one; the last word may be inside
    found = entities(TEXT, ["I-PER", "B-PER", "O", "B-PER", "I-X-Y", "O", "I-LOC"], OFFSETS)
    assert [(entity["type"], entity["text"]) for entity in found] == [
        ("PER", "Ada"),
        ("PER", "Lovelace"),
        ("PER", "Babbage"),
        ("X-Y", ","),
        ("LOC", "."),
    ]


def test_entities_of_chinese_and_of_an_empty_text():
    found = entities(
        "我爱北京", np.array(["O", "O", "B-LOC", "I-LOC"]), np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    )
    assert json.loads(json.dumps(found)) == [{"type": "LOC", "start": 2, "end": 4, "text": "北京"}]
    assert entities("", [], []) == []


@pytest.mark.parametrize(
    "tags, offsets, message",
    [
        (["O"], [], "tags has 1 tags for 0 words"),
        (["X"], [(0, 3)], "'X' is not a BIO tag"),
        (["O"], [(0, 99)], r"\(0, 99\), which is not in a text of 33"),
        (["O"], [(3, 0)], r"\(3, 0\)"),
        (["O"], [(-1, 2)], r"\(-1, 2\)"),
    ],
)
def test_entities_errors(tags, offsets, message):
    with pytest.raises(ValueError, match=message):
        entities(TEXT, tags, offsets)


# ----------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    "prediction, references, exact, f1",
    [
        ("graupel", ["graupel"], 1, 1),
        ("The Broncos!", ["Broncos"], 1, 1),  # article and punctuation
        ("  THE  Denver   broncos", ["Denver Broncos"], 1, 1),  # case and white space
        ("a theatre", ["theatre"], 1, 1),  # "the" in "theatre" is no article
        ("U.S.", ["US"], 1, 1),  # punctuation goes without leaving a space
        ("in 1066 at Hastings", ["1066"], 0, 2 * (1 / 4) * 1 / (1 / 4 + 1)),
        ("within a cloud", ["inside a cloud"], 0, 1 / 2),  # "a" does not count: 1 of 2 words, twice
        (
            "to be or not to be",
            ["to be to"],
            0,
            2 * (3 / 6) * 1 / (3 / 6 + 1),
        ),  # "to" counts twice: 3 in common
        ("gravity", ["mass", "force of gravity", "gravity"], 1, 1),  # the best of several
        ("force gravity", ["mass", "force of gravity"], 0, 2 * 1 * (2 / 3) / (1 + 2 / 3)),
        ("rain", ["snow"], 0, 0),
        ("", ["snow"], 0, 0),
        (
            "the",
            ["A"],
            1,
            0,
        ),  # no word is left: equal, yet none in common; so it is in the published definition
        ("10–12", ["10 12"], 0, 0),  # only ASCII punctuation is removed from English
    ],
)
def test_squad_by_hand(prediction, references, exact, f1):
    assert answer_metrics([prediction], [references]) == pytest.approx({"exact_match": exact, "f1": f1})


@pytest.mark.parametrize(
    "prediction, references, exact, f1",
    [
        ("北京", ["北京。"], 1, 1),
        ("《红楼梦》", ["红楼梦"], 1, 1),
        ("北京市", ["北京"], 0, 2 * (2 / 3) * 1 / (2 / 3 + 1)),  # 2 of 3 characters, 2 of 2
        ("2018年", ["2018 年"], 1, 1),
        ("2018年", ["2019年"], 0, 1 / 2),  # a number is one word: 1 of 2
        ("A 股", ["股"], 0, 2 * (1 / 2) * 1 / (1 / 2 + 1)),  # "A" is no article in Chinese
        ("Beijing", ["北京", "Beijing"], 1, 1),
    ],
)
def test_chinese_answers_count_characters(prediction, references, exact, f1):
    assert answer_metrics([prediction], [references]) == pytest.approx({"exact_match": exact, "f1": f1})


def test_answers_are_averaged_over_questions():
    predictions, references = ["cat", "black dog", "x"], [["the cat"], ["dog"], ["y"]]
    metrics = answer_metrics(predictions, references)
    assert metrics == pytest.approx({"exact_match": 1 / 3, "f1": (1 + 2 / 3 + 0) / 3})
    assert answer_metrics(predictions[::-1], references[::-1]) == pytest.approx(metrics)
    one, two = (
        answer_metrics(predictions[:1], references[:1]),
        answer_metrics(predictions[1:], references[1:]),
    )
    assert (one["f1"] + 2 * two["f1"]) / 3 == pytest.approx(metrics["f1"])  # batches weigh by their questions


@pytest.mark.parametrize(
    "predictions, references, message",
    [
        ([], [], "at least 1: 0 and 0"),
        (["a"], [["a"], ["b"]], "as many, at least 1: 1 and 2"),
        (["a", "b"], [["a"], []], r"references\[1\] must be a list of right answers, not \[\]"),
        (["a"], ["a"], r"references\[0\] must be a list of right answers, not 'a'"),
    ],
)
def test_answer_errors(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        answer_metrics(predictions, references)


# ----------------------------------------------------------------------------------------------- cross-validation

ROWS = [{"id": i, "label": "rare" if i % 4 == 0 else "common"} for i in range(20)]  # 5 rare, 15 common


def test_each_row_is_measured_once_and_the_folds_are_stratified(capsys):
    measured = []

    def train_and_score(train, validation):
        ids = [row["id"] for row in validation]
        assert sorted(ids + [row["id"] for row in train]) == list(range(20))
        assert [row["label"] for row in validation].count("rare") == 1  # 5 rare ones in 5 folds
        measured.extend(ids)
        return {"accuracy": len(measured) / 20}  # 0.2, 0.4, 0.6, 0.8, 1

    results = cross_validate(train_and_score, ROWS)
    assert sorted(measured) == list(range(20))
    assert [fold["accuracy"] for fold in results["folds"]] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert results["mean"]["accuracy"] == pytest.approx(0.6)
    # squares of -0.4, -0.2, 0, 0.2, 0.4 add up to 0.4; divided by 4
    assert results["std"]["accuracy"] == pytest.approx(0.1**0.5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "fold 2 of 5" in lines[1] and "16 rows to train, 4 to measure" in lines[1]
    assert "accuracy 0.400" in lines[1]


def test_the_seed_decides_the_folds():
    def folds(seed):
        seen = []
        cross_validate(
            lambda train, rows: seen.append([row["id"] for row in rows]) or {"n": 1}, ROWS, seed=seed
        )
        return seen

    assert folds(3) == folds(3)
    assert folds(3) != folds(4)


def test_without_labels():
    sizes = []
    results = cross_validate(
        lambda train, rows: sizes.append(len(rows)) or {"n": np.float32(len(train))},
        range(7),
        folds=3,
        label=None,
    )
    assert sorted(sizes) == [2, 2, 3]
    assert results["mean"]["n"] == pytest.approx((5 + 5 + 4) / 3)
    assert json.loads(json.dumps(results)) == results


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"folds": 1}, "folds must be 2 or more, not 1"),
        ({"folds": 21}, "rows has 20 rows, fewer than folds=21"),
        ({"folds": 21, "label": None}, "rows has 20 rows, fewer than folds=21"),
        ({"folds": 6}, "Class 'rare' has 5 rows, fewer than folds=6"),
    ],
)
def test_cross_validation_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        cross_validate(lambda train, rows: pytest.fail("called"), ROWS, **arguments)


def test_folds_with_other_scores_are_an_error():
    scores = iter([{"accuracy": 1}, {"f1": 1}])
    with pytest.raises(ValueError, match=r"returned \['accuracy'\] first and \['f1'\] now"):
        cross_validate(lambda train, rows: next(scores), ROWS, folds=2)


# --- Translations and summaries -------------------------------------------------------------------------


def test_bleu_by_hand():
    # 6 of 7 words, 4 of 6 pairs, 2 of 5 triples, 1 of 4 quadruples; no longer reference
    figures = translation_metrics(["the cat sat on the red mat"], ["the cat sat on a red mat"])
    expected = 100 * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** (1 / 4)
    assert figures["bleu"] == pytest.approx(expected, rel=1e-6)
    assert "tok:13a" in figures["bleu_signature"] and "case:mixed" in figures["bleu_signature"]
    assert 0 < figures["chrf"] < 100


def test_a_short_translation_pays_and_chinese_is_cut_into_characters():
    reference = "a b c d e f g h"
    figures = translation_metrics(["a b c d"], [reference])
    assert figures["bleu"] == pytest.approx(100 * math.exp(1 - 8 / 4), rel=1e-6)
    figures = translation_metrics(["我喜欢吃苹果", "今天下雨"], ["我喜欢吃苹果", "今天下雨"])
    assert figures["bleu"] == pytest.approx(100) and "tok:zh" in figures["bleu_signature"]
    with pytest.raises(ValueError, match="must be as many, at least 1: 0 and 0"):
        translation_metrics([], [])


def test_rouge_by_hand_and_the_best_reference_counts():
    # words: the, cat, sat; 2 of 3 and 2 of 4. Pairs: none. Longest common subsequence: the ... sat, 2.
    figures = summary_metrics(["the cat sat"], [["the dog sat down"]])
    f1 = 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)
    assert figures == pytest.approx({"rouge1": 100 * f1, "rouge2": 0, "rougeL": 100 * f1})
    figures = summary_metrics(["the cat sat"], [["nothing else", "the cat sat"]])
    assert figures == pytest.approx({"rouge1": 100, "rouge2": 100, "rougeL": 100})
    figures = summary_metrics(["小猫坐着", "Runs"], [["小狗坐着"], ["running"]])
    assert figures["rouge1"] == pytest.approx(100 * (3 / 4 + 1) / 2)
    with pytest.raises(ValueError, match=r"references\[0\] must be a list"):
        summary_metrics(["a"], ["a"])
