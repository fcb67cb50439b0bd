# %% [markdown]
# # 9. GPT-2 from scratch
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/09_gpt2_from_scratch.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 7 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** A program that writes seems to need grammar, facts and a plan. GPT-2 was trained for one thing only:
# to guess the next token. What is inside it, and how can one learn to write from guessing?

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(0)

# %%
from keras_llm import AdamW, GPT2Model, Sampler, TextGenerator, Tokenizer, WarmupCosine
from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets import load
from keras_llm.datasets.batches import TokenWindows
from keras_llm.training.losses import Perplexity, TokenCrossEntropy, TokenLoss

# %% [markdown]
# ## A GPT-2 that is none
#
# One of the survey articles behind this course shows a "GPT-2" of a few lines: an embedding, one attention layer, a
# dense layer. It is compiled and never trained, so nobody sees what is wrong with it. We train it. Here it is, with two
# switches that the article does not have; at first both are off.

# %%
FACES, LENGTH = 16, 8  # the numbers of different tokens, and of tokens in a row

# %%


class ShortGPT2(keras.Model):
    def __init__(self, positions=False, causal=False):
        super().__init__()
        self.embedding = layers.Embedding(FACES, 64)
        self.positions = layers.Embedding(LENGTH, 64) if positions else None
        self.attention = layers.MultiHeadAttention(num_heads=2, key_dim=32)
        self.dense = layers.Dense(FACES)
        self.causal = causal

    def call(self, token_ids):
        x = self.embedding(token_ids)
        x = x + self.positions(ops.arange(LENGTH)) if self.positions else x
        return self.dense(self.attention(x, x, use_causal_mask=self.causal))


# %% [markdown]
# As text we take the throws of a die with 16 faces. That is a text in which **nothing can be learned**: whoever knows all
# throws before still has one chance in 16. The best possible loss is $\log 16$. A model that gets below it must
# have seen the answer.


# %%
def throw(rows, seed):
    dice = np.random.default_rng(seed).integers(0, FACES, (rows, LENGTH + 1))
    return dice[:, :-1], dice[:, 1:]  # tokens, and for each token the next one


token_ids, next_ids = throw(64 * (300 if FULL else 120), seed=0)
print("tokens     ", token_ids[0])
print("next tokens", next_ids[0])
print(f"best possible loss: {np.log(FACES):.3f}")

# %% [markdown]
# **The loss does not fit the ids.** The article compiles with `categorical_crossentropy`, which wants a row of
# probabilities for each token as its label. Our labels are integer ids.

# %%
short = ShortGPT2()
short.compile(optimizer="adam", loss="categorical_crossentropy")
try:
    short.fit(token_ids[:32], next_ids[:32], verbose=0)
except ValueError as error:
    print(str(error).splitlines()[0])

# %% [markdown]
# Let us say that the ids are turned into such rows. Then it runs, and is wrong: the last layer gives *scores* of any
# size, the loss takes them for probabilities, and nobody says so. Three scores, the first token is the right one:

# %%
scores, label = np.array([[2.0, 1.0, -1.0]]), np.array([[1.0, 0.0, 0.0]])
taken_for_probabilities = keras.losses.categorical_crossentropy(label, scores)
as_scores = keras.losses.categorical_crossentropy(label, scores, from_logits=True)
probability = np.exp(2) / (np.exp(2) + np.exp(1) + np.exp(-1))  # on paper
print(f"probability of the right token {probability:.3f}, its loss {-np.log(probability):.3f}")
print(f"as scores {float(as_scores[0]):.3f}, taken for probabilities {float(taken_for_probabilities[0]):.3f}")
assert np.isclose(as_scores[0], -np.log(probability)) and taken_for_probabilities[0] < 0.001

# %% [markdown]
# The wrong loss calls this answer perfect, although its probability is 0.705. (Keras divides the scores by their sum, and
# 2 / (2 + 1 - 1) is 1.) So from here on: integer labels, and a loss that knows that it gets scores.
#
# **It looks at the answer.** Now we train three variants on the dice and test them on new throws.

# %%
losses = {}
for name, switches in {
    "as in the article": {},
    "with positions": {"positions": True},
    "with positions and mask": {"positions": True, "causal": True},
}.items():
    short = ShortGPT2(**switches)
    short.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    short.fit(token_ids, next_ids, batch_size=64, verbose=0)
    losses[name] = short.evaluate(*throw(1000, seed=1), verbose=0)
    print(f"{name:24} {losses[name]:.3f}")

# %% [markdown]
# - The article's model "predicts" dice better than is possible. Attention without a mask looks at all eight tokens, and
#   seven of the eight answers are among them. It does not know yet which of them is next.
# - With positions it knows. Only the last answer is not among the tokens; guessing this one costs $\log 16 / 8 = 0.347$
#   on average, and the loss comes close to that.
# - With the *causal mask*, a token sees only itself and what stands before it, and the loss is the honest one.
#
# On a real text the first two would reach a wonderful loss and could not write a word: when a program writes, there is
# no next token to look at.

# %%
print(f"log 16 / 8 = {np.log(FACES) / LENGTH:.3f}")
assert losses["as in the article"] < 0.9 * np.log(FACES)
assert losses["with positions"] < 0.2 * np.log(FACES)
assert abs(losses["with positions and mask"] - np.log(FACES)) < 0.05

# %% [markdown]
# **It does not see the order.** [Chapter 6](06_attention_by_hand.ipynb) showed that attention alone takes a sentence for a
# bag of words. So does the article's model: put the seven tokens before the last one into another order, and the
# answer stays the same.

# %%
short = ShortGPT2()
row = token_ids[:1]
shuffled = row[:, [3, 1, 5, 0, 6, 2, 4, 7]]
change = np.abs(short(row)[0, -1] - short(shuffled)[0, -1]).max()
print(row[0], "and", shuffled[0], "give the same last answer:", bool(change < 1e-6))
assert change < 1e-6

# %% [markdown]
# **It has one layer of one kind.** Attention only mixes vectors. In GPT-2, a second part works on each token alone, the
# *feed-forward layer*, and both together, the *block*, are repeated 12 to 48 times. For the smallest GPT-2, with vectors
# of 768 numbers, the matrices of one block are:

# %%
width = 768
attention_numbers = 4 * width * width  # query, key, value, output
feed_forward_numbers = width * 4 * width + 4 * width * width  # four times as wide inside, and back
print(f"attention {attention_numbers:,}, feed-forward {feed_forward_numbers:,}; times 12 blocks")
assert feed_forward_numbers == 2 * attention_numbers

# %% [markdown]
# So the short version has neither the feed-forward layers, two thirds of each block, nor any block after the first.
#
# ## One sentence, many questions
#
# What the article does not mention at all is where the labels come from. Nobody has to write them: the text is its own
# teacher. Shift it by one, and each token is the label of the one before it.

# %%
sentence = "the cat sat because the cat was tired".split()
vocabulary = sorted(set(sentence))
ids = np.array([vocabulary.index(word) for word in sentence])
tokens, labels = ids[:-1], ids[1:]
for t in range(len(tokens)):
    print(f"{' '.join(sentence[: t + 1]):30} -> {vocabulary[labels[t]]}")

# %% [markdown]
# Seven questions from eight words. Thanks to the mask, one pass through the model answers all of them at once, and no
# question sees its answer. Look at *the*: it stands there twice, with *cat* behind it both times, and *cat* once with
# *sat* and once with *was*. To tell these apart, a model has to use what comes before.
#
# ## A GPT-2 block by hand
#
# Five small functions, in NumPy. The first three you have seen: the softmax, a layer of weights and bias, and a bend
# between two such layers (GPT-2's *GELU*, in the form of the original code). The *layer norm* gives each vector
# the mean 0 and the variance 1, and then a scale and a shift that are learned.


# %%
def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def linear(x, kernel, bias):
    return x @ kernel + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def layer_norm(x, scale, shift):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return scale * (x - mean) / np.sqrt(variance + 1e-5) + shift


# %% [markdown]
# The attention of chapter 6, with the causal mask and several heads:


# %%
def attention(x, w, num_heads):
    query, key, value = (linear(x, *w[name]) for name in ("query", "key", "value"))  # [T, width] each
    visible = np.tril(np.ones((len(x), len(x)), bool))  # [T, T]: itself and before
    heads = []
    for q, k, v in zip(*(np.split(each, num_heads, axis=1) for each in (query, key, value))):
        scores = q @ k.T / np.sqrt(q.shape[1])  # [T, T]
        heads.append(softmax(np.where(visible, scores, -np.inf)) @ v)  # [T, width / num_heads]
    return linear(np.concatenate(heads, axis=1), *w["output"])


# %% [markdown]
# And the block: two lines that say "add to what you have". The vectors `x` run through all blocks as on a road, and each
# part reads from it, thinks, and adds its result (a *residual connection*). GPT-2 norms what a part reads, not what it
# adds (*pre-norm*); so there is a straight way from the first block to the last, and deep models can be trained.


# %%
def block(x, w, num_heads):
    x = x + attention(layer_norm(x, *w["attention_norm"]), w, num_heads)
    inner = gelu(linear(layer_norm(x, *w["feed_forward_norm"]), *w["inner"]))  # [T, 4 * width]
    return x + linear(inner, *w["outer"])


def gpt2(token_ids, w, num_heads):
    x = w["tokens"][token_ids] + w["positions"][: len(token_ids)]  # [T, width]
    for block_weights in w["blocks"]:
        x = block(x, block_weights, num_heads)
    return layer_norm(x, *w["final_norm"]) @ w["tokens"].T  # [T, vocabulary]: scores of the next token


# %% [markdown]
# That is all of GPT-2. The last line uses the table of token vectors a second time, to score the next token (*tied*
# weights): a token gets a high score if its vector points where the result points.
#
# Random weights, 8 numbers a vector, two blocks of two heads:

# %%
rng = np.random.default_rng(0)
WIDTH, HEADS, V = 8, 2, len(vocabulary)


def random_block():
    shapes = {name: (WIDTH, WIDTH) for name in ("query", "key", "value", "output")}
    shapes |= {"inner": (WIDTH, 4 * WIDTH), "outer": (4 * WIDTH, WIDTH)}
    w = {name: (rng.normal(size=shape) / 2, rng.normal(size=shape[1])) for name, shape in shapes.items()}
    return w | {name: rng.normal(size=(2, WIDTH)) for name in ("attention_norm", "feed_forward_norm")}


w = {"tokens": rng.normal(size=(V, WIDTH)), "positions": rng.normal(size=(16, WIDTH))}
w |= {"blocks": [random_block(), random_block()], "final_norm": rng.normal(size=(2, WIDTH))}

# %% [markdown]
# Two promises to check: nothing from the right reaches the left, and the order counts.

# %%
logits = gpt2(tokens, w, HEADS)  # [7, V]
changed = np.append(tokens[:-1], (tokens[-1] + 1) % V)  # another last token
assert np.allclose(gpt2(changed, w, HEADS)[:-1], logits[:-1])  # the answers before it stay the same
swapped = tokens[[1, 0, *range(2, len(tokens))]]  # the first two tokens in the other order
assert not np.allclose(gpt2(swapped, w, HEADS)[-1], logits[-1], atol=0.01)
print("logits", logits.shape)

# %% [markdown]
# ## The loss of one sentence
#
# For each question, the softmax makes probabilities of the scores. The loss is $-\log$ of the probability of the
# right word: 0 if the model was sure and right, large if it was surprised. The loss of the sentence is the mean.

# %%
probabilities = softmax(logits)  # [7, V]
right = probabilities[np.arange(len(labels)), labels]  # [7]
for t in range(len(tokens)):
    print(
        f"... {sentence[t]:8} -> {sentence[t + 1]:8} probability {right[t]:.3f}  loss {-np.log(right[t]):6.3f}"
    )
loss = -np.log(right).mean()
print(f"loss {loss:.4f}, perplexity {np.exp(loss):.2f}; knowing nothing: {np.log(V):.4f}, {V}")

# %% [markdown]
# The *perplexity* is $e$ to the power of the loss. It is a number of choices: a model with perplexity 20 is as
# uncertain as somebody who throws a die with 20 faces. Random weights, as here, are worse than knowing nothing: they are
# sure, and wrong.
#
# The library's loss gives the same number. It does not count labels of -100, which is how padding is marked: the same
# sentence, filled up with two such labels, has the same loss.

# %%
library_loss = TokenCrossEntropy()(labels[None], logits[None].astype("float32"))
padded_labels = np.append(labels, [-100, -100])
padded_logits = np.vstack([logits, np.ones((2, V))]).astype("float32")
padded_loss = TokenCrossEntropy()(padded_labels[None], padded_logits[None])
print(f"by hand {loss:.4f}, library {float(library_loss):.4f}, with padding {float(padded_loss):.4f}")
assert np.isclose(library_loss, loss, rtol=1e-5) and np.isclose(padded_loss, loss, rtol=1e-5)

# %% [markdown]
# ## The library's model is equal to it
#
# `GPT2Model` has the same parts. We give it our random weights, part by part in the order in which it holds them, and
# compare the scores.

# %%
model = GPT2Model(
    vocabulary_size=V, context_length=16, hidden_dim=WIDTH, num_layers=2, num_heads=HEADS, dropout=0.0
)
PARTS = ("query", "key", "value", "output", "attention_norm", "inner", "outer", "feed_forward_norm")
of_blocks = [array for each in w["blocks"] for part in PARTS for array in each[part]]
model.set_weights([w["tokens"], w["positions"], *of_blocks, *w["final_norm"]])

difference = np.abs(model(tokens[None])[0] - logits).max()
print("largest difference below 0.0001:", bool(difference < 1e-4))
assert difference < 1e-4

# %% [markdown]
# ## Where this breaks
#
# Our functions read one sentence at a time, and above all they do not learn: for that, one needs the slope of the loss
# for every single weight. Keras computes the slopes of the library's model, for a whole batch of texts, compiled into
# one program. So from here on we use that.
#
# ## A real text
#
# The text comes with your Python: the English sentences in the documentation of the installed packages. (Its
# collection takes half a minute the first time. The packages differ from machine to machine, and so will your numbers.)
#
# Two other choices: if `KERAS_LLM_DATA` names a folder with `tinyshakespeare/input.txt`, Shakespeare is read instead;
# and you can put your own text into `SOURCE`: a `.txt` file, a folder of them, or `"tiny_shakespeare"`, which
# TensorFlow Datasets downloads.

# %%
shakespeare = pathlib.Path(os.environ.get("KERAS_LLM_DATA", ""), "tinyshakespeare", "input.txt")
SOURCE = str(shakespeare) if shakespeare.is_file() else "docstrings"

texts = {split: [row["text"] for row in load(SOURCE, split)] for split in ("train", "validation")}
if not FULL:
    texts = {split: texts[split][: len(texts[split]) // 15 + 1] for split in texts}
for split, documents in texts.items():
    print(f"{split}: {len(documents):,} documents, {sum(map(len, documents)):,} characters")

# %%
tokenizer = Tokenizer.train(texts["train"], kind="byte_bpe", vocabulary_size=2048 if FULL else 512)
V = tokenizer.vocabulary_size


def encode(documents):
    """One long row of ids, with an end-of-text token after each document."""
    return np.concatenate([[*ids, tokenizer.end_of_text_id] for ids in tokenizer.encode(documents)])


ids = {split: encode(documents) for split, documents in texts.items()}
print(f"{V:,} different tokens; train {len(ids['train']):,} tokens, validation {len(ids['validation']):,}")

# %% [markdown]
# `TokenWindows` cuts the long row into windows and makes the shifted labels. Each pass through the text cuts at other
# places and in another order.

# %%
CONTEXT, BATCH = (128, 8) if FULL else (64, 8)
train = TokenWindows(ids["train"], CONTEXT, BATCH, seed=0, vocabulary_size=V)
validation = TokenWindows(ids["validation"], CONTEXT, batch_size=16, shuffle=False)

token_ids, labels = train[0]  # int32 [BATCH, CONTEXT] each
print(repr(tokenizer.decode(token_ids[0, :16])))
print(repr(tokenizer.decode(labels[0, :16])))
assert (labels[:, :-1] == token_ids[:, 1:]).all()

# %% [markdown]
# ## Training
#
# A model of the size "nano": the same GPT-2, with four blocks of 128 numbers a vector. (In the small profile it is still
# smaller.) A fresh model should know nothing. That is worth a look before each training: its perplexity must be close
# to the number of tokens. If it is lower, it has seen the answers; if it is much higher, it starts sure and wrong.

# %%
sizes = {} if FULL else {"hidden_dim": 64, "num_layers": 2}
model = GPT2Model.from_preset("nano", vocabulary_size=V, context_length=CONTEXT, dropout=0.0, **sizes)
model.compile(loss=TokenCrossEntropy(), metrics=[Perplexity()])
fresh = model.evaluate(validation, steps=2, verbose=0, return_dict=True)["perplexity"]
print(f"{model.count_params():,} parameters, perplexity {fresh:,.0f} of {V:,}")
assert 0.9 < fresh / V < 1.1

# %% [markdown]
# Four choices of the training, with their reasons:
#
# - **AdamW** pulls the weight matrices gently towards zero, so that none of them grows without need. Biases and norms
#   are left alone.
# - **The learning rate** rises over the first steps, because the first slopes of a random model point anywhere, and then
#   falls, so that the end is fine work.
# - **Clipping**: if one batch gives huge slopes, they are made shorter (`AdamW` does this by default).
# - **`jit_compile=True`** compiles the whole step by XLA; on a CPU, Keras does not do this unless it is asked to.

# %%
STEPS, LOOKS = (1600, 20) if FULL else (120, 4)
rate = WarmupCosine(peak=4e-3, warmup_steps=STEPS // 10, total_steps=STEPS)
model.compile(AdamW(rate), TokenCrossEntropy(), metrics=[TokenLoss(), Perplexity()], jit_compile=True)


def tell(look, logs):
    if (look + 1) % (LOOKS // 4) == 0:
        step = (look + 1) * STEPS // LOOKS
        print(
            f"step {step:5}: loss {logs['token_loss']:.3f}, on validation text {logs['val_token_loss']:.3f}"
        )


# %% [markdown]
# We call it an "epoch" whenever we look at the validation text; here at its first part only, to save time. The batches
# never end, so `steps_per_epoch` says how many to take. They come shuffled already, so Keras must not shuffle them.

# %%
glimpse = TokenWindows(ids["validation"][: 16 * 4 * CONTEXT + 1], CONTEXT, batch_size=16, shuffle=False)
history = model.fit(
    train,
    steps_per_epoch=STEPS // LOOKS,
    epochs=LOOKS,
    validation_data=glimpse,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=tell)],
    shuffle=False,
    verbose=0,
).history

# %%
looks = np.arange(1, LOOKS + 1) * STEPS // LOOKS
figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
panels[0].plot(looks, history["token_loss"], color="tab:gray", label="training")
panels[0].plot(looks, history["val_token_loss"], color="tab:blue", label="validation")
panels[0].axhline(np.log(V), color="black", linestyle=":", label="knowing nothing")
panels[0].set(title="Loss", xlabel="step", ylabel="nats a token", xlim=(0, STEPS))
panels[0].legend()
panels[1].plot([float(rate(step)) for step in range(STEPS)], color="tab:orange")
panels[1].set(
    title="Learning rate: warm-up, then half a cosine", xlabel="step", xlim=(0, STEPS), ylim=(0, None)
)
plt.show()

# %% [markdown]
# Two things to look for in the left picture. Most of the way is made early: which tokens are frequent, which pairs
# are. And look at the distance of the two curves. As long as the model has seen each token once or twice only, it has
# nothing to learn by heart, and they stay close; after many passes through a small text they part.

# %%
print(f"{STEPS * BATCH * CONTEXT:,} tokens seen: {STEPS / train.steps_per_epoch:.2f} passes through the text")
assert history["val_token_loss"][-1] < history["val_token_loss"][0] < np.log(V)

# %% [markdown]
# ## Beside counting
#
# Is that good? A number alone says nothing. The article names *n-gram models* as the older way:
# count which token follows which. We count pairs and triples in the same training tokens, and ask all models for the
# same validation tokens.

# %%
perplexities = {"every token alike": float(V)}
for order in (1, 2, 3):
    counted = NgramModel(order, V).fit(ids["train"])
    perplexities[f"{order}-gram"] = counted.perplexity(ids["validation"])
perplexities["GPT-2"] = model.evaluate(validation, verbose=0, return_dict=True)["perplexity"]
for name, perplexity in perplexities.items():
    print(f"{name:18} {perplexity:8.1f}")

# %%
for name in ("2-gram", "3-gram"):
    print("GPT-2 is", "ahead of" if perplexities["GPT-2"] < perplexities[name] else "behind", f"the {name}")
triples = len(set(zip(ids["train"], ids["train"][1:], ids["train"][2:])))
print(f"{model.count_params():,} numbers in the network, counts of {triples:,} different triples")
assert perplexities["GPT-2"] < perplexities["1-gram"]

# %% [markdown]
# Read this with care:
#
# - The table of triples is a strong opponent. It has counted every training token, and it has finished: more time does
#   not make it better. The network has had a few minutes. If it is ahead of the pairs and behind the triples, as small
#   networks are after so short a time, then that is the honest result. More steps and more width move the network;
#   longer contexts do not help the counting for long, because most of them come only once.
# - The n-gram model always has its two tokens before. The network is asked in windows: at the start of each window it
#   knows as little as a 2-gram (exercise 3 measures what that costs).
# - Two models can only be compared on the same tokens. Another tokenizer asks other questions, so the perplexities of
#   two papers mostly do not compare.
#
# ## It writes
#
# Feed the guess back as the next token, and so on: the model writes. How to choose a token from its
# probabilities is the whole next chapter; here is a first look.

# %%
writer = TextGenerator(model, tokenizer)
opening = "The function" if SOURCE == "docstrings" else "ROMEO:"
print(opening + writer.generate(opening, max_new_tokens=CONTEXT // 2, sampler=Sampler(top_p=0.9), seed=1))

# %% [markdown]
# After some minutes of guessing, from nothing: words, something of a word order, the tone of the text. It says nothing
# true, invents words, and forgets its subject; the model, the text and the time are far too small for more.
#
# ## Save and load
#
# A model without its tokenizer is of no use; keep them together.

# %%
folder = pathlib.Path("gpt2_from_scratch")
tokenizer.save(folder)
model.save(folder / "model.keras")

again = keras.saving.load_model(folder / "model.keras")
assert Tokenizer.from_pretrained(folder) == tokenizer
np.testing.assert_array_equal(again(token_ids[:1]), model(token_ids[:1]))
print(sorted(path.name for path in folder.iterdir()))

# %% [markdown]
# Where to go from here:
#
# - More of the same from the command line: `keras-llm train gpt2 --data my.txt --size mini --steps 5000`, and then
#   `keras-llm generate runs/gpt2 "Once upon a time"`.
# - `model.save_pretrained(folder)` writes the files that Hugging Face's `transformers` reads, and
#   `GPT2Model.from_pretrained("openai-community/gpt2")` gets OpenAI's weights: the same code as above, with twelve
#   blocks.
#
# ## What was corrected
#
# This course grew out of a few survey articles on language models. One of them has the short "GPT-2" from the start of
# this chapter. Against the real one,
#
# - it has no positions, so it does not see the order;
# - it has no causal mask, so it learns to look at the answer;
# - it has one attention layer: no feed-forward layer, no residual connection, no norm, no second block;
# - its loss wants rows of probabilities and gets integer ids; and its last layer gives scores where the loss expects
#   probabilities;
# - the labels are missing: the shift by one is what makes it a language model;
# - its measure is the accuracy, which only says how often the first guess is right. For a model that shares its trust
#   among many possible words, the perplexity says more.
#
# The article also names n-gram models, but compares with none. A baseline is not a matter of history: without it, no
# number above has a meaning. [CORRECTIONS.md](CORRECTIONS.md) lists the slips of all articles.
#
# ## Exercises
#
# 1. **Count the parameters.** Write a formula for the number of parameters of a GPT-2 from its sizes. Check it with
#    `GPT2Model`, and with the 124,439,808 of the smallest published GPT-2.
#    ([solution](solutions/09_1_count_parameters.py))
# 2. **One batch by heart.** Before a long training, take *one* batch and train on it alone. What must the loss do? This
#    finds most mistakes in a training program within a minute. ([solution](solutions/09_2_one_batch.py))
# 3. **The start of a window.** Train a small model and draw its loss by the place in the window. How much better are the
#    last places than the first? ([solution](solutions/09_3_loss_by_place.py))
# 4. **Order without positions.** Set the position vectors of `GPT2Model` to zero. With one block the order of the context
#    has no effect on the last answer. With two blocks it does! Show it, and find out why.
#    ([solution](solutions/09_4_order_without_positions.py))
#
# Next: [chapter 10](10_writing.ipynb) lets the model write, and chooses words with more care.
