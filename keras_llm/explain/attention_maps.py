"""Which words of a source each word of a target looked at, as numbers and as a picture."""

import dataclasses

import numpy as np

from keras_llm.datasets.segmentation import WORD_OR_MARK
from keras_llm.files import atomic_path
from keras_llm.fonts import columns, drawable

END = "(end)"


@dataclasses.dataclass(frozen=True)
class AttentionMap:
    """How much of its attention each word of a target gave to each word of a source.

    Attributes:
        source_words, target_words: lists of strings; the last target word is the end of the text.
        weights: float32 `[layers, heads, target words, source words]`; what a word gives sums to 1.
    """

    source_words: list
    target_words: list
    weights: np.ndarray


def attention_map(model, tokenizer, source, target, target_tokenizer=None):
    """Reads a target beside its source, and collects the attention of the decoder to the source.

    The pieces of a word count as one: what they are given is added up, what they give is averaged (Clark et al. 2019,
    "What Does BERT Look At?", section 4.1).

    Args:
        model: a `Transformer`.
        tokenizer: of the source.
        source: a string.
        target: a string, such as the model's translation.
        target_tokenizer: of the target, if it is another.

    Returns:
        An `AttentionMap`.

    Raises:
        ValueError: one of the texts has no word, or is too long for the model.
    """
    target_tokenizer = target_tokenizer or tokenizer
    source_ids, source_owners, source_words = _words(tokenizer, source)
    target_ids, target_owners, target_words = _words(target_tokenizer, target)
    inputs = {
        "source_ids": np.array([source_ids], "int32"),  # [1, S]
        "target_ids": np.array([[target_tokenizer.start_id, *target_ids]], "int32"),  # [1, T + 1]
    }
    _, attention = model(inputs, return_attention=True)
    # Before it writes its token, a place looks at the source: the last one before it writes the end.
    weights = np.concatenate(
        [np.asarray(layer, "float32") for layer in attention]
    )  # [layers, heads, T + 1, S]
    given = _grouped(weights, source_owners, len(source_words), axis=3)
    owners = [*target_owners, len(target_words)]
    sums = _grouped(given, owners, len(target_words) + 1, axis=2)
    counts = np.bincount(owners, minlength=len(target_words) + 1)  # [target words]
    return AttentionMap(source_words, [*target_words, END], sums / counts[:, None])


def _words(tokenizer, text):
    """Token ids, the number of the word that each is of, and the words."""
    spans = [match.span() for match in WORD_OR_MARK.finditer(text)]
    if not spans:
        raise ValueError(f"There is no word in {text!r}.")
    ids, offsets = tokenizer.encode_with_offsets(text)
    ends = [end for _, end in spans]
    # The word whose end comes first behind the token's last character; white space at the end goes to the last.
    owners = [min(int(np.searchsorted(ends, max(end, 1))), len(spans) - 1) for _, end in offsets]
    kept = sorted(set(owners))  # a word without a token of its own has none to show
    numbers = {word: i for i, word in enumerate(kept)}
    return ids, [numbers[word] for word in owners], [text[slice(*spans[word])] for word in kept]


def _grouped(values, owners, count, axis):
    """Adds up what belongs to one owner along an axis."""
    result = np.zeros((*values.shape[:axis], count, *values.shape[axis + 1 :]), values.dtype)
    for place, owner in enumerate(owners):
        index = (slice(None),) * axis
        result[(*index, owner)] += values[(*index, place)]
    return result


def draw_attention(attention, path, layer=-1):
    """Draws a PNG file: the mean over a layer's heads, and each head, a row for each target word.

    Args:
        attention: an `AttentionMap`.
        path: of the file, written atomically.
        layer: which block of the decoder, from 0; -1 is the last.

    Raises:
        ValueError: there is no such layer.
    """
    from matplotlib.figure import Figure  # not pyplot: no window, no state

    layers = len(attention.weights)
    if not -layers <= layer < layers:
        raise ValueError(f"layer={layer} must lie in 0 to {layers - 1}.")
    weights = attention.weights[layer]  # [heads, target words, source words]
    words, fonts = drawable([*attention.source_words, *attention.target_words])
    source, target = words[: len(attention.source_words)], words[len(attention.source_words) :]
    panels = {"mean of the heads": weights.mean(axis=0)} | {f"head {i}": own for i, own in enumerate(weights)}
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    width, height = 1.2 + 0.32 * len(source), 1.4 + 0.28 * len(target)  # inches a panel
    figure = Figure(figsize=(across * width + 1, down * height), layout="constrained")
    figure.suptitle(f"decoder block {layer % layers}: each row looks at the source", fontsize=10)
    for number, axes in enumerate(figure.subplots(down, across, squeeze=False).flat):
        if number >= len(panels):
            axes.axis("off")
            continue
        title, own = list(panels.items())[number]
        image = axes.imshow(own, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(title, fontsize=9)
        axes.set_yticks(range(len(target)), target, fontfamily=fonts, fontsize=8)
        turned = max(map(columns, source)) > 2
        axes.set_xticks(
            range(len(source)),
            source,
            fontfamily=fonts,
            fontsize=8,
            rotation=60 if turned else 0,
            ha="right" if turned else "center",
            rotation_mode="anchor",
        )
    figure.colorbar(image, ax=figure.axes, label="share of the attention", shrink=0.6)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
