"""Tokenizers, against published ids, a plain Python merge loop and properties of the text itself."""

import collections
import itertools
import json
import pathlib
import random
import re
import sys

import numpy as np
import pytest
import tokenizers

from keras_llm.tokenizers import Tokenizer

SHARED = pathlib.Path(__file__).parents[1].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not here")

TEXTS = [
    "The cat sat on the mat, and the other cat sat on the hat.",
    "A byte is a byte; the cat's mat isn't a hat!",
    "我们喜欢在学校学习中文。",
    "我们在北京大学学习，他们在上海学习。",
    "Ça va, déjà vu: naïve café.",
]
KINDS = ("byte_bpe", "wordpiece", "word", "character")
SIX_SCRIPTS = [
    "Ça va très bien, naïve coöperation, Łódź, ﬁne.",
    "我们喜欢在学校学习中文，\u3000你呢？",
    "مرحبا بالعالم، كيف حالك؟",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "Привет, мир! Съешь ещё этих мягких французских булок.",
    "これはペンです。カタカナと漢字も。",
]
HARD_TEXTS = [
    "family 👨‍👩‍👧‍👦, flag 🇨🇳, skin 👋🏽, plain 😀",
    "\ttabs\t\tin\ta row",
    "blank\n\n\nlines\r\n\r\n",
    "trailing spaces   ",
    "   leading spaces",
    "e\u0301 composed é, zero\u200bwidth, nul \x00, bom \ufeff",
    " ",
    "",
]


def train(kind, **options):
    return Tokenizer.train(TEXTS, kind, vocabulary_size=options.pop("vocabulary_size", 400), **options)


@pytest.fixture(scope="module")
def byte_bpe():
    return train("byte_bpe")


@pytest.fixture(scope="module")
def wordpiece():
    return train("wordpiece", lowercase=True)


@pytest.fixture(scope="module")
def gpt2():
    return Tokenizer.from_pretrained(SHARED / "gpt2_bpe")


@pytest.fixture(scope="module")
def bert():
    return Tokenizer.from_pretrained(SHARED / "bert_vocab" / "bert-base-uncased-vocab.txt")


# ------------------------------------------------------------------------------------------- byte-level BPE


def merge(symbols, pair):
    merged, index = [], 0
    while index < len(symbols):
        if tuple(symbols[index : index + 2]) == pair:
            merged.append("".join(pair))
            index += 2
        else:
            merged.append(symbols[index])
            index += 1
    return merged


def test_byte_pair_merges_are_those_of_a_plain_loop():
    counts = {"low": 5, "lower": 2, "newest": 6, "widest": 3, "lowest": 4, "slower": 2, "banana": 3}
    texts = [word for word, count in counts.items() for _ in range(count)]
    # The 256 bytes have ids 1-256 after <|endoftext|>, printable ASCII first, so letters are in their order.
    order = {chr(code): code for code in range(ord("a"), ord("z") + 1)}
    words = {word: list(word) for word in counts}
    merges = []
    while True:
        pairs = collections.Counter()
        for word, symbols in words.items():
            for pair in itertools.pairwise(symbols):
                pairs[pair] += counts[word]
        # The most frequent pair; of equally frequent ones, the one whose symbols are older.
        pair = max(pairs, key=lambda p: (pairs[p], -order[p[0]], -order[p[1]]), default=None)
        if pair is None or pairs[pair] < 2:
            break
        merges.append(pair)
        order["".join(pair)] = 1000 + len(merges)
        words = {word: merge(symbols, pair) for word, symbols in words.items()}
    tokenizer = Tokenizer.train(texts, "byte_bpe", vocabulary_size=1000)
    learned = list(tokenizer.vocabulary)[257:]
    assert len(merges) > 10
    assert learned == list(dict.fromkeys("".join(pair) for pair in merges))

    symbols = list("lowestbananas")  # a word that the training texts do not have
    for pair in merges:
        symbols = merge(symbols, pair)
    assert [tokenizer.id_to_token(index) for index in tokenizer.encode("lowestbananas")] == symbols


def test_vocabulary_size_is_kept_and_all_bytes_are_there(byte_bpe):
    assert Tokenizer.train(TEXTS, "byte_bpe", vocabulary_size=270).vocabulary_size == 270
    assert byte_bpe.end_of_text_id == 0
    assert byte_bpe.special_ids == (0,)
    assert sorted(len(token) == 1 for token in byte_bpe.vocabulary).count(True) == 256


@pytest.mark.parametrize("text", SIX_SCRIPTS + HARD_TEXTS)
def test_byte_bpe_round_trip(byte_bpe, text):
    assert byte_bpe.decode(byte_bpe.encode(text)) == text


def test_byte_bpe_round_trip_of_random_unicode(byte_bpe):
    generator = random.Random(0)
    ranges = [(0, 0x80), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    texts = [
        "".join(chr(generator.randrange(*generator.choice(ranges))) for _ in range(generator.randrange(40)))
        for _ in range(300)
    ]
    assert byte_bpe.decode(byte_bpe.encode(texts)) == texts


@needs_shared
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("hello\n\nworld", [31373, 198, 198, 6894]),
        ("Hello world", [15496, 995]),
        ("Hello, my dog is cute", [15496, 11, 616, 3290, 318, 13779]),
        (
            "The quick brown fox jumps over the lazy dog",
            [464, 2068, 7586, 21831, 18045, 625, 262, 16931, 3290],
        ),
        ("a<|endoftext|>b", [64, 50256, 65]),
        ("", []),
    ],
)
def test_gpt2_ids(gpt2, text, ids):
    assert gpt2.encode(text) == ids
    assert gpt2.decode(ids, skip_special_tokens=False) == text


@needs_shared
def test_gpt2_files(gpt2, tmp_path):
    assert gpt2.vocabulary_size == 50257
    assert gpt2.end_of_text_id == 50256
    assert gpt2.pad_id is None
    assert gpt2.vocabulary == json.loads((SHARED / "gpt2_bpe" / "encoder.json").read_text(encoding="utf-8"))
    assert gpt2.decode(gpt2.encode(SIX_SCRIPTS + HARD_TEXTS)) == SIX_SCRIPTS + HARD_TEXTS
    gpt2.save(tmp_path)
    original = (SHARED / "gpt2_bpe" / "vocab.bpe").read_text(encoding="utf-8").splitlines()
    assert (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines() == original


# ------------------------------------------------------------------------------------------------ WordPiece

# The vocabulary and the sentence of tokenization_test.py in google-research/bert.
BERT_TEST_VOCABULARY = ["[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed", "wa", "un", "runn", "##ing", ","]


def write_bert_vocabulary(folder, **config):
    (folder / "vocab.txt").write_text("\n".join(BERT_TEST_VOCABULARY) + "\n", encoding="utf-8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return Tokenizer.from_pretrained(folder)


def test_wordpiece_ids_of_the_published_test(tmp_path):
    tokenizer = write_bert_vocabulary(tmp_path)
    assert tokenizer.encode("UNwant\u00e9d,running") == [1, 7, 4, 5, 10, 8, 9, 2]
    assert tokenizer.encode("unknown") == [1, 0, 2]
    assert (tokenizer.unknown_id, tokenizer.class_id, tokenizer.separator_id) == (0, 1, 2)
    assert (tokenizer.pad_id, tokenizer.mask_id) == (None, None)
    assert Tokenizer.from_pretrained(tmp_path / "vocab.txt") == tokenizer


def test_tokenizer_config_can_say_cased(tmp_path):
    tokenizer = write_bert_vocabulary(tmp_path, do_lower_case=False)
    assert tokenizer.encode("unwanted UNwanted") == [1, 7, 4, 5, 0, 2]


def test_pairs_and_segments(tmp_path):
    tokenizer = write_bert_vocabulary(tmp_path)
    ids, segment_ids = tokenizer.encode_with_segments("un", "want , want")
    assert ids == [1, 7, 2, 3, 10, 3, 2]
    assert segment_ids == [0, 0, 0, 1, 1, 1, 1]
    assert tokenizer.encode("un", "want") == [1, 7, 2, 3, 2]
    assert tokenizer.encode(["un", "wa"], ["want", ","]) == [[1, 7, 2, 3, 2], [1, 6, 2, 10, 2]]
    assert tokenizer.encode_with_segments(["un"]) == [([1, 7, 2], [0, 0, 0])]


@needs_shared
def test_bert_ids(bert):
    assert bert.encode("hello world") == [101, 7592, 2088, 102]
    assert bert.encode("Hello, my dog is cute") == [101, 7592, 1010, 2026, 3899, 2003, 10140, 102]
    assert bert.encode("Héllo [MASK]") == [101, 7592, 103, 102]
    assert (bert.pad_id, bert.unknown_id, bert.mask_id) == (0, 100, 103)
    assert bert.vocabulary_size == 30522
    assert bert.decode([101, 7592, 1010, 2088, 102, 0, 0]) == "hello, world"


@needs_shared
def test_chinese_bert_ids_are_line_numbers():
    path = SHARED / "bert_vocab" / "bert-base-chinese-vocab.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    tokens = ["[CLS]", *"我喜欢学习", "[SEP]"]
    assert Tokenizer.from_pretrained(path).encode("我喜欢学习") == [lines.index(token) for token in tokens]


def test_trained_wordpiece(wordpiece):
    assert list(wordpiece.vocabulary)[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert wordpiece.special_ids == (0, 1, 2, 3, 4)
    ids = wordpiece.encode("The CAT sât on the cats")
    assert (ids[0], ids[-1]) == (wordpiece.class_id, wordpiece.separator_id)
    assert wordpiece.unknown_id not in ids
    assert wordpiece.decode(ids) == "the cat sat on the cats"
    assert wordpiece.encode("☃") == [2, 1, 3]


# ------------------------------------------------------------------------------------- words and characters


def test_words_and_their_ids():
    tokenizer = Tokenizer.train(["to be, or not to be", "to see"], "word")
    assert list(tokenizer.vocabulary)[:4] == ["[PAD]", "[UNK]", "to", "be"]  # by frequency
    assert set(tokenizer.vocabulary) == {"[PAD]", "[UNK]", "to", "be", ",", "or", "not", "see"}
    assert tokenizer.encode("to be or fly") == [2, 3, tokenizer.token_to_id("or"), 1]
    assert tokenizer.decode(tokenizer.encode("not to be, or be")) == "not to be, or be"
    assert (tokenizer.pad_id, tokenizer.unknown_id) == (0, 1)
    assert list(Tokenizer.train(["b a b a b c"], "word", vocabulary_size=4).vocabulary)[2:] == ["b", "a"]


@pytest.mark.parametrize("lowercase", [False, True])
def test_lowercase_words(lowercase):
    tokenizer = Tokenizer.train(["The the THE"], "word", lowercase=lowercase)
    assert tokenizer.vocabulary_size == (3 if lowercase else 5)


def test_chinese_words_are_characters():
    tokenizer = Tokenizer.train(["我爱学习，我爱 Keras。", "カタカナ"], "word")
    assert set(tokenizer.vocabulary) == {"[PAD]", "[UNK]", *"我爱学习，。カタナ", "Keras"}
    assert tokenizer.decode(tokenizer.encode("我爱学习，学习 Keras。")) == "我爱学习，学习 Keras 。"


def test_chinese_words_by_jieba(tmp_path):
    pytest.importorskip("jieba")
    text = "Hi 😀, 我们喜欢学习 don't naïve 3.14！"
    tokenizer = Tokenizer.train([text], "word", chinese="words")
    ids, offsets = tokenizer.encode_with_offsets(text)
    pieces = ["Hi", "😀", ",", "我们", "喜欢", "学习", "don", "'", "t", "naïve", "3", ".", "14", "！"]
    assert [text[start:end] for start, end in offsets] == pieces
    assert [tokenizer.id_to_token(index) for index in ids] == pieces
    assert tokenizer.decode(tokenizer.encode("我们学习")) == "我们学习"
    assert max(len(token) for token in Tokenizer.train(TEXTS[2:4], "word", chinese="words").vocabulary) <= 5
    tokenizer.save(tmp_path)
    loaded = Tokenizer.from_pretrained(tmp_path)
    assert loaded == tokenizer
    assert loaded.encode([text] * 50) == [ids] * 50
    assert loaded != Tokenizer.train([text], "word")


@pytest.mark.parametrize("kind", ["byte_bpe", "wordpiece", "word", "character"])
def test_chinese_sentence_is_never_one_token(kind):
    tokenizer = Tokenizer.train(TEXTS[2:4], kind)
    ids = tokenizer.encode("他们喜欢上海")
    assert len(set(ids) - set(tokenizer.special_ids)) >= 4


def test_characters_are_exactly_those_of_the_text():
    text = "to be,\n\nor not\tto be? 我😀"
    tokenizer = Tokenizer.train([text], "character")
    assert tokenizer.vocabulary == {character: index for index, character in enumerate(sorted(set(text)))}
    assert tokenizer.encode(text) == [sorted(set(text)).index(character) for character in text]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.special_ids == ()
    with pytest.raises(ValueError, match=r"no \[UNK\]: 'x'"):
        tokenizer.encode(["to", "bexz"])


def test_characters_with_special_tokens():
    tokenizer = Tokenizer.train(["abcabcab"], "character", 5, special_tokens=["[PAD]", "[UNK]", "<end>"])
    assert list(tokenizer.vocabulary) == ["[PAD]", "[UNK]", "<end>", "a", "b"]  # c is the rarest
    assert tokenizer.encode("abc?<end>") == [3, 4, 1, 1, 2]
    assert (tokenizer.pad_id, tokenizer.unknown_id) == (0, 1)
    with pytest.raises(ValueError, match="vocabulary_size=2 is too small"):
        Tokenizer.train(["abc"], "character", vocabulary_size=2)


@needs_shared
def test_tinyshakespeare_has_65_characters():
    text = (SHARED / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    assert Tokenizer.train([text], "character").vocabulary_size == 65


# ------------------------------------------------------------------------------------------------ every kind


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_equal(kind, tmp_path):
    tokenizer = train(kind, special_tokens=["<user>"], lowercase=True)
    tokenizer.save(tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = Tokenizer.from_pretrained(path)
        assert loaded == tokenizer
        assert loaded.vocabulary == tokenizer.vocabulary
        assert loaded.encode(TEXTS) == tokenizer.encode(TEXTS)
        assert loaded.special_ids == tokenizer.special_ids
    assert loaded != train(kind, lowercase=True)
    assert loaded != "a tokenizer"


@pytest.mark.parametrize("kind", ["byte_bpe", "wordpiece"])
def test_files_in_the_original_formats_are_equal_too(kind, tmp_path):
    tokenizer = train(kind)
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    loaded = Tokenizer.from_pretrained(tmp_path)
    assert loaded.vocabulary == tokenizer.vocabulary
    assert loaded.encode(TEXTS + SIX_SCRIPTS) == tokenizer.encode(TEXTS + SIX_SCRIPTS)


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_deterministic(kind):
    generator = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyzäöüß"
    texts = ["".join(generator.choices(letters, k=8)) for _ in range(2000)]  # many ties among the pairs
    first = Tokenizer.train(texts, kind, vocabulary_size=1000)
    assert all(Tokenizer.train(iter(texts), kind, vocabulary_size=1000) == first for _ in range(3))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_gapless_and_batches_equal_single_texts(kind):
    tokenizer = train(kind)
    assert list(tokenizer.vocabulary.values()) == list(range(tokenizer.vocabulary_size))
    assert tokenizer.encode(TEXTS) == [tokenizer.encode(text) for text in TEXTS]
    assert tokenizer.encode([]) == []
    assert tokenizer.decode(tokenizer.encode(TEXTS)) == [tokenizer.decode(tokenizer.encode(t)) for t in TEXTS]
    for token, index in tokenizer.vocabulary.items():
        assert tokenizer.token_to_id(token) == index
        assert tokenizer.id_to_token(index) == token


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_in_texts(kind):
    tokenizer = Tokenizer.train(["ab<user>cd<user>"] * 9, kind, special_tokens=["<user>"])
    user = tokenizer.token_to_id("<user>")
    assert user in tokenizer.special_ids
    # Nothing was learnt from the letters of <user>: the byte-level kind has each byte anyway, but no merge.
    learned = [token for token, index in tokenizer.vocabulary.items() if index not in tokenizer.special_ids]
    assert not any(len(token) > (kind == "byte_bpe") and set(token) & set("<user>") for token in learned)
    ids = tokenizer.encode("ab<user>cd")
    assert ids.count(user) == 1
    assert tokenizer.decode(ids).replace(" ", "") == "abcd"
    assert "<user>" in tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("kind", KINDS)
def test_offsets_point_at_the_text(kind):
    tokenizer = train(kind)
    for text in TEXTS:
        ids, offsets = tokenizer.encode_with_offsets(text)
        assert ids == tokenizer.encode(text)
        for index, (start, end) in zip(ids, offsets):
            if index not in tokenizer.special_ids:
                token = tokenizer.decode([index])
                assert text[start:end] == token.removeprefix("##") or "\ufffd" in token
        covered = {place for start, end in offsets for place in range(start, end)}
        assert {place for place, character in enumerate(text) if not character.isspace()} <= covered


def test_offsets_of_byte_level_emoji_and_chinese(byte_bpe):
    text = "é👨‍👩‍👧 中文😀a"
    ids, offsets = byte_bpe.encode_with_offsets(text)
    bytes_at = collections.Counter()  # each byte of a character must point at that character
    for index, (start, end) in zip(ids, offsets):
        token_bytes = len(byte_bpe.id_to_token(index))
        characters = text[start:end]
        assert token_bytes <= len(characters.encode())
        bytes_at[start, end] += token_bytes
    assert sum(bytes_at.values()) == len(text.encode())
    assert offsets == sorted(offsets)
    assert (text[offsets[-1][0] : offsets[-1][1]], text[offsets[-2][0] : offsets[-2][1]]) == ("a", "😀")


def test_offsets_through_lowercase_and_accents(wordpiece):
    text = "  Thé\tCAT 中文 ÇA"
    offsets = wordpiece.encode_with_offsets(text)[1]
    assert (offsets[0], offsets[-1]) == ((0, 0), (0, 0))
    assert "".join(text[start:end] for start, end in offsets) == "ThéCAT中文ÇA"
    assert [text[start:end] for start, end in offsets[1:3]] == ["Thé", "CAT"]
    assert wordpiece.encode_with_offsets("the", "cat")[1] == [(0, 0), (0, 3), (0, 0), (0, 3), (0, 0)]


def test_truncation_and_padding_written_in_a_file_are_not_applied(tmp_path):
    pipeline = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    pipeline.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    pipeline.enable_truncation(2)
    pipeline.enable_padding(length=5)
    pipeline.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.from_pretrained(tmp_path).encode(["a a a", "b"]) == [[0, 0, 0], [1]]


# --------------------------------------------------------------------------------------- decode, pad, tf.data


def test_decode_takes_lists_and_arrays(wordpiece):
    ids = wordpiece.encode("the cat")
    assert wordpiece.decode(np.array(ids)) == "the cat"
    assert wordpiece.decode(np.array([ids, ids])) == ["the cat", "the cat"]
    assert wordpiece.decode([ids, ids[:2]]) == ["the cat", "the"]
    assert wordpiece.decode(ids, skip_special_tokens=False) == "[CLS] the cat [SEP]"
    assert wordpiece.decode([]) == ""
    assert wordpiece.decode([[], ids]) == ["", "the cat"]


@pytest.mark.parametrize("ids", [[-1], [10**6], [[2, -100]], [1.5], 3, "abc", [[[1]]]])
def test_decode_refuses_what_is_no_id(wordpiece, ids):
    with pytest.raises(ValueError, match="Token ids must be"):
        wordpiece.decode(ids)


def test_pad(wordpiece, byte_bpe):
    token_ids, padding_mask = wordpiece.pad([[5, 6, 7], [8], []])
    np.testing.assert_array_equal(token_ids, [[5, 6, 7], [8, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(padding_mask, [[True] * 3, [True, False, False], [False] * 3])
    assert (token_ids.dtype, padding_mask.dtype) == (np.int32, np.bool_)
    token_ids, padding_mask = byte_bpe.pad([[5, 6], [8]], length=3, side="left")
    np.testing.assert_array_equal(token_ids, [[0, 5, 6], [0, 0, 8]])
    np.testing.assert_array_equal(padding_mask, [[False, True, True], [False, False, True]])
    own_pad = Tokenizer.train(["ab"], "character", special_tokens=["<s>", "[PAD]"])
    np.testing.assert_array_equal(own_pad.pad([[2, 3], [2]])[0], [[2, 3], [2, 1]])
    assert wordpiece.pad([], length=4)[0].shape == (0, 4)


def test_pad_can_cut(wordpiece, byte_bpe):
    with pytest.raises(ValueError, match="length=2 is too short for a sequence of 3 ids"):
        byte_bpe.pad([[5, 6, 7], [8]], length=2)
    for side in ("left", "right"):
        token_ids, padding_mask = byte_bpe.pad([[5, 6, 7]], length=2, side=side, truncate=True)
        assert token_ids.tolist() == [[5, 6]]
        assert padding_mask.all()
    sequence = [2, 10, 11, 12, 3]  # [CLS] ... [SEP]
    assert wordpiece.pad([sequence], length=3, truncate=True)[0].tolist() == [[2, 10, 3]]
    assert sequence == [2, 10, 11, 12, 3]


@pytest.mark.parametrize("arguments", [{"side": "top"}, {"sequences": [1, 2]}, {"sequences": [[1, -100]]}])
def test_pad_refuses_wrong_arguments(wordpiece, arguments):
    with pytest.raises(ValueError, match=r"side must be|Token ids must be"):
        wordpiece.pad(**{"sequences": [[1]], **arguments})


@pytest.mark.parametrize("kind", KINDS)
def test_same_ids_in_tf_data(kind):
    tf = pytest.importorskip("tensorflow")
    tokenizer = train(kind)
    texts = [*TEXTS, "", "the\n\ncat"] if kind != "character" else TEXTS
    expected = tokenizer.encode(texts)
    assert tokenizer.encode_tensor(tf.constant(texts)).to_list() == expected
    one_by_one = tf.data.Dataset.from_tensor_slices(texts).map(tokenizer.encode_tensor, num_parallel_calls=2)
    assert one_by_one.element_spec == tf.TensorSpec([None], tf.int32)
    assert [ids.tolist() for ids in one_by_one.as_numpy_iterator()] == expected
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(2).map(tokenizer.encode_tensor)
    assert [row for batch in batches for row in batch.to_list()] == expected
    assert batches.element_spec.dtype == tf.int32
    assert tokenizer.decode(one_by_one.take(1).get_single_element()) == tokenizer.decode(expected[0])


def test_same_ids_in_tf_data_with_jieba():
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("jieba")
    tokenizer = Tokenizer.train(TEXTS, "word", chinese="words")
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).map(tokenizer.encode_tensor, num_parallel_calls=2)
    assert [ids.tolist() for ids in dataset.as_numpy_iterator()] == tokenizer.encode(TEXTS)


def test_encode_tensor_refuses_wrong_tensors(byte_bpe):
    tf = pytest.importorskip("tensorflow")
    for wrong in (tf.constant([1, 2]), tf.constant([["a"]])):
        with pytest.raises(ValueError, match="texts must be a string tensor"):
            byte_bpe.encode_tensor(wrong)


# --------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texts": []}, "texts holds no text"),
        ({"texts": ["", ""]}, "texts holds no text"),
        ({"texts": "one string"}, "texts must be a list of strings, got str"),
        ({"texts": None}, "texts must be a list of strings, got NoneType"),
        ({"texts": ["a", 3]}, "texts must hold strings only, got int"),
        ({"texts": ["half a pair \ud800"]}, "surrogates not allowed"),
        ({"kind": "sentencepiece"}, "kind must be one of.*'sentencepiece'"),
        ({"kind": "word", "chinese": "sentences"}, "chinese must be.*'sentences'"),
        ({"kind": "byte_bpe", "chinese": "words"}, "chinese must be"),
        ({"kind": "byte_bpe", "vocabulary_size": 256}, "vocabulary_size=256 is too small"),
        ({"kind": "wordpiece", "vocabulary_size": 7}, "vocabulary_size=7 is too small"),
        ({"vocabulary_size": 2}, "vocabulary_size must be an integer above the 2 special tokens, got 2"),
        ({"vocabulary_size": 10.5}, r"vocabulary_size must be an integer.*10\.5"),
        ({"special_tokens": "<s>"}, "special_tokens must be a list"),
        ({"special_tokens": [""]}, "special_tokens must not hold an empty string"),
    ],
)
def test_train_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer.train(**{"texts": TEXTS, "kind": "word", **options})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([None], "text must be a list of strings, got NoneType"),
        ([b"bytes"], "text must be a list of strings, got bytes"),
        ([["a", None]], "text must hold strings only, got NoneType"),
        (["\udc00"], "surrogates not allowed"),
        ([["a", "b"], ["c"]], "pair must hold as many strings as text, 2, got 1"),
        (["a", 5], "pair must hold strings only, got int"),
    ],
)
def test_encode_refuses(byte_bpe, arguments, message):
    with pytest.raises(ValueError, match=message):
        byte_bpe.encode(*arguments)


def test_unknown_tokens_and_ids(byte_bpe):
    with pytest.raises(ValueError, match="no token 'nowhere'"):
        byte_bpe.token_to_id("nowhere")
    for index in (-1, byte_bpe.vocabulary_size):
        with pytest.raises(ValueError, match=f"no id {index} "):
            byte_bpe.id_to_token(index)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        Tokenizer.from_pretrained(tmp_path / "nowhere")
    (tmp_path / "encoder.json").write_text("{}")  # without its vocab.bpe
    with pytest.raises(
        FileNotFoundError, match=r"tokenizer\.json, .*encoder\.json \+ vocab\.bpe, vocab\.txt"
    ):
        Tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer.json": '{"model": '},
        {"tokenizer.json": '{"model": "none"}'},
        {"encoder.json": '{"a": 0', "vocab.bpe": "#version: 0.2\n"},
        {"vocab.json": '{"a": 0}', "merges.txt": "#version: 0.2\na b\n"},
        {"vocab.txt": "hello\nworld\n"},
        {"vocab.txt": "[UNK]\nhello\n", "tokenizer_config.json": "{"},
    ],
)
def test_broken_files(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / next(reversed(files))))):
        Tokenizer.from_pretrained(tmp_path)


def test_missing_jieba_names_the_extra(monkeypatch):
    from keras_llm.tokenizers import pipelines

    monkeypatch.setitem(sys.modules, "jieba", None)
    pipelines._load_jieba.cache_clear()
    with pytest.raises(ImportError, match=r"keras-llm\[chinese\]"):
        Tokenizer.train(TEXTS, "word", chinese="words")
