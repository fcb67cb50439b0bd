"""Writing with a causal language model: a compiled step that reads prompts, a compiled loop that writes."""

import functools
import itertools

import numpy as np
from keras import ops

from keras_llm.generation.compiled import CompiledFunctions, decoding_kernels
from keras_llm.generation.prompts import check_prompts, read_prompts
from keras_llm.generation.sampling import Sampler
from keras_llm.layers.dense import using_transposed_kernels

STREAM_PIECE = 8  # a stream is written in pieces of up to this many tokens a call


class TextGenerator:
    """Writes on from prompts, with a cache, compiled once and used for prompts of any length.

    Prompts are padded on the left to one length and read in pieces of one of `PIECES`; then one
    loop, compiled as a whole, writes. Only a new number of prompts, a new length of these pieces or of the
    cache, of which there are few, and a new `Sampler.structure` compile anew; a sampler's numbers do not.
    While a large model writes several texts on a CPU, its dense kernels are in the memory twice; see
    `generation.compiled.decoding_kernels`.

    Args:
        model: a causal language model such as `GPT2Model`: `call(token_ids, padding_mask, cache,
            position, logits_at)`, `initial_cache(batch_size, length)`, `context_length`,
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
        self._compiled = CompiledFunctions(model)

    @property
    def compilations(self):
        """How often a step was traced and compiled."""
        return self._compiled.compilations

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
        """Like `generate` for one prompt, a string or token ids, but yields each piece of text as it is written."""
        rows = self.stream_ids(
            [self._encode(prompt)], max_new_tokens, sampler, seed, self._stop_ids(stop), overflow
        )
        return decode_stream(self.tokenizer, (token for (token,) in rows))

    def _encode(self, prompt):
        if self.tokenizer is None:
            raise ValueError("This TextGenerator has no tokenizer: give it one, or use generate_ids.")
        token_ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
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
            options = sampler, stops
            tokens, finished, state = self._read(prompts, end - done, draws[:, done], finished, *options)
            size = 1  # the first token comes with the reading; a stream's next pieces are 2, 4 and 8 long
            while True:
                rows = [row[row >= 0].tolist() for row in tokens]
                prompts = [prompt + row for prompt, row in zip(prompts, rows)]
                done += size
                yield rows
                if finished.all():
                    return
                if done == end:
                    break
                size = min(2 * size, STREAM_PIECE, end - done) if streaming else end - done
                own = draws[:, done : done + size]
                tokens, finished, state = self._continue(state, own, finished, *options)

    def _check(self, prompts, max_new_tokens, overflow):
        """The prompts as lists of ints, or an error that says what is wrong with them."""
        if overflow not in ("error", "slide"):
            raise ValueError(f"overflow={overflow!r} is not known; choose 'error' or 'slide'.")
        if self.model.context_length < 2:
            raise ValueError("A model with a context of 1 has no room for a prompt and a new token.")
        return check_prompts(self.model, prompts, max_new_tokens, may_be_longer=overflow == "slide")

    # The compiled steps

    def _read(self, prompts, new_tokens, draws, finished, sampler, stops):
        """Reads the prompts into a fresh cache and chooses a token for each, int `[batch, 1]`; see `_continue`."""
        logits, cache, padding_mask, position = read_prompts(self._compiled, prompts, new_tokens)
        seen = np.zeros((len(prompts), self.model.vocabulary_size), bool)
        for row, prompt in zip(seen, prompts):
            row[prompt] = True
        if not sampler.penalizes:
            seen = seen[:, :0]  # not needed: nothing to carry along
        token, finished, seen = _choose(sampler, logits, sampler.numbers, draws, stops, finished, seen)
        tokens = np.where(finished, -1, token)[:, None]
        kernels = decoding_kernels(self._compiled, len(prompts)) if new_tokens > 1 else []
        return tokens, np.array(finished), (kernels, (token, cache, padding_mask, position, seen))

    def _continue(self, state, draws, finished, sampler, stops):
        """Writes as many tokens as there are columns of `draws`, int `[batch, columns]`.

        Returns them, with -1 for what a finished row leaves empty, which rows have finished, and what to go on from.
        """
        count = draws.shape[1]
        padded = np.zeros((len(draws), self.model.context_length), "float32")  # one shape for any count
        padded[:, :count] = draws
        write = self._compiled(sampler.structure, functools.partial(_write_loop, sampler))
        kernels, state = state
        numbers = sampler.numbers
        tokens, finished, state = write(kernels, state, numbers, padded, np.int32(count), stops, finished)
        return np.array(tokens)[:, :count], np.array(finished), (kernels, state)


def decode_stream(tokenizer, token_ids):
    """Yields the text of token ids as they come, in pieces of whole characters."""
    ids, shown = [], ""
    for token in token_ids:
        ids.append(token)
        text = tokenizer.decode(ids)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a character's bytes are not all there yet
            yield text[len(shown) :]
            shown = text
    rest = tokenizer.decode(ids)[len(shown) :]
    if rest:
        yield rest


def _choose(sampler, logits, numbers, draws, stops, finished, seen):
    """The next tokens, int `[batch]`, from logits `[batch, vocabulary_size]`; which rows have finished; what is seen."""
    token = sampler.choose(logits, draws, seen, numbers)
    finished = ops.logical_or(finished, ops.take(stops, token))
    if sampler.penalizes:
        seen = ops.logical_or(seen, ops.cast(ops.one_hot(token, seen.shape[1]), "bool"))
    return token, finished, seen


def _write_loop(sampler, model, kernels, state, numbers, draws, count, stops, finished):
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
            logits_at=0,
            training=False,
        )
        own = ops.take(draws, i, axis=1)  # [batch]
        token, finished, seen = _choose(sampler, logits[:, 0], numbers, own, stops, finished, seen)
        tokens = ops.slice_update(tokens, (0, i), ops.where(finished, -1, token)[:, None])
        return i + 1, tokens, token, cache, position + 1, seen, finished

    start = (ops.convert_to_tensor(0, "int32"), empty, token, cache, position, seen, finished)
    with using_transposed_kernels(model, kernels):
        _, tokens, token, cache, position, seen, finished = ops.while_loop(unfinished, step, start)
    return tokens, finished, (token, cache, padding_mask, position, seen)
