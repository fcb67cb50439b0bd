"""How well a model tells the better of two answers."""

import numpy as np

from keras_llm.training.preferences import reward_margins


def preference_metrics(reference, found, answer_tokens, beta=0.1):
    """What DPO is judged by, on pairs of a chosen and a rejected answer.

    Args:
        reference, found: float `[n, 2]`, what `PairScorer` gives of the reference model and of the tuned one.
        answer_tokens: int `[n]`, the tokens of the chosen answers.
        beta: see `reward_margins`.

    Returns:
        A dict: `loss`, of DPO; `reward_margin`, its mean; `reward_accuracy`, the share of pairs whose margin is
        above 0; `likelier_accuracy`, the share whose chosen answer is the likelier one to the tuned model; and
        `chosen_token_loss`, in nats a token of the chosen answers.
    """
    reference, found = np.asarray(reference, "float64"), np.asarray(found, "float64")
    margins = reward_margins(reference, found, beta)  # [n]
    return {
        "loss": float(np.logaddexp(0.0, -margins).mean()),
        "reward_margin": float(margins.mean()),
        "reward_accuracy": float((margins > 0).mean()),
        "likelier_accuracy": float((found[:, 0] > found[:, 1]).mean()),
        "chosen_token_loss": float(-found[:, 0].sum() / np.sum(answer_tokens)),
    }
