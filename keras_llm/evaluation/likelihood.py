"""Tasks that a language model answers by what it finds likely: the better of several endings, a text's last word.

What is computed, and how texts become tokens, is that of the lm-evaluation-harness (EleutherAI), so that figures can be
compared with published ones.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_llm.datasets.batches import LENGTHS, PaddedBatches
from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.generation.compiled import CompiledFunctions
from keras_llm.training.losses import token_losses


class Score(NamedTuple):
    """What a model says of a text's continuation."""

    log_likelihood: float  # the sum over its tokens, in nats
    is_greedy: bool  # whether each of its tokens is the likeliest
    tokens: int


def evaluate_choices(model, tokenizer, rows, delimiter=" ", batch_size=16):
    """How often the right one of several endings is the likeliest.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        rows: `{"context", "choices", "answer"}`, see `keras_llm.datasets.load`.
        delimiter: stands between the context and each choice; the harness's is a space. Chinese needs none.
        batch_size: continuations at a time.

    Returns:
        A dict: `accuracy`; `accuracy_norm`, where each log-likelihood is divided by the number of the choice's
        characters, as the harness's `acc_norm` does; and `questions`.
    """
    pairs = [(row["context"], delimiter + choice) for row in rows for choice in row["choices"]]
    scores = iter(score_continuations(model, tokenizer, pairs, batch_size))
    right = right_norm = 0
    for row in rows:
        found = np.array([next(scores).log_likelihood for _ in row["choices"]])
        lengths = np.array([len(choice) for choice in row["choices"]])
        right += int(found.argmax() == row["answer"])
        right_norm += int((found / lengths).argmax() == row["answer"])
    return {"accuracy": right / len(rows), "accuracy_norm": right_norm / len(rows), "questions": len(rows)}


def evaluate_last_words(model, tokenizer, rows, batch_size=16):
    """How well a model foresees the last word of a text, as in LAMBADA (Paperno et al. 2016).

    Args:
        model, tokenizer, batch_size: see `evaluate_choices`.
        rows: `{"text"}`; the last word is what stands behind the last space, and is asked with that space.

    Returns:
        A dict: `accuracy`, the share of words whose every token is the likeliest; `perplexity`, of words, not of
        tokens; and `words`.

    Raises:
        ValueError: a text is a single word.
    """
    pairs = []
    for row in rows:
        context, space, word = row["text"].rpartition(" ")
        if not context or not word:
            raise ValueError(f"The text {row['text'][:60]!r} has no last word behind a space.")
        pairs.append((context, space + word))
    scores = score_continuations(model, tokenizer, pairs, batch_size)
    mean = sum(score.log_likelihood for score in scores) / len(scores)
    accuracy = sum(score.is_greedy for score in scores) / len(scores)
    return {"accuracy": accuracy, "perplexity": math.exp(-mean), "words": len(scores)}


def score_continuations(model, tokenizer, pairs, batch_size=16):
    """The log-likelihood of each continuation behind its context.

    A score does not depend on the other pairs. Of a text beyond the model's context, the oldest tokens are left out.

    Args:
        model, tokenizer: a causal language model's.
        pairs: list of (context, continuation), strings; behind an empty context the end of text stands.
        batch_size: continuations at a time.

    Returns:
        A list of `Score`.

    Raises:
        ValueError: a continuation is empty, or longer than the model's context.
    """
    if not pairs:
        return []
    rows = [_row(tokenizer, *pair, model.context_length) for pair in pairs]
    ids, labels = map(list, zip(*rows))
    lengths = [length for length in LENGTHS if length < model.context_length] + [model.context_length]
    batches = PaddedBatches(
        {"token_ids": ids}, labels, batch_size, lengths, shuffle=False, vocabulary_size=model.vocabulary_size
    )
    score = CompiledFunctions(model)
    scores = [None] * len(pairs)
    for i in range(batches.num_batches):
        inputs, own_labels = batches[i]
        sums, greedy = map(
            keras.ops.convert_to_numpy, score("score", _score)(inputs["token_ids"], own_labels)
        )
        for row, log_likelihood, is_greedy in zip(batches.rows_of(i)[1], sums, greedy):
            tokens = sum(label != IGNORED_LABEL for label in labels[row])
            scores[row] = Score(float(log_likelihood), bool(is_greedy), tokens)
    return scores


def _score(model, token_ids, labels):
    """Sums of log-probabilities float32 `[batch]`, and whether every label is the likeliest token, bool `[batch]`."""
    logits = model(token_ids, training=False)  # [batch, T, vocabulary_size]
    losses, weights = token_losses(labels, logits)  # [batch, T] each
    likeliest = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)  # [batch, T]
    return -ops.sum(losses, axis=1), ops.all(ops.logical_or(likeliest, weights == 0), axis=1)


def _row(tokenizer, context, continuation, context_length):
    """Token ids and labels of a context with its continuation."""
    before, after = continuation_ids(tokenizer, context, continuation)
    if not 1 <= len(after) <= context_length:
        raise ValueError(
            f"The continuation {continuation[:60]!r} has {len(after)} tokens; it must have 1 to {context_length}."
        )
    ids = (before + after)[-(context_length + 1) :]
    labels = [IGNORED_LABEL] * (len(ids) - 1 - len(after)) + after
    return ids[:-1], labels


def continuation_ids(tokenizer, context, continuation):
    """The token ids of a context and of its continuation, cut as the harness does.

    Space at the end of the context goes to the continuation, as byte-level tokens begin with it. Both are encoded as
    one text, of which the tokens of the context alone are taken off: so a continuation is never cut in another way
    than in running text, unless a token reaches over the border.

    Returns:
        Two lists of ints.

    Raises:
        ValueError: the context is empty and the tokenizer has no end of text to stand in its place.
    """
    text = context.rstrip()
    continuation = context[len(text) :] + continuation
    if not text:
        if tokenizer.end_of_text_id is None:
            raise ValueError("A context is empty, and the tokenizer has no <|endoftext|> to begin with.")
        return [tokenizer.end_of_text_id], list(tokenizer.encode(continuation))
    before, whole = tokenizer.encode(text), tokenizer.encode(text + continuation)
    return list(before), list(whole[len(before) :])
