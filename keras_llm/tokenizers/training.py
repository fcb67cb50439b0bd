"""Learning a vocabulary from texts, for each kind of tokenizer."""

import collections
import itertools
import re

from tokenizers import models, normalizers, pre_tokenizers, trainers

from keras_llm.tokenizers import pipelines

# The special tokens that each kind has unasked; they get the first ids.
OWN_TOKENS = {
    "byte_bpe": (pipelines.END_OF_TEXT,),
    "wordpiece": pipelines.BERT_TOKENS,
    "word": ("[PAD]", "[UNK]"),
    "character": (),
}


def train(texts, kind, vocabulary_size, special_tokens, lowercase, chinese):
    """Learns a vocabulary; `Tokenizer.train` explains the arguments. Returns a `tokenizers.Tokenizer`."""
    if kind not in OWN_TOKENS:
        raise ValueError(f"kind must be one of {list(OWN_TOKENS)}, got {kind!r}.")
    if chinese not in ("characters", "words") or (chinese == "words" and kind != "word"):
        raise ValueError(f'chinese must be "characters" (or "words" for kind="word"), got {chinese!r}.')
    further_tokens = strings("special_tokens", special_tokens or [])
    if "" in further_tokens:
        raise ValueError("special_tokens must not hold an empty string.")
    own = [token for token in OWN_TOKENS[kind] if token not in further_tokens]
    special_tokens = list(dict.fromkeys([*own, *further_tokens]))
    if not isinstance(vocabulary_size, int) or vocabulary_size <= len(special_tokens):
        raise ValueError(
            f"vocabulary_size must be an integer above the {len(special_tokens)} special tokens, "
            f"got {vocabulary_size!r}."
        )
    texts = _without_tokens(strings("texts", texts), special_tokens)
    if not texts:
        raise ValueError("texts holds no text to train a tokenizer on.")
    if kind == "byte_bpe":
        pipeline = _train_byte_bpe(texts, vocabulary_size, special_tokens, lowercase)
    elif kind == "wordpiece":
        pipeline = _train_wordpiece(texts, vocabulary_size, special_tokens, lowercase)
    elif kind == "word":
        pipeline = _train_words(texts, vocabulary_size, special_tokens, lowercase, chinese)
    else:
        pipeline = _train_characters(texts, vocabulary_size, special_tokens, lowercase)
    if pipeline.get_vocab_size() > vocabulary_size:
        raise ValueError(
            f"vocabulary_size={vocabulary_size} is too small: the single characters of these texts "
            f"and the special tokens are {pipeline.get_vocab_size()} already."
        )
    return pipeline


def strings(name, texts):
    """Returns an iterable of strings as a list, or raises `ValueError` with its `name`."""
    if isinstance(texts, str | bytes) or not hasattr(texts, "__iter__"):
        raise ValueError(f"{name} must be a list of strings, got {type(texts).__name__}.")
    texts = list(texts)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{name} must hold strings only, got {type(text).__name__}.")
        text.encode("utf-8")  # half a surrogate pair is no text: UnicodeEncodeError, which is a ValueError
    return texts


def _without_tokens(texts, special_tokens):
    """Special tokens written in the texts are not learnt from: `encode` gives them their own ids."""
    if special_tokens:
        longest_first = sorted(special_tokens, key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, longest_first)))
        texts = itertools.chain.from_iterable(map(pattern.split, texts))
    return [text for text in texts if text]


def _train_byte_bpe(texts, vocabulary_size, special_tokens, lowercase):
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,  # a pair seen once tells nothing about the language
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=special_tokens,
        show_progress=False,
    )
    pipeline = pipelines.byte_bpe(models.BPE(), lowercase)
    pipeline.train_from_iterator(texts, trainer)
    return pipeline


def _train_wordpiece(texts, vocabulary_size, special_tokens, lowercase):
    untrained = pipelines.wordpiece(models.WordPiece(unk_token="[UNK]"), lowercase)
    # The trainer numbers the "##x" tokens in the order of a hash table, another one in each run, and breaks
    # ties between merges by these numbers. Given as "special tokens", they are numbered in our order.
    continuing = _continuing_characters(texts, untrained)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=[*special_tokens, *continuing],
        show_progress=False,
    )
    untrained.train_from_iterator(texts, trainer)
    model = models.WordPiece(untrained.get_vocab(), unk_token="[UNK]")
    pipeline = pipelines.wordpiece(model, lowercase)
    pipeline.add_special_tokens(special_tokens)
    return pipeline


def _continuing_characters(texts, pipeline):
    """`"##x"` for each character x of the texts that can stand inside a word, as in BERT's vocabularies."""
    found = set()
    for character in set().union(*texts):
        word = pipeline.normalizer.normalize_str("a" + character)
        pieces = pipeline.pre_tokenizer.pre_tokenize_str(word)
        if len(pieces) == 1:  # else it is a punctuation mark or Chinese, and stands alone
            found.update(pieces[0][0][1:])
    return sorted("##" + character for character in found)


def _train_words(texts, vocabulary_size, special_tokens, lowercase, chinese):
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary_size, special_tokens=special_tokens, show_progress=False
    )
    pipeline = pipelines.words(models.WordLevel(unk_token="[UNK]"), lowercase)
    without_jieba = pipeline.pre_tokenizer
    if chinese == "words":
        pipeline.pre_tokenizer = pipelines.jieba_words()
    pipeline.train_from_iterator(texts, trainer)
    pipeline.pre_tokenizer = without_jieba  # the form that can be saved
    return pipeline


def _train_characters(texts, vocabulary_size, special_tokens, lowercase):
    if lowercase:
        texts = map(normalizers.Lowercase().normalize_str, texts)
    counts = collections.Counter(itertools.chain.from_iterable(texts))
    unknown = [token for token in special_tokens if token in pipelines.UNKNOWN_TOKENS]
    # Rare characters are dropped only where an unknown token stands for them.
    kept = counts.most_common(vocabulary_size - len(special_tokens)) if unknown else counts.items()
    tokens = [*special_tokens, *sorted(character for character, _ in kept)]
    ids = {token: index for index, token in enumerate(tokens)}
    model = models.WordLevel(ids, unk_token=unknown[0] if unknown else "[UNK]")
    pipeline = pipelines.characters(model, lowercase)
    pipeline.add_special_tokens(special_tokens)
    return pipeline
