"""Chapter 8, exercise 2: ROUGE-L by hand."""

import numpy as np

from keras_llm.baselines.lead import lead
from keras_llm.datasets import load
from keras_llm.evaluation.summaries import Words, summary_metrics


def longest_common(first, second):
    """Length of the longest sequence of words that stands in both in this order, with gaps."""
    best = np.zeros((len(first) + 1, len(second) + 1), int)  # [i, j]: of the first i and j words
    for i, a in enumerate(first, 1):
        for j, b in enumerate(second, 1):
            best[i, j] = best[i - 1, j - 1] + 1 if a == b else max(best[i - 1, j], best[i, j - 1])
    return best[-1, -1]


words = Words().tokenize


def rouge_l(summary, reference):
    first, second = words(summary), words(reference)
    common = longest_common(first, second)
    return 200 * common / (len(first) + len(second))  # F1: 2 PR / (P + R) with P = c / m and R = c / n


rows = load("summaries_en", "test")
summaries = [lead(row["document"]) for row in rows]
ours = np.mean([rouge_l(summary, row["summary"]) for summary, row in zip(summaries, rows)])
theirs = summary_metrics(summaries, [[row["summary"]] for row in rows])["rougeL"]
print(f"{ours:.4f} {theirs:.4f}")
assert longest_common("abcd", "bxd") == 2
assert np.isclose(ours, theirs)
