"""Writing text with a model."""

from keras_llm.generation.generate import TextGenerator
from keras_llm.generation.sampling import GREEDY, Sampler

__all__ = ["GREEDY", "Sampler", "TextGenerator"]
