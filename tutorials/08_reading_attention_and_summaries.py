# %% [markdown]
# # 8. What it looked at, and what a text is about
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/08_reading_attention_and_summaries.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 3 to 4 | 3 GB |
# | small | CPU | 2 | 1.5 GB |
#
# **The question.** The decoder of [chapter 7](07_transformer_translation.ipynb) looks at the source before it writes a
# word. Can we see where? And can such a model, or one that only reads, say in one sentence what a text is about?
#
# We collect the weights of the cross-attention, put the pieces of words together, and compare with what a person would
# have looked at. Then we sum up texts in three ways, the first of which needs no model.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system('pip install -q "keras_llm[fonts] @ git+https://github.com/keras-llm/keras_llm"')
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import pathlib
import random
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.baselines.lead import lead
from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.datasets.segmentation import split_sentences
from keras_llm.datasets.windows import read_sentences
from keras_llm.evaluation.summaries import best_sentences, summary_metrics
from keras_llm.explain.attention_maps import attention_map, draw_attention
from keras_llm.generation import BeamSearch

# %%
from keras_llm.models.bert import BertEncoder, BertTokenClassifier
from keras_llm.models.transformer import Transformer
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

# %% [markdown]
# ## A translator whose looks can be checked
#
# Numbers again, in English words and in Chinese characters, as in chapter 7, but only of four digits without a zero: then
# we know for each Chinese digit which English word it comes from.

# %%
ONES = "zero one two three four five six seven eight nine".split()
TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
DIGITS = "零一二三四五六七八九"


def english(digits):
    a, b, c, d = digits
    return f"{ONES[a]} thousand {ONES[b]} hundred {TENS[c]} {ONES[d]}"


def chinese(digits):
    return "".join(DIGITS[digit] + unit for digit, unit in zip(digits, ("千", "百", "十", "")))


print(english((4, 3, 2, 1)), chinese((4, 3, 2, 1)))

# %%
numbers = [
    (a, b, c, d) for a in range(1, 10) for b in range(1, 10) for c in range(2, 10) for d in range(1, 10)
]
random.Random(0).shuffle(numbers)
known, new = numbers[:1500], numbers[-200:]
sources, targets = [english(n) for n in known], [chinese(n) for n in known]
SPECIAL = ["[PAD]", "[BOS]", "<|endoftext|>"]
tokenizer = Tokenizer.train(sources + targets, "byte_bpe", 300, special_tokens=SPECIAL)
START, END = tokenizer.start_id, tokenizer.end_of_text_id


# %%
def pair_batches(sources, targets, tokenizer, lengths=(8, 16, 24, 32, 48), tokens_per_batch=1024):
    read, say = tokenizer.encode(sources), tokenizer.encode(targets)
    features = {"source_ids": read, "target_ids": [[START, *ids] for ids in say]}
    return PaddedBatches(
        features, [[*ids, END] for ids in say], lengths=lengths, tokens_per_batch=tokens_per_batch
    )


def train(model, batches, steps, rate, smoothing=0.0):
    schedule = WarmupCosine(rate, max(steps // 10, 1), steps)
    model.compile(AdamW(schedule, weight_decay=0.01), TokenCrossEntropy(smoothing), jit_compile=False)
    loss = model.fit(batches.stream(), steps_per_epoch=steps, shuffle=False, verbose=0).history["loss"][-1]
    print(f"{model.count_params():,} weights, {steps} steps, mean loss {loss:.3f}")


# %%
keras.utils.set_random_seed(0)
model = Transformer(tokenizer.vocabulary_size, None, 48, 64, 2, 4, 128, dropout=0.1, norm_first=True)
train(model, pair_batches(sources, targets, tokenizer), 600 if FULL else 40, 3e-3)
search = BeamSearch(model, tokenizer)
said = search.generate([english(n) for n in new], num_beams=1)
print(
    f"{np.mean([text == chinese(n) for text, n in zip(said, new)]):.2f} of {len(new)} new numbers are right"
)

# %% [markdown]
# ## Collecting the weights
#
# `return_attention=True` gives for each decoder block the weights of its heads: how much each place of the target looks at
# each place of the source.

# %%
source, target = english((4, 3, 2, 1)), chinese((4, 3, 2, 1))
source_ids, target_ids = tokenizer.encode(source), tokenizer.encode(target)
inputs = {"source_ids": np.array([source_ids]), "target_ids": np.array([[START, *target_ids]])}
logits, attention = model(inputs, return_attention=True)
print("blocks, each [batch, heads, target, source]:", [tuple(weights.shape) for weights in attention])
last = np.array(attention[-1])[0].mean(axis=0)  # [target, source], the mean of the last block's heads
assert np.allclose(last.sum(axis=1), 1, atol=1e-5)

# %% [markdown]
# **Which row belongs to which word?** Row 0 is the place that has read `[BOS]` and *writes* the first token. So the row of a
# token is the one before it in the reading: what it looked at in order to be written.
#
# **Pieces.** A word may have several tokens, a Chinese character too. What a word is given is the *sum* over its pieces,
# what it gives is the *mean*. By hand, for the first Chinese character and the first English word:

# %%
pieces = [tokenizer.decode([i]) for i in source_ids]
print(pieces)
first_character = len(tokenizer.encode(target[0]))  # tokens of 四
first_word = len(tokenizer.encode("four"))
by_hand = last[:first_character, :first_word].sum(axis=1).mean()
found = attention_map(model, tokenizer, source, target)
library = found.weights[-1].mean(axis=0)[0, 0]
print(f"{found.target_words[0]} looks at {found.source_words[0]}: {by_hand:.4f}, {library:.4f}")
assert np.isclose(by_hand, library, atol=1e-5)

# %% [markdown]
# ## The picture
#
# A row for each character, and the end; a column for each English word. If you see numbers in place of the characters, this
# machine has no font for Chinese: `pip install "keras-llm[fonts]"` brings one.

# %%
with tempfile.TemporaryDirectory() as folder:
    picture = pathlib.Path(folder) / "attention.png"
    draw_attention(found, picture)
    plt.figure(figsize=(11, 6))
    plt.imshow(plt.imread(picture))
    plt.axis("off")
    plt.show()

# %% [markdown]
# ## Did it look where we would have looked?
#
# 四 comes from *four*, 三 from *three*, 二 from *twenty*, 一 from *one*. The units between them, 千, 百 and 十, come from
# *thousand*, *hundred* and *twenty*. We count over the new numbers how often the word with the most attention is the right
# one, for each block and head, in digits and in units apart. Who points blindly at one of six words is right in 0.17 of
# the cases.

# %%
PLACES = {"digits": [0, 2, 4, 6], "units": [1, 3, 5]}  # in the Chinese text
WORDS = {"digits": [0, 2, 4, 5], "units": [1, 3, 4]}  # in the English one
maps = [attention_map(model, tokenizer, english(n), chinese(n)).weights for n in new[: 50 if FULL else 5]]
most = np.stack(maps).argmax(axis=-1)  # [numbers, blocks, heads, Chinese characters and the end]
for kind, places in PLACES.items():
    right = (most[..., places] == WORDS[kind]).mean(axis=(0, 3))  # [blocks, heads]
    for block, heads in enumerate(right):
        print(
            f"{kind}, block {block}: " + ", ".join(f"head {i} {share:.2f}" for i, share in enumerate(heads))
        )

# %% [markdown]
# For the digits nearly all looks are where ours would be. For the units they are not, and yet the units are right: the
# model does not *need* to look, since after the first digit there is always 千. So a picture of attention is a hint and
# no proof: a look may be for nothing, and what decides may not be looked at. To *show* that a word decides, change it and
# see what changes:

# %%
for changed in ((4, 3, 2, 1), (9, 3, 2, 1), (4, 3, 7, 1)):
    print(f"{english(changed):45} {search.generate(english(changed), num_beams=1)}")

# %% [markdown]
# ## Summaries: the first sentence
#
# Who reports puts first what matters. So the first sentence is a summary, without any model, and a hard one to beat. It is
# called the **lead**.

# %%
DATA = "summaries_en"  # or a file of yours: .jsonl with "document" and "summary"
rows = {split: load(DATA, split) for split in ("train", "validation", "test")}
print({split: len(part) for split, part in rows.items()})
example = rows["validation"][0]
for number, sentence in enumerate(split_sentences(example["document"])):
    print(f"{number}: {sentence}")
print("summary:", example["summary"])

# %% [markdown]
# ## How good is a summary? ROUGE, on paper
#
# As with BLEU, what matters is what it has in common with a right one, but here *missing* something is as bad as saying too
# much: F1 of the words (ROUGE-1), of the pairs of words (ROUGE-2), and of the longest run of words that stand in both in
# the same order, with gaps (ROUGE-L).

# %%
said, reference = "the cat sat".split(), "the dog sat down".split()
common = [word for word in said if word in reference]  # the, sat: in the same order too
precision, recall = len(common) / len(said), len(common) / len(reference)
rouge1 = 100 * 2 * precision * recall / (precision + recall)
theirs = summary_metrics([" ".join(said)], [[" ".join(reference)]])
print(f"{rouge1:.2f}", {name: round(value, 2) for name, value in theirs.items()})
assert np.isclose(rouge1, theirs["rouge1"]) and np.isclose(rouge1, theirs["rougeL"]) and theirs["rouge2"] == 0

# %%
documents = {split: [row["document"] for row in part] for split, part in rows.items()}
references = {split: [[row["summary"]] for row in part] for split, part in rows.items()}
summaries = {"lead": [lead(text) for text in documents["test"]]}

# %% [markdown]
# ## Picking a sentence
#
# A model that only reads can *pick*. Each token, which has seen the whole text, says *take* or *leave* of its sentence, and
# a sentence is as good as the mean of its tokens. It is the tagger of [chapter 16](16_names_in_text.ipynb). To learn from,
# each text has one sentence to take: the one that is likest its summary.
#
# Published systems put a `[CLS]` before each sentence and ask its vector alone. With a hundred texts, or with two thousand,
# our BERT learned nothing from that and always took the first sentence: one label a sentence is too little.

# %%
picks = [
    best_sentences(split_sentences(text), own, 1)
    for text, own in zip(documents["train"], references["train"])
]
places = np.bincount([next(iter(pick)) for pick in picks])
print("which sentence is likest the summary:", places.tolist())

# %%
NAME = "sentence-transformers/all-MiniLM-L6-v2"
keras.utils.set_random_seed(0)
if FULL:
    words = Tokenizer.from_pretrained(NAME)
    picker = BertTokenClassifier.from_pretrained(NAME, head="new", num_classes=2, labels=["leave", "take"])
else:
    words = Tokenizer.train(documents["train"], "wordpiece", 2_000, lowercase=True)
    picker = BertTokenClassifier(
        BertEncoder.from_preset("tiny", vocabulary_size=words.vocabulary_size, context_length=256)
    )

# %%
LENGTH = 256
read = [read_sentences(words, text, LENGTH) for text in documents["train"]]
labels = [
    [int(number in pick) for number, (start, end) in enumerate(row.spans) for _ in range(start, end)]
    for row, pick in zip(read, picks)  # each token has the label of its sentence
]
lengths = (64, 96, 128, 160, 192, LENGTH)
batches = PaddedBatches({"token_ids": [row.token_ids for row in read]}, labels, 8, lengths)

# %%
steps = (4 if FULL else 1) * batches.steps_per_epoch
train(picker, batches, steps, 2e-4 if FULL else 1e-3)


# %%
def pick(text):
    row = read_sentences(words, text, LENGTH)
    logits = np.array(picker(np.array([row.token_ids])))[0]  # [tokens, leave or take]
    scores = logits[:, 1] - logits[:, 0]
    means = [scores[start:end].mean() for start, end in row.spans]
    return row.sentences[int(np.argmax(means))]


summaries["picked by a BERT"] = [pick(text) for text in documents["test"]]

# %% [markdown]
# ## Writing a summary
#
# The Transformer of chapter 7 needs no change: the source is the text, the target its summary.

# %%
texts = documents["train"], [own[0] for own in references["train"]]
both = Tokenizer.train([*texts[0], *texts[1]], "byte_bpe", 2_000, special_tokens=SPECIAL)
keras.utils.set_random_seed(0)
writer = Transformer(both.vocabulary_size, None, 384, 64, 2, 4, 128, dropout=0.3, norm_first=True)
lengths = {"source_ids": (96, 128, 192, 384), "target_ids": (64, 64, 64, 64)}
batches = pair_batches(*texts, both, lengths, 2048)
train(writer, batches, 600 if FULL else 10, 2e-3, smoothing=0.1)
summaries["written"] = BeamSearch(writer, both).generate(documents["test"], max_new_tokens=60)

# %%
summaries["best single sentence"] = [
    split_sentences(text)[next(iter(best_sentences(split_sentences(text), own, 1)))]
    for text, own in zip(documents["test"], references["test"])
]
print(f"{'':22}ROUGE-1  ROUGE-2  ROUGE-L")
for name, own in summaries.items():
    figures = summary_metrics(own, references["test"])
    print(f"{name:22}" + "  ".join(f"{figures[kind]:7.2f}" for kind in ("rouge1", "rouge2", "rougeL")))

# %%
for name, own in summaries.items():
    print(f"{name}: {own[0]}")
print("right:", references["test"][0][0])

# %% [markdown]
# The last line of the table is a bound, not a method: it looks at the right summary to choose. Nobody who picks one sentence
# can do better. The figures above it should be read plainly:
#
# - The BERT, fine-tuned on 157 texts, is a little better than the lead. In 70 of these texts the first sentence is the
#   right one to take, more than any other, so the lead is hard to beat; and 25 test texts are few: the difference may be
#   chance.
# - What the Transformer writes has little to do with the text. 157 summaries do not teach a language to a model that begins
#   with nothing.
#
# On 1,992 papers (SciTLDR) the same two programs have more to learn from, and there the BERT finds far better sentences
# than the first: the table of the [README](../README.md) has the figures. What the Transformer writes is worse than the
# lead there too, and where a learned summary does not beat the lead, that should be said.
#
# From the command line, with your texts:
#
# ```sh
# keras-llm train extract --data my_texts.jsonl --start-from sentence-transformers/all-MiniLM-L6-v2 --output picker
# keras-llm train summarize --data my_texts.jsonl --output writer
# keras-llm predict picker --file new_texts.txt
# keras-llm attention runs/translate "A sentence to translate." --output attention.png
# ```
#
# ## What was corrected
#
# The articles name summaries and "visualised attention" as uses of a Transformer, without a program for either, and say that
# attention weights explain what a model does. Here the weights are checked against a case whose answer is known: they tell
# it for the digits, and not for the units.
#
# ## Exercises
#
# 1. **Without a head.** Take away one head at a time (set its part of the output projection to zero), then all of them.
#    Which head is missed most: the one that looks right most often? ([solution](solutions/08_1_without_a_head.py))
# 2. **ROUGE-L by hand.** Write the longest common subsequence and compare with the library on the bundled summaries.
#    ([solution](solutions/08_2_longest_run.py))
#
# Next: [chapter 9](09_gpt2_from_scratch.ipynb) drops the encoder, and trains a decoder alone.
