# %% [markdown]
# # 7. Read, then write: a Transformer that translates
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/07_transformer_translation.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 5 | 2 GB |
# | small | CPU | 2 | 1.5 GB |
#
# **The question.** A translation has another length than its source, and its words stand in another order. How can a
# network read all of one text, and then write another one word by word?
#
# With two halves: an *encoder* that reads, and a *decoder* that writes and, before each word, looks at what was read.
# [Chapter 6](06_attention_by_hand.ipynb) calculated attention; here we build both halves from it, on paper, and then
# train them.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import math
import random
import time
from collections import Counter

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.baselines.tfidf import tfidf_vectors
from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches, TokenWindows
from keras_llm.evaluation.translation import translation_metrics
from keras_llm.generation import BeamSearch
from keras_llm.layers import DecoderBlock, EncoderBlock
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.models.transformer import Transformer
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

# %% [markdown]
# ## What goes in, what shall come out
#
# One pair: *the cat sleeps* - *le chat dort*. The decoder gets the target **one place later** than it has to say it: it
# begins with a token that only means *begin*, and what it has to say last is a token that means *end*.
#
# | the decoder has read | it has to say |
# | --- | --- |
# | `[BOS]` | le |
# | `[BOS]` le | chat |
# | `[BOS]` le chat | dort |
# | `[BOS]` le chat dort | `[END]` |
#
# In training all four lines are one row: it reads `[BOS] le chat dort`, and says `le chat dort [END]`. That works only
# if no place can see what stands behind it, else it would copy its answer. So the decoder has a **causal mask**, as GPT-2
# has. The encoder has none: the whole source is there from the start. But sources of unequal length are filled up with
# *padding*, and nobody may look at that: a **padding mask**.

# %%
source_is_real = np.array([True, True, True, False])  # the cat sleeps [PAD]
causal = np.tril(np.ones((4, 4), bool))  # row: who looks; column: at whom
print("the encoder's tokens see  ", source_is_real.astype(int))
print("the decoder's tokens see\n", causal.astype(int))

# %% [markdown]
# ## An encoder block and a decoder block, on paper
#
# Four numbers a word, one head, and the weights of the library's own blocks, so that we can compare. A block is two or
# three *sublayers*; around each of them what goes in is added to what comes out, and the sum is normalised.

# %%
WIDTH = 4
keras.utils.set_random_seed(1)
encoder = EncoderBlock(WIDTH, num_heads=1, inner_dim=8, activation="relu")
decoder = DecoderBlock(WIDTH, num_heads=1, inner_dim=8, activation="relu", cross_attention=True)
encoder.build()
decoder.build()
source = np.random.default_rng(0).normal(size=(4, WIDTH))  # the cat sleeps [PAD]
target = np.random.default_rng(1).normal(size=(4, WIDTH))  # [BOS] le chat dort


# %%
def dense(layer, x):
    kernel, bias = (keras.ops.convert_to_numpy(value) for value in (layer.kernel, layer.bias))
    return x @ kernel + bias


def attend(layer, x, other, visible):
    """Each row of x looks at the rows of other that it may see."""
    query = dense(layer.query_projection, x)
    key, value = dense(layer.key_projection, other), dense(layer.value_projection, other)
    scores = np.where(visible, query @ key.T / math.sqrt(WIDTH), -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)  # softmax of each row
    return dense(layer.output_projection, weights @ value), weights


# %%
def norm(x):  # a new layer norm has a scale of 1 and a shift of 0
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


def feed_forward(layer, x):
    return dense(layer.outer, np.maximum(dense(layer.inner, x), 0))  # relu between two dense layers


# %% [markdown]
# The encoder block: every word looks at every real word, then a small network works on each word alone.

# %%
x = norm(source + attend(encoder.attention, source, source, source_is_real)[0])
read = norm(x + feed_forward(encoder.feed_forward, x))

theirs = encoder(source[None], padding_mask=source_is_real[None])[0]  # the library has a batch axis
print("largest difference:", f"{np.abs(read - theirs).max():.0e}")
assert np.allclose(read, theirs, atol=1e-5)

# %% [markdown]
# The decoder block has one sublayer more, in the middle: **cross-attention**. Its queries come from the target, its keys
# and values from what the encoder has read. That is the only place where the two halves touch.

# %%
x = norm(target + attend(decoder.attention, target, target, causal)[0])
looked, weights = attend(decoder.cross_attention, x, read, source_is_real)
x = norm(x + looked)
written = norm(x + feed_forward(decoder.feed_forward, x))

theirs = decoder(target[None], source=read[None], source_mask=source_is_real[None])[0]
print("largest difference:", f"{np.abs(written - theirs).max():.0e}")
assert np.allclose(written, theirs, atol=1e-5)

# %% [markdown]
# The weights of the cross-attention say who looked where. (These are untrained, so it means nothing yet. In
# [chapter 8](08_reading_attention_and_summaries.ipynb) it will.) Nobody looked at the padding:

# %%
for name, row in zip(("[BOS]", "le", "chat", "dort"), weights):
    print(
        f"{name:6}",
        "  ".join(f"{word} {share:.2f}" for word, share in zip(("the", "cat", "sleeps", "[PAD]"), row)),
    )
assert (weights[:, 3] == 0).all() and np.allclose(weights.sum(axis=1), 1)

# %% [markdown]
# ## The whole model
#
# A stack of such blocks on each side, vectors for tokens and places below, and above the decoder a score for each token
# of the vocabulary. `Transformer` is that, with one table of vectors for sources, targets and scores.
#
# To train it we need pairs. We take a language that everybody can check and that has thousands of sentences: numbers in
# English words, and in Chinese characters. It is not as easy as it looks: Chinese writes 二百 for *two hundred*, but
# marks a gap, 二百零五 for *two hundred five*, and *twelve* is one English word and two Chinese ones.

# %%
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


# %%
def english(n):
    words = []
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        words += [ONES[n // unit], name] if n >= unit else []
        n %= unit
    words += [TENS[n // 10]] if n >= 20 else []
    n = n % 10 if n >= 20 else n
    return " ".join(words + [ONES[n]] * (n > 0))


# %%
def chinese(n):
    text, gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, n = divmod(n, unit)
        if digit:
            text += "零" * (gap and text != "") + "零一二三四五六七八九"[digit] + name
        gap = not digit
    return text.removeprefix("一") if text.startswith("一十") else text


# %%
for n in (7, 12, 205, 1010, 4321):
    print(f"{n:5}  {english(n):45} {chinese(n)}")
assert chinese(1005) == "一千零五" and chinese(1010) == "一千零一十" and chinese(16) == "十六"

# %% [markdown]
# 9,999 pairs are all there are. The model learns from 3,000 of them; 300 others tell us whether it understood the rule or
# learned pairs by heart.

# %%
numbers = list(range(1, 10_000))
random.Random(0).shuffle(numbers)
train_numbers, new_numbers = numbers[:3000], numbers[-300:]
sources, targets = [english(n) for n in train_numbers], [chinese(n) for n in train_numbers]
SPECIAL = ["[PAD]", "[BOS]", "<|endoftext|>"]  # ids 0, 1 and 2
tokenizer = Tokenizer.train(sources + targets, "byte_bpe", 400, special_tokens=SPECIAL)
print([tokenizer.id_to_token(i) for i in tokenizer.encode(english(4321))])

# %% [markdown]
# `PaddedBatches` puts pairs of like length together and fills them up. With `tokens_per_batch` a batch has many short
# pairs or few long ones; the work of a step is always about the same.

# %%
START, END = tokenizer.start_id, tokenizer.end_of_text_id


def pair_batches(sources, targets, tokenizer, tokens_per_batch=1024):
    read, say = tokenizer.encode(sources), tokenizer.encode(targets)
    features = {"source_ids": read, "target_ids": [[START, *ids] for ids in say]}
    labels = [[*ids, END] for ids in say]  # the same, one place earlier
    return PaddedBatches(features, labels, lengths=(8, 16, 24, 32, 48), tokens_per_batch=tokens_per_batch)


# %%
batches = pair_batches(sources, targets, tokenizer)
inputs, labels = batches[0]
print({name: array.shape for name, array in inputs.items()}, labels.shape)
print("reads  ", inputs["target_ids"][0].tolist())
print("says   ", labels[0].tolist(), "(-100 is not counted)")

# %%
SIZE = {"context_length": 48, "hidden_dim": 64, "num_layers": 2, "num_heads": 4, "inner_dim": 128}
STEPS = 1200 if FULL else 60
keras.utils.set_random_seed(0)
model = Transformer(tokenizer.vocabulary_size, **SIZE, dropout=0.0, norm_first=True)
print(f"{model.count_params():,} weights")


# %%
def train(model, batches, steps, rate, smoothing=0.0):
    schedule = WarmupCosine(rate, steps // 10, steps)
    model.compile(AdamW(schedule, weight_decay=0.01), TokenCrossEntropy(smoothing), jit_compile=False)
    plan = {"steps_per_epoch": max(steps // 20, 1), "epochs": 20, "shuffle": False, "verbose": 0}
    started = time.perf_counter()
    history = model.fit(batches.stream(), **plan).history["loss"]
    print(f"{steps} steps, loss {history[0]:.2f} -> {history[-1]:.3f}, {time.perf_counter() - started:.0f} s")
    return history


# %%
history = train(model, batches, STEPS, 3e-3)

# %% [markdown]
# ## Writing, by hand
#
# Now there is no target to read. We begin with `[BOS]`, take the likeliest token, put it behind, and ask again, until it
# says the end.


# %%
def write(source, longest=24):
    inputs = {"source_ids": np.array([tokenizer.encode(source)])}
    ids = [START]
    while ids[-1] != END and len(ids) < longest:
        logits = model({**inputs, "target_ids": np.array([ids])})  # [1, tokens so far, vocabulary]
        ids.append(int(np.argmax(logits[0, -1])))
    return tokenizer.decode(ids)


# %%
for n in new_numbers[:6]:
    print(
        f"{english(n):45} {write(english(n)):8} {'right' if write(english(n)) == chinese(n) else chinese(n)}"
    )

# %% [markdown]
# For each token this reads the source again, and all of the target. Neither is needed: what the encoder made of the source
# stays, and so do the keys and values of the target's tokens (the *cache* of chapter 10). `BeamSearch` does both, for many
# sources at once. With one beam it takes the likeliest token too, and must give the same.

# %%
search = BeamSearch(model, tokenizer)
new_sources, right = [english(n) for n in new_numbers], [chinese(n) for n in new_numbers]
greedy = search.generate(new_sources, num_beams=1)
assert greedy[:6] == [write(source) for source in new_sources[:6]]
print(f"{np.mean([a == b for a, b in zip(greedy, right)]):.3f} of the new numbers are right")

# %% [markdown]
# And what does somebody say who only looks for the likest number that he knows, and gives *its* translation?

# %%
likeness = (tfidf_vectors(new_sources, sources)[0] @ tfidf_vectors(new_sources, sources)[1].T).toarray()
by_heart = [targets[i] for i in likeness.argmax(axis=1)]
print(f"{np.mean([a == b for a, b in zip(by_heart, right)]):.3f} of the new numbers are right")

# %%
plt.figure(figsize=(6, 3), layout="constrained")
plt.plot(np.linspace(0, STEPS, len(history)), history)
plt.yscale("log")
plt.xlabel("step")
plt.ylabel("loss (nats a token)")
plt.title("Numbers from English to Chinese")
plt.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Not the likeliest token, but the likeliest text
#
# The likeliest first token need not begin the likeliest text. **Beam search** keeps the best few beginnings. On paper, with
# two tokens a step:
#
# | first | then | together |
# | --- | --- | --- |
# | a: 0.6 | a: 0.5, b: 0.5 | aa 0.30, ab 0.30 |
# | b: 0.4 | a: 0.9, b: 0.1 | ba 0.36, bb 0.04 |
#
# Greedy takes *a* and ends with 0.30; with two beams *b* is still there, and *ba* with 0.36 wins.

# %%
FIRST, THEN = {"a": 0.6, "b": 0.4}, {"a": {"a": 0.5, "b": 0.5}, "b": {"a": 0.9, "b": 0.1}}


def beam_search(beams):
    best = sorted(FIRST.items(), key=lambda item: -item[1])[:beams]
    longer = [(text + token, p * q) for text, p in best for token, q in THEN[text].items()]
    return max(longer, key=lambda item: item[1])


print(beam_search(1), beam_search(2))
assert beam_search(2)[0] == "ba" and math.isclose(beam_search(2)[1], 0.36)

# %% [markdown]
# Probabilities are products, so a longer text always has less. The score is therefore the sum of the logarithms divided by
# $((5 + \text{length}) / 6)^{0.6}$. The three best that our model finds for a number, with scores:

# %%
for hypothesis in search.search(new_sources[:1], num_beams=4, num_results=3)[0]:
    print(f"{hypothesis.text:12} {hypothesis.score:7.3f}   (right: {right[0]})")

# %% [markdown]
# ## How good is a translation? BLEU, on paper
#
# Numbers are right or wrong. Of a sentence there are many right translations, so one counts what it has in common with one
# of them: words, and runs of two, three and four words. A run counts at most as often as the reference has it.

# %%
said, reference = "the cat sat on the red mat".split(), "the cat sat on a red mat".split()


def shared_runs(n):
    runs = [Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1)) for text in (said, reference)]
    return (runs[0] & runs[1]).total(), runs[0].total()


# %%
shares = [shared_runs(n) for n in (1, 2, 3, 4)]
bleu = 100 * math.prod(hit / total for hit, total in shares) ** (1 / 4)  # no shorter than the reference
print(shares, f"BLEU {bleu:.2f}")
theirs = translation_metrics([" ".join(said)], [" ".join(reference)])
assert math.isclose(bleu, theirs["bleu"], rel_tol=1e-6)
print(theirs["bleu_signature"])

# %% [markdown]
# A translation that is shorter than its reference is multiplied by $e^{1 - r/c}$ (its length *c*, the reference's *r*), or
# one sure word would score 100. The **signature** says how words were cut and whether case counts; a BLEU without it
# cannot be compared, for these choices move it by points.
#
# ## Real sentences
#
# The bundled sample has 599 pairs, 491 of them for training. (`keras-llm train translate --data my.en,my.de` takes two
# files of yours.) That is very little; let us see.

# %%
rows = {split: load("translation_en_zh", split) for split in ("train", "validation")}
texts = {split: ([r["source"] for r in part], [r["target"] for r in part]) for split, part in rows.items()}
tokenizer = Tokenizer.train(texts["train"][0] + texts["train"][1], "byte_bpe", 1500, special_tokens=SPECIAL)
keras.utils.set_random_seed(0)
model = Transformer(tokenizer.vocabulary_size, **SIZE, dropout=0.3, norm_first=True)
batches = pair_batches(*texts["train"], tokenizer)
history = train(model, batches, 1500 if FULL else 40, 3e-3, smoothing=0.1)

# %%
search = BeamSearch(model, tokenizer)
for split, (read, references) in texts.items():
    figures = translation_metrics(search.generate(read), references)
    print(
        f"{split:10} BLEU {figures['bleu']:5.2f}, chrF {figures['chrf']:5.2f} ({figures['bleu_signature']})"
    )
for sentence, said in zip(texts["validation"][0][:4], search.generate(texts["validation"][0][:4])):
    print(f"{sentence}  ->  {said}")

# %% [markdown]
# It has learned its pairs by heart, and says something fluent and wrong about new ones: 491 pairs do not hold a language.
# The same program on 29,000 pairs of English and German is a translator; its BLEU, with data, command and minutes, is
# in the table of the [README](../README.md).
#
# ## What was corrected: an LSTM that is called a Transformer
#
# One of the articles (004, section 5) has a program under the name of a Transformer: an embedding, an LSTM and a softmax
# over the words. There is no attention in it. It is a language model of the kind of chapter 5. Here it is as what it is,
# and beside it a real Transformer decoder with about as many weights, on the same text, with the same number of steps.

# %%
prose = "\n\n".join(row["text"] for row in load("docstrings", "validation"))[: 400_000 if FULL else 60_000]
words = Tokenizer.train([prose], "byte_bpe", 1024)
ids = np.array(words.encode(prose), "int32")
train_ids, held_out = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
print(f"{len(train_ids):,} tokens to learn from, {len(held_out):,} held out")


# %%
def the_article_s(vocabulary_size):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Embedding(vocabulary_size, 128), keras.layers.LSTM(160, return_sequences=True)]
    return keras.Sequential([keras.Input([64], dtype="int32"), *layers, keras.layers.Dense(vocabulary_size)])


def the_transformer(vocabulary_size):
    keras.utils.set_random_seed(0)
    return GPT2Model(vocabulary_size, 64, hidden_dim=112, num_layers=2, num_heads=4, dropout=0.0)


# %%
models = {"LSTM": the_article_s(1024), "Transformer": the_transformer(1024)}
curves = {}
for name, own in models.items():
    steps = 1000 if FULL else 40
    own.compile(AdamW(WarmupCosine(3e-3, steps // 10, steps)), TokenCrossEntropy(), jit_compile=True)
    plan = {"steps_per_epoch": steps // 20, "epochs": 20, "shuffle": False, "verbose": 0}
    held = TokenWindows(held_out, 64, 16, shuffle=False).stream()
    curves[name] = own.fit(TokenWindows(train_ids, 64, 16).stream(), validation_data=held, **plan).history
    print(f"{name:12} {own.count_params():,} weights, held-out loss {curves[name]['val_loss'][-1]:.3f}")

# %%
plt.figure(figsize=(6, 3), layout="constrained")
for name, curve in curves.items():
    plt.plot(np.linspace(0, steps, 20), curve["val_loss"], label=name)
plt.xlabel("step")
plt.ylabel("held-out loss (nats a token)")
plt.title("The article's model, and a Transformer")
plt.legend()
plt.grid(alpha=0.3)
plt.show()

# %% [markdown]
# In the stored run the Transformer is ahead from the start, and at its best after some 400 steps; then it begins to learn
# the text by heart, of which there is little, and its loss on held-out text rises. The LSTM learns more slowly
# and is still getting better when it ends.
#
# The article also trains its model on the words of one sentence, and never measures it. Other programs of this kind train
# a real encoder-decoder for one pass and print sentences; without a BLEU and a baseline, nobody knows what they are worth.
#
# ## Exercises
#
# 1. **Without cross-attention.** Take `looked` away from the decoder block on paper. Which outputs still change when the
#    source changes? What can such a model learn about numbers? ([solution](solutions/07_1_without_looking.py))
# 2. **Longer than ever seen.** Let a model learn to turn up to five digits around, and give it eight. What does it say?
#    ([solution](solutions/07_2_longer_numbers.py))
# 3. **The brevity penalty.** Write BLEU for a whole list of sentences, with its penalty for short ones, and compare it with
#    sacreBLEU's. ([solution](solutions/07_3_bleu.py))
#
# Next: [chapter 8](08_reading_attention_and_summaries.ipynb) looks at what the decoder looked at, and sums up texts.
