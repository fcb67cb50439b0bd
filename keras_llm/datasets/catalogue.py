"""The names that `load` knows: the bundled samples, the embedded corpus, the tested names of TFDS."""

import pathlib

from keras_llm.datasets.readers import read_file
from keras_llm.datasets.tfds import COLUMNS

EMBEDDED = "docstrings"

# Name: (file, task, language). The texts were written for this project.
BUNDLED = {
    "topics_en": ("topics_en.csv", "classification", "English"),
    "topics_zh": ("topics_zh.csv", "classification", "Chinese"),
    "entities_en": ("entities_en.conll", "tagging", "English"),
    "entities_zh": ("entities_zh.conll", "tagging", "Chinese"),
    "questions_en": ("questions_en.json", "question answering", "English"),
    "questions_zh": ("questions_zh.json", "question answering", "Chinese"),
    "translation_en_zh": ("translation_en_zh.tsv", "translation", "English to Chinese"),
    "summaries_en": ("summaries_en.jsonl", "summaries", "English"),
    "summaries_zh": ("summaries_zh.jsonl", "summaries", "Chinese"),
    "dialogue_en": ("dialogue_en.jsonl", "dialogue", "English"),
    "dialogue_zh": ("dialogue_zh.jsonl", "dialogue", "Chinese"),
}


def bundled_folder():
    """Returns the folder of the bundled samples: in the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: neither is there.
    """
    package = pathlib.Path(__file__).resolve().parents[1]
    for folder in (package / "data", package.parent / "data"):
        if any((folder / file).is_file() for file, _, _ in BUNDLED.values()):
            return folder
    raise FileNotFoundError(f"The bundled samples are missing: no data folder in {package} or beside it.")


def read_bundled(name):
    """Returns all rows of a bundled sample."""
    return read_file(bundled_folder() / BUNDLED[name][0])


def names():
    """Describes every name that `load` takes without further options.

    Returns:
        A list of `dict`s with `name`, `task`, `language`, `rows` (None where that is known only after
        loading) and `origin`.
    """
    described = [
        _description(name, task, language, len(read_bundled(name)), "bundled with keras_llm")
        for name, (_, task, language) in BUNDLED.items()
    ]
    origin = "docstrings of the installed Python packages"
    described.append(_description(EMBEDDED, "text", "English", None, origin))
    for name, (task, language, _) in COLUMNS.items():
        described.append(
            _description(name, task, language, None, "TensorFlow Datasets, downloaded on first use")
        )
    return described


def _description(name, task, language, rows, origin):
    return {"name": name, "task": task, "language": language, "rows": rows, "origin": origin}
