"""Chapter 2, exercise 1: Laplace's rule beside the discount."""

import numpy as np

from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets import load
from keras_llm.tokenizers import Tokenizer

texts = {split: [row["text"] for row in load("topics_en", split)] for split in ("train", "validation")}
tokenizer = Tokenizer.train(texts["train"], "byte_bpe", 512)
ids = {split: np.concatenate(tokenizer.encode(own)) for split, own in texts.items()}
size = tokenizer.vocabulary_size

table = np.zeros((size, size))
np.add.at(table, (ids["train"][:-1], ids["train"][1:]), 1)  # [before, after]


def perplexity(constant):
    shares = (table + constant) / (table + constant).sum(axis=1, keepdims=True)
    return np.exp(-np.mean(np.log(shares[ids["validation"][:-1], ids["validation"][1:]])))


assert np.isclose(((table + 1) / (table + 1).sum(axis=1, keepdims=True)).sum(axis=1), 1).all()
found = {constant: perplexity(constant) for constant in (1, 0.3, 0.1, 0.03, 0.01, 0.003)}
discount = NgramModel(2, size).fit(ids["train"]).perplexity(ids["validation"])
for constant, value in found.items():
    print(f"add {constant}: {value:.1f}")
print(f"discount: {discount:.1f}")

# A tenth or less is much better than 1; and no constant is as good as giving to what is frequent anyway.
assert min(found, key=found.get) < 1
assert discount < min(found.values())
