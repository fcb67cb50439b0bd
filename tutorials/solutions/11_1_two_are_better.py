"""Chapter 11, exercise 1: a mixture of counting and a network, of which each knows something else."""

import keras
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy, Tokenizer
from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets.batches import TokenWindows
from keras_llm.recipes.gpt2 import encode_texts, load_texts

CONTEXT = 32
limits = {"train": 200_000, "validation": 20_000}
texts = {split: load_texts("docstrings", split, limit=limit) for split, limit in limits.items()}
tokenizer = Tokenizer.train(texts["train"], "byte_bpe", 512)
ids = {split: encode_texts(tokenizer, documents) for split, documents in texts.items()}

counter = NgramModel(3, tokenizer.vocabulary_size).fit(ids["train"])
keras.utils.set_random_seed(0)
model = GPT2Model(tokenizer.vocabulary_size, CONTEXT, hidden_dim=64, num_layers=2, num_heads=2, dropout=0.0)
model.compile(AdamW(3e-3), TokenCrossEntropy(), jit_compile=True)
windows = TokenWindows(ids["train"], CONTEXT, batch_size=32)
model.fit(windows.stream(), steps_per_epoch=500, shuffle=False, verbose=0)

# The probability that each gives to the token that came, in 100 windows of new text.
text = np.array(ids["validation"][: 100 * CONTEXT + 1])
rows, labels = text[:-1].reshape(100, CONTEXT), text[1:].reshape(100, CONTEXT)
shares = keras.ops.softmax(model.predict(rows, verbose=0))  # [100, CONTEXT, vocabulary]
looked = np.take_along_axis(np.asarray(shares), labels[..., None], -1).ravel()
counted = np.array([counter.probability(text[i], text[max(i - 2, 0) : i]) for i in range(1, len(text))])
perplexity = {
    name: np.exp(-np.mean(np.log(given)))
    for name, given in (("3-gram", counted), ("GPT-2", looked), ("mixture", (counted + looked) / 2))
}
for name, value in perplexity.items():
    print(f"{name:8} {value:6.1f}")
assert perplexity["mixture"] < min(perplexity["3-gram"], perplexity["GPT-2"])

# Half of a good guess costs log 2 at most, where the other one knows nothing; it saves much more where the first one
# was far off. The table knows rare pairs by heart, which a small network has no room for; the network knows what
# stood further back. So long as they err at different places, together they are better than each alone.
