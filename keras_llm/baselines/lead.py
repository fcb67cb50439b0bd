"""The beginning of a text as its summary."""

from keras_llm.datasets.segmentation import split_sentences


def lead(document, sentences=1):
    """The first sentences of a text, joined by spaces."""
    return " ".join(split_sentences(document)[:sentences])
