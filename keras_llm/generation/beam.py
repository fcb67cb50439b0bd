"""Beam search: the likeliest texts that can be found by going on from the best few at each step."""

import functools
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_llm.datasets.batches import PaddedBatches
from keras_llm.generation.compiled import CompiledFunctions, decoding_kernels
from keras_llm.generation.prompts import cache_length, check_prompts, read_prompts
from keras_llm.layers.dense import using_transposed_kernels

NEVER = -1e9  # the score of what has no place among the best
SOURCE_LENGTHS = (16, 32, 64, 128, 256, 512, 1024)  # sources are padded to one of these; each compiles anew


class Hypothesis(NamedTuple):
    """A text that was found, as a string or a list of token ids, and its score."""

    text: str | list
    score: float


class BeamSearch:
    """Writes the best text for each prompt or source, of those that a beam search finds.

    A text's score is the sum of its tokens' log-probabilities, its end counted, divided by
    `((5 + length) / 6) ** length_penalty` (Wu et al. 2016, "Google's Neural Machine Translation System", section 7).
    With one beam the search is greedy.

    Args:
        model: a `Transformer`, which translates sources, or a causal language model such as `GPT2Model`, which
            goes on from prompts.
        tokenizer: of the sources or prompts.
        target_tokenizer: of the texts that are written, if it is another.

    Example:
        search = BeamSearch(model, tokenizer)
        search.generate(["a dog runs", "it rains"], num_beams=4)  # two strings
        search.search(["a dog runs"], num_beams=4, num_results=2)  # [[Hypothesis(text, score), ...]]
    """

    def __init__(self, model, tokenizer=None, target_tokenizer=None):
        self.model = model
        self.tokenizer = tokenizer
        self.target_tokenizer = target_tokenizer or tokenizer
        self.translates = hasattr(model, "read_source")
        self._compiled = CompiledFunctions(model)

    @property
    def compilations(self):
        """How often a search was traced and compiled."""
        return self._compiled.compilations

    def generate(self, texts, num_beams=4, max_new_tokens=None, length_penalty=0.6, early_stopping=True):
        """The best text that is found for each; see `search`. A list of strings, or one string for one string."""
        single = isinstance(texts, str)
        found = self.search(
            [texts] if single else texts, num_beams, max_new_tokens, length_penalty, early_stopping
        )
        best = [hypotheses[0].text for hypotheses in found]
        return best[0] if single else best

    def search(
        self,
        texts,
        num_beams=4,
        max_new_tokens=None,
        length_penalty=0.6,
        early_stopping=True,
        num_results=1,
        batch_size=32,
    ):
        """The best few texts that are found for each source or prompt.

        Args:
            texts: list of strings: sources to translate, or prompts to go on from.
            num_beams: texts that are kept at each step.
            max_new_tokens: the longest text; by default 50 more than the source's tokens, or 50 for a prompt.
            length_penalty: above 0 long texts are not worse for being long; 0 compares sums.
            early_stopping: end as soon as `num_beams` texts have ended; otherwise when no text that goes on can
                become better than they are.
            num_results: how many for each, at most `num_beams`.
            batch_size: sources or prompts a step.

        Returns:
            For each of `texts` a list of `Hypothesis`, the best first. Prompts are not repeated in them.

        Raises:
            ValueError: there is no tokenizer, a text is empty or too long, or a number is not possible.
        """
        if self.tokenizer is None:
            raise ValueError("This BeamSearch has no tokenizer: give it one, or use search_ids.")
        found = self.search_ids(
            self.tokenizer.encode(list(texts)),
            num_beams,
            max_new_tokens,
            length_penalty,
            early_stopping,
            num_results,
            batch_size,
            start_id=self.target_tokenizer.start_id,
            end_id=self.target_tokenizer.end_of_text_id,
        )
        return [[Hypothesis(self.target_tokenizer.decode(ids), score) for ids, score in own] for own in found]

    def search_ids(
        self,
        rows,
        num_beams=4,
        max_new_tokens=None,
        length_penalty=0.6,
        early_stopping=True,
        num_results=1,
        batch_size=32,
        start_id=None,
        end_id=None,
    ):
        """Like `search`, for lists of token ids.

        Args:
            start_id: with which a target begins; for a `Transformer` alone.
            end_id: with which a text ends; it is left out of the results.
        """
        if not 1 <= num_results <= num_beams:
            raise ValueError(f"num_results={num_results} must lie in 1 to num_beams={num_beams}.")
        if not len(rows):
            return []
        options = num_beams, max_new_tokens, np.float32(length_penalty), early_stopping, end_id
        batches = (
            self._sources(rows, batch_size, start_id) if self.translates else self._prompts(rows, batch_size)
        )
        found = [None] * len(rows)
        for numbers, batch in batches:
            ids, scores = self._search(batch, start_id, *options)
            for number, own, own_scores in zip(numbers, ids, scores):
                pairs = zip(own[:num_results], own_scores[:num_results])
                found[number] = [
                    Hypothesis(row[row >= 0].tolist(), float(score))
                    for row, score in pairs
                    if score > NEVER / 2
                ]
        return found

    def _sources(self, rows, batch_size, start_id):
        """Batches of sources of like length: pairs of the rows' numbers and token ids `[batch_size, S]`."""
        if start_id is None:
            raise ValueError("A Transformer's targets begin with a token of their own: give start_id.")
        empty = next((i for i, row in enumerate(rows) if not len(row)), None)
        if empty is not None:
            raise ValueError(f"Source {empty} is empty.")
        context = self.model.context_length
        lengths = [length for length in SOURCE_LENGTHS if length < context] + [context]
        size = min(batch_size, len(rows))
        batches = PaddedBatches(
            {"source_ids": rows},
            None,
            size,
            lengths,
            shuffle=False,
            vocabulary_size=self.model.vocabulary_size,
        )
        for i in range(batches.num_batches):
            yield batches.rows_of(i)[1], batches[i]["source_ids"]

    def _prompts(self, rows, batch_size):
        """Batches of prompts: pairs of the rows' numbers and lists of lists of ids."""
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            yield range(start, start + len(part)), part

    def _search(self, batch, start_id, num_beams, max_new_tokens, length_penalty, early_stopping, end_id):
        """The ids that are found, int `[batch, num_beams, places]`, -1 behind their ends, and the scores."""
        context = self.model.context_length
        if self.translates:
            limit = min(int((batch != 0).sum(axis=1).max()) + 50, context)
            inputs, search = (batch, np.int32(start_id)), _search_targets
        else:
            limit = max(min(50, context - max(map(len, batch))), 1)
            inputs, search = None, _search_continuations
        limit = limit if max_new_tokens is None else max_new_tokens
        if not 1 <= limit <= context:
            raise ValueError(f"max_new_tokens must lie in 1 to {context}, not {limit}.")
        if inputs is None:
            prompts = check_prompts(self.model, batch, limit)
            _, *inputs = read_prompts(self._compiled, prompts, limit)
            inputs = np.array([prompt[-1] for prompt in prompts], "int32"), *inputs
        vocabulary_size = getattr(self.model, "target_vocabulary_size", self.model.vocabulary_size)
        if end_id is not None and not 0 <= end_id < vocabulary_size:
            raise ValueError(f"end_id={end_id} is outside the vocabulary of {vocabulary_size}.")
        empty = np.full(cache_length(limit, context), -1, "int32")  # [places]
        end_id = np.int32(-1 if end_id is None else end_id)
        search = functools.partial(search, num_beams, early_stopping)
        compiled = self._compiled((num_beams, early_stopping), search)
        kernels = decoding_kernels(self._compiled, len(batch) * num_beams)
        ids, scores = compiled(inputs, kernels, empty, np.int32(limit), length_penalty, end_id)
        ids = np.array(ids)
        return np.where(ids == end_id, -1, ids), np.array(scores)


def _search_targets(num_beams, early_stopping, model, inputs, kernels, *options):
    """Searches from a start token for each source `[batch, S]`."""
    source_ids, start_id = inputs
    batch = source_ids.shape[0]
    source = _for_beams(model.read_source(source_ids, training=False), batch, num_beams)
    cache = model.initial_cache(batch * num_beams, options[0].shape[0])

    def step(token, cache, i):
        logits, cache = model(token[:, None], source=source, cache=cache, position=i, training=False)
        return logits[:, 0], cache

    token = ops.broadcast_to(start_id, (batch * num_beams,))
    empty = ops.all(
        ops.equal(source_ids, 0), axis=1
    )  # rows that only fill up the batch: nothing to search for
    with using_transposed_kernels(model, kernels):
        return _beam_search(step, token, cache, empty, num_beams, early_stopping, *options)


def _search_continuations(num_beams, early_stopping, model, inputs, kernels, *options):
    """Searches on from the last tokens, and what `read_prompts` gave for all: the first step reads these again."""
    token, cache, padding_mask, filled = inputs
    batch = token.shape[0]
    token, cache, padding_mask = _for_beams((token, cache, padding_mask), batch, num_beams)

    def step(token, cache, i):
        logits, cache = model(
            token[:, None],
            padding_mask=padding_mask,
            cache=cache,
            position=filled - 1 + i,
            logits_at=0,
            training=False,
        )
        return logits[:, 0], cache

    finished = ops.zeros((batch,), "bool")
    with using_transposed_kernels(model, kernels):
        return _beam_search(step, token, cache, finished, num_beams, early_stopping, *options)


def _beam_search(
    step, token, cache, finished, num_beams, early_stopping, empty, limit, length_penalty, end_id
):
    """Goes on from the best `num_beams` texts of each row, until enough have ended.

    Args:
        step: a function of the last tokens, int `[batch * num_beams]`, the cache and the number of the step, which
            gives logits `[batch * num_beams, vocabulary_size]` and the cache.
        token: the first of these tokens.
        cache: tensors whose first axis is that of the tokens, or that and the heads.
        finished: bool `[batch]`, the rows for which there is nothing to search.
        num_beams, early_stopping: see `BeamSearch.search`.
        empty: int32 `[places]`, all -1.
        limit: the longest text, at most `places`.
        length_penalty: see `BeamSearch`.
        end_id: the token that ends a text.

    Returns:
        Token ids `[batch, num_beams, places]`, the best first, -1 behind the end, and scores `[batch, num_beams]`.
    """
    rows = token.shape[0] // num_beams
    first = ops.cast(ops.arange(num_beams) > 0, "float32") * NEVER  # only one text to begin with
    live_scores = ops.broadcast_to(first, (rows, num_beams))  # sums of log-probabilities
    live_ids = ops.broadcast_to(empty, (rows, num_beams, empty.shape[0]))
    done_scores = ops.full((rows, num_beams), NEVER, dtype="float32")  # of texts that have ended

    def penalty(length):
        return ((5.0 + ops.cast(length, "float32")) / 6.0) ** length_penalty

    def unfinished(i, live_ids, live_scores, done_ids, done_scores, finished, token, cache):
        return ops.logical_and(i < limit, ops.logical_not(ops.all(finished)))

    def go_on(i, live_ids, live_scores, done_ids, done_scores, finished, token, cache):
        logits, cache = step(token, cache, i)
        own = ops.log_softmax(ops.cast(logits, "float32"))  # [batch * num_beams, vocabulary_size]
        size = own.shape[-1]
        scores = live_scores[:, :, None] + ops.reshape(own, (rows, num_beams, size))
        # Twice as many as beams: even if one of each beam ends, enough are left to go on.
        scores, chosen = ops.top_k(ops.reshape(scores, (rows, num_beams * size)), 2 * num_beams)
        beams, tokens = chosen // size, ops.cast(chosen % size, "int32")  # [batch, 2 * num_beams]
        ids = ops.take_along_axis(live_ids, beams[:, :, None], axis=1)  # [batch, 2 * num_beams, places]
        ids = ops.slice_update(ids, (0, 0, i), tokens[:, :, None])
        ended = ops.equal(tokens, end_id)

        # The best of those that have ended; what a finished row has found stays.
        counts = ops.logical_and(
            ended, ops.arange(2 * num_beams) < num_beams
        )  # not the ends that are only second best
        new = ops.where(ops.logical_and(counts, scores > NEVER / 2), scores / penalty(i + 1), NEVER)
        best_scores, best = ops.top_k(ops.concatenate([done_scores, new], axis=1), num_beams)
        best_ids = ops.take_along_axis(ops.concatenate([done_ids, ids], axis=1), best[:, :, None], axis=1)
        done_ids = ops.where(finished[:, None, None], done_ids, best_ids)
        done_scores = ops.where(finished[:, None], done_scores, best_scores)

        # The best of those that go on
        live_scores, best = ops.top_k(ops.where(ended, NEVER, scores), num_beams)
        live_ids = ops.take_along_axis(ids, best[:, :, None], axis=1)
        tokens, beams = ops.take_along_axis(tokens, best, axis=1), ops.take_along_axis(beams, best, axis=1)
        token = ops.reshape(tokens, (rows * num_beams,))
        source = ops.reshape(ops.arange(rows)[:, None] * num_beams + beams, (rows * num_beams,))
        cache = keras.tree.map_structure(lambda tensor: _take_rows(tensor, source, rows * num_beams), cache)

        enough = done_scores[:, -1] > NEVER / 2
        if not early_stopping:  # the highest score that a text that goes on can still reach
            reachable = live_scores[:, 0] / ops.maximum(penalty(limit), penalty(i + 1))
            enough = ops.logical_and(enough, done_scores[:, -1] >= reachable)
        return (
            i + 1,
            live_ids,
            live_scores,
            done_ids,
            done_scores,
            ops.logical_or(finished, enough),
            token,
            cache,
        )

    start = ops.convert_to_tensor(0, "int32")
    state = start, live_ids, live_scores, live_ids, done_scores, finished, token, cache
    _, live_ids, live_scores, done_ids, done_scores, finished, _, _ = ops.while_loop(unfinished, go_on, state)

    # Where the limit came first, the texts without an end count as they are.
    cut = ops.where(finished[:, None], NEVER, live_scores / penalty(limit))
    scores, best = ops.top_k(ops.concatenate([done_scores, cut], axis=1), num_beams)
    ids = ops.take_along_axis(ops.concatenate([done_ids, live_ids], axis=1), best[:, :, None], axis=1)
    return ids, scores


def _for_beams(tensors, batch_size, num_beams):
    """The tensors of each row `num_beams` times, one below the other."""
    rows = np.repeat(np.arange(batch_size), num_beams)
    return keras.tree.map_structure(lambda tensor: _take_rows(tensor, rows, batch_size), tensors)


def _take_rows(tensor, rows, count):
    """The rows of these numbers, of `count` rows; each may be several places of the first axis, `[count * n, ...]`."""
    grouped = ops.reshape(tensor, (count, -1, *tensor.shape[1:]))  # [count, n, ...]
    return ops.reshape(ops.take(grouped, rows, axis=0), (-1, *tensor.shape[1:]))
