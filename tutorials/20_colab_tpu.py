# %% [markdown]
# # 20. TPUs and many devices: shapes that stay
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/20_colab_tpu.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 2 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** A TPU multiplies matrices much faster than a CPU. What must a training look like, so that it really
# does that, and does not spend its time compiling or moving numbers about?
#
# The answer in one line: *one program, compiled once, for batches of one shape*, whose numbers lie where they are needed.
# We see each part of it on a CPU, where it can be counted.
#
# | road | last run on a CPU | last run on a TPU |
# | --- | --- | --- |
# | JAX: `KERAS_BACKEND=jax`, `training.sharding.distribute` | 2026-11-24, on 8 virtual devices | not yet run on a TPU |
# | TensorFlow: `tensorflow-tpu` 2.20, `tf.distribute.TPUStrategy` | 2026-11-24, only the step compiled by XLA | not yet run on a TPU |

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"
os.environ["KERAS_BACKEND"] = "jax"  # both must be set before JAX starts
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"  # a CPU passes for eight devices

# %%
import jax
import keras
import matplotlib.pyplot as plt
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy
from keras_llm.datasets.batches import PaddedBatches, TokenWindows
from keras_llm.training.sharding import LAYOUTS, distribute

print(len(jax.devices()), "devices")

# %% [markdown]
# ## A program for each shape
#
# XLA makes machine code for arrays of *given* sizes. A batch of another length is another program, and has to be compiled
# first. A function can be told to count that: the Python code inside runs only when it is compiled.

# %%
compiled = []


@jax.jit
def square_sum(x):
    compiled.append(x.shape)
    return (x * x).sum()


for length in (3, 5, 3, 7, 5):
    square_sum(np.ones(length, "float32"))
print(compiled)
assert compiled == [(3,), (5,), (7,)]

# %% [markdown]
# Three lengths, three programs. For `square_sum` that is nothing; a GPT-2's training step takes seconds on a CPU and up to
# minutes on a TPU. Here are 400 texts in batches of 8, each batch padded to its own longest text:

# %%
rng = np.random.default_rng(0)
sizes = np.clip(rng.gamma(3.0, 12.0, 400).astype(int), 2, 128)
rows = [list(np.minimum(rng.zipf(1.5, n), 500)) for n in sizes]  # few ids often, many seldom, as in language
own_length = {max(map(len, rows[i : i + 8])) for i in range(0, 400, 8)}
print("each batch to its own longest row:", len(own_length), "programs")

# %% [markdown]
# The other end is one length for all: one program, but most of what it multiplies is padding. In between, a few lengths,
# each with rows of like length: `PaddedBatches`. We count programs, and the share of the work that goes into real tokens.


# %%
def count(lengths):
    batches = PaddedBatches({"token_ids": rows}, None, 8, lengths)
    inputs = [batches.batch(i)["token_ids"] for i in range(batches.steps_per_epoch)]
    shapes = {array.shape for array in inputs}
    return len(shapes), sum(map(len, rows)) / sum(array.size for array in inputs)


# %%
choices = {
    "one length": (128,),
    "two": (64, 128),
    "four": (16, 32, 64, 128),
    "sixteen": tuple(range(8, 129, 8)),
}
counted = {name: count(lengths) for name, lengths in choices.items()}
for name, (programs, share) in counted.items():
    print(f"{name:12}{programs:3} programs, {share:4.0%} of the work on real tokens")
assert counted["one length"][0] == 1 and counted["four"][1] > 1.5 * counted["one length"][1]

# %%
figure, axes = plt.subplots(figsize=(6, 3))
axes.plot(*zip(*counted.values()), "o-")
for name, place in counted.items():
    axes.annotate(name, place, textcoords="offset points", xytext=(8, -12))
axes.set(xlim=(0, 14), ylim=(0, 1.05), xlabel="programs to compile", ylabel="work on real tokens")
axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# Pretraining has it easier: running text is cut into windows, and *no* token is padding. `TokenWindows` has one shape from
# the first step to the last. A TPU's matrix unit works on tiles of 128 x 128 (and lanes of 8 rows): widths, lengths and
# vocabularies that are multiples of 128 fill them.

# %%
batches = TokenWindows(np.concatenate(rows), length=64, batch_size=16, seed=0)
print({tuple(array.shape for array in batches.batch(i)) for i in range(20)})

# %% [markdown]
# ## Where the numbers lie
#
# Eight devices can share a batch, or a model. XLA divides one program over them, by where its inputs lie; models and training
# know nothing of it. `distribute` says where, *before* the model is made.


# %%
def train(model_devices=None, steps=3 if not FULL else 6):
    keras.distribution.set_distribution(None)
    if model_devices:
        distribute(model_devices)
    keras.utils.set_random_seed(0)
    model = GPT2Model(512, 64, 128, 1 if not FULL else 2, 4, dropout=0.1)
    model.compile(AdamW(1e-2, epsilon=1e-3), TokenCrossEntropy(), jit_compile=True)
    history = model.fit(batches, steps_per_epoch=1, epochs=steps, shuffle=False, verbose=0)
    return model, np.array(history.history["loss"])


# %%
one, exact = train()
print("one device      ", exact)
assert exact[-1] < exact[0]

# %% [markdown]
# **Data parallel.** Each device has all weights and two of the sixteen rows; the gradients are added up over the devices. The
# loss is a mean over the tokens of *all* of them, as on one device.

# %%
_, shared = train(model_devices=1)
print("rows on 8       ", shared)
np.testing.assert_allclose(shared, exact, rtol=1e-5)

# %% [markdown]
# **Model parallel.** If a model does not fit one device, its matrices are cut. Which way? A block is pairs of dense layers:
# $y = f(x A) B$. Cut $A$ by *columns*: each device has some of the features, and applies $f$ to its own. Then $B$ must be cut
# by *rows*: each device multiplies the features that it has, and only the products are added up. On paper, with two devices:

# %%
x, a, b = rng.normal(size=(2, 4)), rng.normal(size=(4, 6)), rng.normal(size=(6, 4))
whole = np.maximum(x @ a, 0) @ b
parts = [np.maximum(x @ a[:, own], 0) @ b[own] for own in (slice(0, 3), slice(3, 6))]
np.testing.assert_allclose(sum(parts), whole)
print("one sum over the devices for two layers:", np.abs(sum(parts) - whole).max() < 1e-12)

# %% [markdown]
# In attention the first matrices are those of queries, keys and values, whose columns are heads: each device has some heads
# (Shoeybi et al. 2019, "Megatron-LM", section 3). In the library that is a table of names:

# %%
for pattern, axes_of in LAYOUTS.items():
    print(f"{pattern:52}{axes_of}")

# %% [markdown]
# Eight devices as two groups of four: each group has half of the rows, each device of a group a quarter of the model, and
# of Adam's averages.

# %%
model, cut = train(model_devices=4)
print("2 x 4           ", cut)
np.testing.assert_allclose(cut, exact, rtol=1e-5)
query = model.blocks[0].attention.query_projection.kernel.value
print("a query matrix:", query.shape, "of which a device has", query.addressable_shards[0].data.shape)

# %% [markdown]
# The same losses three times, dropout included: random numbers belong to a place in the array, not to a device.
#
# ## bfloat16
#
# A TPU multiplies in bfloat16. `dtype="mixed_bfloat16"` has products and activations in it, and weights in float32;
# [chapter 21](21_when_it_does_not_fit.ipynb) shows why.

# %%
half = GPT2Model(512, 64, 128, 1, 4, dtype="mixed_bfloat16")
kernel = half.blocks[0].feed_forward.inner.kernel
print("weights:", kernel.dtype, " logits:", half(batches.batch(0)[0]).dtype)

# %% [markdown]
# ## On Colab
#
# 1. *Runtime, Change runtime type, TPU.* Open this notebook there, run the first cell.
# 2. **JAX** comes with Colab's TPU machines; `jax.devices()` above then lists TPU cores, and everything above runs on
#    them as it is; on a machine with a single core leave the last two `train(...)` out. For your own text: the lines of
#    `train`, with `TokenWindows` over your token ids.
# 3. **TensorFlow** needs a build of its own: `pip install tensorflow-tpu==2.20.0` (the newest there is; TensorFlow for
#    other machines is at 2.21), Keras' backend left at `tensorflow`, and a `TPUStrategy` around the making of the model, as in
#    TensorFlow's [TPU guide](https://www.tensorflow.org/guide/tpu).
#
# Both roads are **not yet run on a TPU** (2026-11-24). What you have seen above ran on a CPU: the shapes, the single program,
# the equal losses on eight virtual devices. How fast a TPU is, it cannot show.
#
# ## Exercises
#
# 1. Which four lengths have the largest share of real tokens for these rows? Find them by trying.
#    ([solution](solutions/20_1_four_lengths.py))
# 2. How many bytes do the devices exchange in a step, data parallel and model parallel? Work it out for the `mini` GPT-2 and
#    find the batch at which both exchange as much. ([solution](solutions/20_2_bytes_between_devices.py))
