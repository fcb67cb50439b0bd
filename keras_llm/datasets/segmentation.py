"""Texts cut into sentences and words."""

import re

# After a full stop, question or exclamation mark with what closes it: in Chinese at once, elsewhere before white space
# and no small letter. Not after a single capital letter (J. Smith) and a few abbreviations.
END = re.compile(
    r"(?<=[。！？])(?![”’」』）])|(?<=[。！？][”’」』）])"
    r"|(?<!\b[A-Z]\.)(?<!\b(?:Mr|Dr|St|Jr|vs|No)\.)(?<!\b(?:Mrs|e\.g|i\.e|etc)\.)"
    r"(?:(?<=[.!?])|(?<=[.!?][\"')\]”’]))\s+(?![a-z])"
)


# A Chinese or Japanese character, which stands for a word where there are no spaces between words; or a word.
CHARACTER = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{CHARACTER}]|[^\W_{CHARACTER}]+")
WORD_OR_MARK = re.compile(rf"[{CHARACTER}]|[^\W{CHARACTER}]+|[^\w\s]")


def split_sentences(text):
    """The sentences of a text in English, Chinese or a language with their punctuation: a list of strings.

    None is empty; white space around them is left out.
    """
    return [part.strip() for line in text.splitlines() for part in END.split(line) if part.strip()]
