"""Chapter 21, exercise 1: how many rows of GPT-2's smallest fit into 16 GB, by flag."""

WEIGHTS, LENGTH, VOCABULARY, WIDTH, BLOCKS, HEADS = 124_439_808, 1024, 50_257, 768, 12, 12
MEMORY = 16e9


def bytes_of_a_step(rows, parts=1, size=4, rematerialize=False):
    """`count_bytes` of the chapter, with the flags; `size` is the bytes of a number in activations."""
    tokens = rows / parts * LENGTH
    block = tokens * ((10 * WIDTH + 3 * 4 * WIDTH) * size + HEADS * LENGTH * (8 + size))
    activations = BLOCKS * tokens * WIDTH * size + block if rematerialize else BLOCKS * block
    logits = tokens * VOCABULARY * (12 + size)
    fixed = WEIGHTS * (4 + 4 + 8 + (4 if parts > 1 else 0))
    return fixed + activations + logits


def most_rows(parts=1, **flags):
    """The largest number of rows that fits, a multiple of the parts."""
    rows = parts
    while bytes_of_a_step(rows + parts, parts, **flags) <= MEMORY:
        rows += parts
    return rows


plain = most_rows()
found = {
    "nothing": plain,
    "--precision mixed_bfloat16": most_rows(size=2),
    "--rematerialize": most_rows(rematerialize=True),
    "--accumulate 4": most_rows(parts=4),
    "--accumulate 4 --rematerialize": most_rows(parts=4, rematerialize=True),
}
for flags, rows in found.items():
    print(f"{flags:32}{rows:4} rows")

# Four parts hold nearly four times as many: the gradients' sum takes a little of the room.
assert 3 * plain <= found["--accumulate 4"] <= 4 * plain
# Half precision helps least: scores, softmax and loss stay in float32.
assert plain < found["--precision mixed_bfloat16"] < 2 * plain
# What rematerialisation leaves is one block, the inputs of all, and the logits, which no block has.
assert found["--rematerialize"] >= 3 * plain
logits_share = (
    LENGTH
    * VOCABULARY
    * 16
    / (bytes_of_a_step(1, rematerialize=True) - bytes_of_a_step(0, rematerialize=True))
)
print(f"Then the logits are {logits_share:.0%} of what a row takes.")
