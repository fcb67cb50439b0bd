# %% [markdown]
# # 3. Word vectors: meaning as a place
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/03_word_vectors.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 2 to 3 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** To the tables of [chapter 2](02_counting_words.ipynb), *cat* and *dog* were as different as *cat* and
# *Tuesday*. Can a machine find out by reading that they have something in common?
#
# "You shall know a word by the company it keeps" (J. R. Firth, 1957). Each word gets a list of numbers, a place. The numbers
# are turned until a word's place tells which words stand near it. Words in the same company then come to lie together.
#
# The full profile compares with a published BERT of 22.7 million weights, which is downloaded once (90 MB).

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging
import pathlib
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.checkpoints.word_vectors import fill_embedding
from keras_llm.explain.words import contextual_vectors, plane
from keras_llm.fonts import drawable
from keras_llm.models.bert import BertEncoder
from keras_llm.models.lstm import build_model
from keras_llm.models.word2vec import NegativeSamplingLoss, SkipGram, SkipGramBatches, WordVectors
from keras_llm.recipes.gpt2 import load_texts
from keras_llm.recipes.word2vec import make_batches, word_vectors
from keras_llm.tokenizers import Tokenizer

logging.getLogger("tensorflow").setLevel("ERROR")

# %% [markdown]
# ## Pairs
#
# From a sentence we take pairs of a word and one that stands near it, here next to it.

# %%
sentence = "the cat drinks milk".split()
words = [*sentence, "train"]  # the vocabulary has one more
pairs = [(a, b) for i, a in enumerate(sentence) for b in sentence[max(i - 1, 0) : i + 2] if b != a]
print(pairs)

# %% [markdown]
# ## One step, in NumPy
#
# Each word has *two* vectors: $v$, its place, for when it is looked from; and $u$ for when it is looked at. The score of a
# pair is their product $v \cdot u$, and $\sigma(v \cdot u)$ should say how likely it is that the pair was really there:
# towards 1 for pairs from the text, towards 0 for a word drawn at random (a *negative*).
#
# $$loss = -\log \sigma(v_{cat} \cdot u_{drinks}) - \log(1 - \sigma(v_{cat} \cdot u_{train}))$$

# %%
v = np.array([[0.1, 0.2], [0.5, -0.1], [0.3, 0.3], [-0.2, 0.4], [0.6, 0.6]])  # one row a word
u = np.array([[0.2, 0.1], [-0.3, 0.2], [0.4, 0.5], [0.1, -0.6], [0.7, 0.2]])
cat, drinks, train = 1, 2, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


right, wrong = sigmoid(v[cat] @ u[drinks]), sigmoid(v[cat] @ u[train])
loss = -np.log(right) - np.log(1 - wrong)
print(f"says {right:.3f} for drinks, {wrong:.3f} for train; loss {loss:.4f}")

# %% [markdown]
# The slope of $-\log \sigma(x)$ is $\sigma(x) - 1$, and that of $-\log(1 - \sigma(x))$ is $\sigma(x)$: always *what was said
# minus what is right*. So the cat moves towards *drinks* and away from *train*, and these two move as well.

# %%
RATE = 0.5
new_v, new_u = v.copy(), u.copy()
new_v[cat] -= RATE * ((right - 1) * u[drinks] + wrong * u[train])
new_u[drinks] -= RATE * (right - 1) * v[cat]
new_u[train] -= RATE * wrong * v[cat]
print(f"drinks {sigmoid(new_v[cat] @ new_u[drinks]):.3f}, train {sigmoid(new_v[cat] @ new_u[train]):.3f}")

# %% [markdown]
# ## The library is equal to it
#
# `SkipGram` is two `Embedding` tables and a product; Keras finds the slopes.

# %%
model = SkipGram(vocabulary_size=5, dim=2)
model.embedding.set_weights([v])
model.output_embedding.set_weights([u])
model.compile(keras.optimizers.SGD(RATE), NegativeSamplingLoss(), jit_compile=False)
inputs = {"centers": np.array([cat]), "targets": np.array([[drinks, train]])}
found = model.train_on_batch(inputs, np.array([[1, 0]]))
assert np.isclose(float(np.asarray(found)), loss)
assert np.allclose(model.embedding.get_weights()[0], new_v)
assert np.allclose(model.output_embedding.get_weights()[0], new_u)

# %% [markdown]
# ## Which words are drawn, which are left out
#
# Negatives are drawn by how often they occur, but *to the power of 0.75*: rare words a bit more often than their share. And
# words such as *the*, which stand near everything and so say little, are skipped now and then: an occurrence stays with
# probability $\sqrt{t / share}$.

# %%
counts = np.array([8000, 1500, 500])
text = np.random.default_rng(0).permutation(np.repeat(np.arange(3), counts))
batches = SkipGramBatches([text], 3, batch_size=2000, window=1, subsample=0.05)
inputs, labels = batches.batch(0)
drawn = np.bincount(inputs["targets"][:, 1:].ravel(), minlength=3) / labels[:, 1:].size
stays = np.bincount(batches.pairs(0)[:, 0], minlength=3) / 2 / counts  # each has two neighbours
for word in range(3):
    power = counts[word] ** 0.75 / (counts**0.75).sum()
    print(f"share {counts[word] / 1e4:.2f}: drawn {drawn[word]:.3f} ({power:.3f}), stays {stays[word]:.2f}")
assert np.allclose(stays, np.minimum(np.sqrt(0.05 / (counts / 1e4)), 1), atol=0.05)

# %% [markdown]
# ## A language of three kinds
#
# Animals drink and sleep, vehicles stop and turn, fruits taste and ripen; in Chinese. No animal ever stands beside another
# one: if they end up together, then only because they keep the same company.

# %%
KINDS = {
    "猫 狗 马 鸟": "喝水 睡觉 奔跑",
    "火车 汽车 卡车 飞机": "停下 转弯 出发",
    "苹果 梨 桃子 香蕉": "成熟 好吃 新鲜",
}
random, lines = np.random.default_rng(0), []
for _ in range(3000 if FULL else 1500):
    nouns, verbs = list(KINDS.items())[random.integers(3)]
    lines.append(f"{random.choice(nouns.split())} {random.choice(verbs.split())}")
nouns = " ".join(KINDS).split()
ids = {word: i for i, word in enumerate(sorted({word for line in lines for word in line.split()}))}
batches = SkipGramBatches([[ids[w] for w in line.split()] for line in lines], len(ids), 256, subsample=1)

# %%
keras.utils.set_random_seed(0)
model = SkipGram(len(ids), 8)
model.compile(keras.optimizers.Adam(0.02), NegativeSamplingLoss(), jit_compile=False)
model.fit(batches.stream(), steps_per_epoch=150, shuffle=False, verbose=0)
toy = WordVectors(ids, model.embedding.get_weights()[0])
print("猫:", [(word, round(cosine, 3)) for word, cosine in toy.nearest("猫", 3)])
assert {word for word, _ in toy.nearest("猫", 3)} <= {"狗", "马", "鸟"}

# %% [markdown]
# Eight numbers a word do not fit on paper. PCA looks for the two directions in which they differ most.

# %%
names, fonts = drawable(nouns)
places = plane([toy.direction(word) for word in nouns])
figure, axes = plt.subplots(figsize=(5.5, 4), layout="constrained")
axes.scatter(*places.T, c=[f"C{i // 4}" for i in range(12)])
for i, name in enumerate(names):
    above = (9, 14 * (i % 4) - 25)  # points of a kind lie so close that their names need room
    axes.annotate(name, places[i], xytext=above, textcoords="offset points", family=fonts)
axes.set(xticks=[], yticks=[])
axes.margins(0.2)
plt.show()

# %% [markdown]
# ## Real text
#
# The English documentation inside the Python packages of this machine. Words here, not pieces.

# %%
texts = load_texts("docstrings", "train", limit=3_000_000 if FULL else 200_000)
tokenizer = Tokenizer.train(texts, "word", 4000 if FULL else 1000, lowercase=True)
batches = make_batches(tokenizer, texts, 4096, window=5, negatives=5, subsample=1e-3, seed=0)
EPOCHS = 4 if FULL else 1
print(f"{len(batches.token_ids):,} words, {batches.num_rows:,} pairs a pass")

# %%
keras.utils.set_random_seed(0)
model = SkipGram(tokenizer.vocabulary_size, 48)
model.compile(keras.optimizers.Adam(0.01), NegativeSamplingLoss(), jit_compile=True)
plan = {"steps_per_epoch": batches.steps_per_epoch, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
history = model.fit(batches.stream(), **plan)
print("loss after each pass:", [round(loss, 3) for loss in history.history["loss"]])
vectors = word_vectors(model, tokenizer)

# %%
for word in ("array", "file", "false", "columns", "error", "returns"):
    near = vectors.nearest(word, 5)
    print(f"{word:8}", ", ".join(f"{other} {cosine:.2f}" for other, cosine in near))

# %% [markdown]
# ## Is it more than a good impression?
#
# One finds something nice near every word if one wants to. So: a question with an answer, and a control. Which of four words
# does not belong? The questions were written before the training. The control are the *same* vectors, given to other words;
# whoever guesses has 0.25.

# %%
QUESTIONS = """int float string directory|rows columns row url|true false none plot|file path directory float
two three four string|x y z file|left right top function|mean variance median directory|red color colors integer
sin cos exp path|tuple list dict axes|max min sum folder|integer integers float font|day month year matrix
class classes subclass pixels|method methods function pixel|width height size exception|error exception errors axis"""
questions = [line.split() for line in QUESTIONS.replace("\n", "|").split("|")]
questions = [four for four in questions if all(word in vectors.rows for word in four)]


def accuracy(vectors):
    return np.mean([vectors.odd_one_out(four) == four[-1] for four in questions])


# %%
random = np.random.default_rng(0)
control = [accuracy(WordVectors(vectors.words, random.permutation(vectors.vectors))) for _ in range(100)]
print(
    f"{len(questions)} questions: {accuracy(vectors):.2f} right; shuffled {np.mean(control):.2f}, at best {max(control):.2f}"
)

# %% [markdown]
# In the stored run all 16 are right, which no shuffled vectors came near to. The same with 60 questions on WikiText-2 is
# `benchmarks/word_vectors.py`. By command, sums of words included:
#
# ```sh
# keras-llm train word2vec --data my_text.txt --output my_words     # vectors.txt and a map, words.png
# keras-llm predict my_words "king - man + woman"
# ```
#
# ## Vectors go into other models
#
# `vectors.txt` has a word and its numbers a line, as word2vec and GloVe publish theirs. Any `Embedding` can begin with such
# a file, so that a classifier knows words that its few labelled texts do not have. (`keras-llm train lstm --vectors FILE`.)

# %%
classifier = build_model("classifier", tokenizer.vocabulary_size, 2, embedding_dim=48, units=8)
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "vectors.txt"
    vectors.save(path)
    print(path.read_text(encoding="utf-8")[:60], "...")
    filled = fill_embedding(classifier.get_layer("embedding"), tokenizer.vocabulary, path)
print(f"{filled:,} of {tokenizer.vocabulary_size:,} words have their vector from the file")
table = classifier.get_layer("embedding").get_weights()[0]
assert filled == tokenizer.vocabulary_size - 2  # [PAD] and [UNK] have none
assert np.allclose(table[tokenizer.token_to_id("file")], vectors.vectors[vectors.rows["file"]], rtol=1e-4)

# %% [markdown]
# ## One word, two meanings
#
# A word has *one* place here, whatever it means at the moment. A BERT gives each occurrence its own, which depends on the
# words around it. Three times *bank*, and the mean over a word's pieces:

# %%
START = "sentence-transformers/all-MiniLM-L6-v2"
if FULL:
    bert_tokenizer, encoder = Tokenizer.from_pretrained(START), BertEncoder.from_pretrained(START)
else:
    bert_tokenizer = Tokenizer.train(texts, "wordpiece", 1000, lowercase=True)
    encoder = BertEncoder.from_preset("tiny", vocabulary_size=bert_tokenizer.vocabulary_size)

# %%
contexts = [
    "she put the money into the bank",
    "the bank raised its interest",
    "they sat on the bank of the river",
]
contexts = [line.split() for line in contexts]
banks = [
    found[line.index("bank")]
    for line, found in zip(contexts, contextual_vectors(encoder, bert_tokenizer, contexts))
]

# %%
lengths = [np.linalg.norm(bank) for bank in banks]
for a, b in ((0, 1), (0, 2), (1, 2)):
    cosine = banks[a] @ banks[b] / lengths[a] / lengths[b]
    print(f"{cosine:.2f}  {' '.join(contexts[a])} / {' '.join(contexts[b])}")

# %% [markdown]
# The two banks with money lie nearer together than each of them and the river's. Where such vectors come from is the
# subject of [chapter 14](14_bert_pretraining.ipynb).
#
# ## What was corrected
#
# Article **000** gives Word2Vec as $softmax(W x)$, with $x$ "the word vector" and $W$ a matrix of weights. That is the
# distribution over the words *nearby*; the vector is what goes into it, and is the thing to be learnt. With a vocabulary
# of 10,000 words it is also what nobody computes: the softmax needs all 10,000 products for each pair, and negative
# sampling six. And its three "word vectors" are names without numbers; nothing in it says how they are found.
#
# ## Exercises
#
# 1. **Without negatives.** Train the toy language with right pairs alone. Where do the words go, and why?
#    ([solution](solutions/03_1_without_negatives.py))
# 2. **Counting can do it, too.** Make a table of which words stand near which, take the positive pointwise mutual
#    information and its largest singular vectors (Levy and Goldberg 2014). Do the animals come together?
#    ([solution](solutions/03_2_by_counting.py))
#
# Next: [chapter 4](04_lstm_classifier.ipynb) reads words in their order.
