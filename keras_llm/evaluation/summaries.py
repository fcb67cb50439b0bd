"""ROUGE of summaries (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"), by Google's rouge-score."""

from keras_llm.datasets.segmentation import WORD

KINDS = ("rouge1", "rouge2", "rougeL")


class Words:
    """A tokenizer for rouge-score, whose own drops what is not a-z: stems of words, and Chinese characters."""

    def __init__(self):
        from nltk.stem.porter import PorterStemmer

        self.stem = PorterStemmer().stem

    def tokenize(self, text):
        """A list of words."""
        words = WORD.findall(text.lower())
        return [self.stem(word) if len(word) > 3 else word for word in words]


def summary_metrics(summaries, references):
    """Compares summaries with the right ones; of several right ones, the best fit counts for each of the figures.

    Args:
        summaries: list of strings.
        references: a list of right summaries for each, at least one.

    Returns:
        A dict of `rouge1`, `rouge2` and `rougeL`: F1 of the words, the pairs of words and the longest common
        subsequence of words, means over the summaries, from 0 to 100.

    Raises:
        ValueError: no summaries, other numbers of summaries and references, or a summary without references.
    """
    if not summaries or len(summaries) != len(references):
        raise ValueError(
            f"summaries and references must be as many, at least 1: {len(summaries)} and {len(references)}."
        )
    scorer, totals = _scorer(KINDS), dict.fromkeys(KINDS, 0.0)
    for number, (summary, right) in enumerate(zip(summaries, references)):
        if isinstance(right, str) or not right:
            raise ValueError(f"references[{number}] must be a list of right summaries, not {right!r}.")
        scores = [scorer.score(reference, summary) for reference in right]
        for kind in KINDS:
            totals[kind] += max(score[kind].fmeasure for score in scores)
    return {kind: 100 * total / len(summaries) for kind, total in totals.items()}


def best_sentences(sentences, references, count):
    """The numbers of the sentences that together are most like a right summary, found one after the other.

    This is what an extractive summarizer learns (Nallapati et al. 2017, "SummaRuNNer", section 4.1).

    Args:
        sentences: of the text, a list of strings.
        references: right summaries, a list of strings.
        count: how many to find at most; there are fewer if one more would not be better.

    Returns:
        A set of int. The measure is the mean of ROUGE-1 and ROUGE-2.
    """
    scorer, chosen, best = _scorer(KINDS[:2]), set(), -1.0
    for _ in range(min(count, len(sentences))):
        scores = {}
        for number in set(range(len(sentences))) - chosen:
            text = " ".join(sentences[i] for i in sorted(chosen | {number}))
            scores[number] = max(
                sum(score.fmeasure for score in scorer.score(reference, text).values())
                for reference in references
            )
        number = min(scores, key=lambda i: (-scores[i], i))
        if scores[number] <= best:
            break
        best = scores[number]
        chosen.add(number)
    return chosen


def _scorer(kinds):
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(kinds, tokenizer=Words())
