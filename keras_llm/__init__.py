"""Language models in Keras 3: an LSTM, a GPT-2, a BERT and a Transformer to read, to train and to use.

Public names are found when they are first used, so that `import keras_llm` costs next to nothing and
needs TensorFlow only where TensorFlow is used.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "AdamW": "keras_llm.training.optimizers",
    "BeamSearch": "keras_llm.generation.beam",
    "BertClassifier": "keras_llm.models.bert",
    "BertEncoder": "keras_llm.models.bert",
    "BertMaskedLM": "keras_llm.models.bert",
    "BertNextSentence": "keras_llm.models.bert",
    "BertQuestionAnswerer": "keras_llm.models.bert",
    "BertSentenceEmbedder": "keras_llm.models.bert",
    "BertTokenClassifier": "keras_llm.models.bert",
    "Chat": "keras_llm.generation.chat",
    "GPT2Model": "keras_llm.models.gpt2",
    "Sampler": "keras_llm.generation.sampling",
    "SquaredError": "keras_llm.training.losses",
    "TextGenerator": "keras_llm.generation.generate",
    "Tokenizer": "keras_llm.tokenizers",
    "TokenCrossEntropy": "keras_llm.training.losses",
    "Perplexity": "keras_llm.training.losses",
    "Transformer": "keras_llm.models.transformer",
    "WarmupCosine": "keras_llm.training.optimizers",
}
_ROOMS = (
    "baselines",
    "checkpoints",
    "datasets",
    "evaluation",
    "explain",
    "generation",
    "layers",
    "models",
    "recipes",
    "tokenizers",
    "training",
)

__all__ = ["__version__", *sorted(_HOMES), *_ROOMS]


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"keras_llm.{name}")
    raise AttributeError(f"module 'keras_llm' has no attribute {name!r}")


def __dir__():
    return __all__
