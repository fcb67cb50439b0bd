"""Texts cut into sentences."""

import re

# After a full stop, question or exclamation mark with what closes it: in Chinese at once, elsewhere before white space
# and no small letter. Not after a single capital letter (J. Smith) and a few abbreviations.
END = re.compile(
    r"(?<=[。！？])(?![”’」』）])|(?<=[。！？][”’」』）])"
    r"|(?<!\b[A-Z]\.)(?<!\b(?:Mr|Dr|St|Jr|vs|No)\.)(?<!\b(?:Mrs|e\.g|i\.e|etc)\.)"
    r"(?:(?<=[.!?])|(?<=[.!?][\"')\]”’]))\s+(?![a-z])"
)


def split_sentences(text):
    """The sentences of a text in English, Chinese or a language with their punctuation: a list of strings.

    None is empty; white space around them is left out.
    """
    return [part.strip() for line in text.splitlines() for part in END.split(line) if part.strip()]
