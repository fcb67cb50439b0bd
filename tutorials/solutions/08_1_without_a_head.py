"""Chapter 8, exercise 1: which head of the last block is missed most?"""

import keras
import numpy as np

from keras_llm.models.transformer import Transformer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

# The target is the source turned around: place i has to look at place 5 - i.
rng = np.random.default_rng(0)


def rows(count):
    source = rng.integers(3, 23, (count, 6)).astype("int32")
    target = source[:, ::-1]
    return {
        "source_ids": source,
        "target_ids": np.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=1),
    }, target


keras.utils.set_random_seed(0)
model = Transformer(23, None, 8, 64, 1, 4, 128, dropout=0.0, norm_first=True)
steps = 15 * 2048 // 64
model.compile(AdamW(WarmupCosine(5e-3, 50, steps)), TokenCrossEntropy(), jit_compile=False)
model.fit(*rows(2048), epochs=15, batch_size=64, verbose=0)

inputs, target = rows(256)
whole = model.evaluate(inputs, target, verbose=0)
weights = np.array(model(inputs, return_attention=True)[1][-1])  # [rows, heads, target, source]
right = (weights.argmax(axis=-1) == np.arange(5, -1, -1)).mean(axis=(0, 2))  # [heads]

# A head's part of the output projection are the rows of the kernel that read its 16 numbers.
projection = model.decoder_blocks[-1].cross_attention.output_projection
kernel = projection.kernel.numpy() if hasattr(projection.kernel, "numpy") else np.array(projection.kernel)


def loss_without(heads):
    without = kernel.copy()
    for head in heads:
        without[16 * head : 16 * (head + 1)] = 0
    projection.kernel.assign(without)
    loss = model.evaluate(inputs, target, verbose=0)
    projection.kernel.assign(kernel)
    return loss


print(f"with all heads: loss {whole:.3f}")
losses = [loss_without([head]) for head in range(4)]
for head in range(4):
    print(f"without head {head}: loss {losses[head]:6.3f}; it looked at the right place in {right[head]:.2f}")
nothing = loss_without(range(4))
print(f"without any: loss {nothing:.3f}")
# All four look at the right place, so none of them is missed alone: what a head looks at need not be what decides.
assert whole < 0.1 and right.min() > 0.9
assert max(losses) < 0.5 < nothing / 4
