"""Chapter 13, exercise 3: the shorter answer, the likelier answer, and the likelier answer by token."""

import keras
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy, Tokenizer
from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.datasets.chat import ChatTemplate
from keras_llm.datasets.preferences import mismatched_answers, pair_features
from keras_llm.evaluation.predictions import predict
from keras_llm.training.preferences import PairScorer

LENGTH = 64
keras.utils.set_random_seed(0)
rows = load("dialogue_en", "train")
contents = [message["content"] for row in rows for message in row["messages"]]
template = ChatTemplate(Tokenizer.train(contents, "byte_bpe", 600))
model = GPT2Model(
    template.tokenizer.vocabulary_size, LENGTH, hidden_dim=64, num_layers=1, num_heads=2, dropout=0.1
)
examples = [template.example(row["messages"]) for row in rows]
batches = PaddedBatches(
    {"token_ids": [ids[:LENGTH] for ids, _ in examples]}, [own[:LENGTH] for _, own in examples], 16, (LENGTH,)
)
model.compile(AdamW(5e-3), TokenCrossEntropy(), jit_compile=False)
model.fit(batches.stream(), steps_per_epoch=batches.steps_per_epoch, epochs=4, shuffle=False, verbose=0)

held_out = load("dialogue_en", "validation") + load("dialogue_en", "test")
features = pair_features(template, mismatched_answers(held_out), LENGTH)
scores = np.array(predict(PairScorer(model), PaddedBatches(features, None, 16, (LENGTH,), shuffle=False)))
sides = ("chosen_answer", "rejected_answer")
lengths = np.array([[sum(row) for row in features[side]] for side in sides]).T  # [pairs, 2]
judges = {
    "the shorter one": -lengths,
    "the likelier one": scores,
    "the likelier one by token": scores / lengths,
}
for name, of_both in judges.items():
    print(f"{name}: right in {(of_both[:, 0] > of_both[:, 1]).mean():.2f} of {len(lengths)} pairs")

# Sum and length are nearly the same judge: how often do they agree?
agree = ((scores[:, 0] > scores[:, 1]) == (lengths[:, 0] < lengths[:, 1])).mean()
print(f"the likelier one is the shorter one in {agree:.2f} of the pairs")
assert agree > 0.7
