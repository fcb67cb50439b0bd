# %% [markdown]
# # 5. An LSTM that learns first without labels
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/05_lstm_language_model.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 2 to 3 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** Text is everywhere, labels are few: somebody has to write them. Can a network learn from the text alone
# first, and then need fewer labels?
#
# The task that needs no labels is to predict the next word. What the layers learn by it is carried into a classifier, which
# is then trained on the few labels. That is how GPT and BERT are made; here with the LSTM of
# [chapter 4](04_lstm_classifier.ipynb), small enough to see all of it.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.datasets import load
from keras_llm.models import lstm

logging.getLogger("tensorflow").setLevel("ERROR")  # it warns when it meets many new models, as here

# %% [markdown]
# ## The labels are the text itself
#
# A language model says at each word which word comes next. So the labels are the same words, one place on:

# %%
rows = [{"text": "the cat sat down"}, {"text": "the dog ran"}]
tokenizer = lstm.train_tokenizer(rows)
X, y = lstm.preprocess_data(rows, tokenizer, None, 4, "language_model")
for inputs, labels in zip(X, y):
    names = [
        [tokenizer.id_to_token(index) if index > 0 else "-" for index in row] for row in (inputs, labels)
    ]
    print(f"reads {names[0]}\n says {names[1]}")
assert (X[0, 1:3] == y[0, :2]).all()

# %% [markdown]
# The dashes are places without a word: padding in what is read (0), and -100 in what is asked, which no loss counts. The
# first word of a text is never asked, and after the last one nothing is.
#
# ## The loss of one sequence, by hand
#
# Say a model gave these probabilities. Three words are asked, so the loss is the mean of three logarithms. The perplexity,
# $e^{loss}$, is 1 / (the geometric mean of the probabilities).

# %%
given = {"cat": 0.5, "sat": 0.25, "down": 0.1}  # P(cat | the), P(sat | the cat), P(down | the cat sat)
loss = -np.mean(np.log(list(given.values())))
print(f"loss {loss:.4f}, perplexity {np.exp(loss):.3f}")
assert np.isclose(np.exp(loss), (0.5 * 0.25 * 0.1) ** (-1 / 3))

# %% [markdown]
# The library does the same for a real model: its mean goes over the five words that are asked in both texts together, not
# over the places.

# %%
keras.utils.set_random_seed(0)
model = lstm.build_model("language_model", tokenizer.vocabulary_size, embedding_dim=4, units=4, num_layers=3)
probabilities = model.predict(X, verbose=0)  # [2, 4, vocabulary]
logs = [np.log(probabilities[row, place, y[row, place]]) for row, place in zip(*np.where(y != -100))]
found = lstm.evaluate_model(model, X, y)
print(f"{len(logs)} words: by hand {-np.mean(logs):.5f}, library {found['loss']:.5f}")
assert len(logs) == 5 and np.isclose(-np.mean(logs), found["loss"], rtol=1e-4)

# %% [markdown]
# (An untrained model wavers between all words of the vocabulary:)

# %%
print(f"perplexity {np.exp(found['loss']):.2f} of {tokenizer.vocabulary_size} words")

# %% [markdown]
# ## Carrying the weights over
#
# A language model and a classifier differ in their last layer alone: one gives a probability for each word of the
# vocabulary, the other one for each label. All below it has the same shapes, and `transfer_weights` copies it.

# %%
classifier = lstm.build_model(
    "classifier", tokenizer.vocabulary_size, 2, embedding_dim=4, units=4, num_layers=3
)
lstm.transfer_weights(model, classifier)
for ours, theirs in zip(classifier.layers, model.layers):
    same = all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights()))
    print(f"{ours.name:12} {'copied' if same and ours.get_weights() else '-' if same else 'its own'}")
assert not np.array_equal(
    classifier.layers[-1].get_weights()[0].shape, model.layers[-1].get_weights()[0].shape
)

# %% [markdown]
# ## Real text
#
# The bundled texts on five topics. Their labels are put aside; only a few of them will be given back.

# %%
data = {split: load("topics_en", split) for split in ("train", "validation", "test")}
tokenizer = lstm.train_tokenizer(data["train"], 1500, lowercase=True)
labels, LENGTH = lstm.label_names(data["train"]), 24
sizes = {"embedding_dim": 48, "units": 48}


def arrays(rows, task):
    return lstm.preprocess_data(rows, tokenizer, None if task == "language_model" else labels, LENGTH, task)


text = {split: arrays(data[split], "language_model") for split in ("train", "validation")}
print({split: f"{len(data[split])} texts, {(text[split][1] != -100).sum()} words asked" for split in text})


# %%
def pretrain(with_frequencies):
    keras.utils.set_random_seed(0)
    model = lstm.build_model("language_model", tokenizer.vocabulary_size, dropout=0.2, **sizes)
    if with_frequencies:
        lstm.set_output_bias(model, text["train"][1])
    before = lstm.evaluate_model(model, *text["validation"])["loss"]
    plan = {"epochs": 10 if FULL else 3, "batch_size": 32, "learning_rate": 5e-3}
    lstm.train_model(model, *text["train"], *text["validation"], patience=4, **plan)
    after = lstm.evaluate_model(model, *text["validation"])["loss"]
    print(f"perplexity of new texts: {np.exp(before):.0f} before, {np.exp(after):.0f} after")
    return model


dead = pretrain(with_frequencies=False)

# %% [markdown]
# From 1,500 that is a long way down. But what was learned? We look at the state behind each text, which is what a
# classifier would read.


# %%
test = arrays(data["test"], "classifier")


def look_at_states(model):
    reader = keras.Sequential(model.layers[:3])  # embedding, dropout, LSTM
    states = reader.predict(test[0], verbose=0)[:, -1]  # [texts, 48]
    size, spread = np.abs(states).mean(), states.std(axis=0).mean()
    print(f"a number of the state is {size:.3f} large, and differs by {spread:.3f} between texts")


look_at_states(dead)

# %% [markdown]
# The states are large, and the same for every text. The first thing to be learned about a text is which words are
# *frequent*, and for that a constant is all that is needed. The output layer has a bias for it, but the bias begins at zero,
# and its single numbers move no faster than any others. So the 48 cells help: they are driven to their limits (a tanh is
# at most 1), and there slopes vanish. After that the words that were read hardly move them any more.
#
# The frequencies can be counted, as in [chapter 2](02_counting_words.ipynb). So let the bias begin with their logarithms,
# and leave to the cells what cannot be counted so easily.

# %%
y = text["train"][1]
counts = 1 + np.bincount(y[y != -100], minlength=tokenizer.vocabulary_size)  # one more: 0 has no logarithm
model = lstm.build_model("language_model", tokenizer.vocabulary_size, **sizes)
lstm.set_output_bias(model, y)
assert np.allclose(model.layers[-1].bias, np.log(counts / counts.sum()), atol=1e-5)

# %%
pretrained = pretrain(with_frequencies=True)
look_at_states(pretrained)

# %% [markdown]
# 367 short texts are next to nothing. What does it say?

# %%
context = "the new phone has a better"
ids = tokenizer.encode(context)
shares = pretrained.predict(np.array([ids]), verbose=0)[0, -1]  # [vocabulary]
for index in np.argsort(-shares)[:5]:
    print(f"{context} ... {tokenizer.id_to_token(index):10} {shares[index]:.3f}")

# %% [markdown]
# ## Then the labels
#
# As in ULMFiT (Howard and Ruder 2018), in its simplest form: first the new last layer alone, while what was learned stays
# as it is (*frozen*), since the random layer's first large slopes would shake it; then everything. Beside it a classifier
# that begins with random weights, with the same words, sizes and steps.


# %%
def classify(rows, seed, start=None):
    keras.utils.set_random_seed(seed)
    model = lstm.build_model("classifier", tokenizer.vocabulary_size, len(labels), dropout=0.3, **sizes)
    if start:
        lstm.transfer_weights(start, model)
    train, validation = arrays(rows, "classifier"), arrays(data["validation"], "classifier")
    for frozen, epochs in ((True, 5 if start else 0), (False, PASSES)):
        for layer in model.layers[:-1]:
            layer.trainable = not frozen
        if epochs:
            lstm.train_model(model, *train, *validation, epochs, 16, 3e-3, patience=epochs)
    return model


# %% [markdown]
# How many labels does it take? Each number twice, with other labelled texts each time. The validation texts say which pass
# was the best one; the test texts are looked at for the figure alone.

# %%
COUNTS, SEEDS, PASSES = ((60, 180), (0, 1), 15) if FULL else ((20,), (0,), 2)
starts = {"fresh": None, "states alike": dead, "pretrained": pretrained}
gain = {name: [] for name in starts}
for count in COUNTS:
    for name, start in starts.items():
        found = []
        for seed in SEEDS:
            few = np.random.default_rng(seed).permutation(len(data["train"]))[:count]
            model = classify([data["train"][i] for i in few], seed, start)
            found.append(lstm.evaluate_model(model, *test)["accuracy"])
        gain[name].append(found)
        print(f"{count:4} labels, {name:12}: {np.mean(found):.2f}  {np.round(found, 2)}")

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, color in (("fresh", "gray"), ("states alike", "tab:red"), ("pretrained", "tab:blue")):
    axes.plot(COUNTS, [np.mean(found) for found in gain[name]], "o-", color=color, label=name)
    for count, found in zip(COUNTS, gain[name]):
        axes.scatter([count] * len(found), found, s=10, color=color)
axes.axhline(1 / len(labels), linestyle=":", color="black", label="guessing")
axes.set(xticks=COUNTS, xlabel="labelled texts", ylabel="accuracy on the test texts")
axes.legend()
plt.show()

# %% [markdown]
# With 60 labels it gained, with 180 it cost. (Two runs each, and they lie far apart: this says no more than that it can go
# either way. With the first of the two language models, whose states were all alike, one hardly gets beyond guessing.)
# What a language model has behind a text is made to foretell the *next* word, and 5,600 words were too few to learn more
# for it than a little grammar. Somebody with few labels takes what he gets; somebody with more learns better from them
# alone.
#
# So "learn first without labels" has a condition that is easily forgotten: *much* text. GPT read 800 million words,
# ULMFiT 100 million. `benchmarks/lstm_transfer.py` asks the same question with SST-2 and a part of WikiText-2, and
# [chapter 15](15_fine_tuning.ipynb) begins with weights that have really read.
#
# The same from the command line:
#
# ```sh
# keras-llm train lstm --task language_model --data my_text.txt --layers 3 --output my_reader
# keras-llm train lstm --config my_reader/run.json --task classifier --data my_labels.csv \
#     --start-from my_reader --frozen-epochs 2
# ```
#
# ## What was corrected
#
# Article **002** has a section "pretrain, then fine-tune" with three LSTM layers ([CORRECTIONS.md](CORRECTIONS.md)). Its
# pretraining has no task: nothing says that the next word is to be predicted. Its fine-tuned model takes a layer
# `lstm_3` that does not exist, and ends in the states of an LSTM, to which a loss for probabilities is applied. What it
# gains is not measured. All of this is above: a task, a last layer, and the same classifier without pretraining beside it.
#
# ## Exercises
#
# 1. **The loss of a coin.** A text of `a` and `b`, drawn with 0.8 and 0.2. Which perplexity does the best language model
#    have? Train one and compare. ([solution](solutions/05_1_a_coin.py))
# 2. **Never frozen, always frozen.** Check that in the first passes nothing below the last layer changes, and that
#    afterwards all of it does. ([solution](solutions/05_2_frozen.py))
#
# Next: [chapter 6](06_attention_by_hand.ipynb) looks at all words at once.
