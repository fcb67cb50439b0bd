"""Text to token ids and back: byte-level BPE (GPT-2), WordPiece (BERT), words, characters."""

from keras_llm.tokenizers.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
