"""Chapter 10, exercise 2: how many words each sampler keeps, where the model is sure and where it is not."""

import numpy as np

from keras_llm.generation import Sampler

V = 1000
ranks = np.arange(1, V + 1)
distributions = {
    "sure": np.where(ranks == 1, 0.95, 0.05 / (V - 1)),  # one word, and a long tail of noise
    "usual": 1 / ranks / np.sum(1 / ranks),  # Zipf: the second word half as likely, the third a third ...
    "unsure": np.where(ranks <= 100, 0.95 / 100, 0.05 / (V - 100)),  # 100 good words, and noise
}
samplers = {
    "top-k 40": Sampler(top_k=40),
    "top-p 0.9": Sampler(top_p=0.9),
    "min-p 0.1": Sampler(min_p=0.1),
}

# Different scores everywhere: top-k keeps all words that are as good as the k-th.
tiny = -1e-4 * ranks
kept = {}
for name, sampler in samplers.items():
    for case, p in distributions.items():
        scores = np.asarray(sampler.scores((np.log(p) + tiny)[None].astype("float32")))
        kept[name, case] = int((scores > -1e8).sum())
    print(f"{name:10}", {case: kept[name, case] for case in distributions})

# Top-k keeps 40 in any case: 39 words of noise where the model is sure, and 60 good words lost where it is not.
assert all(kept["top-k 40", case] == 40 for case in distributions)
# Top-p and min-p adapt. In the sure case both keep one word.
assert kept["top-p 0.9", "sure"] == kept["min-p 0.1", "sure"] == 1
assert kept["top-p 0.9", "unsure"] > 90 and kept["min-p 0.1", "unsure"] == 100
# They differ at a long tail: top-p goes on until the sum is reached, min-p looks at each word alone.
assert kept["top-p 0.9", "usual"] > 10 * kept["min-p 0.1", "usual"]
