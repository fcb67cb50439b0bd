"""Words on a plane, and words in the sentences they stand in."""

import itertools

import numpy as np

from keras_llm.files import atomic_path
from keras_llm.fonts import drawable


def contextual_vectors(encoder, tokenizer, sentences):
    """The vector of each word where it stands: the mean of what a BERT gives for its pieces.

    Args:
        encoder: a `BertEncoder`.
        tokenizer: its `Tokenizer`.
        sentences: lists of words.

    Returns:
        A list of float32 arrays `[words, hidden_dim]`, one a sentence. A word that the tokenizer makes nothing of is 0.

    Raises:
        ValueError: no sentences, or one is longer than the encoder can read.
    """
    if not sentences:
        raise ValueError("sentences is empty.")
    pieces = [[ids[1:-1] for ids in tokenizer.encode(list(words))] for words in sentences]  # no [CLS], [SEP]
    rows = [[tokenizer.class_id, *itertools.chain(*own), tokenizer.separator_id] for own in pieces]
    token_ids, padding_mask = tokenizer.pad(rows)
    outputs = encoder.predict_on_batch({"token_ids": token_ids, "padding_mask": padding_mask})
    found = []
    for own, hidden in zip(pieces, outputs["sequence_output"]):  # hidden is [T, hidden_dim]
        ends = 1 + np.cumsum([len(word) for word in own], dtype=int)
        vectors = np.zeros((len(own), hidden.shape[-1]), "float32")
        for row, end, word in zip(vectors, ends, own):
            if word:
                row[:] = hidden[end - len(word) : end].mean(axis=0)
        found.append(vectors)
    return found


def draw_words(words, vectors, path, method="pca", groups=None, title=""):
    """Draws words where two numbers for each, made of its vector by scikit-learn, put them.

    Args:
        words: list of strings, at least three.
        vectors: float `[len(words), dim]`.
        path: of the picture, a PNG file.
        method: `"pca"`, the two directions in which they differ most; or `"tsne"`, which keeps near what is near.
        groups: a number for each word: those of one group have one colour.
        title: over the picture.

    Raises:
        ValueError: another method, or fewer than three words.
    """
    from matplotlib.figure import Figure  # not pyplot: no window, no state

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    names, fonts = drawable(words)
    places = plane(vectors, method)
    colors = "tab:blue" if groups is None else [f"C{group}" for group in groups]
    axes.scatter(*places.T, s=12, c=colors)
    for name, place in zip(names, places):
        axes.annotate(name, place, fontsize=8, family=fonts, xytext=(3, 2), textcoords="offset points")
    axes.set(title=title, xticks=[], yticks=[])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def plane(vectors, method="pca"):
    """Two numbers for each vector, `[n, 2]`: see `draw_words`."""
    vectors = np.asarray(vectors)
    if method not in ("pca", "tsne"):
        raise ValueError(f"method={method!r} is not known; choose 'pca' or 'tsne'.")
    if len(vectors) < 3:
        raise ValueError(f"{len(vectors)} words make no picture; give at least three.")
    if method == "pca":
        from sklearn.decomposition import PCA

        return PCA(2).fit_transform(vectors)
    from sklearn.manifold import TSNE

    return TSNE(2, perplexity=min(30, (len(vectors) - 1) / 3), init="pca", random_state=0).fit_transform(
        vectors
    )
