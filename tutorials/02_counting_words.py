# %% [markdown]
# # 2. Counting words: predict without a network
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/02_counting_words.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 1 to 2 | 1 GB |
# | small | CPU | 1 | 0.5 GB |
#
# **The question.** How far does one get by only *counting* what followed what? Everything in the later chapters has to be
# better than that, or it was not worth its electricity.
#
# Two counting models, both older than neural networks: the **n-gram** predicts the next word, the **hidden Markov
# model** gives each word a tag.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import itertools
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.baselines.hmm import HmmTagger
from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets import load
from keras_llm.evaluation.tagging import entity_metrics
from keras_llm.recipes.gpt2 import encode_texts, load_texts
from keras_llm.tokenizers import Tokenizer

# %% [markdown]
# ## A table of pairs
#
# Three sentences, with a mark `.` at their ends. We count the words, and the pairs of neighbours.

# %%
text = "the cat sat . the dog sat . the cat ran .".split()
words = sorted(set(text))
pairs = Counter(itertools.pairwise(text))
table = np.array([[pairs[a, b] for b in words] for a in words])  # [before, after]
print("      ", *(f"{word:>4}" for word in words))
for word, row in zip(words, table):
    print(f"{word:>6} ", *(f"{count:4}" for count in row))

# %% [markdown]
# The row of *the* says: after *the* came *cat* twice and *dog* once. So P(cat | the) = 2/3. A sentence's probability is the
# product of such numbers. On paper: P(cat sat . | the) = 2/3 · 1/2 · 1.

# %%
shares = table / table.sum(axis=1, keepdims=True)  # rows sum to 1


def product(sentence):
    places = [words.index(word) for word in sentence.split()]
    return np.prod([shares[a, b] for a, b in itertools.pairwise(places)])


print(f"the cat sat .  {product('the cat sat .'):.3f}")
print(f"the dog ran .  {product('the dog ran .'):.3f}")
assert np.isclose(product("the cat sat ."), 2 / 3 * 1 / 2)

# %% [markdown]
# ## Where it breaks: zeros
#
# *The dog ran* is a good sentence, but nobody said it before: *dog ran* has the count 0, and the whole product is 0. It
# gets worse with longer contexts and more words, since almost all of what can be said was never said.
#
# ## Smoothing: take a little from what was seen
#
# The oldest remedy adds 1 to every count (Laplace). It gives away too much: with 10,000 words, a row that was seen 3 times
# would give 99.97 % to words that never came.

# %%
added = (table + 1) / (table + 1).sum(axis=1, keepdims=True)
print("P(ran | dog)", added[words.index("dog"), words.index("ran")])
for size in (6, 100, 10_000):
    print(f"{size:6} words: P(cat | the) = {(2 + 1) / (3 + size):.4f}   (counted: 0.6667)")

# %% [markdown]
# Better: **take 0.75 off each pair that was seen**, and give what was saved to the single words' shares. After *the*
# there are two kinds of followers and three occurrences, so 2 · 0.75 / 3 = 0.5 is saved, and
#
# $$P(w \mid the) = \frac{\max(count - 0.75,\ 0)}{3} + 0.5 \cdot P(w).$$
#
# For the single words' shares P(w), each word of the vocabulary has one count more than in the text, so none is zero.

# %%
single = np.array([Counter(text)[word] + 1 for word in words])
single = single / single.sum()


def smoothed(before):
    counts = table[words.index(before)]
    kept = np.maximum(counts - 0.75, 0) / counts.sum()
    saved = 0.75 * (counts > 0).sum() / counts.sum()
    return kept + saved * single


# %%
for word, share in zip(words, smoothed("the")):
    print(f"P({word:3} | the) = {share:.3f}")
assert np.isclose(smoothed("the").sum(), 1)
assert np.isclose(smoothed("the")[words.index("cat")], (2 - 0.75) / 3 + 0.5 * 3 / 18)

# %% [markdown]
# ## The library is equal to it
#
# `NgramModel` counts with NLTK, over token ids, and does this for contexts of any length: triples give what they save to
# pairs, and pairs to single tokens.

# %%
ids = [words.index(word) for word in text]
model = NgramModel(order=2, vocabulary_size=len(words)).fit(ids)
for before in words:
    ours = model.probabilities([words.index(before)])
    assert np.allclose(ours, smoothed(before))
print(model.probability(words.index("ran"), [words.index("dog")]), "is not zero")

# %% [markdown]
# ## How good? Perplexity
#
# A text is held back. The model says for each of its tokens how likely it was; the mean of $-\log P$ is the **loss**, and
# its $\exp$ is the **perplexity**: between how many equally likely tokens the model wavers. If it knows nothing, that is
# the size of the vocabulary. By hand, for the two tokens after *the* in *the dog sat*:

# %%
held_back = [words.index(word) for word in "the dog sat".split()]
steps = [smoothed("the")[words.index("dog")], smoothed("dog")[words.index("sat")]]
by_hand = np.exp(-np.mean(np.log(steps)))
print(f"by hand {by_hand:.4f}, library {model.perplexity(held_back):.4f}, knowing nothing {len(words)}")
assert np.isclose(by_hand, model.perplexity(held_back))

# %% [markdown]
# ## Real text
#
# The English documentation inside the Python packages of this machine, cut into pieces by a tokenizer as in
# [chapter 1](01_text_to_tokens.ipynb).

# %%
texts = {
    "train": load_texts("docstrings", "train", limit=1_500_000 if FULL else 100_000),
    "validation": load_texts("docstrings", "validation", limit=100_000 if FULL else 20_000),
}
tokenizer = Tokenizer.train(texts["train"], "byte_bpe", 1024)
tokens = {split: encode_texts(tokenizer, documents) for split, documents in texts.items()}
print({split: len(row) for split, row in tokens.items()})

# %%
ORDERS = (1, 2, 3, 4, 5)
models = {order: NgramModel(order, tokenizer.vocabulary_size).fit(tokens["train"]) for order in ORDERS}
seen, new = [], []
for order, own in models.items():
    seen.append(own.perplexity(tokens["train"][: len(tokens["validation"])]))
    new.append(own.perplexity(tokens["validation"]))
    print(
        f"{order}-gram: {own.count_params():9,} counts; perplexity {new[-1]:6.1f}, of seen text {seen[-1]:6.1f}"
    )

# %%
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.plot(ORDERS, new, "o-", label="new text")
axes.plot(ORDERS, seen, "o--", color="gray", label="a part of the training text")
axes.set(yscale="log", xticks=ORDERS, xlabel="order", ylabel="perplexity")
axes.legend()
plt.show()

# %% [markdown]
# From single tokens to pairs the gain is large. On the text that was counted, it goes on without end: the model knows it by
# heart. On new text it soon stops, since almost no context of four tokens is ever met again, while the table grows and
# grows. **That is the wall that counting runs into**: to the table, *the cat sat* and *the dog sat* have nothing in
# common. [Chapter 3](03_word_vectors.ipynb) is about what they have in common.
#
# ## It writes
#
# Draw a token by its probability, look at the last ones again, and so on.


# %%
def write(model, start, count=40, seed=0):
    random, ids = np.random.default_rng(seed), tokenizer.encode(start)
    for _ in range(count):
        ids.append(int(random.choice(model.vocabulary_size, p=model.probabilities(ids))))
    return " ".join(tokenizer.decode(ids).split())


for order in (1, 2, 4):
    print(f"{order}-gram: {write(models[order], 'Returns the')}")

# %% [markdown]
# The 4-gram makes phrases that could stand in such a text. They lead nowhere: after three tokens all is forgotten. The same
# from the command line:
#
# ```sh
# keras-llm train ngram --data my_text.txt --order 4 --output my_ngrams
# keras-llm evaluate my_ngrams
# keras-llm generate my_ngrams "Returns the"
# ```
#
# ## Tags that cannot be seen
#
# The second counting model explains a sentence by something hidden: a chain of tags. Each tag depends on the tag before
# it, and each word on its tag. Two tags, N (a name) and O (no name), with numbers small enough for paper:

# %%
TAGS = ["N", "O"]
first = np.array([0.4, 0.6])  # how a sentence begins
after = np.array([[0.2, 0.8], [0.3, 0.7]])  # [tag before, tag]
gives = {"may": np.array([0.3, 0.1]), "runs": np.array([0.1, 0.5]), "home": np.array([0.1, 0.3])}


def probability(sentence, tags):
    total = first[tags[0]] * gives[sentence[0]][tags[0]]
    for i in range(1, len(tags)):
        total *= after[tags[i - 1], tags[i]] * gives[sentence[i]][tags[i]]
    return total


# %% [markdown]
# Three words have $2^3 = 8$ chains of tags. We try them all; the likeliest one is the answer. *May* is a name here.

# %%
sentence = ["may", "runs", "home"]
chains = list(itertools.product((0, 1), repeat=3))
for tags in chains:
    print("".join(TAGS[tag] for tag in tags), f"{probability(sentence, tags):.5f}")
best = max(chains, key=lambda tags: probability(sentence, tags))
assert [TAGS[tag] for tag in best] == ["N", "O", "O"]
assert np.isclose(probability(sentence, best), 0.4 * 0.3 * 0.8 * 0.5 * 0.7 * 0.3)

# %% [markdown]
# A sentence of 20 words with 13 tags has more chains than there are grains of sand. **Viterbi's algorithm** finds the best
# one in 20 steps: the best chain that ends in a tag is the best chain to one of the tags before, and one step more. Only
# the best to each tag has to be kept.


# %%
def viterbi(sentence):
    score, back = first * gives[sentence[0]], []
    for word in sentence[1:]:
        ways = score[:, None] * after  # [tag before, tag]
        back.append(ways.argmax(axis=0))
        score = ways.max(axis=0) * gives[word]
    tags = [int(score.argmax())]
    for pointers in reversed(back):
        tags.insert(0, int(pointers[tags[0]]))
    return tuple(tags), score.max()


# %%
found, score = viterbi(sentence)
print(found, round(score, 5))
assert found == best and np.isclose(score, probability(sentence, best))

# %% [markdown]
# ## Names in real sentences
#
# All three tables are counted in tagged sentences: the bundled ones, with the tags of [chapter 16](16_names_in_text.ipynb).
# NLTK smooths and searches. A word that came once in training, or never, is replaced by its *shape*: `<capital>`,
# `<number>` and so on (Bikel et al. 1997). Otherwise a new word would say nothing at all, and names are mostly new words.

# %%
rows = {split: load("entities_en", split) for split in ("train", "validation", "test")}
gold = {split: [row["tags"] for row in part] for split, part in rows.items()}
sentences = {split: [row["tokens"] for row in part] for split, part in rows.items()}
scores = {}
for smoothing in (0.001, 0.01, 0.1, 1.0):
    tagger = HmmTagger(smoothing).fit(sentences["train"], gold["train"])
    scores[smoothing] = entity_metrics(gold["validation"], tagger.predict(sentences["validation"]))["f1"]
    print(f"add {smoothing}: F1 of the names in the validation sentences {scores[smoothing]:.2f}")

# %%
tagger = HmmTagger(max(scores, key=scores.get)).fit(sentences["train"], gold["train"])
said = tagger.predict(sentences["test"])
metrics = entity_metrics(gold["test"], said)
print(", ".join(f"{name} {metrics[name]:.2f}" for name in ("precision", "recall", "f1")))
for word, right, own in zip(sentences["test"][0], gold["test"][0], said[0]):
    print(f"{word:14} {right:6} {own}")

# %% [markdown]
# These are the numbers to beat on these 28 test sentences: in [chapter 16](16_names_in_text.ipynb) a BERT does, and the
# words known by heart (0.04) do not. The sentences are short and tidy. On WNUT-17, where the names are unusual ones in
# tweets, an HMM finds few, and an LSTM trained on the same sentences is no better: `results/` has both.
#
# ## What was corrected
#
# The article **000** calls n-grams and HMMs the statistical models that came first, "limited by data and complexity", and
# stops there; **001** names them as "probabilistic language models" and goes on to a network without a figure for either.
# Nothing in either shows that the network is better. Here both are baselines that are measured with the networks' own
# tokens and sentences. And an HMM as used here is no model of the next word: it tags.
#
# ## Exercises
#
# 1. **Add one, measured.** Write a bigram with Laplace's rule, and compare its perplexity with the discount's on the same
#    text. Which added constant below 1 is best? ([solution](solutions/02_1_add_one.py))
# 2. **Two books, one average.** Mix the probabilities of a 1-, 2- and 3-gram with weights that sum to 1. Does the best
#    mix come near to the discount? ([solution](solutions/02_2_mixtures.py))
# 3. **Without shapes.** Give every unknown word one and the same name. How much of F1 was the shapes'?
#    ([solution](solutions/02_3_without_shapes.py))
#
# Next: [chapter 3](03_word_vectors.ipynb) puts words on a map, so that *cat* and *dog* are neighbours.
