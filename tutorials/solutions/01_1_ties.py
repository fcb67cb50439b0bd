"""Chapter 1, exercise 1: which pair wins when two are equally frequent?"""

import collections
import itertools
import re

from keras_llm.tokenizers import Tokenizer

TEXT = "ring ring ring ringing ringing sing sing sing sing sang singing singing singing"


def merge(symbols, pair):
    """Joins each `pair` of neighbours, from left to right."""
    merged = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


def learn(text, ids):
    """All merges of pairs that come at least twice; `ids` has the id of each single symbol."""
    word_counts = collections.Counter(re.findall(r" ?\w+", text))
    words = {word: list(word) for word in word_counts}
    ids = dict(ids)
    merges = []
    while True:
        pairs = collections.Counter()
        for word, symbols in words.items():
            for pair in itertools.pairwise(symbols):
                pairs[pair] += word_counts[word]
        # The most frequent pair; of equally frequent ones, the one with the lower ids.
        best = min(pairs, key=lambda pair: (-pairs[pair], ids[pair[0]], ids[pair[1]]), default=None)
        if best is None or pairs[best] < 2:
            return merges
        merges.append(best)
        ids.setdefault("".join(best), len(ids))  # a new symbol gets the next id
        words = {word: merge(symbols, best) for word, symbols in words.items()}


for text in (TEXT, "low low lower lowest new newer newest wide wider widest the new low hat"):
    tokenizer = Tokenizer.train([text], kind="byte_bpe", vocabulary_size=1000)
    tokens = [token.replace("Ġ", " ") for token in tokenizer.vocabulary]
    single = {token: index for index, token in enumerate(tokens[:257])}  # <|endoftext|> and the bytes
    merges = ["".join(pair) for pair in learn(text, single)]
    assert len(merges) >= 8
    print(len(merges), "merges:", merges)
    assert merges == tokens[257:]
