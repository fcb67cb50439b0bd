# %% [markdown]
# # 16. Names in text: a label a token
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/16_names_in_text.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 1 to 2 | 3 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** Which words of a text are the name of a person, a place or a company, and where exactly do these
# names begin and end? A label for the whole text, as in [chapter 15](15_fine_tuning.ipynb), does not say it.
#
# So each word gets a label. Two small things make it hard, and we do both on paper: the model reads *pieces* of words,
# and a name of two words is right only as a whole.
#
# The full profile starts from a published model of 22.7 million weights, which is downloaded once (90 MB). The small
# profile makes a tiny BERT from nothing, only to show that the program runs.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging
import pathlib
import re
import tempfile
from collections import Counter

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.datasets.windows import join_tags, word_windows
from keras_llm.evaluation.tagging import entities, entity_metrics
from keras_llm.models.bert import BertEncoder, BertTokenClassifier
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

logging.getLogger("tensorflow").setLevel("ERROR")  # it warns when it meets many new models, as here

# %% [markdown]
# ## A tag for each word
#
# The tags of a name say where it *begins* (`B-`) and where it goes on, *inside* (`I-`), and of which kind it is; `O` is
# *outside* of all names. With `B` and `I` two names that stand side by side can be told apart.

# %%
words = ["Mira", "Okafor", "lives", "in", "Lagos", "."]
tags = ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]


# %%
def spans(tags):
    """The names that the tags mean: (kind, first word, the word after the last)."""
    found = []
    for place, tag in enumerate(tags):
        before = found[-1] if found else ("", 0, 0)
        if tag == f"I-{before[0]}" and before[2] == place:
            found[-1] = (before[0], before[1], place + 1)  # it goes on
        elif tag != "O":
            found.append((tag[2:], place, place + 1))
    return found


# %%
print(spans(tags))
assert spans(tags) == [("PER", 0, 2), ("LOC", 4, 5)]
assert len(spans(["B-LOC", "B-LOC"])) == 2 and len(spans(["B-LOC", "I-LOC"])) == 1

# %% [markdown]
# (An `I-` with no name of its kind before it is an error of a model. `spans` lets it begin a name, as the official
# program of the CoNLL-2003 competition does; exercise 1 has the strict way.)
#
# ## Words and pieces, on paper
#
# A BERT does not read words. Its tokenizer cuts rare words into pieces; `##` means that a piece goes on. We write a
# vocabulary of 14 tokens to see it.

# %%
VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] mira ok ##af ##or lives in la ##gos ."
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "vocab.txt"
    path.write_text("\n".join(VOCABULARY.split()))
    toy = Tokenizer.from_pretrained(path)
print([toy.id_to_token(index) for index in toy.encode(" ".join(words))])

# %% [markdown]
# Six words are nine pieces. Which of the three pieces of *Okafor* has the tag? The rule of the BERT paper: the **first**
# piece of a word speaks for it. The others, and `[CLS]` and `[SEP]`, get the label -100, which no loss counts.

# %%
NAMES = ["B-LOC", "B-PER", "I-PER", "O"]  # 0, 1, 2, 3


def align(words, tags):
    ids, labels, places = [toy.class_id], [-100], []
    for word, tag in zip(words, tags):
        pieces = toy.encode(word)[1:-1]  # without [CLS] and [SEP]
        places.append(len(ids))  # where the word's first piece stands
        ids += pieces
        labels += [NAMES.index(tag)] + [-100] * (len(pieces) - 1)
    return [*ids, toy.separator_id], [*labels, -100], places


# %%
ids, labels, places = align(words, tags)
for index, label in zip(ids, labels):
    print(f"{toy.id_to_token(index):6} {label:4}")
assert ids == [2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 3]
assert labels == [-100, 1, 2, -100, -100, 3, 3, 0, -100, 3, -100]
assert places == [1, 2, 5, 6, 7, 9]

# %% [markdown]
# And back: the model says a tag for each of the eleven places. We read only the places of first pieces. What the model
# says elsewhere is never looked at, here 3 (`O`) at the end of *Okafor* and of *Lagos*.

# %%
said = np.array([3, 1, 2, 3, 3, 3, 3, 0, 3, 3, 3])
joined = [NAMES[said[place]] for place in places]
print(joined)
assert joined == tags

# %% [markdown]
# ## The library is equal to it
#
# `word_windows` aligns, `join_tags` reads back.

# %%
windows = word_windows(toy, [words], 16, 4, [tags], NAMES)  # rows of up to 16 tokens, overlap 4
assert windows.token_ids == [ids] and windows.labels == [labels]
assert windows.places == [[(place, 0, word) for word, place in enumerate(places)]]
assert join_tags([said], windows, NAMES) == [joined]
print(windows.token_ids, join_tags([said], windows, NAMES))

# %% [markdown]
# **A sentence that is too long** is cut into windows that overlap, always between words. With room for 8 tokens ours
# needs two, and *lives* and *in* stand in both.

# %%
windows = word_windows(toy, [words], 8, 4)
for row, own in zip(windows.token_ids, windows.places):
    print([toy.id_to_token(index) for index in row], [(words[word], place) for place, _, word in own])

# %% [markdown]
# If the two windows disagree, who is right? The one in which the word stands farther from the edges: there the model
# sees more of what is around it. *lives* is 2 places from the end of the first window, and 1 from the start of the second:
# the first decides. *in* is 1 from the end of the first, 2 from the start of the second: the second decides. We let
# each window be wrong where it should not be asked:

# %%
first = [3, 1, 2, 3, 3, 3, 0, 3]  # says B-LOC for "in", the last word of the window
second = [3, 1, 3, 0, 3, 3, 3]  # says B-PER for "lives", the first word of the window
decided = join_tags([first, second], windows, NAMES)[0]
print(decided)
assert decided == tags

# %% [markdown]
# ## How good? Whole names, on paper
#
# Three sentences with the right tags, and what some model said. In the second, it finds half of a company. In the third,
# it takes Paris for a person, and May for a place.

# %%
right = [
    ["B-PER", "I-PER", "O", "O", "B-LOC", "O"],  # Mira Okafor lives in Lagos .
    ["B-ORG", "I-ORG", "O", "B-PER", "I-PER"],  # Vega Orbital hired Ann Lee
    ["B-LOC", "O", "O", "O", "O", "O"],  # Paris is cold in May .
]
model_said = [
    ["B-PER", "I-PER", "O", "O", "B-LOC", "O"],
    ["B-ORG", "O", "O", "B-PER", "I-PER"],
    ["B-PER", "O", "O", "O", "B-LOC", "O"],
]

# %% [markdown]
# A name is right only if its kind, its beginning *and* its end are right. On paper: there are 5 names; the model says 6;
# 3 of these are right. So the precision is 3/6, the recall 3/5, and F1, their harmonic mean, is $2 \cdot 0.5 \cdot 0.6 /
# 1.1 = 0.545$. As single words, 14 of 17 tags are right: that sounds much better, and does not mean much.


# %%
def all_spans(rows):
    return {(number, *span) for number, row in enumerate(rows) for span in spans(row)}


# %%
def entity_f1(right, said):
    asked, found = all_spans(right), all_spans(said)
    both = len(asked & found)
    precision, recall = both / max(len(found), 1), both / max(len(asked), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def word_accuracy(right, said):
    return np.mean([a == b for rows in zip(right, said) for a, b in zip(*rows)])


precision, recall, f1 = entity_f1(right, model_said)
print(f"precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}")
print(f"words {word_accuracy(right, model_said):.3f}")
assert np.allclose([precision, recall, f1], [3 / 6, 3 / 5, 6 / 11])

# %%
metrics = entity_metrics(right, model_said)
assert np.allclose([metrics[name] for name in ("precision", "recall", "f1")], [precision, recall, f1])
for kind, own in metrics["per_type"].items():
    print(kind, {name: round(value, 2) for name, value in own.items()})

# %% [markdown]
# ## The sentences, and a baseline that only remembers
#
# The bundled sample has sentences with names of persons (`PER`), places (`LOC`) and organisations (`ORG`); many names
# are invented. **To take your own**, write the name of a `.conll` file: a word and its tag a line, with a tab or
# spaces between, and an empty line after each sentence.

# %%
DATA = "entities_en"  # or a file of yours, such as "my_names.conll"
rows = {split: load(DATA, split) for split in ("train", "validation", "test")}
sentences = {split: [row["tokens"] for row in part] for split, part in rows.items()}
gold = {split: [row["tags"] for row in part] for split, part in rows.items()}
names = sorted({tag for row in gold["train"] for tag in row})
for split, part in gold.items():
    print(f"{split}: {len(part)} sentences, {sum(len(spans(row)) for row in part)} names")
print(names)

# %% [markdown]
# Two baselines. One always says `O`. The other knows the training words by heart: each word gets the tag that it had most
# often there, an unknown word gets `O`.

# %%
seen = {}
for words_, tags_ in zip(sentences["train"], gold["train"]):
    for word, tag in zip(words_, tags_):
        seen.setdefault(word, Counter())[tag] += 1
memory = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
says = {
    "always O": [["O"] * len(row) for row in sentences["test"]],
    "words by heart": [[memory.get(word, "O") for word in row] for row in sentences["test"]],
}

# %%
for name, said in says.items():
    accuracy, f1 = word_accuracy(gold["test"], said), entity_f1(gold["test"], said)[2]
    print(f"{name:15} words right {accuracy:.2f}, F1 of names {f1:.2f}")

# %% [markdown]
# Almost four of five words are right for somebody who finds nothing. And names are mostly *new* words: that is why
# remembering does not go far. A tagger has to see from the words around it that a name stands here.
#
# ## A tagger
#
# `BertTokenClassifier` is the encoder with the head of chapter 15, put on *each* token's vector.

# %%
START = "sentence-transformers/all-MiniLM-L6-v2"
keras.utils.set_random_seed(0)
if FULL:
    tokenizer = Tokenizer.from_pretrained(START)
    model = BertTokenClassifier.from_pretrained(START, head="new", num_classes=len(names), labels=names)
else:
    everything = [" ".join(row) for row in sentences["train"]]
    tokenizer = Tokenizer.train(everything, "wordpiece", 2_000, lowercase=True)
    encoder = BertEncoder.from_preset("tiny", vocabulary_size=tokenizer.vocabulary_size, context_length=128)
    model = BertTokenClassifier(encoder, num_classes=len(names), labels=names)
print(f"{model.count_params():,} weights")

# %%
LENGTH, OVERLAP, EPOCHS = 32, 8, 6 if FULL else 3
windows = word_windows(tokenizer, sentences["train"], LENGTH, OVERLAP, gold["train"], names)
features = {"token_ids": windows.token_ids}
train = PaddedBatches(features, windows.labels, 16, (LENGTH,), seed=0)
print(f"{len(windows.token_ids)} windows, {train.steps_per_epoch} steps a pass")

# %% [markdown]
# Training is that of chapter 15, with one number changed: tags stand a larger step, 0.0002.


# %%
def predict_tags(sentences):
    windows = word_windows(tokenizer, sentences, LENGTH, OVERLAP)
    token_ids, _ = tokenizer.pad(windows.token_ids, LENGTH)
    logits = model.predict(token_ids, batch_size=32, verbose=0)  # [windows, LENGTH, tags]
    return join_tags(logits.argmax(axis=-1), windows, names)


class Validate(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        f1 = entity_metrics(gold["validation"], predict_tags(sentences["validation"]))["f1"]
        print(f"pass {epoch + 1}: loss {logs['loss']:.3f}, F1 on the validation sentences {f1:.2f}")


# %%
steps = EPOCHS * train.steps_per_epoch
rate = WarmupCosine(2e-4 if FULL else 2e-3, steps // 10, steps, floor=0.0)
optimizer = AdamW(rate, weight_decay=0.01, beta_2=0.999, epsilon=1e-6)
model.compile(optimizer, TokenCrossEntropy(), jit_compile=False)
plan = {"steps_per_epoch": train.steps_per_epoch, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
history = model.fit(train.stream(), callbacks=[Validate()], **plan)

# %% [markdown]
# Now the test sentences, once, and beside the baselines:

# %%
says["tagger"] = predict_tags(sentences["test"])
for name, said in says.items():
    own = entity_metrics(gold["test"], said)
    line = ", ".join(f"{key} {own[key]:.2f}" for key in ("precision", "recall", "f1"))
    print(f"{name:15} words right {word_accuracy(gold['test'], said):.2f}; names: {line}")
    assert np.isclose(own["f1"], entity_f1(gold["test"], said)[2])

# %%
for kind, own in entity_metrics(gold["test"], says["tagger"])["per_type"].items():
    print(f"{kind}: precision {own['precision']:.2f}, recall {own['recall']:.2f}, {own['support']} names")

# %% [markdown]
# In the stored run 194 sentences are enough to find almost all names, most of which it never met in training (who knows
# the training words by heart finds 0.04 of them). That is the gain of reading before. Two notes of caution:
#
# - 46 names are few. The validation sentences have about as many, and there F1 is 0.84: so large is the luck of the draw.
# - The sentences are short and tidy, and were written for this course. On CoNLL-2003, with seventy times as many
#   sentences from real newspapers, the two sizes of BERT in its paper have an F1 of 0.924 and 0.928.
#
# ## A picture
#
# The filling is what the tagger says, the frame is what is right, in the colour of its kind. A filling without a frame was
# invented, a frame without a filling was missed, and two colours are the wrong kind.

# %%
FILLING = {"PER": "gold", "LOC": "palegreen", "ORG": "lightskyblue"}
FRAME = {"PER": "darkgoldenrod", "LOC": "darkgreen", "ORG": "navy"}


def boxes(axes, tags, edges, y, colors, **style):
    for kind, first, after in spans(tags):
        corner, width = (edges[first] - 0.3, y - 0.42), edges[after] - 1 - edges[first] + 0.3
        axes.add_patch(plt.Rectangle(corner, width, 0.84, color=colors.get(kind, "gray"), **style))


# %%
shown = [n for n, row in enumerate(gold["test"]) if spans(row)][:12]
columns = max(len(" ".join(sentences["test"][n])) for n in shown) + 2
size = (0.09 * columns, 0.34 * len(shown) + 0.4)  # inches
legend = [plt.Rectangle((0, 0), 1, 1, facecolor=FILLING[k], edgecolor=FRAME[k], lw=2) for k in FILLING]

# %%
figure, axes = plt.subplots(figsize=size, layout="constrained")
for y, n in enumerate(shown):
    edges = np.cumsum([0, *(len(word) + 1 for word in sentences["test"][n])])  # all letters have one width
    boxes(axes, says["tagger"][n], edges, y, FILLING)
    boxes(axes, gold["test"][n], edges, y, FRAME, fill=False, linewidth=2)
    for word, left in zip(sentences["test"][n], edges):
        axes.text(left, y, word, family="monospace", fontsize=10, va="center")
axes.set(xlim=(-1, columns), ylim=(len(shown) - 0.4, -0.6))
axes.axis("off")
axes.legend(legend, FILLING, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
plt.show()

# %% [markdown]
# ## Your own text: where the names stand
#
# A text comes as a string, not as words. We cut it where a word or a mark ends and keep the place of each, its *offset*.
# With the offsets a program can mark the names in the text as it was written, capital letters and spaces included.

# %%
MY_TEXT = "After the meeting in Geneva,  Clara Whitfield left Northgate Shipping and moved to Oslo."
offsets = [match.span() for match in re.finditer(r"\w+|[^\w\s]", MY_TEXT)]
my_words = [MY_TEXT[start:end] for start, end in offsets]
my_tags = predict_tags([my_words])[0]
for name in entities(MY_TEXT, my_tags, offsets):
    print(name)

# %% [markdown]
# By hand it is one line: from the start of the first word to the end of the last one. For that we need no model; here are
# the tags that a perfect one would give.

# %%
perfect = ["O"] * len(my_words)
for place, tag in ((4, "B-LOC"), (6, "B-PER"), (7, "I-PER"), (9, "B-ORG"), (10, "I-ORG"), (14, "B-LOC")):
    perfect[place] = tag
by_hand = [(kind, offsets[first][0], offsets[after - 1][1]) for kind, first, after in spans(perfect)]
found = entities(MY_TEXT, perfect, offsets)
assert by_hand == [(name["type"], name["start"], name["end"]) for name in found]
assert [name["text"] for name in found] == ["Geneva", "Clara Whitfield", "Northgate Shipping", "Oslo"]
print(by_hand)

# %% [markdown]
# The same from the command line:
#
# ```sh
# keras-llm train tag --data my_names.conll --start-from sentence-transformers/all-MiniLM-L6-v2 --output my_run
# keras-llm predict my_run "Clara Whitfield left Northgate Shipping."
# ```
#
# ## What was corrected
#
# The articles that this course grew out of name this task, but have no program for it. One of them has a network that
# gives an answer for each token, but trains it with one label a *text*; Keras refuses that
# ([CORRECTIONS.md](CORRECTIONS.md), article 000). It also fills its rows up with zeros and counts them like words. Here
# is what that does to the accuracy of somebody who always says `O`, if padding counts as `O` too:

# %%
lengths = [len(row) for row in gold["test"]]
names_in = sum(tag != "O" for row in gold["test"] for tag in row)
for length in (max(lengths), 128):
    places = length * len(lengths)
    print(f"filled up to {length:3}: {1 - names_in / places:.3f} of {places} places are right")
print(f"real words only:  {1 - names_in / sum(lengths):.3f} of {sum(lengths)}; names found: 0")

# %% [markdown]
# The more padding, the better the figure, and not one name was found. So padding must not count, and names must count
# as a whole.
#
# ## Exercises
#
# 1. **The strict way.** Write `strict_spans`, which drops an `I-` that follows no name of its kind. Find tags for which
#    both ways give different F1. Which one does the library take? ([solution](solutions/16_1_strict_spans.py))
# 2. **Tags that may not follow each other.** `I-PER` after `O` makes no sense, but our tagger chooses each tag alone.
#    Find the best *sequence* of allowed tags for given scores (the Viterbi algorithm of an HMM), and check it by trying
#    all sequences. ([solution](solutions/16_2_allowed_sequences.py))
# 3. **Only capital letters.** Take each run of words with a capital letter, but not at the start of a sentence, for a
#    name. How many of the bundled names are found, if the kind is not asked? ([solution](solutions/16_3_capital_letters.py))
#
# Next: [chapter 17](17_answers_in_text.ipynb) asks a question, and points at the answer.
