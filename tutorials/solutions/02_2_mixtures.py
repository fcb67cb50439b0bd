"""Chapter 2, exercise 2: a weighted mean of counted shares, without a discount."""

import itertools

import numpy as np

from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets import load
from keras_llm.tokenizers import Tokenizer

texts = {split: [row["text"] for row in load("topics_en", split)] for split in ("train", "validation")}
tokenizer = Tokenizer.train(texts["train"], "byte_bpe", 512)
ids = {split: np.concatenate(tokenizer.encode(own)).tolist() for split, own in texts.items()}
size = tokenizer.vocabulary_size


def counts(order):
    """How often each n-gram came, and each context of it."""
    grams = list(zip(*(ids["train"][i:] for i in range(order))))
    found, contexts = {}, {}
    for gram in grams:
        found[gram] = found.get(gram, 0) + 1
        contexts[gram[:-1]] = contexts.get(gram[:-1], 0) + 1
    return found, contexts


tables = {order: counts(order) for order in (1, 2, 3)}
rows = []  # for each token the three shares
for i in range(2, len(ids["validation"])):
    row = []
    for order, (found, contexts) in tables.items():
        gram = tuple(ids["validation"][i - order + 1 : i + 1])
        row.append(found.get(gram, 0) / contexts.get(gram[:-1], 1))
    rows.append([1 / size, *row])
shares = np.array(rows)  # [tokens, 4]: knowing nothing, and the orders 1 to 3


def perplexity(weights):
    return np.exp(-np.mean(np.log(shares @ weights)))


# A hundredth for knowing nothing, so that nothing is zero; the rest in steps of a tenth
mixes = [np.array([0.01, *parts]) for parts in itertools.product(np.arange(0, 1, 0.1), repeat=3)]
mixes = [mix / mix.sum() for mix in mixes if mix[1:].sum() > 0]
best = min(mixes, key=perplexity)
discount = NgramModel(3, size).fit(ids["train"]).perplexity(ids["validation"])
print(f"best mix {np.round(best, 2)}: {perplexity(best):.1f}; discount: {discount:.1f}")

# One weight for all contexts does not know which contexts can be trusted; what is saved by a discount does.
assert (best[1:3] > 0).all()
assert discount < perplexity(best) < 1.5 * discount
