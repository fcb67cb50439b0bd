"""The commands that fine-tune a BERT, from a file to a prediction, on rules that a tiny one learns in seconds."""

import csv
import hashlib
import io
import json
import random
import re

import keras
import numpy as np
import pytest
import typer
from safetensors.numpy import load_file

from keras_llm.baselines.tfidf import tfidf_vectors
from keras_llm.cli import app
from keras_llm.evaluation.ranking import ranking_metrics
from keras_llm.models.bert import BertEncoder, BertPairRanker, BertSentenceEmbedder
from keras_llm.recipes import runs
from keras_llm.recipes.answer import find_answers
from keras_llm.recipes.classify import _cut_pair, predict_labels
from keras_llm.recipes.rows import source_of
from keras_llm.recipes.similar import embed_texts, encode, rank_texts, text_pairs
from keras_llm.recipes.tag import find_entities
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import PairCrossEntropy

TINY = "--size tiny --vocabulary 300 --length 32 --batch-size 8 --learning-rate 1e-3 --dropout 0".split()
FILLERS = "the a of and to we they it old new big small red road house river walk sit look find".split()
KEYWORDS = {"warm": ("sun", "fire"), "cold": ("ice", "snow")}
NAMES = {"PER": ("anna", "ben", "carl"), "LOC": ("rome", "oslo", "lima")}
SOUNDS = {"cat": "meow", "dog": "woof", "cow": "moo", "duck": "quack", "pig": "oink", "sheep": "baa"}
FILES = {
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "run.json",
    "metrics.json",
    "history.csv",
    "curves.png",
}


def keras_llm(*words):
    typer.main.get_command(app)([str(word) for word in words], standalone_mode=False)


def printed(capsys, *words):
    """The lines that a command prints."""
    capsys.readouterr()
    keras_llm(*words)
    return capsys.readouterr().out.splitlines()


def json_of(path):
    return json.loads(path.read_text())


def sentence(draw, keyword, length=None):
    """Fillers with a keyword at any place."""
    words = draw.choices(FILLERS, k=length or draw.randint(3, 8))
    words.insert(draw.randrange(len(words) + 1), keyword)
    return words


def label_rows(number, seed, lengths=(None,)):
    draw = random.Random(seed)
    for i in range(number):
        label = draw.choice(list(KEYWORDS))
        words = sentence(draw, draw.choice(KEYWORDS[label]), lengths[i % len(lengths)])
        yield {"text": " ".join(words), "label": label}


def write_csv(path, rows):
    rows = list(rows)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


# ------------------------------------------------------------------------------------------ train classify


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("finetuning")


@pytest.fixture(scope="module")
def classifier(folder):
    write_csv(folder / "train.csv", label_rows(200, 0, (None, None, None, 40)))
    write_csv(folder / "validation.csv", label_rows(40, 1, (None, 40)))
    write_csv(folder / "test.csv", label_rows(40, 2))
    keras_llm(
        *("train", "classify", "--data", folder / "train.csv", "--validation", folder / "validation.csv"),
        *("--test", folder / "test.csv", *TINY, "--epochs", 4),
        *("--output", folder / "classifier", "--result", folder / "classifier.json"),
    )
    return folder / "classifier"


def test_a_classifier_learns_a_rule_and_leaves_its_files(classifier, folder):
    assert {path.name for path in classifier.iterdir()} >= FILES | {"confusion.png"}
    metrics = json_of(classifier / "metrics.json")
    assert metrics["test_accuracy"] >= 0.95 and metrics["validation_accuracy"] >= 0.9
    result = json_of(folder / "classifier.json")
    assert result["metrics"] == metrics
    assert [entry["path"] for entry in result["data"]] == [
        f"{folder / split}.csv ({split})" for split in ("train", "validation", "test")
    ]


def test_r_drop_trains_on_each_text_twice(folder, classifier):
    keras_llm(
        *("train", "classify", "--data", folder / "train.csv", "--validation", folder / "validation.csv"),
        *(*TINY, "--epochs", 2, "--r-drop", 1, "--output", folder / "r_drop"),
    )
    assert json_of(folder / "r_drop" / "metrics.json")["validation_accuracy"] >= 0.9


def test_a_soup_is_the_mean_of_its_members(folder, classifier):
    keras_llm(
        *("train", "classify", "--data", folder / "train.csv", "--validation", folder / "validation.csv"),
        *(*TINY, "--epochs", 2, "--soup", 2, "--pooling", "mean", "--output", folder / "soup"),
    )
    soup, first, second = (
        load_file(path / "model.safetensors")
        for path in (folder / "soup", folder / "soup" / "member_1", folder / "soup" / "member_2")
    )
    for name, weights in soup.items():
        np.testing.assert_allclose(weights, (first[name] + second[name]) / 2, rtol=1e-5, atol=1e-6)
    assert (
        np.abs(first["classifier.weight"] - second["classifier.weight"]).max() > 1e-4
    )  # two orders of the rows
    assert json_of(folder / "soup" / "metrics.json")["validation_accuracy"] >= 0.9
    assert not any("pooler" in name for name in soup)
    assert [row["label"] for row in predict_labels(folder / "soup", ["we see ice", "the fire"])] == [
        "cold",
        "warm",
    ]


def test_a_long_text_is_read_to_its_end(classifier):
    fillers = " ".join(FILLERS * 2)  # 42 words: the keyword is in the last window alone
    found = predict_labels(classifier, [f"{fillers} {word}" for word in ("snow", "fire")])
    assert [row["label"] for row in found] == ["cold", "warm"]
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_predict_takes_texts_from_words_a_file_or_standard_input(classifier, folder, capsys, monkeypatch):
    lines = printed(capsys, "predict", classifier, "we look to the fire", "snow and snow")
    labels, probabilities, texts = zip(*(line.split("  ") for line in lines))
    assert labels == ("warm", "cold") and texts == ("we look to the fire", "snow and snow")
    assert all(0.5 < float(probability) <= 1 for probability in probabilities)
    (folder / "texts.txt").write_text("we look to the fire\n\nsnow and snow\n")
    assert printed(capsys, "predict", classifier, "--file", folder / "texts.txt") == lines
    monkeypatch.setattr("sys.stdin", io.StringIO("we look to the fire\nsnow and snow"))
    assert printed(capsys, "predict", classifier) == lines


def test_evaluate_gives_the_run_s_own_figures(classifier, folder, capsys):
    metrics = json_of(classifier / "metrics.json")
    for split in ("validation", "test"):  # with all rows of the files that the run was given
        (line, *_) = printed(capsys, "evaluate", classifier, "--split", split)
        assert line == (
            f"{folder / split}.csv (all): accuracy {metrics[f'{split}_accuracy']:.4f}, "
            f"macro F1 {metrics[f'{split}_macro_f1']:.4f}"
        )
    (line, *_) = printed(capsys, "evaluate", classifier, "-d", folder / "test.csv", "--split", "all")
    assert f"accuracy {metrics['test_accuracy']:.4f}" in line


def test_config_repeats_a_run_to_the_last_digit(classifier, folder):
    keras_llm("train", "classify", "--config", classifier / "run.json", "--output", folder / "again")
    assert json_of(folder / "again" / "metrics.json") == json_of(classifier / "metrics.json")
    assert json_of(folder / "again" / "run.json") == json_of(classifier / "run.json")


def test_a_run_goes_on_from_another_and_its_result_names_the_weights(classifier, folder):
    words = ["--data", folder / "train.csv", "--length", 32, "--epochs", 1, "--learning-rate", 1e-5]
    keras_llm(
        *("train", "classify", *words, "--start-from", classifier),
        *("--output", folder / "more", "--result", folder / "more.json"),
    )
    assert Tokenizer.from_pretrained(folder / "more") == Tokenizer.from_pretrained(classifier)
    name = "bert.encoder.layer.1.output.dense.weight"
    before, after = (load_file(run / "model.safetensors")[name] for run in (classifier, folder / "more"))
    assert 0 < np.abs(after - before).max() < 1e-3  # a few steps at a low rate from there
    weights = (classifier / "model.safetensors").read_bytes()
    assert json_of(folder / "more.json")["data"][-1] == {
        "path": f"{classifier} (model.safetensors)",
        "sha256": hashlib.sha256(weights).hexdigest(),
    }


def test_pairs_are_classified_and_a_pair_is_cut(folder, capsys):
    draw = random.Random(5)
    rows = []  # the second text alone decides
    for i in range(200):
        label = draw.choice(list(KEYWORDS))
        texts = [" ".join(sentence(draw, word)) for word in ("river", draw.choice(KEYWORDS[label]))]
        rows.append({"a": texts[0], "b": texts[1] + " old" * (60 if i % 5 == 0 else 0), "is": label})
    write_csv(folder / "pairs.csv", rows)
    keras_llm(
        *("train", "classify", "--data", folder / "pairs.csv", *TINY, "--epochs", 4),
        *("--text-column", "a", "--pair-column", 1, "--label-column", "is", "--output", folder / "pairs"),
    )
    assert json_of(folder / "pairs" / "metrics.json")["validation_accuracy"] >= 0.9
    (line,) = printed(capsys, "predict", folder / "pairs", "the river", "--pair", "a small fire")
    assert line.startswith("warm  0.")
    assert "accuracy" in printed(capsys, "evaluate", folder / "pairs")[0]
    with pytest.raises(ValueError, match="--pair is the second text of one text, not of 2"):
        keras_llm("predict", folder / "pairs", "one", "two", "--pair", "three")


def test_cutting_a_pair_by_hand():
    def pair(first, second):
        ids = [1, *range(10, 10 + first), 2, *range(50, 50 + second), 2]
        return ids, [0] * (first + 2) + [1] * (second + 1)

    assert _cut_pair(*pair(2, 3), 8) == pair(2, 3)  # it fits
    assert _cut_pair(*pair(9, 2), 8) == pair(3, 2)  # the longer one is cut ...
    assert _cut_pair(*pair(2, 9), 8) == pair(2, 3)
    assert _cut_pair(*pair(9, 9), 8) == pair(3, 2)  # ... until both are as long; of the second one more
    assert _cut_pair(*pair(0, 9), 8) == pair(0, 5)


# ------------------------------------------------------------------------------------------------ train tag


@pytest.fixture(scope="module")
def tagger(folder):
    draw = random.Random(0)
    for split, number in (("train", 160), ("validation", 40)):
        lines = []
        for i in range(number):
            kind = draw.choice(list(NAMES))
            words = sentence(draw, draw.choice(NAMES[kind]), 60 if i % 8 == 0 else None)
            lines += [f"{word}\t{f'B-{kind}' if word in NAMES[kind] else 'O'}" for word in words] + [""]
        (folder / f"{split}.conll").write_text("\n".join(lines))
    keras_llm(
        *("train", "tag", "--data", folder / "train.conll", "--validation", folder / "validation.conll"),
        *(*TINY, "--epochs", 3, "--output", folder / "tagger"),
    )
    return folder / "tagger"


def test_a_tagger_learns_a_rule_and_finds_names_anywhere(tagger, capsys):
    assert {path.name for path in tagger.iterdir()} >= FILES
    metrics = json_of(tagger / "metrics.json")
    assert metrics["validation_entity_f1"] >= 0.95
    text = "Anna, we look. " + " ".join(FILLERS * 4) + " Oslo!"
    place = len(text) - 5
    assert find_entities(tagger, [text]) == [
        [
            {"type": "PER", "start": 0, "end": 4, "text": "Anna"},
            {"type": "LOC", "start": place, "end": place + 4, "text": "Oslo"},
        ]
    ]
    lines = printed(capsys, "predict", tagger, text, "we walk", "to Rome")
    assert lines == ["PER  0-4  Anna", f"LOC  {place}-{place + 4}  Oslo", "", "", "LOC  3-7  Rome"]
    (line, *table) = printed(capsys, "evaluate", tagger)
    assert f"F1 {metrics['validation_entity_f1']:.4f}" in line
    assert {row.split()[0] for row in table if row} == {"type", "LOC", "PER", "all"}


# --------------------------------------------------------------------------------------------- train answer


@pytest.fixture(scope="module")
def answerer(folder):
    draw = random.Random(0)
    questions = {"PER": "who is it ?", "LOC": "where is it ?"}
    for split, number in (("train", 240), ("validation", 40)):
        rows = []
        for i in range(number):
            words = sentence(draw, draw.choice(NAMES["PER"]), 40 if i % 8 == 0 else None)
            words.insert(draw.randrange(len(words) + 1), draw.choice(NAMES["LOC"]))
            kind = draw.choice(list(NAMES))
            answer = next(word for word in words if word in NAMES[kind])
            place = len(" ".join(["", *words[: words.index(answer)]]))
            row = {"question": questions[kind], "context": " ".join(words)}
            rows.append(json.dumps(row | {"answers": [{"text": answer, "answer_start": place}]}))
        (folder / f"{split}.jsonl").write_text("\n".join(rows))
    keras_llm(
        *("train", "answer", "--data", folder / "train.jsonl", "--validation", folder / "validation.jsonl"),
        *(*TINY, "--epochs", 8, "--patience", 8, "--output", folder / "answerer"),
    )
    return folder / "answerer"


def test_an_answerer_learns_a_rule_and_reads_a_long_context(answerer, folder, capsys):
    assert {path.name for path in answerer.iterdir()} >= FILES
    metrics = json_of(answerer / "metrics.json")
    assert metrics["validation_exact_match"] >= 0.9
    context = "Ben and we sit. " + " ".join(FILLERS * 4) + " to Lima"
    place = len(context) - 4
    who, where = find_answers(answerer, ["Who is it?", "Where is it?"], context)
    assert (who["text"], who["start"], who["end"]) == ("Ben", 0, 3)
    assert (where["text"], where["start"], where["end"]) == ("Lima", place, place + 4)
    (folder / "context.txt").write_text(context)
    for given in (context, folder / "context.txt"):
        lines = printed(capsys, "predict", answerer, "Who is it?", "Where is it?", "--context", given)
        assert [line.rsplit("  ", 1)[0] for line in lines] == ["Ben  0-3", f"Lima  {place}-{place + 4}"]
    (line,) = printed(capsys, "evaluate", answerer)
    assert line.endswith(
        f"F1 {metrics['validation_f1']:.4f}, exact match {metrics['validation_exact_match']:.4f}"
    )


# -------------------------------------------------------------------------------------------- train similar


@pytest.fixture(scope="module")
def embedder(folder):
    draw = random.Random(0)
    for split, number in (("train", 240), ("validation", 40)):
        rows = []
        for _ in range(number):
            animal = draw.choice(list(SOUNDS))
            words = sentence(draw, animal)
            rows.append({"source": " ".join(words), "target": f"someone says {SOUNDS[animal]} to him"})
        write_csv(folder / f"similar_{split}.csv", rows)
    keras_llm(
        *("train", "similar", "--data", folder / "similar_train.csv", *TINY, "--epochs", 4),
        *("--validation", folder / "similar_validation.csv", "--output", folder / "embedder"),
    )
    return folder / "embedder"


def test_an_embedder_brings_together_what_shares_no_word(embedder, folder, capsys):
    assert {path.name for path in embedder.iterdir()} >= FILES | {"1_Pooling"}
    metrics = json_of(embedder / "metrics.json")
    assert metrics["validation_accuracy_at_1"] >= 0.95 > 0.5 > metrics["validation_tfidf_accuracy_at_1"]
    vectors = embed_texts(embedder, ["the cat", "a " * 100 + "dog"])  # the second one is cut
    assert vectors.shape == (2, 128) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    sounds = [f"someone says {sound} to him" for sound in SOUNDS.values()]
    best, second = rank_texts(embedder, "we look to the cow", sounds, top=2)
    assert best["place"] == 2 and best["text"] == sounds[2] and best["score"] > second["score"]
    (folder / "sounds.txt").write_text("\n".join(sounds))
    words = ["the old duck", "a pig", "--among", folder / "sounds.txt", "--top", 2]
    lines = printed(capsys, "predict", embedder, *words)
    assert [line[5:].strip() for line in (lines[0], lines[3])] == [sounds[3], sounds[4]]
    assert len(lines) == 5 and lines[2] == ""
    lines = printed(capsys, "evaluate", embedder)
    assert f"BERT    accuracy@1 {metrics['validation_accuracy_at_1']:.4f}" in lines[1]
    assert f"TF-IDF  accuracy@1 {metrics['validation_tfidf_accuracy_at_1']:.4f}" in lines[2]


def small_ranker():
    sizes = {"vocabulary_size": 30, "hidden_dim": 8, "num_layers": 1, "num_heads": 2, "context_length": 8}
    embedder = BertSentenceEmbedder(BertEncoder(**sizes, dropout=0.0, pooler=False))
    for i, variable in enumerate(embedder.trainable_variables):
        variable.assign(variable + np.random.default_rng(i).normal(size=variable.shape, scale=0.3))
    return BertPairRanker(embedder)


def test_the_ranker_compares_each_text_with_all_second_texts_but_its_own_twins():
    ranker = small_ranker()
    first = np.array([[5, 6, 0], [7, 8, 9], [5, 5, 5], [0, 0, 0]])
    second = np.array([[10, 11, 0], [12, 0, 0], [10, 11, 0], [0, 0, 0]])  # 0 and 2 are equal, 3 is filling
    logits = np.asarray(ranker({"token_ids": first, "pair_ids": second}))
    vectors = [np.asarray(ranker.embedder(ids)) for ids in (first, second)]
    for row in range(3):
        for column in range(4):
            if column == 3 or {row, column} == {0, 2}:
                assert logits[row, column] == -1e9
            else:
                cosine = float(vectors[0][row] @ vectors[1][column])
                assert logits[row, column] == pytest.approx(20 * cosine, abs=1e-4)


def test_the_pair_loss_by_hand_and_rows_of_filling_give_no_gradient():
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(np.diag(chances))
    assert float(PairCrossEntropy()(np.zeros(3, "int32"), logits)) == pytest.approx(expected.mean(), rel=1e-5)
    loss = PairCrossEntropy()(np.array([0, -100, 0]), logits)
    assert float(loss) == pytest.approx(expected[[0, 2]].mean(), rel=1e-5)

    ranker = small_ranker()
    ranker.compile(keras.optimizers.SGD(0.01), PairCrossEntropy())
    inputs = {
        "token_ids": np.array([[5, 6], [7, 8], [0, 0]]),
        "pair_ids": np.array([[9, 10], [11, 0], [0, 0]]),
    }
    before = [np.array(weights) for weights in ranker.get_weights()]
    ranker.train_on_batch(inputs, np.array([0, 0, -100]))
    after = ranker.get_weights()
    assert all(np.isfinite(weights).all() for weights in after)  # a vector of padding alone has length 0
    assert any(not np.array_equal(*pair) for pair in zip(before, after))


def test_a_ranker_is_saved_with_its_embedder(tmp_path):
    ranker = small_ranker()
    inputs = {"token_ids": np.array([[5, 6]]), "pair_ids": np.array([[9, 10]])}
    ranker.save(tmp_path / "ranker.keras")
    again = keras.saving.load_model(tmp_path / "ranker.keras", compile=False)
    np.testing.assert_allclose(np.asarray(again(inputs)), np.asarray(ranker(inputs)), rtol=1e-5)


def test_ranking_metrics_by_hand():
    candidates = np.eye(3)
    queries = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1], [1, 0, 1]])  # scores as they are
    figures = ranking_metrics(
        queries, candidates, [0, 1, 2, 0]
    )  # ranks 1, 2, 3, and 2: a tie counts against it
    assert figures["accuracy_at_1"] == 1 / 4
    assert figures["mean_reciprocal_rank"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    with pytest.raises(ValueError, match="right must hold numbers from 0 to 2"):
        ranking_metrics(queries, candidates, [0, 1, 2, 3])


def test_words_find_texts_in_english_and_chinese():
    candidates = ["The cat sits.", "A dog barks!", "今天下雨", "明天出太阳"]
    queries = ["cat", "which dog", "下雨了吗", "太阳"]
    figures = ranking_metrics(*tfidf_vectors(queries, candidates), range(4))
    assert figures == {"accuracy_at_1": 1.0, "mean_reciprocal_rank": 1.0}


def test_pairs_of_texts_by_task():
    assert text_pairs([{"id": "1", "context": "c", "question": "q", "answers": []}]) == [("q", "c")]
    rows = [{"text": "a", "text_pair": "b", "label": "1"}, {"text": "c", "text_pair": "d", "label": "0"}]
    assert text_pairs(rows, "1") == [("a", "b")]
    with pytest.raises(
        ValueError, match="--label must say which pairs belong together; their labels are 0, 1"
    ):
        text_pairs(rows)
    with pytest.raises(ValueError, match="The data have only text; two texts a row are needed: question and"):
        text_pairs([{"text": "a"}])


def test_texts_are_cut_before_their_separator():
    tokenizer = Tokenizer.train(["one two three"], "wordpiece", 60)
    short, long = encode(tokenizer, ["one", "one two three one two three"], 4)
    assert short[0] == tokenizer.class_id and len(long) == 4
    assert long[-1] == short[-1] == tokenizer.separator_id and long[1] == short[1]


# ------------------------------------------------------------------------------------------- what is refused


def test_where_a_split_comes_from():
    assert source_of("train", "d") == ("d", "train")
    assert source_of("train", "d", validation="v") == ("d", None)
    assert source_of("validation", "d") == ("d", "validation")
    assert source_of("validation", "d", validation="v") == ("v", None)
    assert source_of("test", "d", "v", "test") == source_of("test", "d") == ("d", "test")
    assert source_of("test", "d", None, "t") == ("t", None)
    assert source_of(None, "d", "v", "t") == ("d", None)


def test_a_checkpoint_without_run_json_is_used_by_its_head(tagger, folder, tmp_path, capsys):
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tagger / name).read_bytes())
    assert runs.command_of(tmp_path) == "train tag"
    assert printed(capsys, "predict", tmp_path, "to Rome") == ["LOC  3-7  Rome"]
    with pytest.raises(ValueError, match="has no text of its own"):
        keras_llm("evaluate", tmp_path)
    words = ["evaluate", tmp_path, "-d", folder / "validation.conll", "--split", "all"]
    assert "F1" in printed(capsys, *words)[0]
    with pytest.raises(ValueError, match="has no head for BertQuestionAnswerer"):
        find_answers(tmp_path, ["Who?"], "Ben.")
    config = json_of(tmp_path / "config.json")
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMultipleChoice"]}))
    with pytest.raises(ValueError, match="is a BertForMultipleChoice, which no command here uses"):
        keras_llm("predict", tmp_path, "a")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train classify --data {folder}/train.csv --validation {folder}/odd.csv", "the label 'hot'"),
        ("train classify --data {folder}/train.conll", "have no column text, only tokens, tags"),
        ("train tag --data {folder}/train.csv", "have no column tokens, only text, label"),
        ("train answer --data {folder}/train.csv", "have no column question"),
        ("train similar --data {folder}/train.csv", "two texts a row are needed"),
        ("train classify --data {folder}/train.csv --output {folder}/classifier", "already holds a run"),
        ("train classify --data {folder}/train.csv --start-from {folder}/none", "There is no folder"),
        (
            "train tag --data {folder}/train.conll --start-from {folder}/classifier --length 200",
            "--length 200 is beyond the model's context of 128",
        ),
        ("train tag --config {folder}/classifier/run.json", "is not the run.json of this command"),
        ("predict {folder}/classifier a --file {folder}/odd.csv", "Give texts or --file, not both"),
        ("predict {folder}/classifier a --among {folder}/odd.csv", "--among has no meaning for a model of"),
        ("predict {folder}/classifier --file {folder}/empty.txt", "There is no text in"),
        ("predict {folder}/tagger a --pair b", "--pair has no meaning for a model of `train tag`"),
        ("predict {folder}/lstm a", "is a language model, which has no label to predict"),
        ("predict {folder}/lstm a --pair b", "--pair has no meaning for a model of `train lstm`"),
        ("predict {folder}/gpt2 a", "is a model of `train gpt2`: let it write with `keras-llm generate`"),
        ("generate {folder}/classifier a", "is a model of `train classify`; prompts are continued by"),
        ("predict {folder}/nowhere/at/all a", "There is no folder"),
    ],
)
def test_a_wrong_input_is_named(classifier, tagger, folder, words, message):
    write_csv(folder / "odd.csv", [{"text": "the sun", "label": "hot"}])
    (folder / "empty.txt").write_text("\n\n")
    for command in ("lstm", "gpt2"):
        (folder / command).mkdir(exist_ok=True)
        settings = {"command": f"train {command}", "arguments": {"task": "language_model"}}
        (folder / command / "run.json").write_text(json.dumps(settings))
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        keras_llm(*(word.format(folder=folder) for word in words.split()))


@pytest.mark.parametrize("task", ["classifier", "tagger"])
def test_an_lstm_predicts_as_a_bert_does(task, classifier, tagger, folder, tmp_path, capsys):
    data = folder / {"classifier": "train.csv", "tagger": "train.conll"}[task]
    keras_llm(
        *("train", "lstm", "--task", task, "--data", data, "--lowercase", "--units", 32),
        *("--epochs", 12, "--batch-size", 8, "--learning-rate", 0.01, "--output", tmp_path / "run"),
    )
    metrics = json_of(tmp_path / "run" / "metrics.json")
    if task == "classifier":
        assert metrics["validation_accuracy"] >= 0.9
        (line,) = printed(capsys, "predict", tmp_path / "run", "we look to the fire")
        label, probability, text = line.split("  ")
        assert label == "warm" and 0.5 < float(probability) <= 1 and text == "we look to the fire"
    else:
        assert metrics["validation_entity_f1"] >= 0.9
        lines = printed(capsys, "predict", tmp_path / "run", "we walk", "we look to Rome")
        assert lines == ["", "LOC  11-15  Rome"]
        assert (
            f"entity f1 {metrics['validation_entity_f1']:.4f}"
            in printed(capsys, "evaluate", tmp_path / "run")[0]
        )


def test_questions_need_a_context_and_near_texts_a_file(answerer, embedder):
    with pytest.raises(ValueError, match="Questions need --context"):
        keras_llm("predict", answerer, "Who is it?")
    with pytest.raises(ValueError, match="give it with --among"):
        keras_llm("predict", embedder, "the cat")
