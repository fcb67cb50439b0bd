"""Chapter 1, exercise 3: tokens a sentence for vocabularies of 300 to 4,000 tokens."""

import matplotlib.pyplot as plt

from keras_llm.datasets import load
from keras_llm.tokenizers import Tokenizer

SIZES = [300, 500, 1000, 2000, 4000]

lengths = {}
for name, column in (("English", "source"), ("Chinese", "target")):
    topics = load(f"topics_{'en' if name == 'English' else 'zh'}", "train")
    train = [row[column] for row in load("translation_en_zh", "train")] + [row["text"] for row in topics]
    held_out = [row[column] for row in load("translation_en_zh", "validation")]
    tokenizers = [Tokenizer.train(train, "byte_bpe", size) for size in SIZES]
    lengths[name] = [sum(map(len, each.encode(held_out))) / len(held_out) for each in tokenizers]
    print(name, [round(length, 1) for length in lengths[name]])
    plt.plot(SIZES, lengths[name], marker="o", label=name)

plt.xscale("log")
plt.xticks(SIZES, SIZES)
plt.minorticks_off()
plt.ylim(bottom=0)
plt.xlabel("tokens in the vocabulary")
plt.ylabel("tokens a sentence")
plt.legend()
plt.show()

# Every step makes the text shorter, but less and less: the frequent pairs are merged first, and what comes later
# is rare in a new text. A text can also never have fewer tokens than words, because merges stay inside words.
for row in lengths.values():
    assert row == sorted(row, reverse=True)
    assert row[0] / row[1] > row[-2] / row[-1]
    assert row[0] / row[-1] < SIZES[-1] / SIZES[0]
