"""One call for every source of text: `load`."""

import os
import pathlib

from keras_llm.datasets.catalogue import BUNDLED, EMBEDDED, read_bundled
from keras_llm.datasets.docstrings import docstring_corpus
from keras_llm.datasets.readers import READERS, is_pair, read_file
from keras_llm.datasets.splits import check_split, split_by_hash
from keras_llm.datasets.tfds import NAME, load_tfds


def load(source, split=None, data_dir=None, columns=None):
    """Loads the rows of a data set, in the standard columns of its task.

    | task | columns |
    | --- | --- |
    | text | `text`, for pairs of texts that belong together also `text_pair` |
    | classification | `text`, `label` (a string), for pairs of texts also `text_pair` |
    | tagging | `tokens`, `tags` (lists of strings of one length) |
    | question answering | `id`, `context`, `question`, `answers` (a list of `{"text", "start"}`) |
    | translation | `source`, `target` |
    | summaries | `document`, `summary`, where there are several also `references` (a list of strings) |
    | dialogue | `messages` (a list of `{"role", "content"}`); also made of `instruction`, `input` and `output` |
    | preferences | `prompt`, `chosen`, `rejected` |
    | multiple choice | `context`, `choices` (a list of strings), `answer` (the place of the right one, from 0) |

    A set from TFDS has its own splits. Of a file or a bundled sample, the rows are drawn by a hash of their
    text, 80 % for training and 10 % each for validation and test; the rows of one context or one dialogue
    opening stay together, so equal texts never stand on two sides. Of a running text (`.txt`), the first 90 %
    of the characters are for training and the last 10 % for validation.

    Args:
        source: one of
            - a bundled sample, such as `"topics_en"` (`names()` lists them);
            - `"docstrings"`, the English prose of the installed Python packages;
            - a path, from here or from the folder that the environment variable `KERAS_LLM_DATA` names: `.txt`,
              a folder of `.txt`, `.csv`, `.tsv` (also `.txt` with `columns`), `.jsonl`, `.json`
              (SQuAD), `.conll`, or two parallel files as `"train.en,train.de"`;
            - a TFDS name, such as `"imdb_reviews"` or `"glue/sst2"`.
        split: `"train"`, `"validation"`, `"test"`, or None for all rows; for TFDS any split TFDS understands.
        data_dir: where TFDS keeps its prepared sets; for the other sources without meaning.
        columns: `{standard column: name or position there}` for a file or a TFDS set whose columns are called
            otherwise: `{"text": "review", "label": 1}`. Positions count from 0.

    Returns:
        A list of `dict`s, at least one.

    Raises:
        FileNotFoundError: no such file, or a TFDS set that is neither here nor to be downloaded.
        ValueError: an unknown name or split, or a broken file.
        ImportError: a TFDS name where tensorflow-datasets is not installed.
    """
    source = str(source)
    if source in BUNDLED:
        return _rows_of_split(read_bundled(source), source, split)
    if source == EMBEDDED:
        return [{"text": document} for document in docstring_corpus(split)]
    source = _in_data_folder(source)
    if _is_path(source):
        try:
            rows = read_file(source, columns)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error} {_where_paths_begin()}") from error
        if _is_running_text(source, columns):
            return _part_of_text(rows[0]["text"], source, split)
        return _rows_of_split(rows, source, split)
    try:
        return load_tfds(source, split, data_dir, columns)
    except LookupError as error:
        raise ValueError(_unknown(source)) from error


def _in_data_folder(source):
    """A path that is not there from here may be meant from the folder that `KERAS_LLM_DATA` names."""
    folder = os.environ.get("KERAS_LLM_DATA")
    paths = source.split(",")
    if not folder or any(pathlib.Path(path).exists() for path in paths):
        return source
    there = [pathlib.Path(folder) / path for path in paths]
    return ",".join(map(str, there)) if all(path.exists() for path in there) else source


def _where_paths_begin():
    folder = os.environ.get("KERAS_LLM_DATA")
    there = f"is {folder}" if folder else "is not set"
    return (
        f"A relative path begins here, or in the folder that the variable KERAS_LLM_DATA names; it {there}."
    )


def _is_path(source):
    """Tells whether a source is meant as a path: it is there, or it cannot be a TFDS name."""
    path = pathlib.Path(source)
    return path.exists() or is_pair(source) or path.suffix.lower() in READERS or not NAME.match(source)


def _is_running_text(source, columns):
    path = pathlib.Path(source)
    return path.is_file() and path.suffix.lower() == ".txt" and not columns


def _unknown(source):
    return (
        f"{source!r} is no data set that is known here. Bundled: {', '.join(BUNDLED)}, {EMBEDDED}. "
        "A path looks like reviews.csv or train.en,train.de; a TFDS name like imdb_reviews or glue/sst2."
    )


def _rows_of_split(rows, source, split):
    check_split(split)
    if split is None:
        return rows
    chosen = [row for row in rows if split_by_hash(_grouping_text(row)) == split]
    if not chosen:
        raise ValueError(
            f"split={split!r}: none of the {len(rows)} rows of {source} fell into it; give it more rows."
        )
    return chosen


def _grouping_text(row):
    """Returns the text by which a row is drawn; rows that share it go to one split."""
    if "messages" in row:
        return next(message["content"] for message in row["messages"] if message["role"] == "user")
    if "tokens" in row:
        return " ".join(row["tokens"])
    return next(
        row[column] for column in ("context", "source", "document", "text", "prompt") if column in row
    )


def _part_of_text(text, source, split):
    check_split(split)
    if split == "test":
        raise ValueError(
            f"split='test': {source} is running text, cut into train (90 %) and validation (10 %). "
            "Give a file of its own for the test."
        )
    border = int(0.9 * len(text))
    return [{"text": {None: text, "train": text[:border], "validation": text[border:]}[split]}]
