"""The layers that all Transformers here are built from."""

from keras_llm.layers.attention import MultiHeadAttention
from keras_llm.layers.blocks import DecoderBlock, EncoderBlock, FeedForward
from keras_llm.layers.positions import (
    LearnedPositionEmbedding,
    RotaryEmbedding,
    SinusoidalPositionEncoding,
    token_positions,
)
from keras_llm.layers.rematerialization import rematerialize

__all__ = [
    "DecoderBlock",
    "EncoderBlock",
    "FeedForward",
    "LearnedPositionEmbedding",
    "MultiHeadAttention",
    "RotaryEmbedding",
    "SinusoidalPositionEncoding",
    "rematerialize",
    "token_positions",
]
