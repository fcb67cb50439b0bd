"""Chapter 2, exercise 3: an HMM to which all unknown words are the same."""

import re

from keras_llm.baselines import hmm
from keras_llm.datasets import load
from keras_llm.evaluation.tagging import entity_metrics

train, test = load("entities_en", "train"), load("entities_en", "test")


def f1():
    tagger = hmm.HmmTagger().fit([row["tokens"] for row in train], [row["tags"] for row in train])
    return entity_metrics([row["tags"] for row in test], tagger.predict([row["tokens"] for row in test]))[
        "f1"
    ]


with_shapes = f1()
hmm.SHAPES = {"<unknown>": re.compile(".*", re.DOTALL)}
assert hmm.shape("Oslo") == hmm.shape("runs") == "<unknown>"
without = f1()
print(f"F1 with shapes {with_shapes:.2f}, without {without:.2f}")
assert without < with_shapes  # a capital letter says much where names are new
