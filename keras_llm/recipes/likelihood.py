"""Measure a causal language model on a task that it answers by what it finds likely."""

from keras_llm.recipes import runs


def evaluate_task(folder, task, delimiter=" "):
    """Measures a GPT-2 on a file of endings to choose from, or of texts whose last word is asked for.

    Args:
        folder: of a run, or of a checkpoint.
        task: a file whose rows have `context`, `choices` and `answer`; or `text`.
        delimiter: see `evaluate_choices`.

    Returns:
        What `evaluate_choices` or `evaluate_last_words` gives, and a line of text.

    Raises:
        ValueError: the rows are of another kind, or the model is.
    """
    from keras_llm.datasets import load
    from keras_llm.evaluation.likelihood import evaluate_choices, evaluate_last_words

    model, tokenizer, _ = runs.open_causal(folder)
    rows = load(task)
    if "choices" in rows[0]:
        figures = evaluate_choices(model, tokenizer, rows, delimiter)
        return figures, (
            f"accuracy {figures['accuracy']:.4f}, by characters {figures['accuracy_norm']:.4f}, "
            f"{figures['questions']:,} questions"
        )
    if "text" not in rows[0]:
        raise ValueError(f"{task} has neither choices nor text, only {', '.join(rows[0])}.")
    figures = evaluate_last_words(model, tokenizer, rows)
    return figures, (
        f"accuracy of the last word {figures['accuracy']:.4f}, its perplexity {figures['perplexity']:.2f}, "
        f"{figures['words']:,} texts"
    )
