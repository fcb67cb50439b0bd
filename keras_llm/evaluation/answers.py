"""Exact match and F1 of answers to questions, as SQuAD v1.1 defines them (Rajpurkar et al. 2016, section 6.1).

Answers are compared as words, without case, punctuation and articles. Chinese has no spaces between words: there
each character counts as one, as in MLQA (Lewis et al. 2020), the multilingual sister of SQuAD. CMRC 2018 counts
characters too, but scores their longest common run in place of all that are shared: its F1 is mostly lower. Where a
prediction or an answer of SQuAD holds a Chinese character, both count as Chinese; nowhere else do the numbers differ
from those of the official script.
"""

import re
import string
import unicodedata
from collections import Counter

CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def answer_metrics(predictions, references):
    """Compares predicted answers with the right ones; of several right ones, the best fit counts.

    Args:
        predictions: a string for each question.
        references: a list of right answers for each question, at least one.

    Returns:
        A dict of fractions from 0 to 1, means over the questions: `exact_match` (SQuAD publishes it times 100) and
        `f1`, the harmonic mean of the shares of words that prediction and right answer have in common.

    Raises:
        ValueError: no questions, other numbers of predictions and references, or a question without right answers.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(
            f"predictions and references must be as many, at least 1: {len(predictions)} and {len(references)}."
        )
    exact, f1 = 0, 0.0
    for number, (prediction, answers) in enumerate(zip(predictions, references)):
        if isinstance(answers, str) or not answers:
            raise ValueError(f"references[{number}] must be a list of right answers, not {answers!r}.")
        pairs = [_comparable(prediction, answer) for answer in answers]
        exact += any(predicted == right for predicted, right in pairs)
        f1 += max(_f1(predicted, right) for predicted, right in pairs)
    return {"exact_match": exact / len(predictions), "f1": f1 / len(predictions)}


def _comparable(prediction, answer):
    """Splits both texts in the same way: into words, or into characters if either is Chinese."""
    split = _chinese_words if CHINESE.search(prediction + answer) else _words
    return split(prediction), split(answer)


def _words(text):
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _chinese_words(text):
    """Each Chinese character is a word; what stands between them (`GPT`, `2018`) is split at white space."""
    text = "".join(character for character in text.lower() if not _is_punctuation(character))
    return CHINESE.sub(r" \g<0> ", text).split()


def _is_punctuation(character):
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _f1(predicted, right):
    common = (Counter(predicted) & Counter(right)).total()  # a word counts as often as both have it
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(right)
    return 2 * precision * recall / (precision + recall)
