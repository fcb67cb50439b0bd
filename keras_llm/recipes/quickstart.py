"""The shortest way to see everything work: train a small GPT-2 on text that every machine has."""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs
from keras_llm.recipes.gpt2 import encode_texts, load_texts, train_gpt2
from keras_llm.recipes.options import Output, Result

# A nano GPT-2 with two of its four blocks, and a part of the text: what two cores can learn in two minutes. With
# all of the text and the time it takes, use `keras-llm train gpt2`.
LIMIT = 1_500_000
SETTINGS = {
    "limit": LIMIT,
    "layers": 2,
    "context": 64,
    "vocabulary": 1024,
    "batch_size": 16,
    "learning_rate": 4e-3,
}
PROMPTS = ("Returns the", "If the file", "This function")


def quickstart(
    steps: Annotated[
        int, Option(help="Training steps; the default takes about three minutes on two cores.")
    ] = 2000,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Train a small GPT-2 on the docstrings of the installed Python packages, and let it write."""
    started = time.perf_counter()
    print("1. Text: the documentation inside the Python packages of this machine; a tokenizer; a GPT-2.")
    folder = runs.free_folder(output, "quickstart")
    metrics = train_gpt2(**SETTINGS, steps=steps, evaluate_every=max(steps // 6, 1), output=folder)

    from keras_llm.baselines.ngram import NgramModel
    from keras_llm.generation import Sampler, TextGenerator

    model, tokenizer, _ = runs.open_run(folder)
    print("\n2. The same text for a model that counts words (n-grams, NLTK), on the same tokens:")
    texts = {
        "train": load_texts("docstrings", "train", limit=LIMIT),
        "validation": load_texts("docstrings", "validation"),
    }
    ids = {split: encode_texts(tokenizer, documents) for split, documents in texts.items()}
    for order in (2, 3):
        metrics[f"validation_perplexity_{order}_gram"] = (
            NgramModel(order, tokenizer.vocabulary_size).fit(ids["train"]).perplexity(ids["validation"])
        )
        print(f"   {order}-gram: validation perplexity {metrics[f'validation_perplexity_{order}_gram']:.2f}")
    print(f"   GPT-2:  validation perplexity {metrics['validation_perplexity']:.2f} (lower is better)")

    print("\n3. What it writes:")
    writer = TextGenerator(model, tokenizer)
    texts_written = writer.generate(list(PROMPTS), 40, Sampler(temperature=0.8, top_p=0.9), overflow="slide")
    for prompt, text in zip(PROMPTS, texts_written):
        print(f"   {prompt}|{' '.join(text.split())}")

    seconds = time.perf_counter() - started
    if result:
        from keras_llm.training.results import write_result

        data = {"docstrings": texts["train"] + texts["validation"]}
        write_result(result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)
    print(
        f"\nDone in {seconds:.0f} s. In {folder}/: model.keras, the tokenizer, and curves.png to look at.\n"
        f'Next: keras-llm generate {folder} "Return a"\n'
        f"      keras-llm train gpt2 --data my_text.txt"
    )
    return metrics
