# %% [markdown]
# # 1. Text to tokens
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/01_text_to_tokens.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | less than 1 | 0.2 GB |
# | small | CPU | less than 1 | 0.2 GB |
#
# **The question.** A model calculates with numbers, but we write letters. How does a text become a short list of
# numbers, and how do we get exactly the same text back?
#
# The list has a name: the *token ids*. A *token* is a piece of text, and its id is its line number in a list of
# pieces, the *vocabulary*. The whole chapter is about one choice: which pieces?

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import collections
import itertools
import re

import matplotlib.pyplot as plt
from matplotlib import font_manager, ft2font

from keras_llm.datasets import load
from keras_llm.tokenizers import Tokenizer

# %% [markdown]
# ## Characters and bytes
#
# A computer stores text as numbers already. Each character has a number in the Unicode list, and a file in UTF-8
# writes this number in one to four bytes.

# %%
for character in "aé山🙂":
    stored = character.encode("utf-8")
    print(f"{character}  Unicode number {ord(character):6}   UTF-8 bytes {list(stored)}")

# %% [markdown]
# Both could serve as token ids, and both have a price:
#
# - **Characters**: the vocabulary must hold every character that may ever come, of all languages.
# - **Bytes**: 256 ids are enough for every text there is, but the lists become long: three numbers for 山.
# - **Words** would give short lists, but there is always a word that the vocabulary does not have.
#
# *Byte-pair encoding* (BPE) stands between them: start with single symbols, and join the pairs that are
# frequent. Frequent words become one token; rare words are spelled in several.

# %% [markdown]
# ## Merging by hand
#
# A text small enough for paper. We cut it into words and keep the space at the front of its word, as GPT-2 does.
# A merge never crosses the border of a word.

# %%
text = "ring ring ring ringing ringing sing sing sing sing sang singing singing singing"

word_counts = collections.Counter(re.findall(r" ?\w+", text))
words = {word: list(word) for word in word_counts}  # each word as a list of symbols
for word, count in word_counts.items():
    print(f"{count} times {words[word]}")

# %% [markdown]
# Now count the pairs of neighbours. A pair in a word that comes four times counts four times.


# %%
def count_pairs(words, word_counts):
    pairs = collections.Counter()
    for word, symbols in words.items():
        for pair in itertools.pairwise(symbols):
            pairs[pair] += word_counts[word]
    return pairs


print(count_pairs(words, word_counts).most_common(4))

# %% [markdown]
# On paper: `n` and `g` stand together once in *ring*, *sing* and *sang*, and twice in *ringing* and *singing*.
# That is 3 + 4 + 1 times once, and (2 + 3) times twice.

# %%
assert count_pairs(words, word_counts)["n", "g"] == (3 + 4 + 1) + 2 * (2 + 3) == 18

# %% [markdown]
# The most frequent pair becomes a new symbol, everywhere.


# %%
def merge(symbols, pair):
    """Joins each `pair` of neighbours, from left to right."""
    merged = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


print(merge(list(" singing"), ("n", "g")))

# %% [markdown]
# That is the whole method. We repeat it eight times. The assert makes sure that one pair is the clear winner each
# time; what to do when two pairs are equally frequent is exercise 1.

# %%
merges = []
for _ in range(8):
    (pair, count), (_, second) = count_pairs(words, word_counts).most_common(2)
    assert count > second  # no tie
    merges.append(pair)
    words = {word: merge(symbols, pair) for word, symbols in words.items()}
    print(f"{count:2} times {pair[0]!r} + {pair[1]!r}")

# %% [markdown]
# Nobody told the loop about English. It found the ending *ing* first, then the words *sing* and *ring*, and it
# spells the rare word *sang* in three symbols. These are the pieces that each word has now:

# %%
for symbols in words.values():
    print(symbols)
assert words[" singing"] == [" singing"] and words[" sang"] == [" s", "a", "ng"]

# %% [markdown]
# A word that the text does not have is cut by the same merges, in the order in which they were learned.


# %%
def cut(word, merges):
    symbols = list(word)
    for pair in merges:
        symbols = merge(symbols, pair)
    return symbols


print(cut(" bringing", merges))

# %% [markdown]
# ## Where this breaks, and where it is slow
#
# **It breaks** at a character that the text did not have. Our eight merges know the letters of one sentence only;
# there is no symbol for 山. The answer is to start from the 256 bytes instead of from letters: then each text in
# each language can be spelled, in the worst case byte by byte. This is *byte-level* BPE, the tokenizer of GPT-2.
#
# **It is slow** because it counts everything again for each merge. Let us count the work on real sentences.

# %%
sentences = [row["text"] for row in load("topics_en", "train")]
counts = collections.Counter(word for s in sentences for word in re.findall(r" ?\w+| ?[^\w\s]+", s))
pairs = count_pairs({word: list(word) for word in counts}, counts)
best = pairs.most_common(1)[0][0]
changed = sum("".join(best) in word for word in counts)

print(f"{len(sentences)} sentences: {sum(pairs.values()):,} pairs in {counts.total():,} words,")
print(f"but only {sum(len(word) - 1 for word in counts):,} pairs in the {len(counts):,} different words;")
print(f"the first merge {best} changes {changed} of them.")

# %% [markdown]
# Our loop uses the first saving already: each different word is stored once, with its count. The second saving is
# bigger: after a merge, only the few words that changed need a new count. The library that we use
# (`tokenizers`, written in Rust) does both.

# %% [markdown]
# ## The library's version gives the same merges
#
# `Tokenizer.train(kind="byte_bpe")` starts with one special token and the 256 bytes. So for eight merges we ask
# for 265 tokens. It writes a space as `Ġ`, because each byte gets a sign that can be printed.

# %%
tokenizer = Tokenizer.train([text], kind="byte_bpe", vocabulary_size=1 + 256 + 8)

learned = [tokenizer.id_to_token(index) for index in range(257, 265)]
by_hand = ["".join(pair).replace(" ", "Ġ") for pair in merges]
print(learned)
assert learned == by_hand

# %% [markdown]
# It also cuts new words as we did, and it is not afraid of 山: three bytes, three tokens.

# %%
for word in [" bringing", " sang", " king"]:
    tokens = [tokenizer.id_to_token(index) for index in tokenizer.encode(word)]
    assert [token.replace("Ġ", " ") for token in tokens] == cut(word, merges)
    print(tokens)
assert len(tokenizer.encode("山")) == len("山".encode()) == 3

# %% [markdown]
# ## Whole words, and the Chinese sentence that became one token
#
# Why not simply cut at the spaces? Try it on the bundled English and Chinese sentences. We take the words of the
# training part as the vocabulary, and look how many words of the validation part it knows.


# %%
def topics(language, split):
    return [row["text"] for row in load(f"topics_{language}", split)]


for language in ("en", "zh"):
    train, held_out = topics(language, "train"), topics(language, "validation")
    vocabulary = {word for sentence in train for word in sentence.split()}
    words = [word for sentence in held_out for word in sentence.split()]
    known = sum(word in vocabulary for word in words)
    print(f"{language}: {len(words) / len(held_out):4.1f} words a sentence, {known} of {len(words)} known")
assert len(words) == len(held_out) and known == 0

# %% [markdown]
# Chinese is written without spaces, so each sentence is *one* "word", and a new sentence is always an unknown
# word: the model gets nothing to read. English suffers too, from rare words and from full stops that stick to a
# word.
#
# Our `kind="word"` makes each Chinese character and each punctuation mark a token of its own. (With
# `chinese="words"`, and the extra `keras-llm[chinese]`, it cuts Chinese into words by a dictionary.) But what it
# does not know is still lost:

# %%
for language in ("en", "zh"):
    train, held_out = topics(language, "train"), topics(language, "validation")
    word_level = Tokenizer.train(train, kind="word", vocabulary_size=8192)
    ids = [index for sentence in word_level.encode(held_out) for index in sentence]
    print(f"{language}: {len(ids)} tokens, {ids.count(word_level.unknown_id)} of them unknown")
print(word_level.decode(word_level.encode("一只🙂猫。"), skip_special_tokens=False))

# %% [markdown]
# ## How long is a sentence?
#
# Tokens are what a model pays for: twice as many tokens are twice the work or more, and half the text fits into
# its window. We train one tokenizer on English and one on Chinese, of the same size.

# %%
VOCABULARY_SIZE = 4000 if FULL else 1000


def texts(language, split):
    column = {"en": "source", "zh": "target"}[language]
    documents = [row["document"] for row in load(f"summaries_{language}", split)]
    sentences = [row[column] for row in load("translation_en_zh", split)]
    return topics(language, split) + documents + sentences


tokenizers = {}
for language in ("en", "zh"):
    tokenizers[language] = Tokenizer.train(texts(language, "train"), "byte_bpe", VOCABULARY_SIZE)

# %% [markdown]
# We measure on sentence pairs that no tokenizer has seen: each English sentence has a Chinese translation, so both
# languages say the same. The numbers are means over the sentences.

# %%
translations = load("translation_en_zh", "validation")
lengths = {}
print("         characters  bytes  tokens (English)  tokens (Chinese)")
for name, column in (("English", "source"), ("Chinese", "target")):
    held_out = [pair[column] for pair in translations]
    views = [held_out, [s.encode("utf-8") for s in held_out]]
    views += [tokenizers[language].encode(held_out) for language in ("en", "zh")]
    lengths[name] = [sum(map(len, view)) / len(held_out) for view in views]
    print(f"{name}  {{:10.1f}} {{:6.1f}} {{:17.1f}} {{:17.1f}}".format(*lengths[name]))

# %% [markdown]
# Three things to see:
#
# - The same meaning needs far fewer *characters* in Chinese, but almost as many *bytes*.
# - A tokenizer that learned from the language makes sentences several times shorter than their bytes.
# - A tokenizer that learned from the *other* language does not help at all: there are as many tokens as bytes. The
#   text is read, byte by byte, but it costs a multiple.

# %%
for own, other, row in ((2, 3, lengths["English"]), (3, 2, lengths["Chinese"])):
    assert row[own] < row[1] / 2  # its own tokenizer: less than half as many tokens as bytes
    assert row[other] == row[1]  # the other one: exactly the bytes

# %% [markdown]
# So before you take a ready tokenizer, look at what it learned from. An English one makes Chinese readers wait.

# %% [markdown]
# ## And back
#
# Decoding puts the bytes side by side and reads them as UTF-8. Nothing is lost, whatever the text.

# %%
for hard in ["naïve café", "山路十八弯", "a  b\n\n\tc", "🙂👍🏽", "e\u0301 is not é", ""]:
    for tokenizer in tokenizers.values():
        assert tokenizer.decode(tokenizer.encode(hard)) == hard
print("all came back")

# %% [markdown]
# One token alone may be only a part of a character. If it is decoded alone, it is shown as �; so decode whole
# lists, not single ids.

# %%
ids = tokenizers["en"].encode("山")
print([tokenizers["en"].decode([index]) for index in ids], tokenizers["en"].decode(ids))

# %% [markdown]
# ## Special tokens, padding and the mask
#
# Some tokens do not stand for text. `<|endoftext|>` ends a document, so that a model can learn to stop. BERT
# wants `[CLS]` in front and `[SEP]` after each text; our `kind="wordpiece"` adds them, and says which text a
# token belongs to (its *segment*).

# %%
bert_like = Tokenizer.train(texts("en", "train"), "wordpiece", VOCABULARY_SIZE, lowercase=True)
ids, segments = bert_like.encode_with_segments("Where is the cat?", "Under the table.")
for index, segment in zip(ids, segments):
    print(segment, bert_like.id_to_token(index))

# %% [markdown]
# A model reads a *batch*, a rectangle of ids. Short texts are filled up with *padding*. The *padding mask* says
# which places are real (`True`); the model must not look at the others, and the loss must not count them.

# %%
batch = bert_like.encode(["The cat.", "The black cat is sleeping."])
token_ids, padding_mask = bert_like.pad(batch)
print(token_ids)
print(padding_mask.astype(int))
assert padding_mask.sum(axis=1).tolist() == [len(ids) for ids in batch]
assert (token_ids[~padding_mask] == bert_like.pad_id).all()

# %% [markdown]
# ## A picture: the same sentence for two tokenizers
#
# Each box is one token, as wide as it has bytes. The text of a token is written in its box. A token that is only a
# part of a character is shown by its bytes in hexadecimal digits. So is a Chinese character where this computer
# has no font to draw it; we ask the fonts first.


# %%
def font_with(character):
    """The name of an installed font that can draw a character, or None."""
    for font in font_manager.fontManager.ttflist:
        glyph = ft2font.FT2Font(font.fname).get_char_index(ord(character))  # 0: it has none
        if glyph and not font.name.startswith("Last Resort"):  # that one has boxes only
            return font.name


chinese_font = font_with("猫")
plt.rcParams["font.family"] = ["DejaVu Sans"] + [chinese_font] * (chinese_font is not None)


# %%
def tokens_of(text, tokenizer):
    """The tokens of a text, each as bytes."""
    widths = [len(tokenizer.id_to_token(index)) for index in tokenizer.encode(text)]  # one sign a byte
    ends = list(itertools.accumulate(widths))
    return [text.encode("utf-8")[end - width : end] for width, end in zip(widths, ends)]


def label(token, chinese=True):
    """A token as text where it is text, otherwise its bytes in hexadecimal digits."""
    text = token.decode("utf-8", errors="replace")
    drawn = "\ufffd" not in text and (chinese or text.isascii())
    return text.replace(" ", "·") if drawn else token.hex(" ")


# %%
def draw(axes, tokens, row):
    """Draws tokens as one row of boxes."""
    start = 0
    for number, token in enumerate(tokens):
        color = f"C{number % 4}"
        axes.barh(row, len(token), left=start, color=color, alpha=0.4, edgecolor="black")
        middle = start + len(token) / 2
        axes.text(middle, row, label(token, chinese=chinese_font), ha="center", va="center")
        start += len(token)


# %%
example = next(pair for pair in translations if pair["source"].startswith("A black cat"))
names = {"en": "English tokenizer", "zh": "Chinese tokenizer"}
figure, panels = plt.subplots(2, 1, figsize=(14, 4.4), layout="constrained")
for axes, column in zip(panels, ("source", "target")):
    rows = [tokens_of(example[column], tokenizers[language]) for language in names]
    for number, tokens in enumerate(rows):
        draw(axes, tokens, number)
    axes.set_yticks([0, 1], [f"{name}\n{len(row)} tokens" for name, row in zip(names.values(), rows)])
    axes.set(xlim=(0, len(example[column].encode("utf-8"))), ylim=(1.5, -0.5), xlabel="bytes")
    axes.set_title({"source": "The English sentence", "target": "The same sentence in Chinese"}[column])
plt.show()

# %% [markdown]
# The same four rows as text, with a bar between two tokens:

# %%
for column, language in itertools.product(("source", "target"), names):
    tokens = tokens_of(example[column], tokenizers[language])
    print(f"{names[language]}: {'|'.join(map(label, tokens))}")

# %% [markdown]
# ## What was corrected
#
# This course grew out of a few survey articles on language models. One of them teaches its classifier with a
# tokenizer that cuts at spaces and gives each word a number. For English this is rough; for Chinese, the language
# of the article, every sentence becomes one token, as we saw, and nothing can be learned from it. Another point
# that such examples leave out is the mask: they fill short texts up and let the model read the filling.
#
# ## Exercises
#
# 1. **Ties.** In most texts, two pairs are often equally frequent. The library then takes the pair whose symbols have
#    the lower ids. Write the loop with this rule, let it run until no pair comes twice, and show on a text of your own
#    that all merges are those of the library. ([solution](solutions/01_1_ties.py))
# 2. **One tokenizer for two languages.** Train one on English and Chinese together, of the same size. How many tokens
#    does each language pay for sharing? ([solution](solutions/01_2_two_languages.py))
# 3. **How large a vocabulary?** Train tokenizers of 300 to 4,000 tokens and draw the tokens a sentence. Why does a
#    vocabulary ten times as large not make the text ten times as short? ([solution](solutions/01_3_vocabulary_size.py))
#
# Next: [chapter 4](04_lstm_classifier.ipynb) gives the ids to a network that reads them one after the other.
