"""Packaging of keras_llm. Settings of the tools are in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

root = pathlib.Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (root / "keras_llm/__init__.py").read_text(encoding="utf-8"))[1]

extras = {
    "chinese": ["jieba>=0.42"],
    "fonts": ["mplfonts>=0.0.8"],
    "jax": ["jax>=0.4.30"],
    "tensorboard": ["tensorboard>=2.19"],
}
extras["test"] = [
    *extras["chinese"],
    *extras["jax"],
    *extras["tensorboard"],
    "build",
    "import-linter>=2.0",
    "ipykernel",
    "jupytext>=1.16",
    "nbclient>=0.10",
    "pytest>=8",
    "pytest-xdist>=3.5",
    "ruff>=0.9",
]

setup(
    name="keras-llm",
    version=version,
    description="Language models in Keras 3: an LSTM, GPT-2, BERT and Transformer to read, train and use",
    long_description=(root / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=["keras_llm", "keras_llm.*"]), "keras_llm.data"],
    package_dir={"keras_llm.data": "data"},
    package_data={"keras_llm.data": ["*"]},
    install_requires=[
        "huggingface_hub>=0.24",
        "importlib_resources",  # tensorflow-datasets needs it and forgets to say so
        "keras>=3.12",
        "keras-nlp>=0.18",
        "matplotlib>=3.8",
        "nltk>=3.9",
        "numpy",
        "rouge-score>=0.1.2",
        "sacrebleu>=2.4",
        "safetensors>=0.4",
        "scikit-learn>=1.4",
        "seqeval>=1.2.2",
        "tensorflow>=2.20",
        "tensorflow-datasets>=4.9",
        "tokenizers>=0.20",
        "typer>=0.12",
    ],
    extras_require=extras,
    entry_points={"console_scripts": ["keras-llm = keras_llm.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "License :: OSI Approved :: Apache Software License",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
