"""Texts as vectors of the words they hold: what a search without a neural network goes by."""

from keras_llm.datasets.segmentation import WORD, split_sentences


def tfidf_vectors(queries, candidates):
    """Words weighted by how few of the candidates have them (Sparck Jones 1972), in vectors of length 1.

    Args:
        queries: list of strings.
        candidates: list of strings, the texts to search.

    Returns:
        Two SciPy sparse matrices, `[len(queries), words]` and `[len(candidates), words]`: their product is the
        cosine. A text without a word of the candidates is 0.

    Raises:
        ValueError: no candidate has a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=WORD.pattern)
    candidates = vectorizer.fit_transform(candidates)
    return vectorizer.transform(queries), candidates


def likest_sentences(questions, contexts):
    """For each question the sentence of its context that shares the rarest words with it: an answer, if a long one.

    Args:
        questions: list of strings.
        contexts: list of strings, the text that each question is about.

    Returns:
        A list of strings.
    """
    numbers = {}  # of the questions about each context
    for i, context in enumerate(contexts):
        numbers.setdefault(context, []).append(i)
    found = [""] * len(questions)
    for context, own in numbers.items():
        sentences = split_sentences(context)
        vectors, candidates = tfidf_vectors([questions[i] for i in own], sentences)
        likeness = (vectors @ candidates.T).toarray()  # [questions of this context, sentences]
        for i, row in zip(own, likeness):
            found[i] = sentences[row.argmax()]
    return found
