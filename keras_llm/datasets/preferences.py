"""Pairs of answers to learn preferences from."""

import itertools

import numpy as np

from keras_llm.datasets.labels import IGNORED_LABEL


def mismatched_answers(rows, seed=0):
    """Preferences without a judge: the answer to a question is better than the answer to another one.

    Args:
        rows: dialogues, `{"messages"}`; of each, the first message of the user that has an answer, and that answer.
        seed: which of the other answers is the worse one.

    Returns:
        A list of `{"prompt", "chosen", "rejected"}`, one for each dialogue whose two answers differ.

    Raises:
        ValueError: there are fewer than two such dialogues.
    """
    turns = []
    for row in rows:
        pairs = itertools.pairwise(row["messages"])
        answered = ((a, b) for a, b in pairs if (a["role"], b["role"]) == ("user", "assistant"))
        turns += [(a["content"], b["content"]) for a, b in itertools.islice(answered, 1)]
    if len(turns) < 2:
        raise ValueError(f"There must be at least two dialogues with an answer, not {len(turns)}.")
    order = np.random.default_rng(seed).permutation(len(turns))
    other = dict(zip(order, np.roll(order, 1)))  # each answer is the worse one once
    pairs = (
        {"prompt": question, "chosen": answer, "rejected": turns[other[i]][1]}
        for i, (question, answer) in enumerate(turns)
    )
    return [pair for pair in pairs if pair["chosen"] != pair["rejected"]]


def pair_features(template, rows, length):
    """The inputs of `PairScorer`, to be batched by `PaddedBatches`.

    Args:
        template: a `ChatTemplate`.
        rows: `{"prompt", "chosen", "rejected"}`; the prompt is a message of the user.
        length: the longest prompt with its answer, in tokens.

    Returns:
        A dict of lists of lists of ints, one entry for each pair that is short enough.

    Raises:
        ValueError: no pair is.
    """
    features = {name: [] for name in ("chosen_ids", "chosen_answer", "rejected_ids", "rejected_answer")}
    for row in rows:
        examples = {side: _with_answer(template, row["prompt"], row[side]) for side in ("chosen", "rejected")}
        if all(len(ids) <= length for ids, _ in examples.values()):
            for side, (ids, answer) in examples.items():
                features[f"{side}_ids"].append(ids)
                features[f"{side}_answer"].append(answer)
    if not features["chosen_ids"]:
        raise ValueError(f"No prompt with its two answers is within {length} tokens.")
    return features


def _with_answer(template, prompt, answer):
    """The token ids of a prompt and its answer, and 1 at each token of the answer."""
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    ids, labels = template.example(turns)
    return [*ids, labels[-1]], [0, *(int(label != IGNORED_LABEL) for label in labels)]
