"""What each kind of tokenizer does to a text, said in the parts of the `tokenizers` library.

A pipeline is a `tokenizers.Tokenizer`: normaliser (lower case ...), pre-tokenizer (where a token must end),
model (the vocabulary), post-processor (`[CLS]`, `[SEP]`) and decoder (ids back to text).
"""

import functools
import itertools
import re

import tokenizers
from tokenizers import decoders, normalizers, pre_tokenizers, processors

END_OF_TEXT = "<|endoftext|>"
BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNKNOWN_TOKENS = ("[UNK]", "<unk>")

# Unicode ranges for use inside [...] of a regular expression. These scripts are written without spaces.
HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u30ff"
WIDE_PUNCTUATION = "\u3000-\u303f\uff01-\uff65"


def byte_bpe(model, lowercase=False):
    """GPT-2's pipeline (Radford et al. 2019, section 2.2): any text is a sequence of 256 byte symbols."""
    pipeline = _pipeline(model, [END_OF_TEXT], normalizers.Lowercase() if lowercase else None)
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pipeline.post_processor = processors.ByteLevel(trim_offsets=False)  # " world" covers its space too
    pipeline.decoder = decoders.ByteLevel()
    return pipeline


def wordpiece(model, lowercase, strip_accents=None, split_chinese=True):
    """BERT's pipeline (Devlin et al. 2019): `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, `B` in segment 1."""
    normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=split_chinese
    )
    pipeline = _pipeline(model, BERT_TOKENS, normalizer)
    pipeline.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pipeline.decoder = decoders.WordPiece()
    ends = [(token, model.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    if all(index is not None for _, index in ends):
        pipeline.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
        )
    return pipeline


def words(model, lowercase=False):
    """Words and punctuation marks; each Chinese character or Japanese kana is a token of its own."""
    pipeline = _pipeline(model, [], normalizers.Lowercase() if lowercase else None)
    pipeline.pre_tokenizer = pre_tokenizers.Sequence(
        [_isolate(f"[{HAN}{KANA}]"), pre_tokenizers.BertPreTokenizer()]
    )
    wide = f"[{HAN}{KANA}{WIDE_PUNCTUATION}]"
    no_space_between = decoders.Replace(tokenizers.Regex(f"(?<={wide}) (?={wide})"), "")
    # The WordPiece decoder puts a space before each word, and none before . , ? !
    pipeline.decoder = decoders.Sequence([decoders.WordPiece(), decoders.Fuse(), no_space_between])
    return pipeline


def characters(model, lowercase=False):
    """Each character, line ends included, is a token."""
    pipeline = _pipeline(model, [], normalizers.Lowercase() if lowercase else None)
    pipeline.pre_tokenizer = _isolate(r"[\s\S]")
    pipeline.decoder = decoders.Fuse()
    return pipeline


def jieba_words():
    """The pre-tokenizer of `words`, with Chinese cut into words by jieba.

    It runs in Python, so `tokenizer.json` cannot hold it: it is put in place after loading.
    """
    cutter = pre_tokenizers.PreTokenizer.custom(_JiebaCutter())
    return pre_tokenizers.Sequence([cutter, _isolate(f"[{KANA}]"), pre_tokenizers.BertPreTokenizer()])


class _JiebaCutter:
    """Cuts runs of Chinese characters at jieba's word boundaries and leaves other text whole."""

    def __init__(self):
        self._jieba = _load_jieba()

    def pre_tokenize(self, text):
        text.split(self._cut)

    def _cut(self, _, piece):
        boundaries = {0, len(str(piece))}
        for run in re.finditer(f"[{HAN}]+", str(piece)):
            lengths = map(len, self._jieba.cut(run.group()))
            boundaries.update(itertools.accumulate(lengths, initial=run.start()))
        return [piece[start:end] for start, end in itertools.pairwise(sorted(boundaries))]


@functools.cache
def _load_jieba():
    try:
        import jieba
    except ImportError as error:
        raise ImportError('chinese="words" needs jieba: pip install "keras-llm[chinese]"') from error
    jieba.setLogLevel("WARNING")  # it would report on stderr how long its dictionary took to load
    return jieba.Tokenizer()


def _pipeline(model, special_tokens, normalizer):
    pipeline = tokenizers.Tokenizer(model)
    pipeline.add_special_tokens([token for token in special_tokens if model.token_to_id(token) is not None])
    if normalizer is not None:
        pipeline.normalizer = normalizer
    return pipeline


def _isolate(pattern):
    return pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
