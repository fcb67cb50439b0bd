"""Chapter 16, exercise 1: names from tags, the strict way."""

import numpy as np

from keras_llm.evaluation.tagging import entity_metrics


def spans(tags, strict):
    """(kind, first word, word after the last); strict: an `I-` that follows no name of its kind is dropped."""
    found = []
    for place, tag in enumerate(tags):
        before = found[-1] if found else ("", 0, 0)
        if tag == f"I-{before[0]}" and before[2] == place:
            found[-1] = (before[0], before[1], place + 1)
        elif tag.startswith("B-") or (tag.startswith("I-") and not strict):
            found.append((tag[2:], place, place + 1))
    return found


def f1(right, said, strict):
    right, said = set(spans(right, strict)), set(spans(said, strict))
    return 2 * len(right & said) / (len(right) + len(said))


# Ann Lee met Bo in Rome: the model says I-LOC where B-LOC is right, and forgets the I- of Lee.
right = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC"]
said = ["B-PER", "I-LOC", "O", "B-PER", "O", "I-LOC"]
print(spans(said, strict=False), spans(said, strict=True))
assert spans(said, strict=False) == [("PER", 0, 1), ("LOC", 1, 2), ("PER", 3, 4), ("LOC", 5, 6)]
assert spans(said, strict=True) == [("PER", 0, 1), ("PER", 3, 4)]

# There are 3 names. Lenient: 4 are said, Bo and Rome are right: 2 * 2 / (3 + 4). Strict: 2 are said, Bo is right.
assert np.isclose(f1(right, said, strict=False), 4 / 7) and np.isclose(f1(right, said, strict=True), 2 / 5)
library = entity_metrics([right], [said])["f1"]
assert np.isclose(library, 4 / 7)
print(f"lenient {4 / 7:.3f}, strict {2 / 5:.3f}, library {library:.3f}: it takes the lenient way")

# Without broken tags both are the same.
assert spans(right, True) == spans(right, False)
