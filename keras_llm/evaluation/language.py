"""Loss and perplexity of a language model on a text."""

import math

from keras_llm.datasets.batches import TokenWindows
from keras_llm.training.losses import TokenCrossEntropy, TokenLoss


def evaluate_language_model(model, token_ids, batch_size=16):
    """Predicts every token of a text but the first, in windows of the model's context.

    The windows stand side by side: a token sees what comes before it in its own window alone, as in training.
    This compiles the model for evaluation; compile it again before training on.

    Args:
        model: a causal language model with `context_length` and `vocabulary_size`.
        token_ids: int `[n]`.
        batch_size: windows at a time.

    Returns:
        A dict: `loss` in nats a token, `perplexity`, and `tokens`, the number of those predicted.
    """
    windows = TokenWindows(
        token_ids, model.context_length, batch_size, shuffle=False, vocabulary_size=model.vocabulary_size
    )
    model.compile(loss=TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=True)
    loss = float(model.evaluate(windows, verbose=0, return_dict=True)["token_loss"])
    return {"loss": loss, "perplexity": math.exp(loss), "tokens": len(token_ids) - 1}
