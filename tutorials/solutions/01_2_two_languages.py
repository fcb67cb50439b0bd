"""Chapter 1, exercise 2: what sharing one vocabulary costs each language."""

from keras_llm.datasets import load
from keras_llm.tokenizers import Tokenizer

VOCABULARY_SIZE = 1000
COLUMNS = {"English": "source", "Chinese": "target"}

train = load("translation_en_zh", "train")
held_out = load("translation_en_zh", "validation")

texts = {language: [row[column] for row in train] for language, column in COLUMNS.items()}
shared = Tokenizer.train(texts["English"] + texts["Chinese"], "byte_bpe", VOCABULARY_SIZE)
print("tokens a sentence   own   shared")
for language, column in COLUMNS.items():
    own = Tokenizer.train(texts[language], "byte_bpe", VOCABULARY_SIZE)
    sentences = [row[column] for row in held_out]
    lengths = [sum(map(len, tokenizer.encode(sentences))) / len(sentences) for tokenizer in (own, shared)]
    print(f"{language:17} {lengths[0]:5.1f} {lengths[1]:8.1f}")
    num_bytes = sum(len(sentence.encode("utf-8")) for sentence in sentences) / len(sentences)
    # Sharing costs something, but far less than a tokenizer of the other language, which needs all the bytes.
    assert lengths[0] < lengths[1] < 0.7 * num_bytes
