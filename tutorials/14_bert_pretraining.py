# %% [markdown]
# # 14. BERT: fill in the blank
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/14_bert_pretraining.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 5 to 9 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** GPT-2 reads from left to right and learns by predicting the next word. To *understand* a text, one
# would rather look at both sides of a word. But a model that sees both sides sees the answer too. What can it be asked,
# so that text without labels still teaches it something?
#
# Hide some words, and ask for those. In this chapter we hide words by hand and count, train a small BERT from nothing
# on raw text, and compare it with guessing. At the end we look at what it has gained for another task, and it may be
# little.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np

from keras_llm.datasets import docstring_corpus, load
from keras_llm.datasets.masking import MaskedBatches, mask_tokens, pack_documents
from keras_llm.models.bert import BertClassifier, BertEncoder, BertMaskedLM
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import TokenAccuracy, TokenCrossEntropy, TokenLoss
from keras_llm.training.optimizers import AdamW, WarmupCosine

# %%
np.set_printoptions(precision=3, suppress=True)
logging.getLogger("tensorflow").setLevel("ERROR")  # it warns when it meets many new models, as here

# %% [markdown]
# ## How BERT reads
#
# BERT is the stack of [chapter 6](06_attention_by_hand.ipynb) without the causal mask: each token looks at all tokens,
# before it and behind it. Three tokens are no words. `[CLS]` stands at the start; its vector can collect what the whole
# text says. `[SEP]` ends a text. And `[MASK]` stands where a word is hidden.

# %%
sentence = (
    "the function returns an array of the same shape as its input with the values along one axis in order"
)
words = ["[CLS]", *sentence.split(), "[SEP]"]
vocabulary = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(sentence.split()))]
ids = np.array([vocabulary.index(word) for word in words])
MASK, FIRST, V = vocabulary.index("[MASK]"), 4, len(vocabulary)  # real words have the ids from FIRST to V - 1
print(f"{len(ids) - 2} words, {V - FIRST} different ones")

# %% [markdown]
# ## Hiding words by hand
#
# The rule of the authors of BERT, for each text:
#
# - **15 % of the words are chosen.** They are the questions; the model is asked for nothing else. 15 % of 20 words are
#   3.
# - A chosen word becomes `[MASK]` with a probability of **80 %**, a random word with **10 %**, and **stays** with 10 %.
#
# Why not always `[MASK]`? Later, in fine-tuning, there is no `[MASK]`. A model that is only ever asked at `[MASK]` need
# not care about the other words' own vectors. Now every word may be a wrong one, or a question, and the model must keep
# an eye on all of them.


# %%
def hide(ids, rng):
    """The text with hidden words, and the places that were chosen."""
    ordinary = np.arange(1, len(ids) - 1)  # not [CLS] and [SEP]
    chosen = np.sort(rng.choice(ordinary, size=round(0.15 * len(ordinary)), replace=False))
    hidden = ids.copy()
    for place, fate in zip(chosen, rng.random(len(chosen))):
        if fate < 0.8:
            hidden[place] = MASK
        elif fate < 0.9:
            hidden[place] = rng.integers(FIRST, V)
    return hidden, chosen


# %%
rng = np.random.default_rng(0)
for _ in range(3):
    hidden, chosen = hide(ids, rng)
    print(" ".join(vocabulary[index] for index in hidden[1:-1]))
    print("   asked for:", ", ".join(f"{words[place]} (place {place})" for place in chosen))

# %% [markdown]
# Let us count over many texts. A random word of 18 is by chance the right one once in 18 times. So on paper 80 % are
# `[MASK]`, 10 · 17 / 18 = 9.4 % are another word, and 10 + 10 / 18 = 10.6 % are what they were.


# %%
def shares(hidden, places):
    """Of the chosen words: the shares that became [MASK], became another word, are what they were."""
    before, after = ids[places], np.take_along_axis(hidden, places, axis=1)  # [n, 3] each
    return np.array(
        [(after == MASK).mean(), ((after != MASK) & (after != before)).mean(), (after == before).mean()]
    )


TEXTS = 20_000 if FULL else 4_000
by_hand = shares(*map(np.array, zip(*(hide(ids, rng) for _ in range(TEXTS)))))
on_paper = np.array([0.8, 0.1 * 17 / 18, 0.1 + 0.1 / 18])
print("on paper", on_paper)
print("by hand ", by_hand)
assert np.allclose(by_hand, on_paper, atol=0.02)

# %% [markdown]
# ## The library's function follows the same rule
#
# `mask_tokens` does a whole batch at once, without a loop over words. It returns the hidden texts, the chosen places,
# and the words that stood there: the labels.

# %%
batch = np.tile(ids, (TEXTS, 1))  # the same text many times
hidden, places, labels = mask_tokens(batch, np.random.default_rng(1), MASK, V, special_ids=[0, 1, 2, 3])
print("hidden", hidden.shape, " places", places.shape, " labels", labels.shape)
print(
    "places",
    places[0],
    " labels",
    [vocabulary[label] if label >= 0 else label for label in labels[0].tolist()],
)

# %% [markdown]
# There is room for four places, 15 % of 22 rounded up, but only three words were chosen: the last label is -100, which
# the loss does not count. The shares:

# %%
places, labels = places[:, :3], labels[:, :3]
assert (labels == ids[places]).all()
library = shares(hidden, places)
print("on paper", on_paper)
print("library ", library)
assert np.allclose(library, on_paper, atol=0.02)
asked = np.bincount(places.ravel(), minlength=22) / TEXTS
print(
    f"each word is asked in {asked[1:-1].min():.3f} to {asked[1:-1].max():.3f} of the texts; 3 / 20 = 0.150"
)
assert asked[0] == asked[-1] == 0 and np.allclose(asked[1:-1], 0.15, atol=0.03)

# %% [markdown]
# ## Whole words
#
# Real tokenizers cut rare words into pieces: *initializer* may be `initial ##izer`. If only `##izer` is hidden, the
# question is too easy: the rest of the word tells the answer. With *whole word masking*, all pieces of a word are
# hidden or none. The function has to be told which tokens go on with the word before them.

# %%
pieces = ["[CLS]", "the", "initial", "##izer", "of", "a", "token", "##izer", "is", "slow", "[SEP]"]
known = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(pieces[1:-1]))]
piece_ids = np.array([known.index(piece) for piece in pieces])
continues = np.array([piece.startswith("##") for piece in known])

# %%
for name, rule in {"pieces": None, "whole words": continues}.items():
    rng = np.random.default_rng(0)
    rows = np.tile(piece_ids, (TEXTS, 1))
    _, places, labels = mask_tokens(rows, rng, 3, len(known), [0, 1, 2, 3], rate=0.3, continues=rule)
    chosen = np.stack([((places == place) & (labels >= 0)).any(axis=1) for place in (2, 3)])
    cut = (chosen[0] != chosen[1]).mean()
    print(f"{name:12} only one half of 'initial ##izer' is hidden in {cut:.1%} of the texts")
    assert rule is None or cut == 0

# %% [markdown]
# (Nine pieces and a rate of 30 % make three questions a text.) The cut halves are gone. Which one is better depends on
# the text; we stay with pieces, as the first BERT.
#
# ## The loss of a blank
#
# For each hidden word the model gives a score to each word it knows; the softmax makes probabilities of them, and the
# loss is $-\ln$ of the probability of the right word. Three words to choose from, two blanks, and a third place that is
# not counted:

# %%
scores = np.array([[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]]], "float32")
labels = np.array([[0, 0, -100]])
right = np.exp([2.0, 0.0]) / np.exp(scores[0, :2]).sum(axis=1)  # 7.389 / 9.389 and 1 / 4.718
loss = -np.log(right).mean()
print(
    f"probabilities {right}, loss {loss:.4f} by hand, {TokenCrossEntropy()(labels, scores):.4f} by the library"
)
assert np.allclose(right, [0.787, 0.212], atol=1e-3) and np.isclose(loss, TokenCrossEntropy()(labels, scores))

# %% [markdown]
# The mean is one over *tokens*: a batch with few blanks does not weigh as much as one with many.
#
# ## Raw text
#
# The text comes with your Python: English sentences in the documentation of three packages, one field with words of its
# own. A small model can learn something of it in minutes. Two parts of it are kept apart; this chapter needs only one,
# and joins them. (Other versions of the packages have other sentences, so your numbers will differ a little.) **For
# your own text**, put a list of strings into `texts`.

# %%
PACKAGES = ("keras", "numpy", "tensorflow") if FULL else ("keras",)
train_texts, *kept_apart = (docstring_corpus(split, PACKAGES) for split in ("train", "validation", "test"))
texts = {"train": train_texts, "validation": kept_apart[0] + kept_apart[1]}
tokenizer = Tokenizer.train(texts["train"], "wordpiece", 2_048 if FULL else 1_000, lowercase=True)
V = tokenizer.vocabulary_size
for split, documents in texts.items():
    print(f"{split}: {len(documents)} modules, {sum(map(len, documents)):,} characters")

# %% [markdown]
# Paragraphs are encoded, and short ones share a row of 64 tokens: `[CLS] one [SEP] two [SEP]`. `MaskedBatches` hides
# other words of a row in each pass; of the validation rows always the same, so that all models are asked the same.

# %%
LENGTH, BATCH = 64, 32


def masked_batches(documents, shuffle):
    paragraphs = [part for document in documents for part in document.split("\n\n") if part.strip()]
    pieces = [row[1:-1] for row in tokenizer.encode(paragraphs)]  # without [CLS] and [SEP]
    rows = pack_documents(pieces, LENGTH, tokenizer.class_id, tokenizer.separator_id)
    special = (tokenizer.mask_id, tokenizer.pad_id, tokenizer.special_ids, tokenizer.vocabulary_size)
    return MaskedBatches(rows, LENGTH, BATCH, *special, seed=0, shuffle=shuffle)


train, validation = (masked_batches(texts[split], split == "train") for split in texts)
print(f"{train.num_rows:,} rows to train, {validation.num_rows:,} to validate; {V:,} tokens")

# %%
inputs, labels = train[0]
for name, array in (*inputs.items(), ("labels", labels)):
    print(f"{name:17} {array.dtype} {array.shape}")
print(" ".join(map(tokenizer.id_to_token, inputs["token_ids"][0, :24].tolist())))
print("asked for:", [tokenizer.id_to_token(index) for index in labels[0].tolist() if index >= 0])

# %% [markdown]
# ## Guessing
#
# A number alone says nothing. The laziest answer knows only how frequent each token is: it always says the most
# frequent one, and gives each token its share in the training text. (One is added to each count, so that no share is
# zero.) We ask it for the hidden tokens of the validation text, which all models get.

# %%
counts = np.bincount(train.token_ids.ravel(), minlength=V)
counts[list(tokenizer.special_ids)] = 0  # these are never asked
frequency = (counts + 1) / (counts + 1).sum()
questions = np.concatenate([validation[i][1].ravel() for i in range(validation.num_batches)])
questions = questions[questions >= 0]  # without the -100
guess_loss, guess_right = -np.log(frequency[questions]).mean(), (questions == counts.argmax()).mean()
print(f"{len(questions):,} hidden tokens; always {tokenizer.id_to_token(int(counts.argmax()))!r}:", end=" ")
print(f"loss {guess_loss:.3f}, right {guess_right:.1%}")

# %% [markdown]
# ## A small BERT
#
# Two blocks of 128 numbers a vector, as in the preset `"tiny"`, but with our own, small vocabulary. The output is
# scored against the table of token vectors, as in GPT-2.
#
# One thing is set by hand. BERT's matrices begin with random numbers of standard deviation 0.02, chosen for vectors of
# 768 numbers. A sum of 128 products with such weights is small, $0.02 \cdot \sqrt{128} = 0.23$ of what went in, and
# after query, key, value and output little is left of what attention has to say. We take four times as much: 0.08,
# about $1 / \sqrt{128}$, which keeps the size.

# %%
SIZES = {"vocabulary_size": V, "context_length": LENGTH, "hidden_dim": 128, "num_layers": 2, "num_heads": 2}


def larger_start(model):
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel"):
            variable.assign(4 * variable)
    return model


keras.utils.set_random_seed(0)
model = larger_start(BertMaskedLM(BertEncoder(**SIZES, dropout=0.0, pooler=False)))

# %% [markdown]
# Before the training, its loss must be about that of somebody who knows nothing and gives all tokens the same
# probability, $\ln V$.

# %%
STEPS, LOOKS = (2_000, 20) if FULL else (60, 4)
rate = WarmupCosine(2e-3 if FULL else 4e-3, STEPS // 10, STEPS, floor=0.0)
metrics = [TokenLoss(), TokenAccuracy()]
model.compile(AdamW(rate, weight_decay=0.01), TokenCrossEntropy(), metrics=metrics, jit_compile=False)
before = model.evaluate(validation.stream(), verbose=0, return_dict=True)
print(f"{model.count_params():,} weights; loss {before['token_loss']:.3f}, ln {V:,} = {np.log(V):.3f}")
assert abs(before["token_loss"] - np.log(V)) < 0.5

# %% [markdown]
# The training is `model.fit`. The batches never end, so it is told how many steps lie between two looks at the
# validation text; they come shuffled already.

# %%
history = model.fit(
    train.stream(),
    steps_per_epoch=STEPS // LOOKS,
    epochs=LOOKS,
    validation_data=validation.stream(),
    shuffle=False,
    verbose=0,
).history
for look in range(LOOKS // 4 - 1, LOOKS, LOOKS // 4):
    loss, share = history["val_token_loss"][look], history["val_token_accuracy"][look]
    print(f"step {(look + 1) * STEPS // LOOKS:5}: loss {loss:.3f}, right {share:.1%}")

# %%
steps = np.arange(1, LOOKS + 1) * STEPS // LOOKS
figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
for panel, name, guess in zip(panels, ("token_loss", "token_accuracy"), (guess_loss, guess_right)):
    panel.plot(steps, history[name], color="tab:gray", label="training")
    panel.plot(steps, history[f"val_{name}"], color="tab:blue", label="validation")
    panel.axhline(guess, color="black", linestyle=":", label="guessing by frequency")
    panel.set(xlabel="step", xlim=(0, STEPS))
    panel.legend()
panels[0].set(title="Loss of hidden tokens", ylabel="nats a token")
panels[1].set(title="Hidden tokens found", ylabel="share", ylim=(0, None))
plt.show()

# %% [markdown]
# First the model learns how frequent the tokens are, and comes to the line of the guesser. Only then it begins to use
# the other words; on the way there the loss falls slowly. And there is a price: GPT-2 answers a question at *each*
# token of a row, BERT at 15 % of them. For the same number of answers it must read almost seven times as much text.

# %%
after = model.evaluate(validation.stream(), verbose=0, return_dict=True)
read = STEPS * BATCH / train.num_rows
print(f"{read:.1f} passes through the text")
for name, loss, share in (
    ("guessing by frequency", guess_loss, guess_right),
    ("small BERT", after["token_loss"], after["token_accuracy"]),
):
    print(f"{name:22} loss {loss:.3f}, perplexity {np.exp(loss):6.1f}, right {share:.1%}")
assert after["token_loss"] < (guess_loss if FULL else np.log(V))

# %% [markdown]
# ## Blanks, filled
#
# Write `[MASK]` for a word, and ask. The model scores all tokens at that place; we print the best three.


# %%
def fill(text, top=3):
    """For each [MASK] of the text the likeliest tokens and their probabilities."""
    token_ids = np.array([tokenizer.encode(text)])  # [1, T]
    places = np.flatnonzero(token_ids[0] == tokenizer.mask_id)
    logits = model({"token_ids": token_ids, "masked_positions": places[None]})  # [1, blanks, V]
    probabilities = np.asarray(keras.ops.softmax(logits))[0]
    best = np.argsort(-probabilities)[:, :top]
    return [[(tokenizer.id_to_token(int(i)), row[i]) for i in own] for own, row in zip(best, probabilities)]


# %%
MY_TEXTS = [
    "A tensor with the same [MASK] as the input.",
    "The shape [MASK] the output.",
    "If true, the [MASK] is sorted along [MASK] last axis.",
    "This function [MASK] not supported.",
    "The learning [MASK] of the optimizer.",
]
for text in MY_TEXTS:
    answers = [", ".join(f"{token} {p:.2f}" for token, p in blank) for blank in fill(text)]
    print(f"{text:54} {'  |  '.join(answers)}")

# %% [markdown]
# Does it really read both sides? Keep what stands before the blank, and change what comes behind it:

# %%
for text in ("The [MASK] of the optimizer.", "The [MASK] of the array.", "The [MASK]"):
    print(f"{text:30}", ", ".join(f"{token} {p:.2f}" for token, p in fill(text)[0]))

# %% [markdown]
# A model that reads from left to right must give the same answer to all three. This one does not. For the same reason
# it cannot *write*: to write, one needs the next word without what comes behind it.
#
# ## What does it gain?
#
# Blanks are an exercise. What we want is an encoder that helps with another task: `head="new"` takes the pretrained
# encoder, and a fresh head for five topics. Beside it the same model without pretraining. Both get the same texts,
# steps and tokenizer, each with several random heads and orders.

# %%
rows = {split: load("topics_en", split) for split in ("train", "test")}
names = sorted({row["label"] for row in rows["train"]})
encoded = {s: tokenizer.encode([row["text"] for row in part]) for s, part in rows.items()}
token_ids = {s: tokenizer.pad(ids, LENGTH, truncate=True)[0] for s, ids in encoded.items()}
y = {split: np.array([names.index(row["label"]) for row in part]) for split, part in rows.items()}
print({split: len(part) for split, part in rows.items()}, names)
lengths = [len(ids) / len(row["text"].split()) for ids, row in zip(encoded["test"], rows["test"])]
print(f"{np.mean(lengths):.1f} tokens a word; our text spoke of arrays, not of sports and travel")


# %%
def start(folder):
    """A classifier on the pretrained encoder of the folder, or on a fresh one."""
    if not folder:
        return larger_start(BertClassifier(BertEncoder(**SIZES, dropout=0.1), num_classes=len(names)))
    classifier = BertClassifier.from_pretrained(folder, head="new", num_classes=len(names), dropout=0.1)
    for layer in (classifier.encoder.pooler, classifier.output_layer):  # what is fresh starts alike in both
        larger_start(layer)
    return classifier


# %%
def accuracy_after_tuning(folder, seed, epochs):
    keras.utils.set_random_seed(seed)
    classifier = start(folder)
    steps = epochs * len(y["train"]) // 16
    optimizer = AdamW(WarmupCosine(1e-3, steps // 10, steps, floor=0.0), weight_decay=0.01)
    classifier.compile(optimizer, TokenCrossEntropy(), metrics=[TokenAccuracy()], jit_compile=False)
    classifier.fit(token_ids["train"], y["train"], batch_size=16, epochs=epochs, verbose=0)
    return (classifier.predict(token_ids["test"], verbose=0).argmax(axis=1) == y["test"]).mean()


# %%
seeds, epochs = ((0, 1, 2), 10) if FULL else ((0,), 2)
with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    for name, source in (("pretrained", folder), ("fresh", None)):
        found = np.array([accuracy_after_tuning(source, seed, epochs) for seed in seeds])
        print(f"{name:10} right on the test texts {found}, mean {found.mean():.3f}")

# %% [markdown]
# Compare the two lines with care: one text of 45 more or less is 0.022, and the seeds differ by more than that. But in
# the stored run the pretraining does **not** help. The fresh model is ahead on average, and its three results lie
# closer together.
#
# That is a result too. We did not test the reasons, but some are likely: a model that has read nothing but the
# documentation of programs knows little of sports, whose words it sees in pieces; two million characters are very few;
# and it found less than a quarter of the blanks, so what it has learnt is mostly which token stands beside which.
# Pretraining pays when it is *large*, and *like* the task: BERT read 3.3 billion words, and in [chapter
# 15](15_fine_tuning.ipynb) a model that has read much is far ahead of a fresh one, on these same texts.
#
# The same from the command line, on all packages, with a folder at the end that goes on to fine-tuning:
#
# ```sh
# keras-llm train bert --steps 20000 --output my_bert
# keras-llm predict my_bert "Returns the [MASK] of the array."
# keras-llm train classify --data topics_en --start-from my_bert
# ```
#
# ## What was corrected
#
# This course grew out of a few survey articles; all corrections are listed in [CORRECTIONS.md](CORRECTIONS.md). Two of
# them are about this chapter.
#
# - **Masked prediction is not left to right.** One article introduces it as a kind of autoregressive model. There the
#   next word is predicted from those before it; here a hidden word from both sides.
# - **A formula without BERT in it.** Another one gives, as the formula of BERT, that of attention once more. GPT-2 has
#   it too. What makes it BERT is that nothing is hidden from attention, and that words are hidden from the model
#   instead.
#
# Both can be seen in one number. Change the *last* token, and look at the output at the *first*:

# %%
keras.utils.set_random_seed(0)
gpt2 = GPT2Model(vocabulary_size=V, context_length=LENGTH, hidden_dim=32, num_layers=2, num_heads=2)
text = np.array([tokenizer.encode("The shape of the output.")])
changed = text.copy()
changed[0, -1] = tokenizer.mask_id
for name, reader in (("GPT-2", gpt2), ("BERT", model)):
    difference = np.abs(reader(text)[0, 0] - reader(changed)[0, 0]).max()
    print(f"{name:6} the first token's output changes: {bool(difference > 1e-6)}")

# %% [markdown]
# ## Exercises
#
# 1. **Neighbours.** A counting model can fill in blanks too: count which word stands between each pair of left and
#    right neighbours. How many does it find, beside guessing by frequency? (More than our small BERT; but its
#    neighbours are never hidden.) ([solution](solutions/14_1_neighbours.py))
# 2. **Scores where they are asked.** `masked_positions` gives scores at the blanks alone. Check that they are those of
#    the full output, and count the multiplications that are saved. ([solution](solutions/14_2_only_the_blanks.py))
# 3. **Whole words by hand.** Write a function that hides whole words until 15 % of the pieces are hidden, and check
#    that no word is ever cut. ([solution](solutions/14_3_whole_words.py))
#
# Next: [chapter 15](15_fine_tuning.ipynb) starts from a model that others have pretrained on much more text.
