"""Loss and perplexity of a language model on a text."""

import math

import numpy as np

from keras_llm.datasets.batches import Batches, TokenWindows, check_ids
from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.training.distribution import allows_xla
from keras_llm.training.losses import TokenCrossEntropy, TokenLoss


def evaluate_language_model(model, token_ids, batch_size=16, stride=None):
    """Predicts every token of a text but the first, in windows of the model's context.

    The windows stand side by side: a token sees what comes before it in its own window alone, as in training. With
    a stride they overlap, and every token but those of the first window sees at least `context - stride` before it:
    so perplexities of GPT-2 are mostly published. It takes `context / stride` times as long.
    A model that is not compiled yet is compiled for it; one that is must have `TokenLoss` among its metrics.

    Args:
        model: a causal language model with `context_length` and `vocabulary_size`.
        token_ids: int `[n]`.
        batch_size: windows at a time.
        stride: tokens from one window to the next, 1 to the model's context, which gives the plain windows.

    Returns:
        A dict: `loss` in nats a token, `perplexity`, and `tokens`, the number of those predicted.

    Raises:
        ValueError: ids beyond the vocabulary, an impossible stride, or a model compiled without `TokenLoss`.
    """
    length, vocabulary_size = model.context_length, model.vocabulary_size
    if stride is None:
        windows = TokenWindows(token_ids, length, batch_size, shuffle=False, vocabulary_size=vocabulary_size)
    else:
        windows = _SlidingWindows(token_ids, length, stride, batch_size, vocabulary_size)
    if not model.compiled:
        model.compile(loss=TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=allows_xla())
    results = model.evaluate(windows.stream(), verbose=0, return_dict=True)
    if "token_loss" not in results:
        raise ValueError("The model was compiled without the metric TokenLoss(), which measures it here.")
    loss = float(results["token_loss"])
    return {"loss": loss, "perplexity": math.exp(loss), "tokens": len(token_ids) - 1}


class _SlidingWindows(Batches):
    """Windows of a text that overlap; each token but the first is a label once, in the first window that has it."""

    def __init__(self, token_ids, length, stride, batch_size, vocabulary_size):
        if not 1 <= stride <= length:
            raise ValueError(f"stride={stride} must lie in 1 to the model's context, {length}.")
        self.token_ids = np.asarray(token_ids, dtype="int32")
        check_ids(self.token_ids, vocabulary_size)
        self.length = length
        self.stride = stride
        windows = 1 + max(math.ceil((len(self.token_ids) - 1 - length) / stride), 0)
        super().__init__(math.ceil(windows / batch_size) * batch_size, batch_size, shuffle=False)

    def rows(self, numbers, epoch):
        """Token ids and labels, int32 `[batch, length]` each; the last batch is filled up."""
        starts = np.asarray(numbers)[:, None] * self.stride  # [batch, 1]
        places = starts + np.arange(self.length + 1)  # [batch, length + 1]
        text = self.token_ids[np.minimum(places, len(self.token_ids) - 1)]
        # The last place that the window before has foretold.
        seen = np.where(starts > 0, starts + self.length - self.stride, 0)  # [batch, 1]
        new = (places[:, 1:] > seen) & (places[:, 1:] < len(self.token_ids))
        labels = np.where(new, text[:, 1:], IGNORED_LABEL)
        return text[:, :-1], labels.astype("int32")
