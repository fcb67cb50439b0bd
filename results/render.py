"""Renders the tables of the pages from the JSON files in this folder: python results/render.py [--check]

A table stands between two marks, the first of which says what it is, and `<!-- end -->`; what is between them is written
anew. `<!-- summary -->`: the few figures of `SUMMARY`. `<!-- results: NAME NAME ... -->`: all figures of some results.
`<!-- comparison: NAME -->`: the sides of a benchmark beside each other. With `--check` nothing is written: the exit
status tells whether the pages are up to date.
"""

import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).parent
PAGES = [FOLDER.parent / "README.md", FOLDER.parent / "benchmarks" / "README.md", FOLDER / "README.md"]
MARKED = re.compile(r"(<!-- (summary|results|comparison):? ?(.*?) ?-->\n).*?(<!-- end -->)", re.DOTALL)

# What is measured, and by whom: a result and its figure.
SUMMARY = {
    "MiniLM from Hugging Face: largest relative difference of 100 embeddings to the original's": {
        "BERT": ("minilm_parity", "largest_relative_difference"),
    },
    "tinyshakespeare by characters: validation loss": {
        "GPT-2 of 0.8 M": ("gpt2_shakespeare_char", "validation_loss"),
    },
    "WikiText-2 by 2,048 pieces of words, little more than one pass: test perplexity": {
        "3-gram": ("ladder_wikitext2", "3_gram_test_perplexity"),
        "LSTM of 1 M": ("ladder_wikitext2", "lstm_test_perplexity"),
        "GPT-2 of 1 M": ("ladder_wikitext2", "gpt2_test_perplexity"),
    },
    "SST-2, 6,920 sentences: test accuracy": {
        "MiniLM, fine-tuned": ("bert_sst2", "test_accuracy"),
        "LSTM": ("lstm_classifier_sst2", "test_accuracy"),
    },
    "ChnSentiCorp: test accuracy": {"LSTM": ("lstm_classifier_chnsenticorp", "test_accuracy")},
    "WNUT-17, names: test F1": {
        "MiniLM, fine-tuned": ("bert_wnut17", "test_entity_f1"),
        "HMM": ("hmm_wnut17", "test_entity_f1"),
        "LSTM": ("lstm_tagger_wnut17", "test_entity_f1"),
    },
    "SQuAD, answers from 6,370 examples: test F1": {
        "MiniLM, fine-tuned": ("bert_squad", "test_f1"),
        "most similar sentence": ("answer_baseline_squad", "f1"),
    },
    "Multi30k, English to German: test BLEU": {
        "Transformer of 2 M": ("transformer_multi30k_en_de", "test_bleu"),
        "most similar training sentence": ("translation_baseline_multi30k", "test_bleu"),
    },
    "Tatoeba, English to Chinese: test BLEU": {
        "Transformer of 3 M": ("transformer_tatoeba_en_zh", "test_bleu"),
    },
    "SciTLDR, one sentence of an abstract: test ROUGE-1": {
        "MiniLM picks": ("summaries_scitldr", "extract_test_rouge1"),
        "first sentence": ("summaries_scitldr", "lead_test_rouge1"),
        "Transformer writes": ("summaries_scitldr", "summarize_test_rouge1"),
    },
    "Word vectors, the odd one of four words: accuracy": {
        "word2vec": ("word2vec", "accuracy"),
        "the same shuffled": ("word2vec", "shuffled_accuracy"),
    },
    "Instructions: loss on held-out answers": {
        "before": ("chat_instruction", "validation_loss_before"),
        "all weights": ("chat_instruction", "full_validation_loss"),
        "LoRA": ("chat_instruction", "lora_validation_loss"),
    },
    "Training on 8,192 tokens: MiB at the peak": {
        "attention in blocks": ("attention_memory", "blocks_8192_mib"),
        "as one matrix": ("attention_memory", "matrix_8192_mib"),
    },
    "Killed 20 times and gone on: losses that differ from those of an undisturbed run": {
        "GPT-2": ("resume", "losses_different"),
    },
}


def render(page):
    """The page with its tables written anew."""
    tables = {"summary": summary, "results": table, "comparison": comparison}
    return MARKED.sub(lambda match: match[1] + tables[match[2]](match[3].split()) + match[4], page)


def summary(_):
    """A Markdown table of `SUMMARY`; each figure links to its file."""
    lines = ["| what | figures |", "| --- | --- |"]
    for what, sides in SUMMARY.items():
        figures = [
            f"{side} [{show(read(name)['metrics'][figure])}](results/{name}.json)"
            for side, (name, figure) in sides.items()
        ]
        lines.append(f"| {what} | {' · '.join(figures)} |")
    return "\n".join(lines) + "\n"


def table(names):
    """A Markdown table of results: what was measured, how long it took, on what."""
    lines = ["| result | figures | time | hardware | command |", "| --- | --- | --- | --- | --- |"]
    for name in names:
        result = read(name)
        figures = "<br>".join(f"{key.replace('_', ' ')}: {text}" for key, text in shown(result["metrics"]))
        lines.append(
            f"| [{name}]({name}.json) | {figures} | {result['wall_seconds']:.0f} s | {hardware(result)} "
            f"| `{result['command']}` |"
        )
    return "\n".join(lines) + "\n"


def shown(metrics):
    """Pairs of a figure's name and text. The runs of a mean, `NAME_0` and so on, stand in brackets behind it."""
    for key, value in metrics.items():
        name, _, number = key.rpartition("_")
        if number.isdigit() and f"{name}_mean" in metrics:
            continue
        runs = []
        if number == "mean":
            runs = [show(metrics[run]) for run in metrics if re.fullmatch(rf"{re.escape(name)}_\d+", run)]
        yield key, show(value) + (f" ({', '.join(runs)})" if runs else "")


def comparison(names):
    """A Markdown table of a benchmark: a line a side, a column a figure, with its ratio to that of the first side.

    Under it stands the machine on which it was measured.
    """
    (name,) = names
    result = read(name)
    metrics = result["metrics"]
    sides = metrics["sides"].split(", ")
    longest_first = sorted(sides, key=len, reverse=True)
    cells = {}
    for key, value in metrics.items():
        side = next((side for side in longest_first if key.startswith(f"{side}_")), None)
        if side:
            cells[side, key.removeprefix(f"{side}_")] = value
    figures = list(dict.fromkeys(figure for _, figure in cells if not figure.endswith("_ratio")))
    lines = ["| " + " | ".join(["side", *(figure.replace("_", " ") for figure in figures)]) + " |"]
    lines.append("| --- |" + " ---: |" * len(figures))
    for side in sides:
        row = [side.replace("_", " ")]
        for figure in figures:
            text = show(cells[side, figure]) if (side, figure) in cells else ""
            ratio = cells.get((side, f"{figure}_ratio"))
            row.append(f"{text} ({ratio:.2f})" if ratio else text)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join([*lines, "", f"({hardware(result)})"]) + "\n"


def hardware(result):
    """The machine of a result."""
    return f"{result['hardware']['cores']} cores, {result['hardware']['cpu']}"


def read(name):
    """The result of that name."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def show(value):
    """Counts with thousands separators, measured values with four digits, words as they are."""
    if isinstance(value, str):
        return value.replace("|", "\\|")  # else a new column
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def main():
    """Writes the pages, or checks them."""
    pages = {path: path.read_text(encoding="utf-8") for path in PAGES}
    rendered = {path: render(page) for path, page in pages.items()}
    if "--check" in sys.argv[1:]:
        sys.exit(0 if rendered == pages else "A page is not what results/*.json say: run `make results`.")
    for path, page in rendered.items():
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
