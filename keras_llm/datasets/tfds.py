"""Data sets by their TensorFlow Datasets name, such as `imdb_reviews` or `ted_hrlr_translate/pt_to_en`."""

import re

import numpy as np

from keras_llm.datasets.columns import choose_columns, standard_row

# Name: (task, language, {standard column: column there}). Other names work where the columns are called as here
# in `keras_llm.datasets.columns`, for translations, and with `columns`.
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
    "glue/mrpc": ("classification", "English", {"text": "sentence1", "text_pair": "sentence2", "label": "label"}),
    "glue/mnli": ("classification", "English", {"text": "premise", "text_pair": "hypothesis", "label": "label"}),
    "glue/qnli": ("classification", "English", {"text": "question", "text_pair": "sentence", "label": "label"}),
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
