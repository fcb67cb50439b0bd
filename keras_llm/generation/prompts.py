"""Reading prompts into a cache, before a causal language model writes on from them."""

import numpy as np
from keras import ops

from keras_llm.datasets.batches import check_ids

# A prompt is read in one piece of the first length that holds it, or in several of the last, and caches come in few
# lengths, beyond these in steps of the last: so hardly any prompt compiles anything new.
PIECES = (16, 64, 256)
CACHE_LENGTHS = (128, 384, 1024)


def check_prompts(model, prompts, max_new_tokens, may_be_longer=False):
    """The prompts as lists of ints, or an error that says what is wrong with them.

    Args:
        model: has a `vocabulary_size` and a `context_length`.
        prompts: sequences of token ids.
        max_new_tokens: how many are to follow.
        may_be_longer: whether prompt and new tokens may be more than the context.

    Raises:
        ValueError: no prompt, an empty one, an id beyond the vocabulary, or a length beyond the context.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
    prompts = [[int(token) for token in prompt] for prompt in prompts]
    if not prompts or not all(prompts):
        raise ValueError("A prompt must have at least one token.")
    for prompt in prompts:
        check_ids(np.asarray(prompt), model.vocabulary_size)
    longest, context = max(map(len, prompts)), model.context_length
    if not may_be_longer and longest + max_new_tokens > context:
        raise ValueError(
            f"A prompt of {longest} tokens and {max_new_tokens} new ones are more than the model's context of "
            f"{context}. Shorten them, or let a TextGenerator forget the oldest tokens with overflow='slide'."
        )
    return prompts


def read_prompts(compiled, prompts, new_tokens):
    """Reads prompts into a fresh cache.

    Args:
        compiled: the model's `CompiledFunctions`.
        prompts: lists of token ids; they are padded on the left to one length.
        new_tokens: for how many the cache must have room behind the prompts.

    Returns:
        The logits of the tokens that follow, `[batch, vocabulary_size]`; the cache; the padding mask, bool `[batch, K]`
        over the cache's places; and how many places are filled, int32.
    """
    model = compiled.model
    width = max(map(len, prompts))
    length = cache_length(width + new_tokens, model.context_length)
    piece, room = reading_lengths(width, model.context_length)
    spare = max(piece - width, 0)  # padding with which the prompts fill one piece
    token_ids = np.zeros((len(prompts), spare + width), "int32")
    padding_mask = np.ones((len(prompts), max(room, spare + length)), bool)
    for row, mask, prompt in zip(token_ids, padding_mask, prompts):
        row[-len(prompt) :] = prompt
        mask[: len(row) - len(prompt)] = False

    read = compiled("read", _read_piece)
    cache = model.initial_cache(len(prompts), room)
    for start in range(0, width, piece):
        start = max(min(start, width - piece), 0)  # the last piece ends with the prompts
        ids = token_ids[:, start : start + piece]
        logits, cache = read(ids, padding_mask[:, :room], cache, np.int32(start))
    cache = [tuple(_move(places, spare, length) for places in block) for block in cache]
    return logits, cache, padding_mask[:, spare : spare + length], np.int32(width)


def _read_piece(model, token_ids, padding_mask, cache, position):
    """Reads a piece of the prompts: the logits behind it, `[batch, vocabulary_size]`, and the cache."""
    logits, cache = model(
        token_ids, padding_mask=padding_mask, cache=cache, position=position, last_only=True, training=False
    )
    return logits[:, 0], cache


def _move(places, spare, length):
    """Keys or values `[rows, room, head_dim]` from place `spare` on, with zeros behind: `[rows, length, head_dim]`."""
    rows, _, width = places.shape
    longer = ops.pad(places, [(0, 0), (0, length), (0, 0)])
    return ops.slice(longer, (0, spare, 0), (rows, length, width))


def reading_lengths(width, context_length):
    """Tokens a piece, and places of the cache that prompts of `width` tokens are read into.

    That cache is as long as the piece; or, for prompts of several pieces, of the greatest length, so that they share
    one shape.
    """
    *short, long = PIECES
    for size in short:
        if width <= size:
            return min(size, context_length), min(size, context_length)
    return min(long, context_length), cache_length(max(width, CACHE_LENGTHS[-1]), context_length)


def cache_length(tokens, context_length):
    """The smallest of the few cache lengths that holds `tokens`; none is longer than the model's context."""
    step = CACHE_LENGTHS[-1]
    lengths = (*CACHE_LENGTHS, -(-tokens // step) * step)
    return min(next(length for length in lengths if length >= tokens), context_length)
