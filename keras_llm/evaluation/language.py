"""Loss and perplexity of a language model on a text."""

import math

from keras_llm.datasets.batches import TokenWindows
from keras_llm.training.distribution import allows_xla
from keras_llm.training.losses import TokenCrossEntropy, TokenLoss


def evaluate_language_model(model, token_ids, batch_size=16):
    """Predicts every token of a text but the first, in windows of the model's context.

    The windows stand side by side: a token sees what comes before it in its own window alone, as in training.
    A model that is not compiled yet is compiled for it; one that is must have `TokenLoss` among its metrics.

    Args:
        model: a causal language model with `context_length` and `vocabulary_size`.
        token_ids: int `[n]`.
        batch_size: windows at a time.

    Returns:
        A dict: `loss` in nats a token, `perplexity`, and `tokens`, the number of those predicted.

    Raises:
        ValueError: ids beyond the vocabulary, or a model compiled without `TokenLoss`.
    """
    windows = TokenWindows(
        token_ids, model.context_length, batch_size, shuffle=False, vocabulary_size=model.vocabulary_size
    )
    if not model.compiled:
        model.compile(loss=TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=allows_xla())
    results = model.evaluate(windows.stream(), verbose=0, return_dict=True)
    if "token_loss" not in results:
        raise ValueError("The model was compiled without the metric TokenLoss(), which measures it here.")
    loss = float(results["token_loss"])
    return {"loss": loss, "perplexity": math.exp(loss), "tokens": len(token_ids) - 1}
