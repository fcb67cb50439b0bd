"""Word vectors as text: the format of word2vec, whose first line has two numbers, and that of GloVe, without it."""

import numpy as np

from keras_llm.files import atomic_path, require_file


def read_word_vectors(path, words=None):
    """Reads the vectors of a file, a word and its numbers a line.

    Args:
        path: of the file, in UTF-8.
        words: only these are kept; by default all.

    Returns:
        A list of words in the order of the file, and float32 `[len(words), dim]`. Of a word that occurs twice, the
        first vector counts.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line has other numbers than the first one, or none of `words` is there.
    """
    wanted = None if words is None else set(words)
    found = {}
    with open(require_file(path), encoding="utf-8", newline="\n") as file:
        first = file.readline().rstrip("\n")
        head = first.split(" ")
        header = len(head) == 2 and all(part.isdigit() for part in head)
        dim = int(head[1]) if header else len(head) - 1
        lines = enumerate(file, 2)
        for number, line in lines if header else [(1, first), *lines]:
            # From the right: GloVe's words may hold spaces
            word, *numbers = line.rstrip("\n").rstrip(" ").rsplit(" ", dim)
            if word in found or (wanted is not None and word not in wanted):
                continue
            try:
                vector = np.array(numbers, "float32")
            except ValueError:
                vector = np.empty(0)
            if vector.shape != (dim,) or dim == 0:
                raise ValueError(f"{path}, line {number}: expected a word and {dim} numbers.")
            found[word] = vector
    if not found:
        raise ValueError(f"{path} has a vector for none of the words that are wanted.")
    return list(found), np.stack(list(found.values()))


def write_word_vectors(path, words, vectors):
    """Writes word2vec's text format, atomically.

    Args:
        path: of the file.
        words: list of strings without spaces and line ends.
        vectors: `[len(words), dim]`.

    Raises:
        ValueError: a word is empty or has white space in it.
    """
    for word in words:
        if not word or word.split() != [word]:
            raise ValueError(
                f"{word!r} is no word that this format can hold: it has white space, or nothing."
            )
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n")
        for word, vector in zip(words, vectors):
            file.write(f"{word} {' '.join(f'{value:.6g}' for value in vector)}\n")


def fill_embedding(embedding, vocabulary, path):
    """Gives the rows of an `Embedding` the vectors of a file; words that are not in the file keep theirs.

    Args:
        embedding: a built Keras `Embedding`.
        vocabulary: dict of a word to its row, such as `Tokenizer.vocabulary`.
        path: of the file.

    Returns:
        The number of rows filled.

    Raises:
        ValueError: the vectors are not as wide as the embedding, or the file has none of the words.
    """
    words, vectors = read_word_vectors(path, vocabulary)
    table = np.array(embedding.get_weights()[0])
    if vectors.shape[1] != table.shape[1]:
        raise ValueError(
            f"{path} has vectors of {vectors.shape[1]} numbers, but the embedding is {table.shape[1]} wide."
        )
    table[[vocabulary[word] for word in words]] = vectors
    embedding.set_weights([table])
    return len(words)
