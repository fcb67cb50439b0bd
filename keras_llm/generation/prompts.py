"""Reading prompts into a cache, before a causal language model writes on from them."""

import numpy as np
from keras import ops

from keras_llm.datasets.batches import check_ids

# A prompt is read in one piece of the first length that holds it, or in several of the last, and caches come in few
# lengths, beyond these in steps of the last: so hardly any prompt compiles anything new. A cache is read to its end at
# each token; 640 places hold 512 new ones and a prompt, and are read in less time than 512, since XLA on a CPU lets
# cores share the product of a head (64 wide) only from more places on.
PIECES = (16, 64, 256)
CACHE_LENGTHS = (128, 640, 1024)


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
    width, context = max(map(len, prompts)), model.context_length
    piece = min(next((size for size in PIECES if size >= width), PIECES[-1]), context)
    room = cache_length(max(width, piece), context)
    length = cache_length(width + new_tokens, context)
    # Behind the prompts a piece is filled up with zeros. What is read of them is never seen: the tokens that follow are
    # written over it one by one, and see nothing behind themselves.
    token_ids = np.zeros((len(prompts), max(width, piece)), "int32")
    padding_mask = np.ones((len(prompts), max(room, length)), bool)
    for row, mask, prompt in zip(token_ids, padding_mask, prompts):
        row[width - len(prompt) : width] = prompt
        mask[: width - len(prompt)] = False

    read = compiled("read", _read_piece)
    cache = model.initial_cache(len(prompts), room)
    last = np.int32(min(width, piece) - 1)
    for start in range(0, width, piece):
        start = max(min(start, width - piece), 0)  # the last piece ends with the prompts
        ids = token_ids[:, start : start + piece]
        logits, cache = read(ids, padding_mask[:, :room], cache, np.int32(start), last)
    if length != room:
        cache = [tuple(_resize(places, length) for places in block) for block in cache]
    return logits, cache, padding_mask[:, :length], np.int32(width)


def _read_piece(model, token_ids, padding_mask, cache, position, last):
    """Reads a piece of the prompts: the logits of its token `last`, `[batch, vocabulary_size]`, and the cache."""
    logits, cache = model(
        token_ids, padding_mask=padding_mask, cache=cache, position=position, logits_at=last, training=False
    )
    return logits[:, 0], cache


def _resize(places, length):
    """Keys or values `[rows, room, head_dim]`, cut off or with zeros behind: `[rows, length, head_dim]`."""
    more = max(length - places.shape[1], 0)
    return ops.pad(places, [(0, 0), (0, more), (0, 0)])[:, :length]


def cache_length(tokens, context_length):
    """The smallest of the few cache lengths that holds `tokens`; none is longer than the model's context."""
    step = CACHE_LENGTHS[-1]
    lengths = (*CACHE_LENGTHS, -(-tokens // step) * step)
    return min(next(length for length in lengths if length >= tokens), context_length)
