"""Three ways to sum up a text: its first sentence, the sentence that a BERT picks, and a Transformer's own words.

    python benchmarks/summaries.py --result results/summaries_scitldr.json

By default on SciTLDR as files in the folder that KERAS_LLM_DATA names. The two trained ones are runs of `train extract`
and `train summarize`, whose folders stay under --output; each looks at the test texts once, at its end.
"""

import argparse
import pathlib
import time

from keras_llm.datasets import load
from keras_llm.recipes.extract import train_extract
from keras_llm.recipes.runs import weight_files
from keras_llm.recipes.summarize import summary_columns, train_summarize
from keras_llm.training.results import write_result


def main():
    """Trains both, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="scitldr", help="folder with train.jsonl, dev.jsonl and test.jsonl")
    parser.add_argument(
        "--start-from", default="sentence-transformers/all-MiniLM-L6-v2", help="a pretrained BERT"
    )
    parser.add_argument("--document-column", default="source", help="the texts, in these files")
    parser.add_argument("--summary-column", default="target")
    parser.add_argument("--epochs", type=int, default=3, help="of the BERT")
    parser.add_argument("--steps", type=int, default=800, help="of the Transformer")
    parser.add_argument("--output", default="runs/summaries", help="folder for the runs")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = pathlib.Path(arguments.output)
    files = {
        option: f"{arguments.data}/{split}.jsonl"
        for option, split in (("data", "train"), ("validation", "dev"), ("test", "test"))
    }
    columns = {"document_column": arguments.document_column, "summary_column": arguments.summary_column}
    runs = {
        "extract": train_extract(
            **files,
            **columns,
            start_from=arguments.start_from,
            epochs=arguments.epochs,
            output=str(folder / "extract"),
        ),
        "summarize": train_summarize(
            **files, **columns, steps=arguments.steps, output=str(folder / "summarize")
        ),
    }
    metrics = {
        f"{way}_{name}": value
        for way, figures in runs.items()
        for name, value in figures.items()
        if "_lead_" not in name
    }
    metrics |= {
        f"lead_{name.replace('lead_', '')}": value
        for name, value in runs["extract"].items()
        if "_lead_" in name
    }
    for name, value in metrics.items():
        print(f"{name}: {value:,.2f}")
    if arguments.result:
        own = summary_columns(columns)
        data = {path: list(map(str, load(path, columns=own))) for path in files.values()}
        data |= weight_files(arguments.start_from)
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


if __name__ == "__main__":
    main()
