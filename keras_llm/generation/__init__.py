"""Writing text with a model: by sampling, or by a search for the best."""

from keras_llm.generation.beam import BeamSearch, Hypothesis
from keras_llm.generation.chat import Chat
from keras_llm.generation.generate import TextGenerator
from keras_llm.generation.sampling import GREEDY, Sampler

__all__ = ["GREEDY", "BeamSearch", "Chat", "Hypothesis", "Sampler", "TextGenerator"]
