"""Teach a GPT-2 to answer, and talk to it."""

import contextlib
import math
import sys
import time
from typing import Annotated

from typer import Argument, Option

from keras_llm.recipes import runs, scratch
from keras_llm.recipes.options import (
    Accumulate,
    Data,
    DataDir,
    Output,
    Rematerialize,
    Result,
    SaveEvery,
    Seed,
    Strategy,
    Test,
    Validation,
)
from keras_llm.recipes.rows import load_splits, require_columns, used_rows

COMMAND = "train chat"
ADAPTER = "adapter"  # the folder, inside that of the run


def train_chat(
    data: Data = "dialogue_en",
    validation: Validation = None,
    test: Test = None,
    data_dir: DataDir = None,
    start_from: Annotated[
        str | None,
        Option(
            help="A run of `train gpt2`, a Hugging Face folder or hub name. Without it, a fresh one is trained."
        ),
    ] = None,
    size: Annotated[str, Option(help="Size of a fresh one: nano, mini, gpt2, ...")] = "nano",
    vocabulary: Annotated[int, Option(help="Tokens of a fresh one's byte_bpe tokenizer.")] = 2048,
    lora: Annotated[
        int | None, Option(help="Train adapters of this rank (LoRA) and leave all other weights as they are.")
    ] = None,
    lora_alpha: Annotated[
        float | None,
        Option(help="The adapters are weighed with this by their rank; by default twice the rank."),
    ] = None,
    lora_layers: Annotated[
        str, Option(help="Which layers have adapters: query, key, value, output, inner, outer.")
    ] = "query,value",
    epochs: Annotated[int, Option(help="Passes over the dialogues; the best one is kept.")] = 8,
    batch_size: Annotated[int, Option(help="Rows a step, each as long as the context.")] = 8,
    learning_rate: Annotated[
        float | None, Option(help="The highest rate; by default 1e-3, and 5e-3 for adapters.")
    ] = None,
    weight_decay: Annotated[float, Option(help="AdamW's decay of the weight matrices.")] = 0.01,
    accumulate: Accumulate = 1,
    rematerialize: Rematerialize = False,
    save_every: SaveEvery = 500,
    strategy: Strategy = "auto",
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Teach a GPT-2 to answer, by dialogues or by instructions and their outputs."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)

    from keras_llm.datasets.chat import ChatTemplate
    from keras_llm.training.lora import SaveBestAdapters, add_lora
    from keras_llm.training.losses import Perplexity

    if lora is not None and start_from is None:
        raise ValueError("--lora leaves the weights as they are: give a trained model with --start-from.")
    rows = load_splits(data, validation, test, data_dir)
    for part in rows.values():
        require_columns(part, "messages")
    model, tokenizer = _start(start_from, size, vocabulary, rows["train"])
    template = ChatTemplate(tokenizer)
    if template.tokenizer.vocabulary_size > model.vocabulary_size:
        model = model.with_vocabulary_size(template.tokenizer.vocabulary_size)
    train, cut = answer_batches(model, template, rows["train"], batch_size, seed)
    held_out = {
        split: answer_batches(model, template, rows[split], batch_size)[0]
        for split in rows
        if split != "train"
    }
    metrics = {"parameters": model.count_params()}
    if start_from:
        metrics["validation_loss_before"] = measure_answers(model, held_out["validation"])["loss"]
    if lora is not None:
        add_lora(model, lora, lora_alpha or 2 * lora, lora_layers.split(","))
    metrics["trained_parameters"] = sum(math.prod(weight.shape) for weight in model.trainable_variables)

    folder = runs.begin(output, COMMAND, arguments)
    template.tokenizer.save(folder)
    print(
        f"GPT-2 of {model.count_params():,} parameters, {metrics['trained_parameters']:,} of them trained, on "
        f"{len(rows['train']):,} dialogues in {train.num_rows:,} rows of {model.context_length} tokens"
        f"{f' ({cut} were too long and cut)' if cut else ''}.\nEverything goes to {folder}/"
    )
    scratch.fit(
        model,
        train,
        held_out["validation"],
        folder,
        steps=epochs * train.steps_per_epoch,
        evaluate_every=train.steps_per_epoch,
        learning_rate=learning_rate or (1e-3 if lora is None else 5e-3),
        warmup=train.steps_per_epoch // 2,
        weight_decay=weight_decay,
        tokens_per_step=batch_size * model.context_length,
        keep=folder / runs.MODEL,
        title="Loss on answers",
        metrics=[Perplexity()],
        accumulate=accumulate,
        rematerialize=rematerialize,
        save_every=save_every,
        callbacks=[] if lora is None else [SaveBestAdapters(folder / ADAPTER)],
    )

    model, _, _ = runs.open_run(folder, COMMAND)  # the best one, with the adapters in its kernels
    for split, batches in held_out.items():
        figures = measure_answers(model, batches)
        metrics |= {f"{split}_{name}": value for name, value in figures.items()}
        print(f"{split}: {_told(figures)}")
    seconds = runs.finish(folder, metrics, started, used_rows(rows, data, validation, test), arguments)
    print(
        f"{seconds:.0f} s in all. Model, tokenizer and curves.png are in {folder}/\n"
        f"Next: keras-llm chat {folder}"
    )
    return metrics


def evaluate_chat(folder, data, split, data_dir=None):
    """Measures a run of `train_chat` on the answers of other dialogues: what `measure_answers` gives, and text."""
    from keras_llm.datasets import load
    from keras_llm.datasets.chat import ChatTemplate

    model, tokenizer, _ = runs.open_causal(folder)
    rows = load(data, split, data_dir)
    require_columns(rows, "messages")
    batches, _ = answer_batches(model, ChatTemplate(tokenizer), rows, batch_size=8)
    figures = measure_answers(model, batches)
    return figures, _told(figures)


def answer_batches(model, template, rows, batch_size, seed=None):
    """Batches of dialogues, packed into rows of the model's context; the labels are the answers' tokens.

    Args:
        model: a GPT-2.
        template: a `ChatTemplate`.
        rows: with `messages`.
        batch_size: rows a batch.
        seed: of the order; None for one pass in a fixed order.

    Returns:
        `PaddedBatches`, and how many dialogues were cut because the context is shorter.

    Raises:
        ValueError: no answer is left.
    """
    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.labels import IGNORED_LABEL
    from keras_llm.datasets.packing import pack

    length = model.context_length
    examples = [template.example(row["messages"]) for row in rows]
    cut = sum(len(ids) > length for ids, _ in examples)
    examples = [(ids[:length], labels[:length]) for ids, labels in examples]
    examples = [(ids, labels) for ids, labels in examples if any(label != IGNORED_LABEL for label in labels)]
    if not examples:
        raise ValueError(f"No dialogue has an answer within the model's context of {length} tokens.")
    token_ids, segment_ids, labels = pack(*zip(*examples), length)
    batches = PaddedBatches(
        {"token_ids": token_ids, "segment_ids": segment_ids},
        labels,
        batch_size,
        (length,),
        seed or 0,
        shuffle=seed is not None,
        vocabulary_size=model.vocabulary_size,
    )
    return batches, cut


def measure_answers(model, batches):
    """How well a model foresees answers: `loss` in nats a token, `perplexity`, and `tokens`, how many these are."""
    from keras_llm.datasets.labels import IGNORED_LABEL
    from keras_llm.training.losses import TokenCrossEntropy, TokenLoss

    model.compile(loss=TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=False)
    loss = float(model.evaluate(batches.stream(), verbose=0, return_dict=True)["token_loss"])
    tokens = sum(label != IGNORED_LABEL for row in batches.labels for label in row)
    return {"loss": loss, "perplexity": math.exp(loss), "tokens": tokens}


def _told(figures):
    return (
        f"loss {figures['loss']:.4f} nats a token of the answers, perplexity {figures['perplexity']:.2f}, "
        f"{figures['tokens']:,} tokens"
    )


def _start(start_from, size, vocabulary, rows):
    """A GPT-2 and its tokenizer: of a checkpoint, or fresh."""
    from keras_llm.models.gpt2 import GPT2Model
    from keras_llm.tokenizers import Tokenizer

    if start_from:
        model, tokenizer, _ = runs.open_causal(start_from)
        return model, tokenizer
    texts = [message["content"] for row in rows for message in row["messages"]]
    tokenizer = Tokenizer.train(texts, "byte_bpe", vocabulary)
    return GPT2Model.from_preset(size, vocabulary_size=tokenizer.vocabulary_size, dropout=0.1), tokenizer


# Talking


def chat(
    model: Annotated[str, Argument(help="A run of `train chat` or `train preferences`.")],
    system: Annotated[str | None, Option(help="A message that stands before all others.")] = None,
    max_new_tokens: Annotated[
        int | None, Option(help="The longest answer; by default half of the context, at most 256.")
    ] = None,
    temperature: Annotated[
        float, Option(help="0 takes the likeliest token; above 1 is more surprising.")
    ] = 0.7,
    top_p: Annotated[float, Option(help="Draw from the fewest tokens that reach this probability.")] = 0.9,
    seed: Annotated[int, Option(help="Another seed, other answers.")] = 0,
):
    """Talk to a model; answers appear as they are written. /reset begins anew, /quit ends, Ctrl-C stops an answer."""
    from keras_llm.generation import Chat, Sampler

    network, tokenizer, _ = runs.open_causal(model)
    session = Chat(network, tokenizer, Sampler(temperature, top_p=top_p), max_new_tokens, system, seed)
    typed = sys.stdin.isatty()
    if typed:
        print("/reset begins anew, /quit ends, Ctrl-C stops an answer.")
    while True:
        try:
            text = input("> " if typed else "").strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            print("\n/quit ends.")
            continue
        if text == "/quit":
            return
        if text == "/reset":
            session.reset()
        elif text:
            _answer(session, text)


def _answer(session, text):
    """Prints an answer; Ctrl-C stops it, and a message that cannot be read is told."""
    with contextlib.closing(session.reply(text)) as pieces:
        try:
            for piece in pieces:
                print(piece, end="", flush=True)
        except KeyboardInterrupt:
            print(" ...", end="")
        except ValueError as error:
            print(f"Error: {error}", end="", file=sys.stderr)
    print()
