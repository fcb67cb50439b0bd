"""Reads files of the usual forms into rows with standard columns.

| file | rows |
| --- | --- |
| `.txt` | one: the whole text; a folder of them: one a file; with `columns`: as `.tsv` |
| `.csv`, `.tsv` | one a line; the first line names the columns, or `columns` gives their positions |
| `.jsonl` | one a line, each a JSON object |
| `.json` | the questions of a file in the form of SQuAD, or a list of objects |
| `.conll` | one a sentence: a token and its tag a line, an empty line between sentences |
| `a.en,a.de` | two files, line by line translations of each other |

Everything is UTF-8; a byte-order mark is taken off.
"""

import contextlib
import csv
import json
import pathlib

from keras_llm.datasets.columns import STANDARD, choose_columns, standard_name, standard_row
from keras_llm.files import require_file


def read_file(source, columns=None):
    """Returns the rows of a file, a folder of `.txt` files, or two parallel files.

    Args:
        source: path; or two paths joined by a comma (a text and its translation, line by line).
        columns: `{standard name: name or position in the file}`, for columns that are called otherwise.

    Returns:
        A list of `dict`s with standard columns, at least one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, not UTF-8, of an unknown form, or a row is broken (with its line).
    """
    if is_pair(source):
        return _read_parallel(*map(pathlib.Path, str(source).split(",")))
    path = pathlib.Path(source)
    if path.is_dir():
        return _read_folder(path)
    require_file(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path}: files of this form are not read; allowed are {', '.join(READERS)}.")
    rows = READERS[path.suffix.lower()](path, columns)
    if not rows:
        raise ValueError(f"{path} is empty: it has no rows.")
    return rows


def is_pair(source):
    """Tells whether `source` is two paths joined by a comma, and not one path with a comma in it."""
    return str(source).count(",") == 1 and not pathlib.Path(source).exists()


@contextlib.contextmanager
def _opened(path, newline=None):
    """Opens a UTF-8 file without its byte-order mark; what is not UTF-8 is an error that names the file."""
    try:
        with open(path, encoding="utf-8-sig", newline=newline) as file:
            yield file
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}).") from error


# --- Running text ---------------------------------------------------------------------------------------


def _read_text(path, columns=None):
    if columns:  # columns in a .txt: a table with tabs, as Tatoeba's sentence pairs come
        return _read_table(path, columns)
    with _opened(path) as file:
        text = file.read()
    return [{"text": text}] if text.strip() else []


def _read_folder(folder):
    rows = [row for path in sorted(folder.glob("*.txt")) for row in _read_text(path)]
    if not rows:
        raise ValueError(f"{folder}: the folder has no .txt files with text in them.")
    return rows


def _read_parallel(source_path, target_path):
    lines = []
    for path in (source_path, target_path):
        with _opened(require_file(path)) as file:
            lines.append([line.rstrip("\n") for line in file])
    sources, targets = lines
    if len(sources) != len(targets) or not sources:
        raise ValueError(
            f"{source_path} has {len(sources)} lines and {target_path} has {len(targets)}: "
            "line n of one file must be the translation of line n of the other."
        )
    return [{"source": source, "target": target} for source, target in zip(sources, targets)]


# --- Tables and JSON ------------------------------------------------------------------------------------


def _read_table(path, columns=None):
    # A tab-separated file has no quoting: a quotation mark there is a part of the text.
    tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    with _opened(path, newline="") as file:
        reader = csv.reader(file, strict=True, **({} if path.suffix.lower() == ".csv" else tabs))
        try:
            lines = [(reader.line_num, cells) for cells in reader if cells]
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}.") from error
    if not lines:
        return []
    first = lines[0][1]
    if _is_header(first, columns):
        names, lines = first, lines[1:]
    else:
        names = list(range(len(first)))
    for number, cells in lines:
        if len(cells) != len(names):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} columns, where {len(names)} were expected."
            )
    return _standard_rows(path, [(number, dict(zip(names, cells))) for number, cells in lines], columns)


def _is_header(cells, columns):
    """Tells whether the first line of a table names its columns.

    It has to, unless `columns` gives positions only: then it does where all the cells there are known names.
    """
    if not columns or not all(isinstance(position, int) for position in columns.values()):
        return True
    return all(
        standard_name(cells[position]) in STANDARD for position in columns.values() if position < len(cells)
    )


def _read_json_lines(path, columns=None):
    objects = []
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                objects.append((number, _parsed(line, f"{path}, line {number}")))
    return _standard_rows(path, objects, columns)


def _read_json(path, columns=None):
    with _opened(path) as file:
        text = file.read()
    if not text.strip():
        return []
    value = _parsed(text, path)
    if isinstance(value, list):
        return _standard_rows(path, list(enumerate(value, start=1)), columns)
    try:
        questions = [
            {"context": paragraph["context"]}
            | {name: question[name] for name in ("id", "question", "answers")}
            for article in value["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: neither a list of objects nor in the form of SQuAD (data, paragraphs, qas); "
            f"missing or wrong: {error}."
        ) from error
    return _standard_rows(path, list(enumerate(questions, start=1)), None)


def _parsed(text, where):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not valid JSON ({error}).") from error


def _standard_rows(path, records, columns):
    """Turns `(number, dict)` records into rows; the columns of the first record are expected in all."""
    for number, record in records:
        if not isinstance(record, dict):
            raise ValueError(f"{path}, line {number}: expected a JSON object, got {type(record).__name__}.")
    if not records:
        return []
    chosen = choose_columns(list(records[0][1]), columns, path)
    return [
        standard_row(
            {column: record.get(name) for column, name in chosen.items()}, f"{path}, line {number}", number
        )
        for number, record in records
    ]


# --- Tagged tokens --------------------------------------------------------------------------------------


def _read_conll(path, columns=None):
    rows, tokens, tags = [], [], []
    width = None
    with _opened(path) as file:
        for number, line in enumerate([*file, ""], start=1):  # the empty line closes the last sentence
            if not line.strip() or line.startswith("-DOCSTART-"):
                if tokens:
                    rows.append({"tokens": tokens, "tags": tags})
                tokens, tags = [], []
                continue
            cells = line.rstrip("\n").split("\t") if "\t" in line else line.split()
            if width is None:
                width = len(cells)
                positions = choose_columns(
                    list(range(width)), {"tokens": 0, "tags": -1} | (columns or {}), path
                )
            if len(cells) != width or width < 2:
                raise ValueError(
                    f"{path}, line {number}: {len(cells)} columns, where {max(width, 2)} were expected "
                    "(a token and its tag)."
                )
            tokens.append(cells[positions["tokens"]])
            tags.append(cells[positions["tags"]])
    return rows


READERS = {
    ".txt": _read_text,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".conll": _read_conll,
}
