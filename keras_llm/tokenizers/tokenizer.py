"""One class for every tokenizer of the package; the work is done by the Hugging Face `tokenizers` library."""

import pathlib

import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from keras_llm.files import atomic_path, read_json, resolve_folder, write_json
from keras_llm.tokenizers import pipelines, training

# The files that a tokenizer can come in, the preferred ones first.
_LAYOUTS = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("encoder.json", "vocab.bpe"),
    ("vocab.txt",),
)


class Tokenizer:
    """Turns text into token ids and back. Made by `Tokenizer.train` or `Tokenizer.from_pretrained`.

    A special token written out in a text, such as `<|endoftext|>` or `[MASK]`, is encoded as that special
    token, as Hugging Face does. Where this must not happen (text typed by strangers), use `encode_plain`.

    Attributes:
        vocabulary: dictionary of token -> id, by ascending id.
        vocabulary_size: one more than the highest id: the number of rows that an embedding needs.
        special_ids: the ids of all special tokens, a tuple in ascending order.
        pad_id, unknown_id, end_of_text_id, class_id, separator_id, mask_id: the id of `[PAD]`, `[UNK]`,
            `<|endoftext|>`, `[CLS]`, `[SEP]` and `[MASK]`; None where the vocabulary has no such token.

    Example:
        >>> tokenizer = Tokenizer.train(["to be or not to be"], kind="word")
        >>> tokenizer.decode(tokenizer.encode("not to be"))
        'not to be'
    """

    def __init__(self, pipeline, chinese="characters"):
        """Takes a `tokenizers.Tokenizer` (see `pipelines.py`); `chinese="words"` adds jieba to it."""
        pipeline.no_truncation()  # some tokenizer.json files cut and pad unasked; here `pad` does that
        pipeline.no_padding()
        self._json = pipeline.to_str(pretty=True)  # before jieba, which JSON cannot hold
        self._chinese = chinese
        if chinese == "words":
            pipeline.pre_tokenizer = pipelines.jieba_words()
        self._pipeline = pipeline

        self.vocabulary = dict(sorted(pipeline.get_vocab().items(), key=lambda item: item[1]))
        self.vocabulary_size = max(self.vocabulary.values()) + 1
        self._tokens = {index: token for token, index in self.vocabulary.items()}
        added = pipeline.get_added_tokens_decoder()
        self.special_ids = tuple(index for index in sorted(added) if added[index].special)
        special = {self._tokens[index]: index for index in self.special_ids}
        self.pad_id = special.get("[PAD]", special.get("<pad>"))
        self.unknown_id = special.get("[UNK]", special.get("<unk>"))
        self.end_of_text_id = special.get(pipelines.END_OF_TEXT)
        self.start_id = special.get("[BOS]", special.get("<s>"))
        self.class_id = special.get("[CLS]")
        self.separator_id = special.get("[SEP]")
        self.mask_id = special.get("[MASK]")

    @classmethod
    def train(
        cls, texts, kind, vocabulary_size=8192, special_tokens=None, lowercase=False, chinese="characters"
    ):
        """Learns a vocabulary from these texts and nothing else. The same texts give the same tokenizer.

        Args:
            texts: iterable of strings; all of them are held in memory.
            kind: `"byte_bpe"` (as GPT-2; `<|endoftext|>` is id 0), `"wordpiece"` (as BERT; `[PAD]`, `[UNK]`,
                `[CLS]`, `[SEP]`, `[MASK]` are ids 0-4), `"word"` (words and punctuation marks; `[PAD]` is 0,
                `[UNK]` 1) or `"character"` (exactly the characters of the texts, in Unicode order).
            vocabulary_size: the most tokens to have, special tokens included. For `"character"`, rare
                characters are left out only if `special_tokens` has `[UNK]`.
            special_tokens: list of further special tokens; their ids follow the kind's own. One of these
                that is named here too has its place in this list.
            lowercase: lower-cases all text (for `"wordpiece"` also strips accents, as BERT's uncased models).
            chinese: `"characters"` or, for `kind="word"`, `"words"`: cut by jieba (extra `chinese`).

        Returns:
            A `Tokenizer`.

        Raises:
            ValueError: no text, an unknown `kind` or `chinese`, or a `vocabulary_size` that is too small.
        """
        return cls(training.train(texts, kind, vocabulary_size, special_tokens, lowercase, chinese), chinese)

    @classmethod
    def from_pretrained(cls, path_or_name):
        """Loads a tokenizer that `save` wrote, or the files of GPT-2, BERT or any Hugging Face tokenizer.

        Args:
            path_or_name: a folder, or a name on the Hugging Face hub, with `tokenizer.json`, or GPT-2's
                `vocab.json` + `merges.txt` or `encoder.json` + `vocab.bpe`, or BERT's `vocab.txt` (uncased,
                unless `tokenizer_config.json` has `"do_lower_case": false`). Or one file: `*.json` in the
                form of `tokenizer.json`, or `*.txt` in the form of `vocab.txt`.

        Returns:
            A `Tokenizer`.

        Raises:
            FileNotFoundError: none of these files is there.
            ValueError: a file is broken.
        """
        path = pathlib.Path(path_or_name)
        if path.is_file():
            files = [path]
        else:
            patterns = [*(name for layout in _LAYOUTS for name in layout), "tokenizer_config.json"]
            files = _find_files(resolve_folder(path_or_name, patterns))
        config_file = files[0].parent / "tokenizer_config.json"
        config = read_json(config_file) if config_file.is_file() else {}
        try:
            pipeline = _read_pipeline([str(file) for file in files], config)
        except Exception as error:  # the library raises bare Exceptions
            names = " + ".join(map(str, files))
            raise ValueError(f"{names} cannot be read as a tokenizer ({error}).") from error
        return cls(pipeline, config.get("chinese", "characters"))

    def save(self, folder):
        """Writes the tokenizer into `folder`, so that `from_pretrained(folder)` gives an equal one.

        Writes `tokenizer.json` and `tokenizer_config.json`; for BPE also `vocab.json` and `merges.txt`, for
        WordPiece `vocab.txt`. transformers can load the folder too (without jieba).
        """
        folder = pathlib.Path(folder)
        _write_text(folder / "tokenizer.json", self._json)
        write_json(folder / "tokenizer_config.json", self._config())
        if isinstance(self._pipeline.model, models.BPE):
            write_json(folder / "vocab.json", self.vocabulary)
            merges = read_json(folder / "tokenizer.json")["model"]["merges"]
            _write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *map(" ".join, merges), ""]))
        elif isinstance(self._pipeline.model, models.WordPiece):
            _write_text(folder / "vocab.txt", "\n".join([*self.vocabulary, ""]))

    def _config(self):
        """What transformers needs to know besides `tokenizer.json`, and what we need: `"chinese"`."""
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "chinese": self._chinese}
        normalizer = self._pipeline.normalizer
        if isinstance(normalizer, normalizers.BertNormalizer):
            config["tokenizer_class"] = "BertTokenizer"
            config["do_lower_case"] = normalizer.lowercase
            config["strip_accents"] = normalizer.strip_accents
            config["tokenize_chinese_chars"] = normalizer.handle_chinese_chars
        elif isinstance(self._pipeline.pre_tokenizer, pre_tokenizers.ByteLevel) and normalizer is None:
            config["tokenizer_class"] = "GPT2Tokenizer"
        roles = {
            "pad_token": self.pad_id,
            "unk_token": self.unknown_id,
            "eos_token": self.end_of_text_id,
            "cls_token": self.class_id,
            "sep_token": self.separator_id,
            "mask_token": self.mask_id,
        }
        return config | {role: self._tokens[index] for role, index in roles.items() if index is not None}

    def __eq__(self, other):
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return (self._json, self._chinese) == (other._json, other._chinese)

    __hash__ = None

    def encode(self, text, pair=None):
        """Turns text into token ids. WordPiece adds `[CLS]` and `[SEP]`, the other kinds add nothing.

        Args:
            text: a string, or a list of strings (encoded in parallel).
            pair: the second text of a pair (a question's paragraph ...), or the list of them.

        Returns:
            A list of ints, or a list of such lists.

        Raises:
            ValueError: not strings, or, for a tokenizer without an unknown token, an unknown character.
        """
        return self._encode(text, pair, self._pipeline.encode_batch_fast, lambda encoding: encoding.ids)

    def with_special_tokens(self, tokens):
        """A tokenizer that has these special tokens too: new ones get the ids that follow, known ones keep theirs."""
        pipeline = tokenizers.Tokenizer.from_str(self._json)
        pipeline.add_special_tokens(list(tokens))
        return Tokenizer(pipeline, self._chinese)

    def encode_plain(self, text):
        """As `encode`, but a special token that is written out in a text is text like any other."""
        self._pipeline.encode_special_tokens = True  # says the library: encode their names
        try:
            return self.encode(text)
        finally:
            self._pipeline.encode_special_tokens = False

    def encode_with_segments(self, text, pair=None):
        """As `encode`, with BERT's segments: `(ids, segment_ids)`, or a list of such tuples.

        Segment 0 is `[CLS]` and the first text with its `[SEP]`, segment 1 the second text with its own.
        """
        encode_batch = self._pipeline.encode_batch_fast
        return self._encode(text, pair, encode_batch, lambda encoding: (encoding.ids, encoding.type_ids))

    def encode_with_offsets(self, text, pair=None):
        """As `encode`, with the place of each token: `(ids, offsets)`, or a list of such tuples.

        `offsets[i]` is `(start, end)`: token i stands for `text[start:end]` (a token of `pair`, for
        `pair[start:end]`), in characters of the original text. Byte-level tokens that are parts of one
        character share its place; a `[CLS]` or `[SEP]` that was added has `(0, 0)`.
        """
        encode_batch = self._pipeline.encode_batch
        return self._encode(text, pair, encode_batch, lambda encoding: (encoding.ids, encoding.offsets))

    def _encode(self, text, pair, encode_batch, view):
        single = isinstance(text, str)
        texts = inputs = training.strings("text", [text] if single else text)
        if pair is not None:
            pairs = training.strings("pair", [pair] if single else pair)
            if len(pairs) != len(texts):
                raise ValueError(f"pair must hold as many strings as text, {len(texts)}, got {len(pairs)}.")
            inputs = list(zip(texts, pairs))
            texts = texts + pairs
        try:
            encodings = encode_batch(inputs)
        except Exception as error:  # a bare Exception of the library, which does not name the character
            what = next((repr(c) for c in "".join(texts) if self._is_unknown(c)), error)
            raise ValueError(f"text holds what has no token, and there is no [UNK]: {what}.") from error
        return view(encodings[0]) if single else [view(encoding) for encoding in encodings]

    def _is_unknown(self, character):
        try:
            self._pipeline.encode(character)
        except Exception:
            return True
        return False

    def encode_tensor(self, texts):
        """As `encode`, for use inside `tf.data.Dataset.map`.

        Args:
            texts: string tensor of shape `[]` or `[batch]`, in UTF-8.

        Returns:
            int32 tensor of shape `[length]`, or `tf.RaggedTensor` of shape `[batch, None]`.
        """
        import tensorflow as tf

        texts = tf.convert_to_tensor(texts)
        if texts.dtype != tf.string or texts.shape.rank not in (0, 1):
            raise ValueError(f"texts must be a string tensor of shape [] or [batch], got {texts}.")

        def encode_flat(batch):
            rows = self.encode([text.decode("utf-8") for text in batch])
            flat = [index for row in rows for index in row]
            return np.array(flat, "int32"), np.array([len(row) for row in rows], "int64")

        batch = tf.reshape(texts, [-1])
        flat, lengths = tf.numpy_function(encode_flat, [batch], [tf.int32, tf.int64])
        flat.set_shape([None])
        lengths.set_shape(batch.shape)
        if texts.shape.rank == 0:
            return flat
        return tf.RaggedTensor.from_row_lengths(flat, lengths, validate=False)

    def decode(self, ids, skip_special_tokens=True):
        """Turns token ids back into text; for byte-level BPE, exactly the text that was encoded.

        Args:
            ids: integers of shape `[length]`, or several such sequences: lists, arrays or tensors.
            skip_special_tokens: leave out `[CLS]`, `<|endoftext|>` and the like.

        Returns:
            A string, or a list of strings.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        first = next(iter(ids), None) if np.iterable(ids) else None
        many = np.ndim(first) > 0
        sequences = [self._checked_ids(sequence) for sequence in (ids if many else [ids])]
        texts = self._pipeline.decode_batch(sequences, skip_special_tokens=skip_special_tokens)
        return texts if many else texts[0]

    def pad(self, sequences, length=None, side="right", truncate=False):
        """Puts sequences of different lengths into one rectangular batch.

        Args:
            sequences: list of lists of token ids.
            length: how long to make them; by default as long as the longest.
            side: `"right"` or `"left"` (for generation): where the padding goes. It is `[PAD]`, or id 0 for
                a tokenizer without `[PAD]`.
            truncate: cut longer sequences to their first `length` ids; a `[SEP]` at the end stays at the
                end. Otherwise they are an error.

        Returns:
            `(token_ids, padding_mask)`: int32 and bool (True = real token) arrays of shape `[batch, length]`.
        """
        if side not in ("right", "left"):
            raise ValueError(f'side must be "right" or "left", got {side!r}.')
        sequences = [self._checked_ids(sequence) for sequence in sequences]
        longest = max(map(len, sequences), default=0)
        length = longest if length is None else length
        if longest > length and not truncate:
            raise ValueError(f"length={length} is too short for a sequence of {longest} ids.")
        token_ids = np.full([len(sequences), length], self.pad_id or 0, "int32")
        padding_mask = np.zeros([len(sequences), length], bool)
        for row, sequence in enumerate(sequences):
            if len(sequence) > length and sequence[-1] == self.separator_id:
                sequence[length - 1] = self.separator_id
            count = min(len(sequence), length)
            columns = slice(0, count) if side == "right" else slice(length - count, length)
            token_ids[row, columns] = sequence[:count]
            padding_mask[row, columns] = True
        return token_ids, padding_mask

    def _checked_ids(self, ids):
        ids = np.asarray(ids)
        if ids.shape == (0,):
            return []
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ValueError(f"Token ids must be integers of shape [length], got {ids.dtype} {ids.shape}.")
        wrong = ids[(ids < 0) | (ids >= self.vocabulary_size)]
        if wrong.size:
            raise ValueError(f"Token ids must be from 0 to {self.vocabulary_size - 1}, got {wrong[0]}.")
        return ids.tolist()

    def token_to_id(self, token):
        """The id of a token; `ValueError` if the vocabulary does not have it."""
        if token not in self.vocabulary:
            raise ValueError(f"There is no token {token!r} in the vocabulary.")
        return self.vocabulary[token]

    def id_to_token(self, index):
        """The token of an id; `ValueError` if the vocabulary does not have it."""
        if index not in self._tokens:
            raise ValueError(f"There is no id {index!r} in the vocabulary.")
        return self._tokens[index]


def _find_files(folder):
    for layout in _LAYOUTS:
        files = [folder / name for name in layout]
        if all(file.is_file() for file in files):
            return files
    looked_for = ", ".join(" + ".join(layout) for layout in _LAYOUTS)
    raise FileNotFoundError(f"{folder} holds no tokenizer; looked for {looked_for}.")


def _read_pipeline(files, config):
    if len(files) == 2:
        return pipelines.byte_bpe(models.BPE.from_file(*files))
    if files[0].endswith(".json"):
        return tokenizers.Tokenizer.from_file(files[0])
    model = models.WordPiece.from_file(files[0], unk_token="[UNK]")
    if model.token_to_id("[UNK]") is None:
        raise ValueError("it has no line [UNK]")
    return pipelines.wordpiece(
        model,
        lowercase=config.get("do_lower_case", True),
        strip_accents=config.get("strip_accents"),
        split_chinese=config.get("tokenize_chinese_chars", True),
    )


def _write_text(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
