"""Reading prompts into a cache, before a causal language model writes on from them."""

import numpy as np
from keras import ops

from keras_llm.datasets.batches import check_ids

# A prompt is read in one piece of the first length that holds it, or in several of the last, and caches come in few
# lengths, beyond these in steps of the last: so hardly any prompt compiles anything new.
PROMPT_CHUNKS = (16, 64, 256)
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
    """Reads all but the last token of each prompt into a fresh cache.

    Args:
        compiled: the model's `CompiledFunctions`.
        prompts: lists of token ids; they are padded on the left to one length.
        new_tokens: for how many the cache must have room behind the prompts.

    Returns:
        The last tokens, int32 `[batch]`, not yet read; the cache; the padding mask, bool `[batch, K]` over the
        cache's places; and how many places are filled, int32.
    """
    model = compiled.model
    width, context = max(map(len, prompts)), model.context_length
    length = cache_length(width + new_tokens, context)
    chunk, room = reading_lengths(width, context)
    token_ids = np.zeros((len(prompts), max(room, width)), "int32")
    padding_mask = np.ones((len(prompts), max(room, length)), bool)
    for i, prompt in enumerate(prompts):
        token_ids[i, width - len(prompt) : width] = prompt
        padding_mask[i, : width - len(prompt)] = False
    cache = model.initial_cache(len(prompts), room)
    read = compiled("read", _read_step)
    # What the last chunk reads behind the prompt is overwritten before any token sees it; that chunk begins
    # earlier where it would reach beyond the cache.
    for start in range(0, width - 1, chunk):
        start = min(start, room - chunk)
        cache = read(token_ids[:, start : start + chunk], padding_mask[:, :room], cache, np.int32(start))
    cache = [tuple(_with_length(places, length) for places in block) for block in cache]
    return token_ids[:, width - 1], cache, padding_mask[:, :length], np.int32(width - 1)


def _with_length(places, length):
    """Keys or values `[batch, num_heads, room, head_dim]` -> `[batch, num_heads, length, head_dim]`: cut, or zeros."""
    missing = max(length - places.shape[2], 0)
    return ops.pad(places[:, :, :length], [(0, 0), (0, 0), (0, missing), (0, 0)])


def _read_step(model, token_ids, padding_mask, cache, position):
    """Writes the keys and values of a piece of the prompts into the cache."""
    return model(
        token_ids, padding_mask=padding_mask, cache=cache, position=position, last_only=True, training=False
    )[1]


def reading_lengths(width, context_length):
    """Tokens a piece, and places of the cache that prompts of `width` tokens are read into.

    That cache is as long as the piece; or, for prompts of several pieces, of the greatest length, so that they share
    one shape.
    """
    *short, long = PROMPT_CHUNKS
    for size in short:
        if width - 1 <= size:
            return min(size, context_length), min(size, context_length)
    return min(long, context_length), cache_length(max(width, CACHE_LENGTHS[-1]), context_length)


def cache_length(tokens, context_length):
    """The smallest of the few cache lengths that holds `tokens`; none is longer than the model's context."""
    step = CACHE_LENGTHS[-1]
    lengths = (*CACHE_LENGTHS, -(-tokens // step) * step)
    return min(next(length for length in lengths if length >= tokens), context_length)
