"""Chapter 12, exercise 2: the loss on answers alone, or on all tokens."""

import keras
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy, Tokenizer
from keras_llm.datasets import load
from keras_llm.datasets.chat import ChatTemplate

LENGTH = 48
keras.utils.set_random_seed(0)
rows = {split: load("dialogue_en", split) for split in ("train", "validation")}
contents = [message["content"] for row in rows["train"] for message in row["messages"]]
template = ChatTemplate(Tokenizer.train(contents, "byte_bpe", 600))


def arrays(split, everything):
    """Token ids and labels [dialogues, LENGTH]; with `everything` each next token is a label."""
    token_ids = np.zeros((len(rows[split]), LENGTH), "int32")
    labels = np.full((len(rows[split]), LENGTH), -100, "int32")
    for number, row in enumerate(rows[split]):
        ids, own = template.example(row["messages"])
        if everything:
            own = [*ids[1:], own[-1]]
        count = min(len(ids), LENGTH)
        token_ids[number, :count], labels[number, :count] = ids[:count], own[:count]
    return token_ids, labels


sizes = {"context_length": LENGTH, "hidden_dim": 64, "num_layers": 1, "num_heads": 2, "dropout": 0.1}
start = GPT2Model(template.tokenizer.vocabulary_size, **sizes).get_weights()
answers = arrays("validation", everything=False)
losses = {}
for everything in (False, True):
    model = GPT2Model(template.tokenizer.vocabulary_size, **sizes)
    model.set_weights(start)
    model.compile(AdamW(5e-3), TokenCrossEntropy(), jit_compile=False)
    model.fit(*arrays("train", everything), batch_size=16, epochs=4, verbose=0)
    losses[everything] = float(TokenCrossEntropy()(answers[1], model(answers[0])))
print(
    f"loss on held-out answers: learned from answers {losses[False]:.2f}, from everything {losses[True]:.2f}"
)

# Here everything is better: the questions are text too, and a model that begins from nothing learns from all the text it
# gets. A pretrained model knows the language already; for it the questions are only something that it need not learn.
counted = [int((arrays("train", everything)[1] != -100).sum()) for everything in (False, True)]
print(f"tokens that count: {counted[0]:,} and {counted[1]:,}")
assert counted[0] < counted[1]
assert all(
    loss < np.log(template.tokenizer.vocabulary_size) for loss in losses.values()
)  # better than guessing
