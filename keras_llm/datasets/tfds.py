"""Data sets by their TensorFlow Datasets name, such as `imdb_reviews` or `ted_hrlr_translate/pt_to_en`."""

import re

import numpy as np

from keras_llm.datasets.columns import choose_columns, standard_row
from keras_llm.datasets.splits import SPLITS

# Name: (task, language, {standard column: column there}). Other names work where the columns have standard
# names, for translations, and with `columns`.
COLUMNS = {
    "tiny_shakespeare": ("text", "English", {"text": "text"}),
    "lm1b": ("text", "English", {"text": "text"}),
    "wiki40b/en": ("text", "English", {"text": "text"}),
    "wiki40b/zh-cn": ("text", "Chinese", {"text": "text"}),
    "imdb_reviews": ("classification", "English", {"text": "text", "label": "label"}),
    "ag_news_subset": ("classification", "English", {"text": "description", "label": "label"}),
    "yelp_polarity_reviews": ("classification", "English", {"text": "text", "label": "label"}),
    "glue/sst2": ("classification", "English", {"text": "sentence", "label": "label"}),
    "glue/cola": ("classification", "English", {"text": "sentence", "label": "label"}),
    "glue/mrpc": (
        "classification",
        "English",
        {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
    ),
    "glue/mnli": (
        "classification",
        "English",
        {"text": "premise", "text_pair": "hypothesis", "label": "label"},
    ),
    "glue/qnli": (
        "classification",
        "English",
        {"text": "question", "text_pair": "sentence", "label": "label"},
    ),
    "conll2003": ("tagging", "English", {"tokens": "tokens", "tags": "ner"}),
    "squad": (
        "question answering",
        "English",
        {"id": "id", "context": "context", "question": "question", "answers": "answers"},
    ),
    "ted_hrlr_translate/pt_to_en": ("translation", "Portuguese to English", {"source": "pt", "target": "en"}),
    "wmt14_translate/de-en": ("translation", "German to English", {"source": "de", "target": "en"}),
    "cnn_dailymail": ("summaries", "English", {"document": "article", "summary": "highlights"}),
    "xsum": ("summaries", "English", {"document": "document", "summary": "summary"}),
    "gigaword": ("summaries", "English", {"document": "document", "summary": "summary"}),
}
NAME = re.compile(r"^[a-z][a-z0-9_]*(/[\w.+-]+)?(:[\d.*]+)?$")  # name, name/config, name/config:version
HIDDEN_LABEL = -1  # in the test sets of GLUE and the unlabelled reviews of IMDB


def load_tfds(name, split=None, data_dir=None, columns=None):
    """Returns the rows of a TFDS data set; downloads and prepares it where it is not in `data_dir` yet.

    Args:
        name: as in the TFDS catalogue, with its configuration: `glue/sst2`.
        split: passed through: `"train"`, `"train[:10%]"`, `"unsupervised"` ... None is all of train,
            validation and test that there are.
        data_dir: where prepared sets are; None is TFDS' own default, `~/tensorflow_datasets`.
        columns: `{standard name: column of the data set}`, for a set whose columns are called otherwise.

    Returns:
        A list of `dict`s with standard columns. Class numbers have become class names; a row whose label is
        not published comes without `label`.

    Raises:
        ImportError: tensorflow-datasets is not installed.
        LookupError: TFDS knows no such name.
        FileNotFoundError: it is not prepared here and cannot be downloaded.
        ValueError: no such split, or columns that fit no task.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"{name!r} is read through TensorFlow Datasets, which cannot be imported ({error}): "
            "pip install tensorflow-datasets importlib_resources"
        ) from error
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise LookupError(f"TensorFlow Datasets knows no {name!r}.") from error
    _prepare(builder, name)
    features = builder.info.features
    if columns is None:
        columns = _known_columns(tfds, name, features, builder.info.supervised_keys)
    chosen = choose_columns(list(features), columns, name)
    class_names = {column: _class_namer(features[there]) for column, there in chosen.items()}
    rows = []
    for number, example in enumerate(tfds.as_numpy(_dataset(builder, split))):
        values = {column: _plain(example[there], class_names[column]) for column, there in chosen.items()}
        known = {column: value for column, value in values.items() if value is not None}
        rows.append(standard_row(known, f"{name}, row {number}", number))
    return rows


def _prepare(builder, name):
    try:
        builder.download_and_prepare()
    except Exception as error:  # TFDS lets through whatever its many sources raise
        raise FileNotFoundError(
            f"{name!r} is not prepared in {builder.data_path} and could not be downloaded "
            f"({type(error).__name__}: {error}). Prepare it on a machine with network "
            f"(tfds build {name}) and give the folder as data_dir, or give a path to a file."
        ) from error


def _known_columns(tfds, name, features, supervised_keys):
    """Returns what is known of the columns of a set, or None: then they have to be called as ours."""
    name = name.partition(":")[0]
    if name in COLUMNS:
        return COLUMNS[name][2]
    if isinstance(features, tfds.features.Translation):
        source, target = supervised_keys
        return {"source": source, "target": target}
    return None


def _dataset(builder, split):
    splits = list(builder.info.splits)
    if split is None:
        split = "+".join([name for name in SPLITS if name in splits] or splits)
    try:
        return builder.as_dataset(split=split)
    except ValueError as error:
        raise ValueError(f"split={split!r}: {builder.name} has the splits {', '.join(splits)}.") from error


def _class_namer(feature):
    """Returns the function from class number to class name of a class label or a sequence of them."""
    return getattr(getattr(feature, "feature", feature), "int2str", None)


def _plain(value, class_name):
    """Turns bytes and NumPy values into Python's, class numbers into names, and a hidden label into None."""
    if isinstance(value, dict):
        return {key: _plain(inner, None) for key, inner in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.ndarray):
        return [_plain(inner, class_name) for inner in value]
    if class_name is None:
        return value.item() if isinstance(value, np.generic) else value
    return None if value == HIDDEN_LABEL else class_name(value)
