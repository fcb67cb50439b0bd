"""Sources of text: bundled samples, files, TensorFlow Datasets, and the docstrings of installed packages.

What makes batches of them for `fit` is in `keras_llm.datasets.batches`, apart because it needs Keras.
"""

from keras_llm.datasets.catalogue import bundled_folder, names
from keras_llm.datasets.docstrings import docstring_corpus
from keras_llm.datasets.loading import load

__all__ = ["bundled_folder", "docstring_corpus", "load", "names"]
