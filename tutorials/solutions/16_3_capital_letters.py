"""Chapter 16, exercise 3: names by capital letters only."""

from keras_llm.datasets import load


def names(tags):
    """(first word, word after the last) of each name, whatever its kind; the bundled tags are never broken."""
    begins = [place for place, tag in enumerate(tags) if tag.startswith("B-")]
    return {(place, _end(tags, place + 1, lambda tag: tag.startswith("I-"))) for place in begins}


def capitals(words):
    """Runs of words with a capital letter; the first word of a sentence has one anyway, and does not count."""
    found, place = set(), 1
    while place < len(words):
        end = _end(words, place, lambda word: word[0].isupper())
        if end > place:
            found.add((place, end))
        place = end + 1
    return found


def _end(row, place, goes_on):
    while place < len(row) and goes_on(row[place]):
        place += 1
    return place


assert names(["B-PER", "I-PER", "B-LOC", "O"]) == {(0, 2), (2, 3)}
assert capitals(["The", "old", "Ann", "Lee", "saw", "Rome", "."]) == {(2, 4), (5, 6)}

right = said = both = at_start = 0
for row in load("entities_en"):
    asked, found = names(row["tags"]), capitals(row["tokens"])
    right, said, both = right + len(asked), said + len(found), both + len(asked & found)
    at_start += sum(first == 0 for first, _ in asked)
print(f"{right} names, {said} runs, {both} of them are a name:", end=" ")
print(f"precision {both / said:.2f}, recall {both / right:.2f}")
print(f"{at_start} names stand at the start of a sentence, where the rule cannot see them")
assert both + at_start <= right

# That is much for one line, but it does not know the kinds, and Chinese has no capital letters. Neither has the model of
# the chapter: its tokenizer makes all letters small. What it finds, it finds from the words.
