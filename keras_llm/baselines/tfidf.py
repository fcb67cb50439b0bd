"""Texts as vectors of the words they hold: what a search without a neural network goes by."""

# A Chinese or Japanese character, or a word.
WORD = r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\u3400-\u9fff\uf900-\ufaff]+"


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

    vectorizer = TfidfVectorizer(token_pattern=WORD)
    candidates = vectorizer.fit_transform(candidates)
    return vectorizer.transform(queries), candidates
