"""Windows: nothing of a long text is lost, and what a perfect model says of them joins to the truth."""

import itertools
import random

import numpy as np
import pytest

from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.datasets.windows import (
    join_answers,
    join_scores,
    join_tags,
    question_windows,
    text_windows,
    word_windows,
)
from keras_llm.tokenizers import Tokenizer

CLS, SEP = 2, 3
ENGLISH = (
    "The unhappy reader was rereading a readable book, and the readers' club met in Łódź. "
    "Sleepers slept; nobody (not even the naïve café owner) woke the sleeping cat before 10:30."
)
CHINESE = "我们喜欢在学校学习中文，他们在北京大学的图书馆里阅读关于上海历史的书籍。"
TEXTS = [ENGLISH.lower(), CHINESE, "read sleep un happy who where what 谁 哪里"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXTS, "wordpiece", vocabulary_size=170, lowercase=True)


def assert_chained(pieces, whole, size, stride):
    """Pieces of at most `size` that share `stride` with the one before, and together are the whole."""
    rebuilt = list(pieces[0])
    for before, piece in itertools.pairwise(pieces):
        assert len(before) == size and piece[:stride] == before[len(before) - stride :]
        rebuilt += piece[stride:]
    assert rebuilt == list(whole) and all(len(piece) <= size for piece in pieces)
    assert all(len(piece) > stride for piece in pieces[1:])  # each brings something new


# --------------------------------------------------------------------------------------------- whole texts


@pytest.mark.parametrize("stride", [0, 1, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 15, 16, 17, 100])
def test_every_token_is_in_some_window(count, stride):
    rows = text_windows(list(range(10, 10 + count)), 10, stride, CLS, SEP)
    assert all(row[0] == CLS and row[-1] == SEP for row in rows)
    assert_chained([row[1:-1] for row in rows], range(10, 10 + count), 8, stride)


def test_windows_by_hand():
    assert text_windows([10, 11, 12, 13, 14], 5, 1, CLS, SEP) == [[2, 10, 11, 12, 3], [2, 12, 13, 14, 3]]
    assert text_windows([], 5, 1, CLS, SEP) == [[2, 3]]


def test_scores_of_a_text_are_the_mean_of_its_windows():
    scores = np.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5], [0.0, 1.0]], "float32")
    joined = join_scores(scores, [1, 0, 1, 1], 2)
    np.testing.assert_allclose(joined, [[0.25, 0.75], [0.5, 0.5]])
    with pytest.raises(ValueError, match="each of the texts 0 to 2"):
        join_scores(scores, [1, 0, 1, 1], 3)
    with pytest.raises(ValueError, match="each of the texts 0 to 1"):
        join_scores(scores, [1, 0, 2, 1], 2)


# ------------------------------------------------------------------------------------------------- tagging


def random_sentences(seed, number=30):
    choose = random.Random(seed)
    words = [*ENGLISH.split(), "图书馆", "上海", "\x00", "[SEP]", "[PAD]", "rereadingsleepersunhappy"]
    return [choose.choices(words, k=choose.choice([0, 1, 5, 20, 60])) for _ in range(number)]


@pytest.mark.parametrize(("length", "stride"), [(8, 0), (8, 5), (12, 4), (30, 10), (200, 50)])
def test_perfect_predictions_join_to_the_tags(tokenizer, length, stride):
    sentences = random_sentences(length)
    choose = random.Random(0)
    tags = [choose.choices(TAGS, k=len(sentence)) for sentence in sentences]
    windows = word_windows(tokenizer, sentences, length, stride, tags, TAGS)
    predicted = np.full((len(windows.labels), length), 3)
    for row, labels in zip(predicted, windows.labels):
        row[: len(labels)] = np.where(np.array(labels) == IGNORED_LABEL, 1, labels)
    assert join_tags(predicted, windows, TAGS) == tags


@pytest.mark.parametrize(("length", "stride"), [(8, 0), (8, 5), (12, 4), (30, 10)])
def test_windows_hold_all_pieces_and_whole_words(tokenizer, length, stride):
    sentences = [sentence for sentence in random_sentences(1) if sentence]
    windows = word_windows(tokenizer, sentences, length, stride)
    assert windows.labels is None
    pieces = {word: tokenizer.encode(word)[1:-1][: length - 2] for word in set(sum_lists(sentences))}
    for word in ("\x00", "[SEP]", "[PAD]"):
        pieces[word] = [tokenizer.unknown_id]
    found = [[] for _ in sentences]
    for row, places in zip(windows.token_ids, windows.places):
        assert row[0] == CLS and row[-1] == SEP and len(row) <= length
        ends = [place for place, _, _ in places[1:]] + [len(row) - 1]
        assert places[0][0] == 1  # no window begins inside a word
        for (place, sentence, word), end in zip(places, ends):
            assert row[place:end] == pieces[sentences[sentence][word]]
        sentence = places[0][1]
        words = [word for _, _, word in places]
        before = found[sentence][-1] if found[sentence] else []
        assert sum(len(pieces[sentences[sentence][word]]) for word in words if word in before) <= stride
        found[sentence].append(words)
    for sentence, windows_of_it in zip(sentences, found):
        assert {word for words in windows_of_it for word in words} == set(range(len(sentence)))


def sum_lists(lists):
    return list(itertools.chain.from_iterable(lists))


def test_labels_stand_at_first_pieces(tokenizer):
    windows = word_windows(tokenizer, [["unhappy", "cat"]], 40, 0, [["B-PER", "O"]], TAGS)
    first = len(tokenizer.encode("unhappy")) - 2
    assert first > 1  # or this test shows nothing
    assert windows.token_ids == [tokenizer.encode("unhappy cat")]
    rest = len(windows.token_ids[0]) - 2 - first
    ignored = IGNORED_LABEL
    expected = [ignored, 1, *[ignored] * (first - 1), 0, *[ignored] * (rest - 1), ignored]
    assert windows.labels == [expected]
    assert windows.places == [[(1, 0, 0), (1 + first, 0, 1)]]


def test_a_word_is_read_where_it_stands_farthest_from_an_edge(tokenizer):
    windows = word_windows(tokenizer, [["a"] * 9], 8, 4)  # one piece a word
    assert [[word for _, _, word in row] for row in windows.places] == [
        [0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7],
        [4, 5, 6, 7, 8],
    ]
    number_of_window = np.arange(3)[:, None] * np.ones(8, int)
    names = ["first", "second", "third"]
    # Word 3 has two words beyond it in the first window and one before it in the second; word 4 the reverse.
    expected = ["first"] * 4 + ["second"] * 2 + ["third"] * 3
    assert join_tags(number_of_window, windows, names) == [expected]


def test_sentences_without_words(tokenizer):
    windows = word_windows(tokenizer, [[], ["a"]], 8, 0, [[], ["O"]], TAGS)
    assert windows.token_ids[0] == [CLS, SEP] and windows.labels[0] == [IGNORED_LABEL] * 2
    assert join_tags(np.zeros((2, 8), int), windows, TAGS) == [[], ["O"]]


# --------------------------------------------------------------------------------------- question answering


def one_hot(windows, length):
    """What a perfect model says: 1 at the labels, else 0."""
    starts, ends = np.zeros((2, len(windows.labels), length))
    for row, (start, end) in enumerate(windows.labels):
        starts[row, start] = ends[row, end] = 1
    return starts, ends


def join_perfect(tokenizer, rows, length, stride, **options):
    windows = question_windows(tokenizer, rows, length, stride)
    return join_answers(*one_hot(windows, length), windows, [row["context"] for row in rows], **options)


def spans_of(units, separator, most):
    """Every answer of up to `most` neighbouring units: dictionaries with text and start."""
    starts = [0, *itertools.accumulate(len(unit) + len(separator) for unit in units)]
    for first in range(len(units)):
        for last in range(first, min(len(units), first + most)):
            text = separator.join(units[first : last + 1])
            yield {"text": text, "start": starts[first]}


def question_row(context, answer, question="who read what where"):
    return {"question": question, "context": context, "answers": [answer]}


@pytest.mark.parametrize(("length", "stride"), [(50, 18), (64, 25), (400, 20)])
def test_every_answer_is_found_again(tokenizer, length, stride):
    context = ENGLISH + " " + ENGLISH
    rows = [question_row(context, answer) for answer in spans_of(context.split(" "), " ", 2)]
    windows = question_windows(tokenizer, rows, length, stride)
    assert (len(windows.owners) > len(rows)) == (length < 400)
    for owner, offsets, (start, end) in zip(windows.owners, windows.offsets, windows.labels):
        if (start, end) != (0, 0):
            answer = rows[owner]["answers"][0]["text"]
            assert context[offsets[start][0] : offsets[end][1]] == answer
    for row, found in zip(rows, join_perfect(tokenizer, rows, length, stride)):
        expected = row["answers"][0]
        assert (found["text"], found["start"]) == (expected["text"], expected["start"])
        assert found["end"] == found["start"] + len(found["text"]) and found["score"] == 2


def test_every_chinese_answer_is_found_again(tokenizer):
    context = CHINESE * 2  # each character is a token
    rows = [question_row(context, answer, "他们在哪里？") for answer in spans_of(list(context), "", 5)]
    for row, found in zip(rows, join_perfect(tokenizer, rows, length=24, stride=4)):  # 5 = stride + 1
        assert {"text": found["text"], "start": found["start"]} == row["answers"][0]


def test_windows_of_a_context(tokenizer):
    question, context = "who read", ENGLISH
    windows = question_windows(tokenizer, [{"question": question, "context": context}], 40, 6)
    ids, segments = tokenizer.encode_with_segments(question, context)
    before = segments.index(1)
    assert len(windows.token_ids) > 2 and set(windows.owners) == {0} and set(windows.labels) == {(0, 0)}
    for row, row_segments, offsets in zip(windows.token_ids, windows.segment_ids, windows.offsets):
        assert row[:before] == ids[:before] and row[-1] == SEP
        assert row_segments == [0] * before + [1] * (len(row) - before)
        assert offsets[:before] == [None] * before and offsets[-1] is None and len(offsets) == len(row)
        assert all(0 <= start < end <= len(context) for start, end in offsets[before:-1])
    pieces = [row[before:-1] for row in windows.token_ids]
    assert_chained(pieces, ids[before:-1], 40 - before - 1, 6)


def test_one_window_is_the_encoded_pair(tokenizer):
    row = {"question": "who slept", "context": "the cat slept"}
    windows = question_windows(tokenizer, [row], 60, 5)
    expected = tokenizer.encode_with_segments(row["question"], row["context"])
    assert (windows.token_ids[0], windows.segment_ids[0]) == tuple(expected)


def test_an_answer_inside_a_word_becomes_the_pieces_that_cover_it(tokenizer):
    context = "nobody slept"
    start = context.index("lep")
    windows = question_windows(tokenizer, [question_row(context, {"text": "lep", "start": start})], 40, 5)
    first, last = windows.labels[0]
    left, right = windows.offsets[0][first][0], windows.offsets[0][last][1]
    assert context.index("slept") <= left <= start and start + 3 <= right <= len(context)
    covering = windows.offsets[0][first : last + 1]
    assert all(piece[0] < start + 3 and piece[1] > start for piece in covering)  # and no piece more


def test_questions_longer_than_allowed_are_cut(tokenizer):
    row = question_row("the cat slept", {"text": "cat", "start": 4}, "who slept where " * 30)
    windows = question_windows(tokenizer, [row], 30, 5)
    question = tokenizer.encode(row["question"])[1:-1]
    assert all(ids[:17] == [CLS, *question[:15], SEP] and len(ids) <= 30 for ids in windows.token_ids)
    assert join_perfect(tokenizer, [row], 30, 5)[0]["text"] == "cat"


def test_answers_that_no_window_holds_have_label_zero(tokenizer):
    context = " ".join(["a"] * 60)  # one piece a word
    answer = {"text": " ".join(["a"] * 40), "start": 20}
    windows = question_windows(tokenizer, [question_row(context, answer)], 30, 3)
    assert set(windows.labels) == {(0, 0)} and len(windows.labels) > 2
    no_answer = {"question": "who", "context": context, "answers": []}
    assert set(question_windows(tokenizer, [no_answer], 30, 3).labels) == {(0, 0)}


@pytest.mark.parametrize(("most", "best"), [(1, 1), (4, 1), (30, 1), (4, 6), (200, 3), (3, 1000)])
def test_spans_against_a_plain_loop(tokenizer, most, best):
    rows = [
        {"question": "who", "context": ENGLISH},
        {"question": "what did the reader read", "context": CHINESE},
        {"question": "where", "context": "a cat"},
    ]
    windows = question_windows(tokenizer, rows, 40, 9)
    starts, ends = np.random.default_rng(most).normal(size=(2, len(windows.owners), 40))
    starts[:, [0, -1]] = ends[:, [0, -1]] = 100  # [CLS] and padding are no answers
    expected = [{} for _ in rows]
    for window, owner in enumerate(windows.owners):
        offsets = windows.offsets[window]
        for i, j in itertools.product(range(len(offsets)), repeat=2):
            if offsets[i] and offsets[j] and i <= j < i + most:
                span = (offsets[i][0], offsets[j][1])
                score = starts[window, i] + ends[window, j]
                expected[owner][span] = max(score, expected[owner].get(span, -np.inf))
    found = join_answers(starts, ends, windows, [row["context"] for row in rows], most, best)
    for row, spans, answers in zip(rows, expected, found):
        ranked = sorted(spans, key=spans.get, reverse=True)[:best]
        answers = [answers] if best == 1 else answers
        assert [(answer["start"], answer["end"]) for answer in answers] == ranked
        for answer in answers:
            assert answer["text"] == row["context"][answer["start"] : answer["end"]]
            assert answer["score"] == pytest.approx(spans[answer["start"], answer["end"]])


def test_an_empty_context_has_no_answer(tokenizer):
    windows = question_windows(tokenizer, [{"question": "who", "context": " "}], 30, 5)
    zeros = np.zeros((1, 30))
    expected = {"text": "", "start": 0, "end": 0, "score": -np.inf}
    assert join_answers(zeros, zeros, windows, [" "]) == [expected]
    assert join_answers(zeros, zeros, windows, [" "], best=3) == [[expected]]


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: text_windows([1], 10, 8, CLS, SEP), "stride must be from 0 to 7.*got 8"),
        (lambda t: text_windows([1], 10, -1, CLS, SEP), "got -1"),
        (lambda t: word_windows(t, [["a"]], 10, 8), "stride must be from 0 to 7.*got 8"),
        (lambda t: question_windows(t, [], 40, 17), "stride must be from 0 to 16.*got 17"),
        (lambda t: word_windows(t, [["a", "b"]], 10, 1, [["O"]], TAGS), "one tag for each word"),
        (lambda t: word_windows(t, [["a"]], 10, 1, [["X"]], TAGS), "'X'"),
        (lambda t: word_windows(t, [["a"]], 10, 1, [["O"]]), "need tag_names"),
        (lambda t: join_tags([], word_windows(t, [["a"]], 10, 1), TAGS), "each of the 1 windows, got 0"),
        (lambda t: word_windows(Tokenizer.train(["a"], "word"), [["a"]], 10, 1), "have the tokens .CLS."),
    ],
)
def test_wrong_inputs_are_named(tokenizer, make, message):
    with pytest.raises(ValueError, match=message):
        make(tokenizer)
