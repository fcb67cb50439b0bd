# %% [markdown]
# # 11. The ladder: what each idea bought
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/11_the_ladder.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 7 | 3 GB |
# | small | CPU | 1 to 2 | 1.5 GB |
#
# **The question.** We have met three ideas: to count ([chapter 2](02_counting_words.ipynb)), to remember
# ([chapter 5](05_lstm_language_model.ipynb)) and to look at everything at once
# ([chapter 9](09_gpt2_from_scratch.ipynb)). What did each of them buy, and what did it cost? Nothing new is built here.
# The three run a race, and we take care that it is a fair one.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy, Tokenizer, WarmupCosine
from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets.batches import TokenWindows
from keras_llm.evaluation.language import evaluate_language_model
from keras_llm.models.lstm import set_output_bias
from keras_llm.recipes.gpt2 import encode_texts, load_texts
from keras_llm.training.losses import TokenLoss

# %% [markdown]
# ## The same text, the same tokens
#
# A perplexity is worth something only beside another one that was measured on the same tokens. A tokenizer with larger
# tokens makes fewer and harder questions of the same text: the perplexity of a *token* rises, and the model is no worse.
# So all three get the ids of one tokenizer. The text is the documentation of the Python packages of this machine.

# %%
SPLITS = {"train": 3_000_000, "validation": 150_000, "test": 150_000} if FULL else {}
SPLITS = SPLITS or {"train": 150_000, "validation": 20_000, "test": 20_000}  # characters
texts = {split: load_texts("docstrings", split, limit=limit) for split, limit in SPLITS.items()}
tokenizer = Tokenizer.train(texts["train"], "byte_bpe", 2048 if FULL else 512)
ids = {split: encode_texts(tokenizer, documents) for split, documents in texts.items()}
V = tokenizer.vocabulary_size
for split, tokens in ids.items():
    print(f"{split:10} {len(texts[split]):6,} texts, {len(tokens):8,} tokens")

# %% [markdown]
# What a token has to do with a character, by hand: if each token stands for 3 characters on average, a perplexity of 27 a
# token is $27^{1/3} = 3$ a character. That number could be compared between tokenizers.

# %%
characters = sum(map(len, texts["test"]))
per_token = characters / len(ids["test"])
print(f"{per_token:.2f} characters a token")
print(f"a perplexity of 27 a token is {27 ** (1 / per_token):.2f} a character")
assert np.isclose(27 ** (1 / 3), 3)

# %% [markdown]
# ## First rung: count
#
# Four tables of counts, with the smoothing of chapter 2: of single tokens, of pairs, of three and of four tokens.

# %%
rungs = {}  # name: parameters, seconds, loss on the validation text
counters = {}
for order in (1, 2, 3, 4):
    start = time.perf_counter()
    counters[order] = NgramModel(order, V).fit(ids["train"])
    seconds = time.perf_counter() - start
    loss = counters[order].loss(ids["validation"])
    rungs[f"{order}-gram"] = counters[order].count_params(), seconds, loss
    print(f"{order}-gram: perplexity {np.exp(loss):6.1f}, {counters[order].count_params():9,} counts")
assert rungs["2-gram"][2] < rungs["1-gram"][2] < np.log(V)

# %% [markdown]
# ## Two networks with as many weights
#
# Which LSTM is as large as which GPT-2? On paper, for a vocabulary $V$, a width $d$, a context $T$ and $L$ layers:
#
# - an LSTM layer has four gates, each with $2d + 1$ weights a unit (input, state, bias): $4d(2d + 1)$. Below them stand
#   the embeddings, $Vd$, and above them an output layer of its own, $(d + 1)V$;
# - a GPT-2 block has $12d^2 + 13d$, as counted in [chapter 9](09_gpt2_from_scratch.ipynb). Its output matrix is the
#   embedding's, so it pays for the words once: $Vd + Td + L(12d^2 + 13d) + 2d$.


# %%
def lstm_weights(width, layers):
    return V * width + layers * 4 * width * (2 * width + 1) + (width + 1) * V


def gpt2_weights(width, layers, context):
    return V * width + context * width + layers * (12 * width**2 + 13 * width) + 2 * width


CONTEXT, BATCH, WIDTH, LAYERS = 64, 32, 128, 4
goal = gpt2_weights(WIDTH, LAYERS, CONTEXT)
lstm_width = min(range(1, 400), key=lambda width: abs(lstm_weights(width, 3) - goal))
print(f"GPT-2: {LAYERS} blocks, {WIDTH} wide: {goal:,}")
print(f"LSTM: 3 layers, {lstm_width} wide: {lstm_weights(lstm_width, 3):,}")


# %%
def make_lstm():
    model = keras.Sequential([keras.Input([None], dtype="int32"), keras.layers.Embedding(V, lstm_width)])
    for _ in range(3):
        model.add(keras.layers.LSTM(lstm_width, return_sequences=True))  # a vector for each token
    model.add(keras.layers.Dense(V))  # scores
    set_output_bias(model, ids["train"])
    return model


def make_gpt2():
    return GPT2Model(V, CONTEXT, WIDTH, num_layers=LAYERS, num_heads=4, dropout=0.0)


# %% [markdown]
# `set_output_bias` is what makes this race fair, and we found it late. The first thing that any network learns of a text
# is which tokens are *frequent*. If its output layer begins with a bias of zeros, an LSTM learns that by states that are the
# same for every text; they grow until their slopes vanish, and after that little else comes through three layers. So the
# bias begins with the logarithms of the frequencies: the 1-gram is given, and the network learns what is above it. (GPT-2
# does not have this trouble: its layers are added to what comes in, and normed.)
#
# ## The same lessons
#
# Both read the same windows in the same order, with the same optimizer and as many steps. Only the learning rate is each
# one's own: `benchmarks/ladder.py` tried four for each, from 0.001 to 0.03, and took what the validation text liked best.
# After each fifth of the steps the validation text is read.

# %%
STEPS = 1500 if FULL else 30
RATES = {"LSTM": 3e-2, "GPT-2": 3e-3}


class Clock(keras.callbacks.Callback):
    """Seconds of training at the end of each epoch, without those in which the validation text is read."""

    def on_train_begin(self, logs=None):
        self.seconds, self.all = 0.0, []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_test_begin(self, logs=None):
        self.seconds += time.perf_counter() - self.start
        self.all.append(self.seconds)


# %%
def train(model, rate):
    schedule = WarmupCosine(rate, STEPS // 10, STEPS)
    model.compile(AdamW(schedule), TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=True)
    lessons = TokenWindows(ids["train"], CONTEXT, BATCH).stream()
    exam = TokenWindows(ids["validation"], CONTEXT, BATCH, shuffle=False).stream()
    clock = Clock()
    settings = {"epochs": 5, "steps_per_epoch": STEPS // 5, "verbose": 0, "shuffle": False}
    history = model.fit(lessons, validation_data=exam, callbacks=[clock], **settings).history
    return clock.all, history["val_token_loss"]


# %%
networks, curves = {}, {}
for name, make in (("LSTM", make_lstm), ("GPT-2", make_gpt2)):
    keras.utils.set_random_seed(0)
    networks[name] = make()
    curves[name] = train(networks[name], RATES[name])
    rungs[name] = networks[name].count_params(), curves[name][0][-1], curves[name][1][-1]
    print(f"{name}: perplexity {', '.join(f'{np.exp(loss):.1f}' for loss in curves[name][1])}")
assert networks["LSTM"].count_params() == lstm_weights(lstm_width, 3)
assert networks["GPT-2"].count_params() == goal

# %% [markdown]
# ## The ladder
#
# Perplexity by time. The n-grams are points: a text is counted once, and then it is over.

# %%
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name, (seconds, losses) in curves.items():
    axes.plot(seconds, np.exp(losses), "o-", label=name)
for name in ("2-gram", "3-gram", "4-gram"):
    axes.plot(rungs[name][1], np.exp(rungs[name][2]), "s", label=name)
axes.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel="perplexity, validation text")
axes.yaxis.set_major_formatter("{x:.0f}")
axes.yaxis.set_minor_formatter("{x:.0f}")
axes.legend()
plt.show()

# %% [markdown]
# Now the test text. It is read once, by all, after everything was chosen.

# %%
for network in networks.values():
    network.context_length, network.vocabulary_size = CONTEXT, V
test = {f"{order}-gram": counter.loss(ids["test"]) for order, counter in counters.items()}
for name, network in networks.items():
    test[name] = evaluate_language_model(network, ids["test"], BATCH)["loss"]
print(f"{'':8}{'perplexity':>12}{'a character':>13}{'weights':>12}")
for name, loss in test.items():
    print(f"{name:8}{np.exp(loss):12.1f}{np.exp(loss / per_token):13.2f}{rungs[name][0]:12,}")
assert test["GPT-2"] < test["1-gram"]

# %% [markdown]
# ## What exactly did it buy?
#
# A 3-gram looks back two tokens, wherever it stands. A network looks back to the start of its window. So let us ask *where*
# in the window the tokens are foretold better: the mean loss at each of the 64 places, over many windows.

# %%
count = min(512, (len(ids["validation"]) - 1) // CONTEXT)
text = np.array(ids["validation"][: count * CONTEXT + 1])
rows, labels = text[:-1].reshape(count, CONTEXT), text[1:].reshape(count, CONTEXT)


def loss_by_place(network):
    """Mean loss `[CONTEXT]` at each place in the windows."""
    scores = network.predict(rows, batch_size=BATCH, verbose=0)  # [count, CONTEXT, V]
    right = np.take_along_axis(scores, labels[..., None], -1)[..., 0]
    return np.mean(np.log(np.exp(scores).sum(-1)) - right, axis=0)


places = {name: loss_by_place(network) for name, network in networks.items()}

# %% [markdown]
# The 3-gram is given the same: where a window starts, its text starts, too.

# %%
shares = [
    [counters[3].probability(labels[i, j], rows[i, max(j - 1, 0) : j + 1]) for j in range(CONTEXT)]
    for i in range(count)
]
places["3-gram"] = -np.log(shares).mean(0)
parts = {"place 1": slice(0, 1), "2 to 4": slice(1, 4), "5 to 16": slice(4, 16), "17 to 64": slice(16, 64)}
print(f"{'':8}" + "".join(f"{part:>10}" for part in parts))
for name, losses in places.items():
    print(f"{name:8}" + "".join(f"{np.exp(losses[part].mean()):10.1f}" for part in parts.values()))

# %%
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
steps = 2 ** np.arange(7)  # 1, 2, 4, ... 64: the places up to here since the last mark
for name, losses in places.items():
    means = [losses[end // 2 : end].mean() for end in steps]  # between the marks
    axes.plot(steps, np.exp(means), "o-", label=name)
axes.set(xscale="log", yscale="log", xlabel="place in the window, up to", ylabel="perplexity")
axes.set_xticks(steps, steps)
axes.yaxis.set_major_formatter("{x:.0f}")
axes.yaxis.set_minor_formatter("{x:.0f}")
axes.legend()
plt.show()

# %% [markdown]
# ## What came out
#
# - **Counting is hard to beat.** The 3-gram is ready in seconds, and both networks train for more than a minute before they
#   are level with it. Only to count further back does not pay: the 4-gram has twice as many counts and is no better,
#   since in new text most rows of four tokens are new.
# - **The two networks end close together**, clearly below the counts. The LSTM took a little more from each lesson, GPT-2
#   was done with its lessons a quarter sooner. With a million weights and a text of this size attention bought *time*,
#   not perplexity.
# - **Where?** At the first place nobody has more than one token to go by, and counting is best. From the fifth place on
#   the networks are far ahead, and the 3-gram stays where it is. But up to the 64th place they gain little more. So in
#   these texts it is the last dozen tokens that tell the next one, and an LSTM's memory reaches that far.
#
# What attention is good for is not in this race: texts in which something *far* decides (exercise 2), far more text, and
# machines with thousands of cores. The LSTM has to walk through the 64 places one after the other; GPT-2 takes them at once.
#
# And one thing about races. In our first one the LSTM was far behind: it had a bias of zeros, and GPT-2's learning rate.
# A comparison is worth as much as the care that the other side got.
#
# ## What was corrected
#
# One of the survey articles behind this course shows "a simple Transformer" in Keras: an embedding, an LSTM and a softmax,
# with the functional API. It holds no attention at all: it is the LSTM of this chapter with one layer. GPT-2,
# of the same size on the same text, is what it should have been. And none of the articles gives a number for any of its
# models beside that of a simpler one, so a reader cannot tell what an idea is worth.
#
# ## Exercises
#
# 1. **Two are better.** Mix the probabilities of the 3-gram and of a small GPT-2, half and half. Is the mixture's
#    perplexity below both? Why can that be? ([solution](solutions/11_1_two_are_better.py))
# 2. **What counting cannot learn.** Make a text of sentences with seven letters, in which the last letter is the first one
#    again and the five between are random. What is the best loss for a model that looks back three letters, and for one
#    that sees all? Which loss does a small GPT-2 reach? ([solution](solutions/11_2_far_apart.py))
#
# Next: `python benchmarks/ladder.py` runs the same race for longer, on WikiText-2, on these texts or on one of yours; its
# figures stand in `results/ladder_*.json`. [Chapter 12](12_following_instructions.ipynb) lets a model answer.
