"""Long texts cut into overlapping windows for an encoder of limited length, and their results joined again.

For classification, tagging and extractive question answering (Devlin et al. 2019, sections 4.1 to 4.3); and for
picking sentences, texts that are cut off where they are too long.
"""

import bisect
import dataclasses

import numpy as np

from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.datasets.segmentation import split_sentences


def text_windows(token_ids, length, stride, class_id, separator_id):
    """Cuts one text into rows `[CLS] piece [SEP]`.

    Args:
        token_ids: list of ids, without `[CLS]` and `[SEP]`.
        length: the most ids a row.
        stride: tokens that a piece shares with the one before it.
        class_id, separator_id: the ids of `[CLS]` and `[SEP]`.

    Returns:
        A list of lists of ids; for an empty text, one row without a piece.

    Raises:
        ValueError: `stride` is not below the length of a piece.
    """
    _check_stride(stride, length - 2)
    cuts = _cuts(range(len(token_ids) + 1), length - 2, stride)
    return [[class_id, *token_ids[start:end], separator_id] for start, end in cuts]


def join_scores(scores, owners, num_texts):
    """Averages the scores of each text's windows.

    Args:
        scores: `[num_windows, classes]`, such as class probabilities.
        owners: int `[num_windows]`, the number of the text that a window is from.
        num_texts: how many texts there are.

    Returns:
        float array `[num_texts, classes]`.

    Raises:
        ValueError: a text has no window, or an owner is no text.
    """
    scores = np.asarray(scores)
    counts = np.bincount(owners, minlength=num_texts)
    if len(counts) > num_texts or not counts.all():
        raise ValueError(f"owners must name each of the texts 0 to {num_texts - 1}, and no other.")
    sums = np.zeros((num_texts, scores.shape[1]), dtype=np.result_type(scores, np.float32))
    np.add.at(sums, owners, scores)
    return sums / counts[:, None]


# ------------------------------------------------------------------------------------------------- tagging


@dataclasses.dataclass
class WordWindows:
    """Windows of tagged sentences: lists with one entry a window, but for `num_words`.

    Attributes:
        token_ids: lists of ids.
        labels: lists of tag ids, as long: at the first piece of each word its tag, elsewhere
            `IGNORED_LABEL`. None where there are no tags.
        places: lists of `(place, sentence, word)`: at this place of the window stands the first piece of
            word number `word` of sentence number `sentence`.
        num_words: the words of each sentence.
    """

    token_ids: list
    labels: list | None
    places: list
    num_words: list


def word_windows(tokenizer, sentences, length, stride, tags=None, tag_names=None):
    """Cuts sentences of words into rows `[CLS] pieces [SEP]`, between words.

    A word that becomes no token (a control character) or a special one is the unknown token.

    Args:
        tokenizer: a `Tokenizer` with `[CLS]`, `[SEP]` and `[UNK]`.
        sentences: list of lists of words.
        length: the most ids a row. A word is cut to as many pieces as a row has room for.
        stride: the most pieces that a row shares with the one before it.
        tags: lists of tag names, one a word.
        tag_names: list of all tag names; a tag's id is its index here.

    Returns:
        `WordWindows`.

    Raises:
        ValueError: `stride` is not below the length of a piece; `tags` do not fit the words or `tag_names`;
            a tokenizer without `[CLS]` and `[SEP]`.
    """
    _check_tokenizer(tokenizer)
    _check_stride(stride, length - 2)
    tag_ids = None if tags is None else _tag_ids(sentences, tags, tag_names)
    words = list(dict.fromkeys(word for sentence in sentences for word in sentence))
    pieces = {
        word: [index for index in ids if _is_text(tokenizer, index)][: length - 2] or [tokenizer.unknown_id]
        for word, ids in zip(words, tokenizer.encode(words))
    }
    windows = WordWindows([], None if tags is None else [], [], [len(sentence) for sentence in sentences])
    for number, sentence in enumerate(sentences):
        edges = np.cumsum([0, *(len(pieces[word]) for word in sentence)]).tolist()
        for first, last in _cuts(edges, length - 2, stride):
            token_ids = [index for word in sentence[first:last] for index in pieces[word]]
            places = [(1 + edges[word] - edges[first], number, word) for word in range(first, last)]
            windows.token_ids.append([tokenizer.class_id, *token_ids, tokenizer.separator_id])
            windows.places.append(places)
            if tag_ids is not None:
                labels = [IGNORED_LABEL] * (len(token_ids) + 2)
                for place, _, word in places:
                    labels[place] = tag_ids[number][word]
                windows.labels.append(labels)
    return windows


def join_tags(predicted_ids, windows, tag_names):
    """One tag for each word, from the window where it stands farthest from the window's edges.

    Args:
        predicted_ids: int `[num_windows, length]`, the tag that the model gives each token (padded as the
            rows were), or lists as long as the rows.
        windows: the `WordWindows`.
        tag_names: list of all tag names.

    Returns:
        A list of tag names for each sentence.

    Raises:
        ValueError: another number of rows than of windows.
    """
    _check_rows("predicted_ids", predicted_ids, windows.token_ids)
    tags = [[None] * count for count in windows.num_words]
    depths = [[-1] * count for count in windows.num_words]
    for predicted, row, places in zip(predicted_ids, windows.token_ids, windows.places):
        for place, sentence, word in places:
            depth = min(place, len(row) - 1 - place)
            if depth > depths[sentence][word]:
                depths[sentence][word] = depth
                tags[sentence][word] = tag_names[predicted[place]]
    return tags


@dataclasses.dataclass(frozen=True)
class SentenceRow:
    """A text with a `[CLS]` before each sentence and a `[SEP]` behind it.

    Attributes:
        token_ids: list of ids.
        sentences: the sentences that are in it whole, or the first one as far as it goes: list of strings.
        places: the place of each one's `[CLS]`.
    """

    token_ids: list
    sentences: list
    places: list

    @property
    def spans(self):
        """The tokens of each sentence, with its `[CLS]` and `[SEP]`: pairs of a start and an end."""
        return list(zip(self.places, [*self.places[1:], len(self.token_ids)]))


def read_sentences(tokenizer, text, length):
    """A text as a `SentenceRow` of at most `length` tokens, at least 3; what is longer is left out by sentences.

    Raises:
        ValueError: there is no text.
    """
    sentences = split_sentences(text)
    if not sentences:
        raise ValueError("A text without a sentence cannot be summed up.")
    token_ids, places = [], []
    for ids in tokenizer.encode(sentences):  # [CLS] ... [SEP] each
        if token_ids and len(token_ids) + len(ids) > length:
            break
        places.append(len(token_ids))
        token_ids += ids if len(ids) <= length else [*ids[: length - 1], tokenizer.separator_id]
    return SentenceRow(token_ids, sentences[: len(places)], places)


def _tag_ids(sentences, tags, tag_names):
    if tag_names is None:
        raise ValueError("tags need tag_names, the list of all tags.")
    if [len(sentence) for sentence in sentences] != [len(row) for row in tags]:
        raise ValueError("tags must hold one tag for each word of each sentence.")
    ids = {name: index for index, name in enumerate(tag_names)}
    unknown = {name for row in tags for name in row} - set(ids)
    if unknown:
        raise ValueError(f"tags hold {min(unknown)!r}, which is none of the tag_names {list(tag_names)}.")
    return [[ids[name] for name in row] for row in tags]


# --------------------------------------------------------------------------------------- question answering


@dataclasses.dataclass
class QuestionWindows:
    """Windows of questions with their contexts: lists with one entry a window.

    Attributes:
        token_ids: lists of ids, `[CLS] question [SEP] piece of the context [SEP]`.
        segment_ids: lists as long: 0 up to the first `[SEP]`, 1 after it.
        owners: the number of the row that the window is from.
        offsets: lists as long: `(start, end)` of the characters of the context that a token stands for; None
            for the tokens that are not of the context.
        labels: `(start, end)`, the places of the answer's first and last token; `(0, 0)` where the window
            does not hold the whole answer.
    """

    token_ids: list
    segment_ids: list
    owners: list
    offsets: list
    labels: list


def question_windows(tokenizer, rows, length, stride):
    """Cuts contexts into overlapping windows, each after the question.

    Args:
        tokenizer: a `Tokenizer` with `[CLS]` and `[SEP]`.
        rows: dictionaries with `question`, `context` and, where known, `answers`: a list of
            `{"text": ..., "start": ...}`, the first of which gives the labels.
        length: the most ids a window. Questions are cut to half of it.
        stride: tokens of the context that a window shares with the one before it.

    Returns:
        `QuestionWindows`.

    Raises:
        ValueError: `stride` is not below the piece of context that the longest question leaves room for; a
            tokenizer without `[CLS]` and `[SEP]`.
    """
    _check_tokenizer(tokenizer)
    _check_stride(stride, length - 3 - length // 2)
    questions = _encode_once(tokenizer, [row["question"] for row in rows])
    contexts = _encode_once(tokenizer, [row["context"] for row in rows])
    separator_id = tokenizer.separator_id
    windows = QuestionWindows([], [], [], [], [])
    for owner, row in enumerate(rows):
        question = questions[row["question"]][0][: length // 2]
        context, offsets = contexts[row["context"]]
        answer = _answer_tokens(row.get("answers"), offsets)
        before = len(question) + 2
        for start, end in _cuts(range(len(context) + 1), length - 1 - before, stride):
            pair = [tokenizer.class_id, *question, separator_id, *context[start:end], separator_id]
            windows.token_ids.append(pair)
            windows.segment_ids.append([0] * before + [1] * (end - start + 1))
            windows.owners.append(owner)
            windows.offsets.append([None] * before + offsets[start:end] + [None])
            inside = answer is not None and start <= answer[0] and answer[1] < end
            windows.labels.append(tuple(before - start + place for place in answer) if inside else (0, 0))
    return windows


def join_answers(start_scores, end_scores, windows, contexts, max_answer_tokens=30, best=1):
    """The spans of each context with the highest sum of start and end score, over all windows of a row.

    A span ends where it starts or later, and lies within the context's part of one window.

    Args:
        start_scores, end_scores: float `[num_windows, length]`, for each token the logit that the answer
            starts or ends there (padded as the rows were).
        windows: the `QuestionWindows`.
        contexts: the context of each row.
        max_answer_tokens: the most tokens of a span.
        best: how many spans to give.

    Returns:
        For each row `{"text": ..., "start": ..., "end": ..., "score": ...}`, where `text` is
        `context[start:end]`; for `best` above 1 a list of up to so many, the best first. For a context
        without a token, the empty text with score -inf.

    Raises:
        ValueError: another number of rows than of windows, or `max_answer_tokens` or `best` below 1.
    """
    _check_rows("start_scores", start_scores, windows.token_ids)
    _check_rows("end_scores", end_scores, windows.token_ids)
    if max_answer_tokens < 1 or best < 1:
        raise ValueError(f"max_answer_tokens and best must be at least 1, got {max_answer_tokens}, {best}.")
    start_scores, end_scores = np.asarray(start_scores), np.asarray(end_scores)
    found = [{} for _ in contexts]  # for each row: characters (start, end) -> score
    for row, owner in enumerate(windows.owners):
        offsets = windows.offsets[row]
        first, last = windows.segment_ids[row].index(1), len(offsets) - 1
        starts, ends = start_scores[row, first:last], end_scores[row, first:last]
        spans = _best_spans(starts, ends, max_answer_tokens, best)
        for start, end, score in spans:
            characters = offsets[first + start][0], offsets[first + end][1]
            found[owner][characters] = max(score, found[owner].get(characters, -np.inf))
    answers = [_sorted_answers(scores, context)[:best] for scores, context in zip(found, contexts)]
    return [spans[0] for spans in answers] if best == 1 else answers


def _answer_tokens(answers, offsets):
    """The first and the last token of the first answer, or None."""
    if not answers:
        return None
    start = answers[0]["start"]
    end = start + len(answers[0]["text"])
    tokens = [token for token, (left, right) in enumerate(offsets) if left < end and right > start]
    return (tokens[0], tokens[-1]) if tokens else None


def _best_spans(start_scores, end_scores, max_tokens, best):
    """`(start, end, score)` of the best spans, in no order; scores are `[length]` arrays."""
    if len(start_scores) == 0:
        return []
    padded = np.concatenate([end_scores, np.full(max_tokens - 1, -np.inf)])
    ends = np.lib.stride_tricks.sliding_window_view(padded, max_tokens)  # [start, tokens after it]
    scores = (start_scores[:, None] + ends).ravel()
    count = min(best, scores.size)
    chosen = np.argpartition(scores, -count)[-count:]
    chosen = chosen[scores[chosen] > -np.inf]
    starts, more = np.divmod(chosen, max_tokens)
    return zip(starts.tolist(), (starts + more).tolist(), scores[chosen].tolist())


def _sorted_answers(scores, context):
    answers = [
        {"text": context[start:end], "start": start, "end": end, "score": score}
        for (start, end), score in sorted(scores.items(), key=lambda item: -item[1])
    ]
    return answers or [{"text": "", "start": 0, "end": 0, "score": -np.inf}]


# --------------------------------------------------------------------------------------------- common parts


def _cuts(edges, size, stride):
    """Where to cut: `(first, last)` of each window, counted in words; together they hold all words.

    Args:
        edges: int `[num_words + 1]`, ascending: where each word begins, counted in tokens, and the end.
        size: the most tokens of a window, and of a word.
        stride: the most tokens that a window shares with the one before it.
    """
    first, cuts = 0, []
    while True:
        last = bisect.bisect_right(edges, edges[first] + size) - 1
        cuts.append((first, last))
        if last == len(edges) - 1:
            return cuts
        # Back by the stride, but not so far that there is no room for the next word.
        first = bisect.bisect_left(edges, max(edges[last] - stride, edges[last + 1] - size))


def _encode_once(tokenizer, texts):
    """Each text -> its token ids, without special tokens, and their offsets; equal texts are encoded once."""
    texts = list(dict.fromkeys(texts))
    encoded = {}
    for text, (ids, offsets) in zip(texts, tokenizer.encode_with_offsets(texts)):
        kept = [token for token, index in enumerate(ids) if _is_text(tokenizer, index)]
        encoded[text] = [ids[token] for token in kept], [offsets[token] for token in kept]
    return encoded


def _is_text(tokenizer, index):
    return index == tokenizer.unknown_id or index not in tokenizer.special_ids


def _check_tokenizer(tokenizer):
    if tokenizer.class_id is None or tokenizer.separator_id is None:
        raise ValueError("The tokenizer must have the tokens [CLS] and [SEP]; kind='wordpiece' has them.")


def _check_stride(stride, size):
    if not 0 <= stride < size:
        raise ValueError(f"stride must be from 0 to {size - 1}, below the tokens of a piece, got {stride}.")


def _check_rows(name, rows, windows):
    if len(rows) != len(windows):
        raise ValueError(f"{name} must have a row for each of the {len(windows)} windows, got {len(rows)}.")
