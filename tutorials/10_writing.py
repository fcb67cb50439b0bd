# %% [markdown]
# # 10. Writing
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/10_writing.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 5 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** A language model gives every token a probability. Which one do we write? And a text of a thousand
# tokens is read for each token that is added: why does writing not become slower and slower?

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

keras.utils.set_random_seed(0)
np.set_printoptions(precision=3, suppress=True)
logging.getLogger("tensorflow").setLevel("ERROR")  # it would warn that we compile a program for each sampler

# %%
from keras_llm import AdamW, GPT2Model, Sampler, TextGenerator, TokenCrossEntropy, Tokenizer, WarmupCosine
from keras_llm.datasets import load
from keras_llm.datasets.batches import TokenWindows
from keras_llm.generation import GREEDY

# %% [markdown]
# ## One distribution
#
# *The cat sleeps on the ...* A model knows eight words, and says how likely each is to come next. In truth it gives
# *scores*; the softmax makes probabilities of them. A number added to all scores changes nothing, so we may choose it.

# %%
words = np.array(["sofa", "bed", "mat", "roof", "table", "moon", "idea", "of"])
p = np.array([0.36, 0.25, 0.15, 0.10, 0.06, 0.04, 0.03, 0.01])
scores = np.log(p) + 3.0


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


print(scores)
assert np.isclose(p.sum(), 1) and np.allclose(softmax(scores), p)

# %% [markdown]
# **Greedy.** Take the likeliest, always. It is the same word each time; no other text can ever come out.

# %%
print(words[np.argmax(scores)])
chosen = GREEDY.choose(scores[None], uniform=None)  # the library: [batch, words] -> [batch]
assert words[chosen[0]] == "sofa"

# %% [markdown]
# **Drawing.** Put the words side by side on a line from 0 to 1, each as wide as its probability; the right ends are the
# *cumulative sums*. Then throw a dart: a random number between 0 and 1. It hits each word as often as its probability
# says.


# %%
def draw(p, dart):
    return int(np.sum(np.cumsum(p) <= dart))  # the number of words that end at its left


print(np.cumsum(p))
for dart in (0.0, 0.3, 0.7, 0.99):
    print(f"{dart:4.2f} hits {words[draw(p, dart)]}")
assert [words[draw(p, dart)] for dart in (0.3, 0.7)] == ["sofa", "mat"]  # 0.7 is between 0.61 and 0.76

# %% [markdown]
# Five thousand darts; the library's `Sampler` gets the same darts and chooses the same words.

# %%
darts = np.random.default_rng(0).random(5000, "float32")
by_hand = [draw(p, dart) for dart in darts]
ours = Sampler().choose(np.tile(scores, (5000, 1)).astype("float32"), darts)
shares = np.bincount(by_hand, minlength=8) / 5000
for word, probability, share in zip(words, p, shares):
    print(f"{word:6} probability {probability:.3f}, drawn {share:.3f}")
assert np.array_equal(ours, by_hand) and np.abs(shares - p).max() < 0.02

# %% [markdown]
# So once in a hundred times the cat sleeps on the *of*. That seems little; but a text of 300 words has three such
# places, and each one leads the model astray. Most samplers below do one thing, in different ways: they take
# something away from the unlikely end.
#
# ## Five samplers by hand
#
# In each cell: the rule in one or two lines, then the comparison with the library's `Sampler`.


# %%
def library(**settings):
    """The probabilities that the library's sampler draws from."""
    return softmax(np.asarray(Sampler(**settings).scores(scores[None].astype("float32")))[0])


def show(title, probabilities):
    shown = [f"{word} {share:.2f}" for word, share in zip(words, probabilities) if share > 0]
    print(f"{title}: {', '.join(shown)}")


# %% [markdown]
# **Temperature.** Divide the scores by a number $t$. That is the same as taking each probability to the power $1/t$, and
# dividing by the sum. On paper, for $t = 0.5$: each probability is squared, so 0.36 to 0.25 becomes 0.1296 to 0.0625,
# about two to one. Below 1 the likely words win, above 1 the unlikely ones; at 0 it is greedy.


# %%
def temperature(p, t):
    powers = p ** (1 / t)
    return powers / powers.sum()


for t in (0.5, 1.5):
    show(f"t = {t}", temperature(p, t))
    assert np.allclose(temperature(p, t), library(temperature=t), atol=1e-5)
assert np.isclose(temperature(p, 0.5)[0] / temperature(p, 0.5)[1], 0.1296 / 0.0625)

# %% [markdown]
# **Top-k.** Keep the $k$ likeliest words. The rest is shared out again, in all of the following too.


# %%
def keep(p, kept):
    """Sets to zero what is not kept, and makes the sum 1 again."""
    return np.where(kept, p, 0) / p[kept].sum()


def top_k(p, k):
    return keep(p, p >= np.sort(p)[-k])


show("k = 3", top_k(p, 3))
assert np.allclose(top_k(p, 3), library(top_k=3), atol=1e-5)

# %% [markdown]
# **Top-p.** Keep the fewest likely words that have the probability $p$ together. On paper, for 0.8: 0.36, 0.61, 0.76 are
# not enough, so the fourth word is still needed. Where the model is sure, few words stay; where it is not, many. Top-k
# always keeps the same number (exercise 2).


# %%
def top_p(p, share):
    from_likeliest = np.argsort(-p)
    before = np.cumsum(p[from_likeliest]) - p[from_likeliest]  # what the likelier words have together
    kept = np.zeros(len(p), bool)
    kept[from_likeliest[before < share]] = True
    return keep(p, kept)


show("top-p 0.8", top_p(p, 0.8))
assert np.allclose(top_p(p, 0.8), library(top_p=0.8), atol=1e-5) and np.sum(top_p(p, 0.8) > 0) == 4

# %% [markdown]
# **Min-p.** Keep the words that are at least this share as likely as the likeliest. Of 0.36, a tenth is 0.036: the moon
# (0.04) stays, the idea (0.03) goes.


# %%
def min_p(p, share):
    return keep(p, p >= share * p.max())


show("min-p 0.1", min_p(p, 0.1))
assert np.allclose(min_p(p, 0.1), library(min_p=0.1), atol=1e-5)
assert min_p(p, 0.1)[5] > 0 and min_p(p, 0.1)[6] == 0

# %% [markdown]
# **Repetition penalty.** Words that stand in the text already lose some of their score: a positive score is divided by
# the penalty, a negative one multiplied. Let the *sofa* and the *moon* be in the text.


# %%
def repetition_penalty(scores, seen, penalty):
    lowered = np.where(scores > 0, scores / penalty, scores * penalty)
    return np.where(seen, lowered, scores)


seen = np.isin(words, ["sofa", "moon"])
penalized = softmax(repetition_penalty(scores, seen, 1.5))
ours = Sampler(repetition_penalty=1.5).scores(scores[None].astype("float32"), seen[None])
show("penalty 1.5", penalized)
assert np.allclose(penalized, softmax(np.asarray(ours)[0]), atol=1e-5)

# %% [markdown]
# This one has a weak side. A number added to all scores changes no probability; but it changes which scores are positive,
# and so what the penalty does. The rule is in wide use all the same; keep the penalty near 1.

# %%
for offset in (0.0, 3.0):
    before = softmax(scores + offset)
    after = softmax(repetition_penalty(scores + offset, seen, 1.5))
    print(f"scores + {offset}: probability of the sofa {before[0]:.2f} -> {after[0]:.2f}")
assert np.allclose(before, p) and not np.isclose(after[0], penalized[0], atol=0.01)

# %% [markdown]
# ## A picture of all of them

# %%
panels_of = {
    "as the model says": p,
    "greedy": keep(p, p == p.max()),
    "temperature 0.5": temperature(p, 0.5),
    "temperature 1.5": temperature(p, 1.5),
    "top-k 3": top_k(p, 3),
    "top-p 0.8": top_p(p, 0.8),
    "min-p 0.1": min_p(p, 0.1),
    "repetition penalty 1.5 (sofa, moon)": penalized,
}

# %%
figure, panels = plt.subplots(2, 4, figsize=(14, 6), sharex=True, sharey=True, layout="constrained")
for axes, (title, probabilities) in zip(panels.flat, panels_of.items()):
    axes.barh(words, p, color="lightgray")
    axes.barh(words, probabilities, height=0.5, color="tab:blue")
    for row, probability in enumerate(probabilities):
        number = f"{probability:.2f}" if probability else "–"
        axes.text(max(probability, p[row]) + 0.02, row, number, va="center")
    axes.set(title=title, xlim=(0, 1.15))
panels[0, 0].invert_yaxis()
figure.supxlabel("probability (gray: as the model says)")
plt.show()

# %% [markdown]
# They can be combined. `Sampler` applies what is set in the order of this chapter, except that the penalty comes first:
# penalty, temperature, top-k, top-p, min-p.

# %%
combined = top_p(top_k(temperature(p, 0.7), 5), 0.9)
show("temperature 0.7, k 5, top-p 0.9", combined)
assert np.allclose(combined, library(temperature=0.7, top_k=5, top_p=0.9), atol=1e-5)

# %% [markdown]
# ## A model that writes
#
# Now a real model, a small one. It is trained here for about a minute, as in [chapter 9](09_gpt2_from_scratch.ipynb): on
# the documentation of the installed Python packages, or on Shakespeare, if `KERAS_LLM_DATA` names a folder with
# `tinyshakespeare/input.txt`.

# %%
shakespeare = pathlib.Path(os.environ.get("KERAS_LLM_DATA", ""), "tinyshakespeare", "input.txt")
SOURCE = str(shakespeare) if shakespeare.is_file() else "docstrings"  # or a .txt file of your own
texts = [row["text"] for row in load(SOURCE, "train")]
texts = texts if FULL else texts[: len(texts) // 20 + 1]
tokenizer = Tokenizer.train(texts, kind="byte_bpe", vocabulary_size=1024 if FULL else 512)
ids = np.concatenate([[*each, tokenizer.end_of_text_id] for each in tokenizer.encode(texts)])
print(f"{len(ids):,} tokens")

# %%
CONTEXT, STEPS = (128, 600) if FULL else (64, 80)
sizes = {"vocabulary_size": tokenizer.vocabulary_size, "context_length": CONTEXT}
sizes |= {} if FULL else {"hidden_dim": 64, "num_layers": 2}
model = GPT2Model.from_preset("nano", dropout=0.0, **sizes)
model.compile(AdamW(WarmupCosine(4e-3, STEPS // 5, STEPS)), TokenCrossEntropy(), jit_compile=True)
train = TokenWindows(ids, CONTEXT, batch_size=8, vocabulary_size=model.vocabulary_size)
loss = model.fit(train, steps_per_epoch=STEPS, shuffle=False, verbose=0).history["loss"][0]
print(f"mean loss {loss:.2f}; knowing nothing: {np.log(model.vocabulary_size):.2f}")
assert loss < np.log(model.vocabulary_size)

# %% [markdown]
# ## The simple way, and where it is slow
#
# Read the text, choose a token, put it behind the text, and begin again. Greedy here, so that we can compare.


# %%
def write_simply(prompt, count):
    text = list(prompt)
    for _ in range(count):
        logits = model(np.array([text]))[0, -1]  # reads everything again; [vocabulary]
        text.append(int(np.argmax(logits)))
    return text[len(prompt) :]


prompt = tokenizer.encode("Return the" if SOURCE == "docstrings" else "The king")
COUNT = CONTEXT - len(prompt)  # as much as fits
written = write_simply(prompt, COUNT)
print(tokenizer.decode(prompt + written[:40]), "...")

# %%
tokens_read = sum(len(prompt) + i for i in range(COUNT))
print(f"read {tokens_read:,} tokens to write {COUNT}; to fill a context of 1,024: {sum(range(1024)):,}")

# %% [markdown]
# The work grows with the square of the length. Most of it is done again and again with the same result.
#
# ## The cache by hand
#
# In attention, a token asks with its query, and is asked by its key and value. With the causal mask, nothing that comes
# later can change a token: its key and its value stay what they are. So keep them, in a *cache*. A new token
# brings one query, one key and one value.

# %%
rng = np.random.default_rng(0)
W_Q, W_K, W_V = rng.normal(size=(3, 8, 8))
x = rng.normal(size=(6, 8))  # six tokens
visible = np.tril(np.ones((6, 6), bool))
table = np.where(visible, (x @ W_Q) @ (x @ W_K).T / np.sqrt(8), -np.inf)  # [6, 6]
everything = np.array([softmax(row) for row in table]) @ (x @ W_V)  # [6, 8]: all tokens at once

# %%
keys, values = x[:5] @ W_K, x[:5] @ W_V  # the cache, after five tokens
new = x[5]
keys, values = np.vstack([keys, new @ W_K]), np.vstack([values, new @ W_V])  # one line more
step = softmax(new @ W_Q @ keys.T / np.sqrt(8)) @ values  # [8]: only the new token
print("largest difference below 1e-12:", bool(np.abs(step - everything[5]).max() < 1e-12))
assert np.allclose(step, everything[5])

# %% [markdown]
# Everything else in GPT-2 works on each token alone. So the cache of a whole model is one pair (keys, values) for
# each block. `GPT2Model` takes it as an argument and returns it filled; `position` says how much is in it.


# %%
def write_with_cache(prompt, count):
    cache = model.initial_cache(1, len(prompt) + count)  # empty: zeros
    logits, cache = model(np.array([prompt]), cache=cache, position=0)  # the prompt, once
    tokens = []
    for position in range(len(prompt), len(prompt) + count):
        tokens.append(int(np.argmax(logits[0, -1])))
        logits, cache = model(np.array([tokens[-1:]]), cache=cache, position=position)  # one token
    return tokens


assert write_with_cache(prompt, COUNT) == written
print(f"the same {COUNT} tokens, with {len(prompt) + COUNT} tokens read instead of {tokens_read:,}")

# %% [markdown]
# ## How much faster?
#
# Run as it stands, line by line, a small model needs more time for Python than for its arithmetic. So both ways are
# compiled first. Without a cache: the text in a row of fixed length, filled up at its right (nobody sees the filling,
# thanks to the causal mask), through Keras' compiled `predict_on_batch`. With the cache: the library's
# `TextGenerator`, which compiles the step above, or the whole loop.


# %%
def write_compiled(prompt, count):
    row = np.zeros((1, CONTEXT), "int32")
    row[0, : len(prompt)] = prompt
    for t in range(len(prompt), len(prompt) + count):
        row[0, t] = model.predict_on_batch(row)[0, t - 1].argmax()
    return row[0, len(prompt) : len(prompt) + count].tolist()


def write_cached_steps(prompt, count):
    return [token for (token,) in writer.stream_ids([prompt], count, GREEDY)]  # up to 8 a call


def write_cached_loop(prompt, count):
    return writer.generate_ids([prompt], count, GREEDY)[0]  # one call in all


writer = TextGenerator(model, tokenizer)

# %% [markdown]
# Each runs four times. The first run compiles, and shows that the ids are the same; the best of the other three counts.
# These are times, so your numbers will differ.


# %%
def tokens_per_second(write):
    assert write(prompt, COUNT) == written
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        write(prompt, COUNT)
        seconds.append(time.perf_counter() - start)
    return COUNT / min(seconds)


# %%
speeds = {
    write.__name__: tokens_per_second(write)
    for write in (write_compiled, write_cached_steps, write_cached_loop)
}
for name, speed in speeds.items():
    print(f"{name:20} {speed:6,.0f} tokens/s, {speed / speeds['write_compiled']:4.1f} times as fast")
assert speeds["write_cached_loop"] > speeds["write_compiled"]

# %% [markdown]
# The middle line has the cache, but it goes back to Python every few tokens (at most eight), to show them. That takes
# time, which is much for so small a model, and hides what the cache gains. In the last line only the work is left. To see the gain
# of the cache alone, compare two calls of the same kind: one that reads the whole context, and one that reads a
# single token, as a step with a cache does.


# %%
def milliseconds(length):
    row = np.zeros((1, length), "int32")
    model.predict_on_batch(row)  # compiles
    start = time.perf_counter()
    for _ in range(20):
        model.predict_on_batch(row)
    return (time.perf_counter() - start) / 20 * 1000


for length in (1, CONTEXT):
    print(f"tokens that a call reads: {length:3}   time: {milliseconds(length):5.1f} ms")

# %% [markdown]
# The longer the text and the wider the model, the more the cache gains. Its price is memory: two vectors a token and
# block have to be kept.

# %%
for name, num_layers, width, context in (("nano", 4, 128, 128), ("GPT-2, the smallest", 12, 768, 1024)):
    mebibytes = 2 * num_layers * width * context * 4 / 2**20  # 4 bytes for a number in float32
    print(f"{name:20} cache of a full context: {mebibytes:5.1f} MiB")

# %% [markdown]
# ## Several prompts at once
#
# A batch is a rectangle, but prompts have different lengths. Where should the filling go? The next tokens are written
# behind the last column, so the texts must end there: the filling goes to the *left*. The padding mask hides it, and
# the positions are counted from the first real token.

# %%
openings = ["The", "If the value is", "This function returns a new array of the"]
rows = tokenizer.encode(openings)
token_ids, padding_mask = tokenizer.pad(rows, side="left")
print(padding_mask.astype(int))
alone = np.array([model(np.array([row]))[0, -1] for row in rows])  # [3, vocabulary]
together = np.asarray(model(token_ids, padding_mask=padding_mask))[:, -1]
without_mask = np.asarray(model(token_ids))[:, -1]
print("largest change with the mask below 0.001:", bool(np.abs(together - alone).max() < 1e-3))
print(f"largest change without it: {np.abs(without_mask - alone).max():.2f}")
assert np.allclose(together, alone, atol=1e-3) and not np.allclose(without_mask, alone, atol=0.05)

# %% [markdown]
# `TextGenerator` does this by itself: three prompts in one batch give what they give alone.

# %%
batch = writer.generate(openings, max_new_tokens=20, sampler=GREEDY)
for opening, text in zip(openings, batch):
    print(repr(opening + text))
    assert text == writer.generate(opening, max_new_tokens=20, sampler=GREEDY)

# %% [markdown]
# ## The samplers at work
#
# The same model and the same opening, with different samplers. The last column is a simple measure of dullness: which
# share of all runs of three tokens stood in the text before?

# %%
samplers = {
    "greedy": GREEDY,
    "greedy, repetition penalty 1.3": Sampler(temperature=0.0, repetition_penalty=1.3),
    "temperature 0.7": Sampler(temperature=0.7),
    "top-p 0.9": Sampler(top_p=0.9),
    "min-p 0.1": Sampler(min_p=0.1),
    "as the model says": Sampler(),
    "temperature 1.5": Sampler(temperature=1.5),
}


# %%
def repeated(ids):
    runs = list(zip(ids, ids[1:], ids[2:]))
    return 1 - len(set(runs)) / len(runs)


dullness = {}
for name, sampler in samplers.items():
    (new_ids,) = writer.generate_ids([prompt], COUNT, sampler, seed=3)
    dullness[name] = repeated(new_ids)
    start = " ".join(tokenizer.decode(new_ids[:30]).split())
    print(f"{name} (repeated: {dullness[name]:.0%})\n    {start}")
assert dullness["greedy"] > dullness["as the model says"]

# %% [markdown]
# Greedy text runs in a circle: once a phrase has been written, it is the likeliest to come again. Hot text is noise. Useful
# text lies between, and where exactly depends on the model and on the purpose: answers with one right form want to be
# cold, stories warm.
#
# The draws come from a seed, so a text can be had again; another seed gives another text.

# %%
settings = {"max_new_tokens": 20, "sampler": Sampler(top_p=0.9)}
first = writer.generate(openings[0], seed=1, **settings)
assert first == writer.generate(openings[0], seed=1, **settings)
assert first != writer.generate(openings[0], seed=2, **settings)
print(repr(first))

# %% [markdown]
# ## Stop, stream, go on
#
# **Stop.** `generate` ends a text at the end-of-text token, which the model has met after each document. Other tokens can
# be given; here the full stop, for one sentence. The stop token itself is left out.

# %%
full_stop = tokenizer.token_to_id(".")
sentence = writer.generate(openings[1], 50, Sampler(top_p=0.9), seed=4, stop=[full_stop])
print(openings[1] + sentence)

(free,) = writer.generate_ids([rows[1]], 50, Sampler(top_p=0.9), seed=4)  # without a stop
end = free.index(full_stop) if full_stop in free else 50
assert sentence == tokenizer.decode(free[:end])

# %% [markdown]
# **Stream.** Nobody likes to wait for the whole text. `stream` gives each piece as soon as it is there: the same text.

# %%
pieces = list(writer.stream(openings[1], 50, Sampler(top_p=0.9), seed=4, stop=[full_stop]))
print("|".join(pieces))
assert "".join(pieces) == sentence

# %% [markdown]
# **Go on.** A model has as many positions as it was built with. More is refused, with a message that says what to do:

# %%
try:
    writer.generate_ids([prompt], CONTEXT, GREEDY)
except ValueError as error:
    print(error)

# %% [markdown]
# With `overflow="slide"` it goes on from the newer half of a full context, and forgets the rest. We can follow that by
# hand: what comes behind a full context is what the newer half alone would lead to.

# %%
(long,) = writer.generate_ids([prompt], COUNT + 20, GREEDY, overflow="slide")
text = prompt + long
newer_half = text[CONTEXT // 2 : CONTEXT]
assert long[:COUNT] == written and text[CONTEXT:] == write_with_cache(newer_half, 20)
print(f"{len(text)} tokens with a context of {CONTEXT}")

# %% [markdown]
# ## What was corrected
#
# The survey articles behind this course say that language models "generate text", and stop there. Their GPT-2 ends with
# `compile`; one of them names three output words that follow from nothing; and none has a line that chooses the next
# token. So they miss that one and the same model writes dull, useful or mad texts, depending on the sampler. And without
# the causal mask, which theirs lacks, a model of several blocks could not have a cache at all: from the second block on,
# each new token would change all keys and values before it.
#
# ## Exercises
#
# 1. **The likeliest text.** Is the greedy text the likeliest one? Make two tables for texts of two words in which it is
#    not. Find the likeliest by trying all, and by keeping the two best beginnings (*beam search*).
#    ([solution](solutions/10_1_greedy_is_not_best.py))
# 2. **How many words stay?** Count what top-k, top-p and min-p keep of a sure distribution and of an unsure one. Which
#    of the three adapts? ([solution](solutions/10_2_what_stays.py))
# 3. **Temperature as a number of choices.** $e$ to the power of the entropy says among how many equal words a draw is as
#    uncertain. Draw it over the temperature. What are its limits? ([solution](solutions/10_3_number_of_choices.py))
#
# Next: train a larger model on your own text, and let it write, with all the settings of this chapter:
# `keras-llm train gpt2 --data my.txt`, then `keras-llm generate runs/gpt2 "Once upon a time" --top-p 0.9`.
