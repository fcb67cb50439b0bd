"""Learn word vectors from your own text."""

import pathlib
import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs
from keras_llm.recipes.gpt2 import Text, load_texts
from keras_llm.recipes.options import DataDir, Output, Result, SaveEvery, Seed

VECTORS = "vectors.txt"
DRAWN = 150  # words in the picture


def train_word2vec(
    data: Text = "docstrings",
    data_dir: DataDir = None,
    chinese: Annotated[
        str, Option(help="Chinese text is cut into characters or words (words need jieba).")
    ] = "characters",
    lowercase: Annotated[bool, Option(help="The and the are one word.")] = True,
    vocabulary: Annotated[int, Option(help="The most words to know.")] = 10_000,
    dim: Annotated[int, Option(help="Width of the vectors.")] = 100,
    window: Annotated[int, Option(help="Words to each side that are near, at most.")] = 5,
    negatives: Annotated[int, Option(help="Words drawn at random beside each right one.")] = 5,
    subsample: Annotated[
        float, Option(help="Words that are a larger share of the text are read less often; 1 for all.")
    ] = 1e-3,
    epochs: Annotated[int, Option(help="Passes over the text.")] = 3,
    batch_size: Annotated[int, Option(help="Pairs a step.")] = 4096,
    learning_rate: Annotated[float, Option(help="The highest rate; it falls to a tenth.")] = 5e-3,
    save_every: SaveEvery = 1000,
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Learn word vectors from a text: skip-gram with negative sampling."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare("one", seed)

    from keras_llm.explain.words import draw_words
    from keras_llm.tokenizers import Tokenizer

    texts = load_texts(data, None, data_dir)
    tokenizer = Tokenizer.train(texts, "word", vocabulary, lowercase=lowercase, chinese=chinese)
    batches = make_batches(tokenizer, texts, batch_size, window, negatives, subsample, seed)
    folder = runs.begin(output, "train word2vec", arguments)
    tokenizer.save(folder)
    print(
        f"Vectors of {dim} numbers for {tokenizer.vocabulary_size:,} words; text: {len(batches.token_ids):,} words, "
        f"{batches.num_rows:,} pairs a pass.\nEverything goes to {folder}/"
    )
    model = fit(batches, folder, tokenizer, dim, epochs, learning_rate, save_every)
    vectors = word_vectors(model, tokenizer)
    vectors.save(folder / VECTORS)
    first = slice(min(DRAWN, len(vectors.words) // 2), None)  # the most frequent words say the least
    names = vectors.words[first][:DRAWN]
    draw_words(
        names, vectors.directions[first][:DRAWN], folder / "words.png", "tsne", title=f"Words of {data}"
    )

    metrics = {"words": len(vectors.words), "pairs": batches.num_rows}
    seconds = runs.finish(folder, metrics, started, {data: texts}, arguments)
    print(
        f"{seconds:.0f} s in all. {VECTORS} and words.png are in {folder}/\n"
        f'Next: keras-llm predict {folder} "{names[0]}"'
    )
    return metrics


def make_batches(tokenizer, texts, batch_size, window, negatives, subsample, seed):
    """The pairs of these texts, without special tokens."""
    from keras_llm.models.word2vec import SkipGramBatches

    return SkipGramBatches(
        tokenizer.encode(texts),
        tokenizer.vocabulary_size,
        batch_size,
        window,
        negatives,
        subsample,
        seed,
        skip=tokenizer.special_ids,
    )


def fit(batches, folder, tokenizer, dim, epochs, learning_rate, save_every):
    """Trains a `SkipGram`."""
    from keras_llm.models.word2vec import NegativeSamplingLoss, SkipGram
    from keras_llm.training import resuming
    from keras_llm.training.callbacks import Guard, Progress
    from keras_llm.training.optimizers import AdamW, WarmupCosine

    model = SkipGram(tokenizer.vocabulary_size, dim)
    steps = epochs * batches.steps_per_epoch
    rate = WarmupCosine(learning_rate, min(100, steps - 1), steps)
    model.compile(AdamW(rate, weight_decay=0.0, clip_norm=None), NegativeSamplingLoss(), jit_compile=True)
    resuming.fit(
        model,
        batches,
        folder,
        epochs=epochs,
        steps_per_epoch=batches.steps_per_epoch,
        callbacks=[Guard(), Progress(steps, batches.batch_size, unit="pairs", monitor=())],
        save_every=save_every,
    )
    return model


def word_vectors(model, tokenizer):
    """The `WordVectors` of a model's words, the special tokens left out."""
    from keras_llm.models.word2vec import WordVectors

    table = model.embedding.get_weights()[0]  # [vocabulary_size, dim]
    words = {word: row for word, row in tokenizer.vocabulary.items() if row not in tokenizer.special_ids}
    return WordVectors(words, table[list(words.values())])


def near_words(folder, texts, top):
    """For each text, a word or a sum such as `"king - man + woman"`, what `WordVectors.nearest` gives."""
    from keras_llm.models.word2vec import WordVectors

    vectors = WordVectors.load(pathlib.Path(folder) / VECTORS)
    if runs.arguments_of(folder, "train word2vec")["lowercase"]:
        texts = [text.lower() for text in texts]
    return [vectors.nearest(text, top) for text in texts]
