"""Writing with a causal language model: a compiled step that reads prompts, a compiled loop that writes."""

import functools
import itertools

import keras
import numpy as np
from keras import ops

from keras_llm.datasets.batches import check_ids
from keras_llm.generation.sampling import Sampler

PROMPT_CHUNK = 64  # prompts are read in pieces of this many tokens, so that their length compiles nothing new
CACHE_LENGTHS = (64, 256, 1024)  # caches come in few lengths, for the same reason; beyond, in steps of 1,024
STREAM_PIECE = 8  # a stream is written in pieces of up to this many tokens a call


class TextGenerator:
    """Writes on from prompts, with a cache, compiled once and used for prompts of any length.

    Prompts are padded on the left to one length and read in pieces of `PROMPT_CHUNK`; then one loop,
    compiled as a whole, writes. Only a new number of prompts, a new length of the cache, of which there
    are few, and a new `Sampler.structure` compile anew; a sampler's numbers do not.

    Args:
        model: a causal language model such as `GPT2Model`: `call(token_ids, padding_mask, cache,
            position, last_only)`, `initial_cache(batch_size, length)`, `context_length`,
            `vocabulary_size`.
        tokenizer: a `keras_llm.tokenizers.Tokenizer`; not needed to write ids.

    Example:
        writer = TextGenerator(model, tokenizer)
        writer.generate("Once upon a time", max_new_tokens=50, sampler=Sampler(top_p=0.9), seed=1)
    """

    def __init__(self, model, tokenizer=None):
        if tokenizer is not None and tokenizer.vocabulary_size > model.vocabulary_size:
            raise ValueError(
                f"The tokenizer has {tokenizer.vocabulary_size} tokens, the model only {model.vocabulary_size}: "
                "they do not belong together."
            )
        self.model = model
        self.tokenizer = tokenizer
        self._compiled = {}
        self.compilations = 0  # how often a step was traced and compiled

    # Text

    def generate(self, prompts, max_new_tokens=100, sampler=None, seed=0, stop=None, overflow="error"):
        """Writes on from one prompt or several.

        Args:
            prompts: a string or a list of strings.
            max_new_tokens: how many tokens to write at most.
            sampler: a `Sampler`; by default `Sampler()`, plain sampling.
            seed: of the draws. A prompt's text depends on the seed and on its place in the list alone.
            stop: token ids after which a text ends (the id itself is left out); by default the
                tokenizer's end of text.
            overflow: what to do when prompt and new tokens are more than the model's context: `"error"`,
                or `"slide"`: forget the oldest tokens and go on.

        Returns:
            The new text, or a list of them, without the prompts.
        """
        single = isinstance(prompts, str)
        ids = [self._encode(prompt) for prompt in ([prompts] if single else prompts)]
        written = self.generate_ids(ids, max_new_tokens, sampler, seed, self._stop_ids(stop), overflow)
        texts = [self.tokenizer.decode(row) for row in written]
        return texts[0] if single else texts

    def stream(self, prompt, max_new_tokens=100, sampler=None, seed=0, stop=None, overflow="error"):
        """Like `generate` for one prompt, but yields each piece of text as soon as it is written."""
        ids, shown = [], ""
        rows = self.stream_ids(
            [self._encode(prompt)], max_new_tokens, sampler, seed, self._stop_ids(stop), overflow
        )
        for (token,) in rows:
            ids.append(token)
            text = self.tokenizer.decode(ids)
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a character's bytes are not all there yet
                yield text[len(shown) :]
                shown = text
        rest = self.tokenizer.decode(ids)[len(shown) :]
        if rest:
            yield rest

    def _encode(self, prompt):
        if self.tokenizer is None:
            raise ValueError("This TextGenerator has no tokenizer: give it one, or use generate_ids.")
        token_ids = self.tokenizer.encode(prompt)
        if not token_ids:
            raise ValueError("The prompt is empty; begin with at least one word.")
        return token_ids

    def _stop_ids(self, stop):
        if stop is not None:
            return stop
        end = self.tokenizer.end_of_text_id
        return () if end is None else (end,)

    # Token ids

    def generate_ids(self, prompts, max_new_tokens=100, sampler=None, seed=0, stop=(), overflow="error"):
        """Writes on from lists of token ids of any lengths: a list of lists of the new ids."""
        written = [[] for _ in prompts]
        for piece in self._write(prompts, max_new_tokens, sampler, seed, stop, overflow, streaming=False):
            for row, tokens in zip(written, piece):
                row.extend(tokens)
        return written

    def stream_ids(self, prompts, max_new_tokens=100, sampler=None, seed=0, stop=(), overflow="error"):
        """Yields, token by token, a list with each row's new id; ends when all rows have ended.

        A row that has ended is `None` from then on.
        """
        for piece in self._write(prompts, max_new_tokens, sampler, seed, stop, overflow, streaming=True):
            yield from map(list, itertools.zip_longest(*piece))

    def _write(self, prompts, max_new_tokens, sampler, seed, stop, overflow, streaming):
        """Yields pieces of text, a list of new ids for each row; not streaming, they are as long as can be."""
        prompts = self._check(prompts, max_new_tokens, overflow)
        context = self.model.context_length
        sampler = sampler or Sampler()
        stops = np.isin(np.arange(self.model.vocabulary_size), list(stop))  # [vocabulary_size]
        draws = [
            np.random.default_rng((seed, i)).random(max_new_tokens, "float32") for i in range(len(prompts))
        ]
        draws = np.stack(draws)  # [batch, max_new_tokens]
        finished = np.zeros(len(prompts), bool)
        done = 0
        while done < max_new_tokens:
            if max(map(len, prompts)) >= context:  # overflow="slide": go on from the newer half
                prompts = [prompt[-(context // 2) :] for prompt in prompts]
            end = min(max_new_tokens, done + context - max(map(len, prompts)))
            state = self._read(prompts, end - done, sampler)
            while done < end:
                # A stream's first piece is one token, so that it comes at once; the next ones double.
                size = min(done + 1, STREAM_PIECE, end - done) if streaming else end - done
                tokens, finished, state = self._continue(
                    state, draws[:, done : done + size], finished, sampler, stops
                )
                rows = [row[row >= 0].tolist() for row in tokens]
                prompts = [prompt + row for prompt, row in zip(prompts, rows)]
                done += size
                yield rows
                if finished.all():
                    return

    def _check(self, prompts, max_new_tokens, overflow):
        """The prompts as lists of ints, or an error that says what is wrong with them."""
        if overflow not in ("error", "slide"):
            raise ValueError(f"overflow={overflow!r} is not known; choose 'error' or 'slide'.")
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
        prompts = [[int(token) for token in prompt] for prompt in prompts]
        if not prompts or not all(prompts):
            raise ValueError("A prompt must have at least one token.")
        for prompt in prompts:
            check_ids(np.asarray(prompt), self.model.vocabulary_size)
        longest, context = max(map(len, prompts)), self.model.context_length
        if context < 2:
            raise ValueError(f"A model with a context of {context} has no room for a prompt and a new token.")
        if overflow == "error" and longest + max_new_tokens > context:
            raise ValueError(
                f"A prompt of {longest} tokens and {max_new_tokens} new ones are more than the model's context of "
                f"{context}. Shorten them, or pass overflow='slide' to forget the oldest tokens."
            )
        return prompts

    # The compiled steps

    def _read(self, prompts, new_tokens, sampler):
        """Reads the prompts into a fresh cache; returns what `_continue` goes on from."""
        width, context = max(map(len, prompts)), self.model.context_length
        length, chunk = _cache_length(width + new_tokens, context), min(PROMPT_CHUNK, context)
        token_ids = np.zeros((len(prompts), length), "int32")
        padding_mask = np.ones((len(prompts), length), bool)
        seen = np.zeros((len(prompts), self.model.vocabulary_size), bool)
        for i, prompt in enumerate(prompts):
            token_ids[i, width - len(prompt) : width] = prompt
            padding_mask[i, : width - len(prompt)] = False
            seen[i, prompt] = True
        cache = self.model.initial_cache(len(prompts), length)
        read = self._compile("read", _read_step)
        # The last token is left to the loop. What the last chunk reads behind it is overwritten there before
        # any token sees it; that chunk begins earlier where it would reach beyond the cache.
        for start in range(0, width - 1, chunk):
            start = min(start, length - chunk)
            cache = read(token_ids[:, start : start + chunk], padding_mask, cache, np.int32(start))
        if not sampler.penalizes:
            seen = seen[:, :0]  # not needed: nothing to carry along
        return token_ids[:, width - 1], cache, padding_mask, np.int32(width - 1), seen

    def _continue(self, state, draws, finished, sampler, stops):
        """Writes as many tokens as there are columns of `draws`; -1 marks what a finished row leaves empty."""
        count = draws.shape[1]
        padded = np.zeros((len(draws), self.model.context_length), "float32")  # one shape for any count
        padded[:, :count] = draws
        write = self._compile(sampler.structure, functools.partial(_write_loop, sampler))
        tokens, finished, state = write(state, sampler.numbers, padded, np.int32(count), stops, finished)
        return np.array(tokens)[:, :count], np.array(finished), state

    def _compile(self, key, function):
        """The function compiled by the backend, with the model's weights as they are at each call."""
        if key not in self._compiled:

            def traced(*args):
                self.compilations += 1  # Python runs only while tracing
                return function(*args)

            self._compiled[key] = _compiled(self.model, traced)
        return self._compiled[key]


def _read_step(model, token_ids, padding_mask, cache, position):
    """Writes the keys and values of a piece of the prompts into the cache."""
    return model(
        token_ids, padding_mask=padding_mask, cache=cache, position=position, last_only=True, training=False
    )[1]


def _write_loop(sampler, model, state, numbers, draws, count, stops, finished):
    """Reads the last token, chooses the next, and so on, `count` times or until all rows are finished."""
    token, cache, padding_mask, position, seen = state
    empty = ops.full(ops.shape(draws), -1, dtype="int32")  # [batch, slots]

    def unfinished(i, tokens, token, cache, position, seen, finished):
        return ops.logical_and(i < count, ops.logical_not(ops.all(finished)))

    def step(i, tokens, token, cache, position, seen, finished):
        logits, cache = model(
            token[:, None],
            padding_mask=padding_mask,
            cache=cache,
            position=position,
            last_only=True,
            training=False,
        )
        uniform = ops.take(draws, i, axis=1)  # [batch]
        token = sampler.choose(logits[:, 0], uniform, seen, numbers)  # [batch]
        finished = ops.logical_or(finished, ops.take(stops, token))
        tokens = ops.slice_update(tokens, (0, i), ops.where(finished, -1, token)[:, None])
        if sampler.penalizes:
            seen = ops.logical_or(seen, ops.cast(ops.one_hot(token, seen.shape[1]), "bool"))
        return i + 1, tokens, token, cache, position + 1, seen, finished

    start = (ops.convert_to_tensor(0, "int32"), empty, token, cache, position, seen, finished)
    _, tokens, token, cache, position, seen, finished = ops.while_loop(unfinished, step, start)
    return tokens, finished, (token, cache, padding_mask, position, seen)


def _compiled(model, function):
    """Compiles `function(model, *args)` with XLA, on either backend."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(functools.partial(function, model), jit_compile=True, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        @jax.jit
        def stateless(trainable, non_trainable, args):
            values = zip(model.trainable_variables + model.non_trainable_variables, trainable + non_trainable)
            with keras.StatelessScope(state_mapping=list(values)):
                return function(model, *args)

        def run(*args):
            trainable = [variable.value for variable in model.trainable_variables]
            non_trainable = [variable.value for variable in model.non_trainable_variables]
            return stateless(trainable, non_trainable, args)

        return run
    raise ValueError(f"Generation needs the TensorFlow or the JAX backend, not {keras.backend.backend()}.")


def _cache_length(tokens, context_length):
    """The smallest of the few cache lengths that holds `tokens`; none is longer than the model's context."""
    step = CACHE_LENGTHS[-1]
    lengths = (*CACHE_LENGTHS, -(-tokens // step) * step)
    return min(next(length for length in lengths if length >= tokens), context_length)
