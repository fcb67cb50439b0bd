# %% [markdown]
# # 21. When it does not fit: where memory goes
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/21_when_it_does_not_fit.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 3 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** A model that writes well on a graphics card of 16 GB cannot be trained on it: "out of memory". What
# is it that training has to keep, and what of it can we do without, and still take *the same* steps?
#
# We count the bytes of one step on paper, ask the compiler what it really reserves, and then take three things away:
# half of each batch's rows at a time, activations that can be computed again, half of each number.
#
# This chapter runs on JAX, because there the compiler tells what it reserves. The flags do the same on TensorFlow. It was
# last run on 2026-11-24, on a CPU; nothing here was run on a GPU or a TPU.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"
os.environ["KERAS_BACKEND"] = "jax"  # both must be set before JAX starts
os.environ["XLA_FLAGS"] = "--xla_disable_hlo_passes=cse_barrier_expander"  # explained below

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy
from keras_llm.layers import rematerialize
from keras_llm.training.accumulation import accumulate
from keras_llm.training.memory import compiled_bytes, forecast

# %% [markdown]
# ## The bytes of one small step, on paper
#
# One dense layer without bias, 3 numbers in, 4 out, and a batch of 5 rows. A number is a float32: 4 bytes.
#
# - The **weights**: 3 x 4 = 12 numbers, 48 bytes.
# - Their **gradient**: as many, 48 bytes.
# - **Adam** remembers two averages of each weight's gradients: 96 bytes.
# - The gradient of the weights is $x^T \delta$, the input times what comes back from above. So the **input** must be kept
#   until the backward pass: 5 x 3 = 15 numbers, 60 bytes. It is called an activation.
#
# The first three do not depend on the batch, the last does not depend on the number of outputs. Let us see that the
# input is really all that is needed:

# %%
rng = np.random.default_rng(0)
x, w, back = rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
by_formula = x.T @ back  # the gradient of sum(x @ w * back) by w
moved = w.copy()
moved[1, 2] += 1e-6
by_trying = (np.sum(x @ moved * back) - np.sum(x @ w * back)) / 1e-6
print(by_formula[1, 2], by_trying)
assert abs(by_formula[1, 2] - by_trying) < 1e-6

# %% [markdown]
# ## The bytes of a GPT-2
#
# The same count for a whole model. A block of width $h$, inner width $f = 4h$ and $a$ heads keeps for each token about
# $10 h + 3 f$ numbers: what goes into its six products and two norms, and what gelu and the sums need. And attention
# keeps, for each token and head, a number for each of the $T$ tokens that it may look at: the scores, their softmax, and the
# weights: about $3 a T$. At the end stand the logits: a number for each token of the *vocabulary*, kept about four times.


# %%
def count_bytes(weights, rows, length, vocabulary, width, blocks, heads):
    tokens = rows * length
    block = tokens * (10 * width + 3 * 4 * width + 3 * heads * length)  # numbers
    return {
        "weights": 4 * weights,
        "gradients": 4 * weights,
        "optimizer": 8 * weights,
        "activations": 4 * blocks * block,
        "logits": 4 * 4 * tokens * vocabulary,
    }


# %% [markdown]
# The smallest GPT-2 of its authors has 124 million weights, half a gigabyte. A step on 8 texts of its full length, 1,024
# tokens:

# %%
gpt2 = count_bytes(124_439_808, 8, 1024, vocabulary=50_257, width=768, blocks=12, heads=12)
for name, value in gpt2.items():
    print(f"{name:12} {value / 1e9:6.2f} GB")
print(
    f"together     {sum(gpt2.values()) / 1e9:6.2f} GB, {sum(gpt2.values()) / gpt2['weights']:.0f} times the weights"
)

# %% [markdown]
# The weights are a small part of it. Most are activations, and of these most are attention's: they grow with the *square*
# of the length. (Programs that never write the scores down, such as FlashAttention, do not keep that part; this package has
# none.)
#
# The library counts in the same way. Before a training's first step it compares the sum with the memory there is, and
# names what would help.

# %%
sizes = {"vocabulary_size": 512, "context_length": 128, "hidden_dim": 128, "num_heads": 4, "dropout": 0.0}
BLOCKS, ROWS = (3, 16) if FULL else (2, 8)


def make_model(dtype="float32"):
    keras.utils.set_random_seed(0)
    model = GPT2Model(**sizes, num_layers=BLOCKS, dtype=dtype)
    model.compile(AdamW(1e-2, epsilon=1e-3), TokenCrossEntropy(), jit_compile=True)
    return model


# %%
model = make_model()
ids = rng.integers(1, 512, (ROWS, 128)).astype("int32")
lengths = rng.integers(8, 128, (ROWS, 1))  # of the real text in each row
labels = np.where(np.arange(128) < lengths, np.roll(ids, -1, axis=1), -100).astype("int32")
own = count_bytes(model.count_params(), ROWS, 128, 512, 128, BLOCKS, 4)
assert forecast(model, ids, labels) == own
print({name: f"{value / 1e6:.1f} MB" for name, value in own.items()})

# %% [markdown]
# And is it true? A compiler that makes one program of the whole step, such as XLA, must know before the first step how
# much memory it will take.

# %%
reserved = {"no flag": compiled_bytes(model, ids, labels)}
foreseen = {"no flag": sum(own.values())}
print(f"counted {foreseen['no flag'] / 1e6:.0f} MB, reserved by XLA {reserved['no flag'] / 1e6:.0f} MB")
assert 1 / 1.5 < foreseen["no flag"] / reserved["no flag"] < 1.5

# %% [markdown]
# Such a count is never exact: the compiler decides what to keep and what to compute again. The library promises a factor of
# 1.5, and tests it.
#
# ## First: fewer rows at a time
#
# A gradient is a sum over rows. So a batch can be worked through in parts, the gradients added up, and *one* step taken at
# the end: **gradient accumulation**. Only the activations of one part are there at a time.
#
# Where this goes wrong, in most programs: the loss is a *mean* over the real tokens, and parts have unequal numbers of them.
# Two rows, losses token by token:

# %%
first, second = [1.0, 1.0, 1.0], [5.0]
whole = np.mean(first + second)
mean_of_means = np.mean([np.mean(first), np.mean(second)])
print(f"the batch: {whole}, the mean of its parts' means: {mean_of_means}")
assert (whole, mean_of_means) == (2.0, 3.0)

# %% [markdown]
# In the mean of means the single token of the second row weighs as much as the three of the first. The cure: each part counts
# by its share of the batch's tokens, here 3/4 and 1/4.

# %%
weighted = 3 / 4 * np.mean(first) + 1 / 4 * np.mean(second)
print(weighted)
assert weighted == whole

# %% [markdown]
# `accumulate` does that inside the compiled step. The batch that `fit` gets stays the large one, so that nothing else
# changes: not the data, not the learning rate's schedule, not what is logged.

# %%
in_parts = make_model()
accumulate(in_parts, 4)
reserved["--accumulate 4"] = compiled_bytes(in_parts, ids, labels)
foreseen["--accumulate 4"] = sum(forecast(in_parts, ids, labels, accumulate=4).values())
print(f"{reserved['--accumulate 4'] / 1e6:.0f} MB in place of {reserved['no flag'] / 1e6:.0f} MB")


# %%
def losses(model, steps=4):
    return np.array([float(model.train_on_batch(ids, labels)) for _ in range(steps)])


exact = losses(model)
print("whole batch", exact)
print("four parts ", losses(in_parts))
np.testing.assert_allclose(losses(make_model()), exact, rtol=1e-6)
assert exact[-1] < exact[0]

# %% [markdown]
# ## Second: compute it again
#
# A block's activations follow from its input. So one may keep the input alone, and run the block's forward pass a *second*
# time when the backward pass comes to it: **rematerialisation**, or gradient checkpointing. At any time the insides of one
# block are there, not of all. It costs one more forward pass: about a third more work.
#
# One thing must not be forgotten: dropout. The second run has to drop the same numbers as the first, or the gradient
# belongs to another network.

# %%
again = make_model()
rematerialize(again)
reserved["--rematerialize"] = compiled_bytes(again, ids, labels)
foreseen["--rematerialize"] = sum(forecast(again, ids, labels).values())
print(f"{reserved['--rematerialize'] / 1e6:.0f} MB in place of {reserved['no flag'] / 1e6:.0f} MB")
np.testing.assert_allclose(losses(again), exact, rtol=1e-5)

# %% [markdown]
# (On a CPU, XLA notices that the same thing is computed twice, and helpfully makes one of it, which keeps everything as
# before. The second line of the `XLA_FLAGS` above forbids that. On GPUs and TPUs it keeps the two apart by itself.)
#
# Both together:

# %%
both = make_model()
accumulate(both, 4)
rematerialize(both)
reserved["both"] = compiled_bytes(both, ids, labels)
foreseen["both"] = sum(forecast(both, ids, labels, accumulate=4).values())
print(f"{reserved['both'] / 1e6:.0f} MB")

# %% [markdown]
# ## Third: half of each number
#
# A float32 has 8 bits for the exponent and 23 behind the binary point. Two formats take half the room, and save at
# different ends:
#
# - **bfloat16** keeps the 8 bits of the exponent and has 7 behind the point: the same range, two to three decimal digits.
# - **float16** has 5 and 10: three to four digits, but nothing above 65,504 and little below 0.00006.


# %%
def bfloat16(number):
    return float(keras.ops.cast(keras.ops.cast(number, "bfloat16"), "float32"))


print("bfloat16:", bfloat16(1 + 1 / 128), bfloat16(1 + 1 / 512), bfloat16(1e30))
print("float16: ", float(np.float16(1 + 1 / 512)), float(np.float16(70_000.0)), float(np.float16(1e-8)))
assert bfloat16(1 + 1 / 512) == 1.0  # too fine
assert np.isinf(np.float16(70_000.0)) and np.float16(1e-8) == 0.0  # too large, too small

# %% [markdown]
# Two things follow. A weight of 1.0 that should grow by 0.001 would never move in bfloat16: so **weights, gradients' sums and
# Adam's averages stay in float32**, and only products and activations are halved. That is why Keras calls it
# *mixed* precision. So are softmax, norms and the loss: sums of many numbers.
#
# And in float16 small gradients would vanish. **Loss scaling**: multiply the loss by a large number, and divide the
# gradients by it, in float32:

# %%
gradient, scale = 1e-8, 2.0**15
kept = np.float32(np.float16(gradient * scale)) / scale
print(f"without: {np.float16(gradient)}, with loss scaling: {kept:.3e}")
assert abs(kept / gradient - 1) < 1e-3

# %% [markdown]
# If the scale is so large that a gradient becomes infinite, the step is left out and the scale is halved. Keras does all
# of it when a model's policy is `mixed_float16`; with bfloat16 none of it is needed.
#
# A step in bfloat16 is *not* the same step. It follows:

# %%
rough = losses(make_model("mixed_bfloat16"))
print("float32 ", exact)
print("bfloat16", rough)
assert np.abs(rough / exact - 1).max() < 0.02

# %% [markdown]
# What it saves we can only count here: for CPUs XLA turns bfloat16 into float32 again, and keeps as much as before.

# %%
half = forecast(model, ids, labels, half=True)
print(f"counted: {sum(half.values()) / 1e6:.0f} MB in place of {foreseen['no flag'] / 1e6:.0f} MB")

# %% [markdown]
# ## Memory by flag

# %%
names = list(reserved)
places = np.arange(len(names))
figure, axes = plt.subplots(figsize=(8, 3))
for side, found in (("counted", foreseen), ("reserved by XLA", reserved)):
    shift = -0.2 if side == "counted" else 0.2
    axes.barh(places + shift, [found[name] / 1e6 for name in names], 0.4, label=side)
axes.set_yticks(places, names)
axes.invert_yaxis()
axes.set(xlabel="memory of one training step (MB)", title=f"GPT-2, {ROWS} rows of 128 tokens")
axes.legend()
plt.show()

# %%
for name in names:
    assert 1 / 1.5 < foreseen[name] / reserved[name] < 1.5, name
assert reserved["both"] < reserved["--accumulate 4"] < reserved["no flag"]
assert reserved["--rematerialize"] < reserved["no flag"]

# %% [markdown]
# What remains when activations are small are the weights, their gradients and Adam's averages: 16 bytes a weight,
# and 4 more with accumulation. Against that none of the three helps; cutting the *model* over several devices does
# ([chapter 20](20_colab_tpu.ipynb)).
#
# Which first? `--precision mixed_bfloat16` if your card has it: it is faster too. Then `--accumulate`, which costs almost no
# time. Then `--rematerialize`.
#
# ```
# keras-llm train gpt2 --size gpt2 --data my_text.txt --precision mixed_bfloat16 --accumulate 4 --rematerialize
# ```
#
# ## Exercises
#
# 1. How many rows of 1,024 tokens does a card of 16 GB hold in training GPT-2's smallest, with each of the flags? Solve
#    it with `count_bytes`. ([solution](solutions/21_1_rows_that_fit.py))
# 2. How wrong is the mean of means as a *direction*? Take the gradient of both for a small model on rows of very unequal
#    length, and work out the angle between them. ([solution](solutions/21_2_the_wrong_direction.py))
