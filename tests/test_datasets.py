"""Loading of rows from samples, files and TFDS names; the split of rows; the corpus of docstrings."""

import json
import os
import pathlib
import re
import sys
import textwrap

import numpy as np
import pytest

from keras_llm.datasets import bundled_folder, docstring_corpus, load, names
from keras_llm.datasets.splits import SPLITS, split_by_hash

# Real data that lies beside some checkouts; see the tests that use it for what it is.
REAL_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


def real(path):
    if not (REAL_DATA / path).exists():
        pytest.skip(f"the real data {path} are not beside this checkout")
    return str(REAL_DATA / path)


@pytest.fixture
def write(tmp_path):
    """Writes a file (bytes as they are) and returns its path."""

    def write_file(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return str(path)

    return write_file


def raises(kind, *parts):
    """Expects an error of one line that has all the parts in it."""
    return pytest.raises(kind, match="^" + "".join(f"(?=.*{re.escape(part)})" for part in parts) + "[^\n]*$")


# --- Splits ------------------------------------------------------------------------------------------------


def test_split_by_hash_follows_published_sha256_values():
    # First digits of the digests: "a" ca978112 (0.791), "abc" ba7816bf (0.728), "" e3b0c442 (0.889),
    # "The quick brown fox jumps over the lazy dog" d7a8fbb3 (0.842), with a full stop ef537f25 (0.934).
    fox = "The quick brown fox jumps over the lazy dog"
    assert [split_by_hash(text) for text in ("a", "abc", "", fox, fox + ".")] == [
        "train",
        "train",
        "validation",
        "validation",
        "test",
    ]
    assert split_by_hash("a", train=0.79, validation=0.05) == "validation"
    assert split_by_hash("a", train=0.5, validation=0.2) == "test"


def test_split_by_hash_draws_the_shares_it_is_given():
    drawn = [split_by_hash(f"row {i}") for i in range(10_000)]
    for split, share in zip(SPLITS, (0.8, 0.1, 0.1)):
        assert abs(drawn.count(split) / 10_000 - share) < 0.012  # three standard deviations


def test_splits_are_disjoint_complete_and_keep_equal_texts_together(write):
    lines = [f"text number {i % 150},{'ab'[i % 2]}" for i in range(300)]  # every text twice
    path = write("rows.csv", "\n".join(["text,label", *lines]))
    parts = {split: load(path, split) for split in SPLITS}
    texts = {split: {row["text"] for row in rows} for split, rows in parts.items()}
    assert sum(len(rows) for rows in parts.values()) == 300
    assert sum(len(part) for part in texts.values()) == 150  # so no text is in two of them
    assert all(len(rows) == 2 * len(texts[split]) for split, rows in parts.items())
    in_order = [row["text"] for row in load(path)]
    assert [row["text"] for row in parts["train"]] == [text for text in in_order if text in texts["train"]]


def test_rows_of_one_context_and_of_one_first_message_stay_together(write):
    contexts = [f"Context {i} is here." for i in range(60)]
    questions = [
        {
            "context": context,
            "question": f"What is {k}?",
            "answers": [{"text": "here", "answer_start": -5 + len(context)}],
        }
        for context in contexts
        for k in range(3)
    ]
    path = write("questions.jsonl", "\n".join(map(json.dumps, questions)))
    sides = [{row["context"] for row in load(path, split)} for split in SPLITS]
    assert sum(map(len, sides)) == 60
    dialogues = [
        {
            "messages": [
                {"role": "system", "content": f"Style {k}."},
                {"role": "user", "content": f"Opening {i}"},
                {"role": "assistant", "content": f"Answer {k}"},
            ]
        }
        for i in range(60)
        for k in range(3)
    ]
    path = write("dialogues.jsonl", "\n".join(map(json.dumps, dialogues)))
    sides = [{row["messages"][1]["content"] for row in load(path, split)} for split in SPLITS]
    assert sum(map(len, sides)) == 60


def test_a_split_that_no_row_fell_into_is_an_error(write):
    path = write("one.csv", "text,label\nabc,x\n")  # "abc" is drawn for training, see above
    assert load(path, "train") == [{"text": "abc", "label": "x"}]
    with raises(ValueError, "split='test'", "none of the 1 rows", path):
        load(path, "test")


@pytest.mark.parametrize("name", ["rows.csv", "running.txt"])
def test_an_unknown_split_is_an_error(write, name):
    path = write(name, "text,label\nabc,x\n")
    with raises(ValueError, "train, validation, test", "'dev'"):
        load(path, "dev")


# --- Files ------------------------------------------------------------------------------------------------


def test_running_text_is_split_by_position(write):
    text = "".join(chr(ord("a") + i % 26) for i in range(101))
    path = write("letters.txt", text)
    assert load(path) == [{"text": text}]
    assert load(path, "train") == [{"text": text[:90]}]
    assert load(path, "validation") == [{"text": text[90:]}]
    with raises(ValueError, "split='test'", path):
        load(path, "test")


def test_a_folder_of_texts_is_one_document_a_file(write, tmp_path):
    write("books/b.txt", "Second.")
    write("books/a.txt", "First.\nLine two.")
    write("books/notes.md", "Not a text file.")
    assert load(tmp_path / "books") == [{"text": "First.\nLine two."}, {"text": "Second."}]
    write("empty/notes.md", "Nothing.")
    with raises(ValueError, "empty", "no .txt"):
        load(tmp_path / "empty")


def test_csv_has_quoting_and_tsv_has_none(write):
    csv_path = write("a.csv", 'text,label\n"He said ""hi"", twice",good\n"two\nlines",bad\n')
    assert load(csv_path) == [
        {"text": 'He said "hi", twice', "label": "good"},
        {"text": "two\nlines", "label": "bad"},
    ]
    tsv_path = write("a.tsv", 'sentence\tlabel\n"unbalanced, he said\t1\nfine\t0\n')
    assert load(tsv_path) == [{"text": '"unbalanced, he said', "label": "1"}, {"text": "fine", "label": "0"}]


def test_a_byte_order_mark_and_windows_line_ends_are_taken_off(write):
    bom = b"\xef\xbb\xbf"
    assert load(write("a.csv", bom + b"text,label\r\nabc,x\r\n")) == [{"text": "abc", "label": "x"}]
    assert load(write("a.txt", bom + "中文".encode())) == [{"text": "中文"}]
    assert load(write("a.jsonl", bom + b'{"text": "abc"}\r\n')) == [{"text": "abc"}]
    assert load(write("a.json", bom + b'[{"text": "abc"}]')) == [{"text": "abc"}]
    assert load(write("a.conll", bom + b"Rome\tB-LOC\r\n\r\n")) == [{"tokens": ["Rome"], "tags": ["B-LOC"]}]


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        ("text,label", None, {"text": "x", "label": "y"}),
        ("Sentence,Label", None, {"text": "x", "label": "y"}),
        ("text_b,label", {"text": "text_b"}, {"text": "x", "label": "y"}),  # no column is used twice
        ("label,text_a", None, {"label": "x", "text": "y"}),
        ("source,target", None, {"source": "x", "target": "y"}),
        ("document,summary", None, {"document": "x", "summary": "y"}),
        ("text,stars", None, {"text": "x"}),
        ("review,label", {"text": "review"}, {"text": "x", "label": "y"}),
        ("review,stars", {"text": "review", "label": 1}, {"text": "x", "label": "y"}),
        ("source,target", {"document": "source", "summary": "target"}, {"document": "x", "summary": "y"}),
        (
            "label,text_a",
            {"text": 1, "label": 0},
            {"label": "x", "text": "y"},
        ),  # positions and a known header
    ],
)
def test_columns_are_found_by_name_or_as_told(write, header, columns, expected):
    assert load(write("a.csv", f"{header}\nx,y\n"), columns=columns) == [expected]


def test_positions_are_for_tables_without_a_header(write):
    path = write("a.tsv", "good film\t1\tu7\nbad film\t0\tu9\n")
    assert load(path, columns={"text": 0, "label": 1}) == [
        {"text": "good film", "label": "1"},
        {"text": "bad film", "label": "0"},
    ]
    assert load(path, columns={"text": 0, "label": -1})[1] == {"text": "bad film", "label": "u9"}
    # The sentence pairs of Tatoeba come as a table with the ending .txt.
    pairs = write("pairs.txt", "Hi.\t嗨。\tCC-BY\nRun.\t跑。\tCC-BY\n")
    assert load(pairs, columns={"source": 0, "target": 1})[1] == {"source": "Run.", "target": "跑。"}


def test_pairs_of_texts_keep_their_second_text(write):
    path = write("a.tsv", "text_a\ttext_b\tlabel\nIs it?\tIt is.\tyes\n")
    assert load(path) == [{"text": "Is it?", "text_pair": "It is.", "label": "yes"}]


def test_json_lines_of_every_task(write):
    objects = [
        {"text": "abc", "label": 3},
        {"tokens": ["Rome", "!"], "tags": ["B-LOC", "O"]},
        {"document": ["One.", "Two."], "summary": ["Short.", "Brief."]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
        {"id": 7, "context": "Rome is old.", "question": "What is old?", "answer": "Rome", "answer_start": 0},
        {"context": "aba", "question": "?", "answers": {"text": ["b", "a"], "answer_start": [1, 2]}},
    ]
    rows = [load(write("a.jsonl", json.dumps(value) + "\n\n"))[0] for value in objects]
    assert rows[0] == {"text": "abc", "label": "3"}
    assert rows[1] == objects[1]
    assert rows[2] == {"document": "One. Two.", "summary": "Short.", "references": ["Short.", "Brief."]}
    assert rows[3] == objects[3]
    assert rows[4] == {
        "id": "7",
        "context": "Rome is old.",
        "question": "What is old?",
        "answers": [{"text": "Rome", "start": 0}],
    }
    assert rows[5]["answers"] == [{"text": "b", "start": 1}, {"text": "a", "start": 2}]
    assert rows[5]["id"] == "1"  # a question without an id gets the number of its line


def squad(context="Rome is old.", text="old", start=8):
    question = {"id": "q1", "question": "How old?", "answers": [{"text": text, "answer_start": start}]}
    return json.dumps({"version": "1.1", "data": [{"paragraphs": [{"context": context, "qas": [question]}]}]})


def test_squad_json(write):
    assert load(write("a.json", squad())) == [
        {
            "id": "q1",
            "context": "Rome is old.",
            "question": "How old?",
            "answers": [{"text": "old", "start": 8}],
        }
    ]


def test_conll_takes_first_and_last_column_and_skips_document_lines(write):
    text = "-DOCSTART- -X- O O\n\nRome NNP I-NP B-LOC\nis VBZ I-VP O\n \t \nOslo NNP I-NP B-LOC"
    path = write("a.conll", text)
    assert load(path) == [
        {"tokens": ["Rome", "is"], "tags": ["B-LOC", "O"]},
        {"tokens": ["Oslo"], "tags": ["B-LOC"]},
    ]
    assert load(path, columns={"tags": 1})[0]["tags"] == ["NNP", "VBZ"]


def test_two_parallel_files(write):
    english, german = write("train.en", "A dog.\nA cat.\n"), write("train.de", "Ein Hund.\nEine Katze.\n")
    assert load(f"{english},{german}") == [
        {"source": "A dog.", "target": "Ein Hund."},
        {"source": "A cat.", "target": "Eine Katze."},
    ]
    longer = write("long.de", "Ein Hund.\nEine Katze.\nEin Fisch.\n")
    with raises(ValueError, f"{english} has 2 lines", f"{longer} has 3"):
        load(f"{english},{longer}")
    with raises(FileNotFoundError, "missing.de"):
        load(f"{english},{os.path.dirname(english)}/missing.de")


@pytest.mark.parametrize(
    ("name", "content", "columns", "parts"),
    [
        ("a.csv", "text,label\nabc,x\nabc\n", None, ["a.csv, line 3", "1 columns", "2 were expected"]),
        ("a.csv", "text,label\nabc,x,y\n", None, ["a.csv, line 2", "3 columns"]),
        ("a.csv", 'text,label\nabc,"x\ndef,y\n', None, ["a.csv, line 3", "unexpected end"]),
        ("a.csv", "review,stars\nabc,5\n", None, ["a.csv", "review, stars", "columns="]),
        ("a.csv", "text,label\nabc,x\n", {"label": "stars"}, ["a.csv", "'stars'", "text, label"]),
        ("a.csv", "text,label\nabc,x\n", {"label": 2}, ["a.csv", "no column 2", "for label"]),
        ("a.csv", "text,label\nabc,x\n", {"txt": "text"}, ["columns", "txt is unknown", "text_pair"]),
        ("a.tsv", "good film\t1\nbad film\t0\n", None, ["a.tsv", "good film, 1", "columns="]),
        ("a.tsv", "good film\t1\nbad film\n", {"text": 0, "label": 1}, ["a.tsv, line 2", "1 columns"]),
        ("a.csv", "text,label\n", None, ["a.csv is empty"]),
        ("a.csv", "", None, ["a.csv is empty"]),
        ("a.txt", " \n", None, ["a.txt is empty"]),
        ("a.jsonl", "\n", None, ["a.jsonl is empty"]),
        ("a.json", "", None, ["a.json is empty"]),
        ("a.conll", "\n\n", None, ["a.conll is empty"]),
        ("a.csv", b"text,label\ncaf\xe9,x\n", None, ["a.csv is not UTF-8"]),
        ("a.jsonl", '{"text": "abc"}\n{"text": \n', None, ["a.jsonl, line 2", "not valid JSON"]),
        (
            "a.jsonl",
            '{"text": "a", "label": "x"}\n{"text": "b"}\n',
            None,
            ["a.jsonl, line 2", "label is missing"],
        ),
        ("a.jsonl", '["text"]\n', None, ["a.jsonl, line 1", "got list"]),
        ("a.jsonl", '{"text": ["a"], "label": "x"}\n', None, ["line 1", "text must be text, got list"]),
        ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["O"]}\n', None, ["line 1", "one length"]),
        ("a.jsonl", '{"document": "a", "summary": []}\n', None, ["line 1", "summaries is empty"]),
        ("a.jsonl", '{"messages": "hi"}\n', None, ["line 1", "must be a list"]),
        ("a.jsonl", '{"messages": [{"role": "bot", "content": "x"}]}\n', None, ["line 1", "'bot'", "user"]),
        ("a.jsonl", '{"messages": [{"role": "user"}]}\n', None, ["line 1", "content"]),
        ("a.jsonl", '{"messages": [{"role": "assistant", "content": "x"}]}', None, ["line 1", "of the user"]),
        (
            "a.jsonl",
            '{"context": "a", "question": "b", "answer": "a"}',
            None,
            ["line 1", "answer_start", "None"],
        ),
        (
            "a.jsonl",
            '{"context": "a", "question": "b", "answers": ["a"]}',
            None,
            ["line 1", "an answer must be"],
        ),
        ("a.json", squad(start=7), None, ["a.json", "'old'", "character 7"]),
        ("a.json", squad(text="old.", start=-4), None, ["a.json", "'old.'", "character -4"]),
        ("a.json", '{"rows": []}', None, ["a.json", "SQuAD", "'data'"]),
        ("a.json", "{", None, ["a.json", "not valid JSON"]),
        ("a.conll", "Rome\tB-LOC\nis\n", None, ["a.conll, line 2", "1 columns", "2 were expected"]),
        ("a.conll", "Rome\nis\n", None, ["a.conll, line 1", "2 were expected"]),
        ("a.conll", "Rome\tB-LOC\n", {"tags": 4}, ["a.conll", "no column 4"]),
        ("a.parquet", "PAR1", None, ["a.parquet", ".csv", ".conll"]),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(write, name, content, columns, parts):
    path = write(name, content)
    with raises(ValueError, *parts):
        load(path, columns=columns)


@pytest.mark.parametrize("source", ["missing.csv", "./missing", "no/such/folder/", "Missing Folder"])
def test_a_missing_path_is_an_error(source):
    with raises(FileNotFoundError, pathlib.Path(source).name, "does not exist"):
        load(source)


def test_a_missing_relative_path_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_LLM_DATA", raising=False)
    with raises(FileNotFoundError, "none/a.tsv does not exist", "KERAS_LLM_DATA", "not set"):
        load("none/a.tsv")
    monkeypatch.setenv("KERAS_LLM_DATA", str(tmp_path))
    with raises(FileNotFoundError, "none/a.tsv does not exist", str(tmp_path)):
        load("none/a.tsv")


# --- Real files: the row counts that their publishers state ------------------------------------------------


@pytest.mark.parametrize(
    ("path", "columns", "rows"),
    [
        ("sst2/train.tsv", {"text": 0, "label": 1}, 6920),
        ("sst2/dev.tsv", {"text": 0, "label": 1}, 872),
        ("sst2/test.tsv", {"text": 0, "label": 1}, 1821),
        ("wnut17/train.conll", None, 3394),
        ("wnut17/dev.conll", None, 1009),
        ("wnut17/test.conll", None, 1287),
        ("squad/train-v1.1-head.json", None, 4370),
        ("squad/train-sample.jsonl", None, 2000),
        ("squad/dev-answerable.json", None, 2910),
        ("tatoeba_cmn_eng/cmn.txt", {"source": 0, "target": 1}, 29155),
        ("chnsenticorp/train.tsv", None, 9600),
        ("chnsenticorp/dev.tsv", {"label": "label", "text": "text_a"}, 1200),
        ("chnsenticorp/test.tsv", {"label": 0, "text": 1}, 1200),
        ("scitldr/test.jsonl", {"document": "source", "summary": "target"}, 618),
    ],
)
def test_row_counts_of_real_files(path, columns, rows):
    loaded = load(real(path), columns=columns)
    assert len(loaded) == rows
    if "label" in loaded[0]:
        assert {row["label"] for row in loaded} == {"0", "1"}


def test_wnut17_has_its_published_number_of_entities():
    rows = load(real("wnut17/train.conll"))
    assert sum(tag.startswith("B-") for row in rows for tag in row["tags"]) == 1975
    assert len({tag[2:] for row in rows for tag in row["tags"] if tag != "O"}) == 6


def test_parallel_real_files():
    rows = load(f"{real('multi30k/val.en')},{real('multi30k/val.de')}")
    assert len(rows) == 1014


# --- Bundled samples and names -----------------------------------------------------------------------------

BUNDLED_COLUMNS = {
    "topics_en": {"text", "label"},
    "topics_zh": {"text", "label"},
    "entities_en": {"tokens", "tags"},
    "entities_zh": {"tokens", "tags"},
    "questions_en": {"id", "context", "question", "answers"},
    "questions_zh": {"id", "context", "question", "answers"},
    "translation_en_zh": {"source", "target"},
    "summaries_en": {"document", "summary"},
    "summaries_zh": {"document", "summary"},
    "dialogue_en": {"messages"},
    "dialogue_zh": {"messages"},
}


@pytest.mark.parametrize("name", BUNDLED_COLUMNS)
def test_every_bundled_sample_loads_and_its_splits_are_disjoint_and_complete(name):
    rows = load(name)
    assert len(rows) >= 200
    assert all(set(row) == BUNDLED_COLUMNS[name] for row in rows)
    parts = [{json.dumps(row) for row in load(name, split)} for split in SPLITS]
    assert set.union(*parts) == set(map(json.dumps, rows))
    assert sum(len(part) for part in parts) == len(set.union(*parts))
    assert sum(len(load(name, split)) for split in SPLITS) == len(rows)


def test_names_lists_what_load_takes():
    listed = {entry["name"]: entry for entry in names()}
    assert set(BUNDLED_COLUMNS) < set(listed)
    assert {"docstrings", "tiny_shakespeare", "imdb_reviews", "glue/sst2", "squad"} < set(listed)
    assert listed["entities_zh"]["task"] == "tagging"
    assert listed["entities_zh"]["language"] == "Chinese"
    assert listed["topics_en"]["rows"] == len(load("topics_en"))
    assert listed["squad"]["rows"] is None
    assert {frozenset(entry) for entry in listed.values()} == {
        frozenset({"name", "task", "language", "rows", "origin"})
    }


def test_the_bundled_folder_of_a_package_comes_before_that_of_a_checkout(tmp_path, monkeypatch):
    from keras_llm.datasets import catalogue

    package = tmp_path / "checkout" / "keras_llm"
    monkeypatch.setattr(catalogue, "__file__", str(package / "datasets" / "catalogue.py"))
    with raises(FileNotFoundError, str(package)):
        bundled_folder()
    for folder in (tmp_path / "checkout" / "data", package / "data"):
        folder.mkdir(parents=True)
        (folder / "topics_en.csv").write_text("text,label\nabc,x\n")
        assert bundled_folder() == folder.resolve()


# --- TensorFlow Datasets ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with small prepared sets, in the layout and with the features of the real ones."""
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = tmp_path_factory.mktemp("tfds")
    text = tfds.features.Text()

    def store(name, features, splits, config=None, version="1.0.0"):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version=version,
            config=config,
            features=features,
            split_datasets={split: list(enumerate(examples)) for split, examples in splits.items()},
            data_dir=folder,
            disable_shuffling=True,
        )

    store(
        "imdb_reviews",
        tfds.features.FeaturesDict({"text": text, "label": tfds.features.ClassLabel(names=["neg", "pos"])}),
        {
            "train": [{"text": "Très bien.", "label": 1}, {"text": "Dull.", "label": 0}],
            "test": [{"text": "Fine.", "label": 1}],
            "unsupervised": [{"text": "No label.", "label": -1}],
        },
        config="plain_text",
    )
    store(
        "own_pairs",
        tfds.features.FeaturesDict({"premise": text, "claim": text, "year": tfds.features.Scalar(np.int32)}),
        {"train": [{"premise": "It rains.", "claim": "It is wet.", "year": 1999}]},
    )
    store(
        "own_translation",
        tfds.features.FeaturesDict({"source": text, "target": text}),
        {"train": [{"source": "olá", "target": "hello"}]},
    )
    store(
        "own_tags",
        tfds.features.FeaturesDict(
            {
                "tokens": tfds.features.Sequence(text),
                "ner": tfds.features.Sequence(tfds.features.ClassLabel(names=["O", "B-LOC"])),
            }
        ),
        {"train": [{"tokens": ["In", "Rome"], "ner": [0, 1]}]},
    )
    store(
        "own_questions",
        tfds.features.FeaturesDict(
            {
                "id": text,
                "title": text,
                "context": text,
                "question": text,
                "answers": tfds.features.Sequence(
                    {"text": text, "answer_start": tfds.features.Scalar(np.int32)}
                ),
            }
        ),
        {
            "validation": [
                {
                    "id": "q1",
                    "title": "T",
                    "context": "中文 and English",
                    "question": "Which?",
                    "answers": {"text": ["English", "and"], "answer_start": [7, 3]},
                }
            ]
        },
    )
    return folder


def test_tiny_shakespeare_is_read_without_network_and_equals_the_text_file():
    text = pathlib.Path(real("tinyshakespeare/input.txt")).read_text(encoding="utf-8")
    folder = real("tfds")
    parts = [load("tiny_shakespeare", split, data_dir=folder) for split in SPLITS]
    assert [len(rows) for rows in parts] == [1, 1, 1]
    assert "".join(rows[0]["text"] for rows in parts) == text
    assert load("tiny_shakespeare", data_dir=folder) == [row for rows in parts for row in rows]


def test_tfds_labels_become_names_and_splits_are_passed_through(prepared):
    assert load("imdb_reviews", "train", data_dir=prepared) == [
        {"text": "Très bien.", "label": "pos"},
        {"text": "Dull.", "label": "neg"},
    ]
    assert load("imdb_reviews", "train[1:]+test", data_dir=prepared) == [
        {"text": "Dull.", "label": "neg"},
        {"text": "Fine.", "label": "pos"},
    ]
    assert len(load("imdb_reviews", data_dir=prepared)) == 3  # without the reviews that have no label
    assert load("imdb_reviews", "unsupervised", data_dir=prepared) == [{"text": "No label."}]


def test_tfds_columns_are_mapped(prepared):
    columns = {"text": "premise", "text_pair": "claim", "label": "year"}
    assert load("own_pairs", "train", data_dir=prepared, columns=columns) == [
        {"text": "It rains.", "text_pair": "It is wet.", "label": "1999"}
    ]
    assert load("own_translation", data_dir=prepared) == [{"source": "olá", "target": "hello"}]
    assert load("own_tags", data_dir=prepared, columns={"tags": "ner"}) == [
        {"tokens": ["In", "Rome"], "tags": ["O", "B-LOC"]}
    ]
    assert load("own_questions", "validation", data_dir=prepared) == [
        {
            "id": "q1",
            "context": "中文 and English",
            "question": "Which?",
            "answers": [{"text": "English", "start": 7}, {"text": "and", "start": 3}],
        }
    ]


def test_tfds_translations_take_the_languages_of_their_name(monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    import tensorflow as tf

    def examples(builder, **options):
        return tf.data.Dataset.from_tensors({"pt": "olá", "en": "hello", "ru": "привет"}).map(
            lambda row: {language: row[language] for language in builder.info.features}
        )

    with tfds.testing.mock_data(as_dataset_fn=examples):
        known = load("ted_hrlr_translate/pt_to_en", "train")
        other = load("ted_hrlr_translate/ru_to_en", "train")
    assert known == [{"source": "olá", "target": "hello"}]
    assert other == [{"source": "привет", "target": "hello"}]


def test_the_columns_of_the_known_tfds_names_exist():
    tfds = pytest.importorskip("tensorflow_datasets")
    from keras_llm.datasets.tfds import COLUMNS

    for name, (_, _, columns) in COLUMNS.items():
        assert set(columns.values()) <= set(tfds.builder(name).info.features), name


def test_tfds_errors_are_clear(prepared, tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    with raises(ValueError, "split='dev'", "train, test, unsupervised"):
        load("imdb_reviews", "dev", data_dir=prepared)
    with raises(ValueError, "own_pairs", "premise", "columns="):
        load("own_pairs", data_dir=prepared)
    with raises(
        ValueError, "'topics_fr'", "topics_en", "dialogue_zh", "docstrings", "reviews.csv", "glue/sst2"
    ):
        load("topics_fr")

    def no_network(self, **options):
        raise ConnectionError("name resolution failed")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", no_network)
    with raises(FileNotFoundError, "'squad'", str(tmp_path), "name resolution failed", "tfds build squad"):
        load("squad", data_dir=tmp_path)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # as where it is not installed
    with raises(ImportError, "'squad'", "pip install tensorflow-datasets"):
        load("squad")


# --- Docstrings --------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("KERAS_LLM_CACHE", str(folder))
    return folder


@pytest.fixture
def package(write, tmp_path, monkeypatch):
    """Writes `{file: source}` as packages that can be found; an error in each shows when one is imported."""

    def write_package(files):
        for name, source in files.items():
            write(f"site/{name}", textwrap.dedent(source) + "\nraise RuntimeError('imported')\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return write_package


def paragraphs(documents):
    return [paragraph for document in documents for paragraph in document.split("\n\n")]


def test_docstrings_become_prose(package, cache):
    package(
        {
            "fakepkg/__init__.py": '''
                """Tools for the ``counting`` of sheep, as in :func:`~fakepkg.core.count` [1]_.

                Too short.

                this paragraph begins with a small letter and is therefore not taken.

                >>> from fakepkg import count
                >>> count(3)
                The number of sheep that were counted is a nice sentence of output.

                See the example below, it is the best way to begin. For instance::

                    This indented block is code to the reader of this file.

                .. note:: The **first** sheep is counted twice by `design <x.html>`_ of the flock.

                References
                ----------
                .. [1] A. Shepherd, On the counting of sheep in a large and open field.

                Smith wrote the standard book on the counting of sheep in 1950.
                """
            ''',
            "fakepkg/core.py": '''
                class Flock:
                    """A flock is an ordered list of sheep that can be counted.

                    Parameters
                    ----------
                    size : int
                        The size of the flock when it is made by this class.
                    """

                    def count(self):
                        r"""Returns the number of sheep in the flock, without the dogs.

                        Args:
                            dogs: Whether the dogs are to be counted as well.
                                If so, the result is larger by the number of dogs.

                        - A list item that is a full sentence is a part of the text.
                        - short item

                        ```
                        All the code between the fences is left out of the text.
                        ```

                        Raises:
                          ValueError: If the flock is a pack of wolves and not of sheep.

                        The sum of $a$ and the \\\\alpha of b is not a sentence for a reader.

                        The total is x_1 + y_2 == z_3 and a_b(c) -> d for all of e[f].
                        """
            ''',
            "fakepkg/tests/test_core.py": '"""The tests of a package are not a part of the text at all."""',
            "fakepkg/proto_pb2.py": '"""The file was made by a program, it is not a part of the text."""',
            "fakepkg/broken.py": '"""This file cannot be parsed and so it is not in the text."""\ndef (',
        }
    )
    assert paragraphs(docstring_corpus(packages=("fakepkg",))) == [
        "Tools for the counting of sheep, as in count.",
        "See the example below, it is the best way to begin.",
        "The first sheep is counted twice by design of the flock.",
        "A flock is an ordered list of sheep that can be counted.",
        "Returns the number of sheep in the flock, without the dogs.",
        "A list item that is a full sentence is a part of the text.",
    ]


def test_a_paragraph_is_kept_once_and_no_split_shares_one_with_another(package, cache):
    # Forty packages with three modules each; the first paragraph is the same everywhere.
    shared = "Every module begins with the same words, which are to be kept once."
    parts_of_herd = [f"{first}{second}" for first in "abcdefgh" for second in "vwxyz"]
    files = {}
    for part in parts_of_herd:
        for module in "abc":
            first = shared if module == "a" else shared.upper().rstrip(".") + " ... 1."
            own = f"Module {module} of part {part} tells its own story to the reader."
            files[f"fakeherd/{part}/{module}.py"] = f'"""{first}\n\n{own}\n"""'
    package(files)
    parts = {split: paragraphs(docstring_corpus(split, packages=("fakeherd",))) for split in SPLITS}
    assert all(parts.values())
    assert len(parts["train"]) > 4 * (len(parts["validation"]) + len(parts["test"]))
    everything = parts["train"] + parts["validation"] + parts["test"]
    assert everything.count(shared) == 1
    assert len({paragraph.lower() for paragraph in everything}) == len(everything) == 121
    for part in parts_of_herd:  # the three modules of a package are on one side
        on_sides = [sum(f" part {part} " in paragraph for paragraph in side) for side in parts.values()]
        assert sorted(on_sides) == [0, 0, 3]
    assert paragraphs(docstring_corpus(packages=("fakeherd",))) == everything


def test_docstrings_of_an_installed_package_read_as_english(cache):
    documents = docstring_corpus(packages=("numpy",))
    found = paragraphs(documents)
    assert "Compute the arithmetic mean along the specified axis." in found
    assert sum(map(len, documents)) > 100_000
    for paragraph in found:
        assert paragraph.isascii() and paragraph[0].isupper()
        assert len(paragraph.split()) >= 8
        assert not re.search(r">>>|``|:func:|https?:|\n", paragraph)
    # More than a quarter of English running text is made of these words; of code and of tables, hardly any.
    words = re.findall(r"[a-z]+", " ".join(found).lower())
    common = {"the", "of", "to", "a", "an", "is", "in", "and", "for", "be", "are", "if", "that", "this", "or"}
    assert sum(word in common for word in words) / len(words) > 0.25


def test_the_corpus_is_cached_by_version(cache, monkeypatch):
    from keras_llm.datasets import docstrings

    first = docstring_corpus("train", packages=("click",))
    (file,) = cache.glob("docstrings-*.json")
    assert not list(cache.glob(".writing-*"))
    monkeypatch.setattr(docstrings, "extract", None)  # a second extraction would fail
    assert docstring_corpus("train", packages=("click",)) == first
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_LLM_CACHE", str(cache))
    file.write_text("{ half a file")
    assert docstring_corpus("train", packages=("click",)) == first
    assert json.loads(file.read_text())["train"] == first
    monkeypatch.setattr(docstrings, "EXTRACTION_VERSION", "another")
    docstring_corpus("train", packages=("click",))
    assert len(list(cache.glob("docstrings-*.json"))) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "a_file").write_text("")
    monkeypatch.setenv("KERAS_LLM_CACHE", str(tmp_path / "a_file" / "cache"))
    assert docstring_corpus(packages=("click",))


def test_load_gives_the_docstrings_as_rows(cache, monkeypatch):
    from keras_llm.datasets import loading

    monkeypatch.setattr(loading, "docstring_corpus", lambda split: [f"The documents of {split}."])
    assert load("docstrings", "test") == [{"text": "The documents of test."}]


def test_docstring_errors(cache):
    with raises(ValueError, "split", "'dev'", "train, validation, test"):
        docstring_corpus("dev", packages=("click",))
    with raises(ValueError, "packages", "no_such_package"):
        docstring_corpus(packages=("no_such_package",))


def test_paths_are_also_looked_for_in_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.en").write_text("one\ntwo\n")
    (tmp_path / "set" / "a.de").write_text("eins\nzwei\n")
    monkeypatch.chdir(tmp_path / "set")
    monkeypatch.setenv("KERAS_LLM_DATA", str(tmp_path))
    assert load("set/a.en,set/a.de") == [
        {"source": "one", "target": "eins"},
        {"source": "two", "target": "zwei"},
    ]
    assert load("a.en,a.de")[0] == {"source": "one", "target": "eins"}  # what is here comes first
    with pytest.raises((FileNotFoundError, ValueError), match=r"set/none\.csv"):
        load("set/none.csv")
