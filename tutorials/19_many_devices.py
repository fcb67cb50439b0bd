# %% [markdown]
# # 19. Many devices: the same step, in parts
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/19_many_devices.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 2 to 4 | 2 GB |
# | small | CPU | 1 to 3 | 2 GB |
#
# **The question.** A step reads a batch that is too much for one device, or takes too long. Two devices could read half of
# it each. Do they learn the same as one?
#
# They must, or a result would depend on the machine it was made on. There is one mistake that nearly everybody makes; we
# make it on paper first. Then one model is trained on one device, on two, and in two processes, of which we kill one.
#
# No GPU is needed: the first cell makes two devices out of the CPU, which has to be done before TensorFlow starts. They
# are no faster than one, but what is computed is what two GPUs would compute.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

# %%
import csv
import pathlib
import re
import signal
import subprocess
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.models.transformer import Transformer
from keras_llm.training import distribution
from keras_llm.training.losses import TokenCrossEntropy, token_losses
from keras_llm.training.optimizers import AdamW

# %% [markdown]
# ## Two gradients, by hand
#
# The smallest model has one weight $w$ and says $w x$; the loss of a token is $(w x - y)^2$, and its gradient is
# $2 (w x - y) x$. A batch has two rows. The first has three tokens, the second has one, and the rest is padding.

# %%
x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 2.0, 2.0])
w = 1.0
gradients = 2 * (w * x - y) * x  # of each token
print("of each token:", gradients)
print("of the batch: ", gradients.mean())

# %% [markdown]
# That is what one device finds: $(-2 + 0 + 6 + 16) / 4 = 5$. Now the first device gets the first row and the second device
# the other row. Each takes the mean over its tokens, and we take the mean of the two:

# %%
first, second = gradients[:3], gradients[3:]
mean_of_means = (first.mean() + second.mean()) / 2
print(f"({first.mean():.3f} + {second.mean():.3f}) / 2 = {mean_of_means:.3f}")
assert not np.isclose(mean_of_means, gradients.mean())

# %% [markdown]
# 8.667 instead of 5. The lonely token of the second row counts as much as the three others together. With rows of equal
# length nobody would have noticed.
#
# Right is: each device adds up its gradients and divides by the number of tokens on *all* devices. These shares are then
# added, and not averaged. So before they can say their loss, the devices must tell each other one number, how many tokens
# they have.

# %%
tokens = len(first) + len(second)  # the one number
shares = first.sum() / tokens, second.sum() / tokens
print(f"{shares[0]:.3f} + {shares[1]:.3f} = {sum(shares):.3f}")
assert np.isclose(sum(shares), gradients.mean())

# %% [markdown]
# ## A model, on one device and on two
#
# Now a Transformer that learns to write numbers backwards. The rows have 2 to 12 digits, so the halves of a batch
# hardly ever have as many tokens.

# %%
random = np.random.default_rng(0)
sources = [
    list(random.integers(3, 13, random.integers(2, 13))) for _ in range(256)
]  # 3 stands for the digit 0
features = {"source_ids": sources, "target_ids": [[1, *row[::-1]] for row in sources]}  # 1: begin
labels = [[*row[::-1], 2] for row in sources]  # 2: end
batches = PaddedBatches(features, labels, batch_size=16, lengths=(13,))
_, batch_labels = batches.batch(0)
print("tokens in the two halves of the first batch:", *(batch_labels != -100).reshape(2, -1).sum(axis=1))

# %% [markdown]
# `distribution.use` says where a model lives; after that, `compile` and `fit` are Keras' own. The word `mirrored` gives each
# device a copy of all weights. `batches.stream()` then hands each device its half of every batch, and the optimizer adds
# up the gradients before it takes its step, so that the copies stay equal.

# %%
STEPS = 60 if FULL else 20


def train(strategy, loss):
    distribution.use(strategy)
    keras.utils.set_random_seed(0)
    sizes = {"hidden_dim": 32, "num_layers": 1, "num_heads": 2, "inner_dim": 64}
    model = Transformer(vocabulary_size=13, context_length=13, dropout=0.0, **sizes)
    model.compile(AdamW(3e-3), loss, jit_compile=False)
    history = model.fit(batches.stream(), steps_per_epoch=1, epochs=STEPS, shuffle=False, verbose=0)
    return model, np.array(history.history["loss"])


# %%
_, one = train("one", TokenCrossEntropy())
model, two = train("mirrored", TokenCrossEntropy())
weight = model.trainable_variables[0]
print(weight.path, "is on", *(part.device[-5:] for part in weight.value.values))

# %% [markdown]
# And the mistake from above, as a loss. Keras adds up what it says on each device, so the mean of two means is:


# %%
class MeanOfMeans(keras.losses.Loss):
    def call(self, labels, logits):
        losses, counted = token_losses(keras.ops.cast(labels, "int32"), logits)
        return keras.ops.sum(losses) / keras.ops.sum(counted) / 2  # the tokens of this device alone


_, wrong = train("mirrored", MeanOfMeans(reduction="sum"))

# %%
print("step   one device   two devices   mean of two means")
for step in (0, 1, 2, 4, 9, STEPS - 1):
    print(f"{step + 1:4}   {one[step]:.6f}     {two[step]:.6f}      {wrong[step]:.6f}")
np.testing.assert_allclose(two, one, rtol=1e-4)
print(f"largest difference of one and two: {np.abs(two / one - 1).max():.0e} of the loss")
print(f"... and with the mean of means:    {np.abs(wrong / one - 1).max():.0e}")
assert np.abs(wrong / one - 1).max() > 100 * np.abs(two / one - 1).max()

# %% [markdown]
# One and two devices agree to the last digits that 32 bits can hold: the numbers are the same, but they are added up in
# another order. The mean of means is near, but it is another training: nobody would see it without the first column.
#
# Some things cannot be done in parts. `train similar` tells each text from all others of its batch; half a batch has half as
# many others. A loss like that says so:

# %%
from keras_llm.training.losses import PairCrossEntropy

try:
    PairCrossEntropy()
except ValueError as error:
    print(error)

# %% [markdown]
# ## Two processes, and one is killed
#
# Devices in other machines belong to other processes. They find each other by an environment variable, TF_CONFIG, which a
# cluster sets; on one machine, `keras-llm launch` does it. Each process makes every batch, which costs little, and keeps its
# own rows. The first one, the *chief*, writes the files.
#
# We train a small GPT-2 on made-up sentences this way, and end the second process in the middle of it by SIGKILL, as a
# machine does whose power fails.

# %%
distribution.use("one")
words = ["the cat", "a dog", "the old man", "sees", "likes", "calls", "the moon", "a bird"]
kinds = random.integers(0, 3, (1500, 2))
lines = [f"{words[first]} {words[3 + first]} {words[5 + second]}." for first, second in kinds]
pathlib.Path("sentences.txt").write_text("\n".join(lines))
options = (
    "--data sentences.txt --tokenizer character --layers 1 --width 32 --heads 2 --context 32 --batch-size 8"
)
options += " --steps 120 --evaluate-every 10 --evaluate-on 4 --warmup 10 --save-every 5 --learning-rate 3e-3"

# %%
python = [sys.executable, "-m", "keras_llm.cli"]


def start(output, launcher=("launch", "--workers", "2", "--")):
    command = [*python, *launcher, "train", "gpt2", *options.split(), "--output", output]
    with open(f"{output}.log", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def rows(output):
    with open(f"{output}/history.csv") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


# %%
process = start("two")
while process.poll() is None and not pathlib.Path("two/states/step-000000060").exists():
    time.sleep(0.02)
victim = int(re.search(r"\[worker 1\] is process (\d+)", pathlib.Path("two.log").read_text())[1])
os.kill(victim, signal.SIGKILL)
print("exit status:", process.wait())
before = rows("two")
print(pathlib.Path("two.log").read_text().splitlines()[-1])

# %% [markdown]
# The exit status is 128 and the number of the signal, 9. The other process noticed at once that nobody answers any more;
# if it had hung, the launcher would have stopped it after 15 seconds. Now the same command again:

# %%
assert start("two").wait() == 0
after = rows("two")
text = pathlib.Path("two.log").read_text()
again = int(re.findall(r"Going on after step (\d+)", text)[-1])
print("it went on after a multiple of 5 steps:", again % 5 == 0)
print("rows of the history that were there before and are the same now:", before == after[: len(before)])

# %% [markdown]
# And the same once more in one process, which nobody touched:

# %%
assert start("one", launcher=()).wait() == 0
alone = rows("one")
for row, other in list(zip(alone, after))[::3]:
    print(f"step {row['step']:4.0f}   {row['val_loss']:.6f}   {other['val_loss']:.6f}")
np.testing.assert_allclose([row["val_loss"] for row in after], [row["val_loss"] for row in alone], rtol=1e-3)

# %%
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
steps = [row["step"] for row in alone]
axes.plot(steps, [row["val_loss"] for row in alone], color="lightgray", linewidth=7, label="one process")
axes.plot(
    [row["step"] for row in before], [row["val_loss"] for row in before], "o-", label="two, up to the kill"
)
rest = [row for row in after if row["step"] > again]
axes.plot([row["step"] for row in rest], [row["val_loss"] for row in rest], "s-", label="two, started again")
axes.axvline(again, color="tab:red", linestyle=":", label="the last state before the kill")
axes.set(xlabel="step", ylabel="validation loss (nats)", title="The loss over a kill")
axes.legend()
plt.show()

# %% [markdown]
# The kill cannot be seen in the curve. That takes more than the weights: the state that is saved holds the optimizer's
# moments, the seeds of dropout, what the metrics had counted, and the number of steps; the batches are functions of that
# number.
#
# From the command line:
#
# ```sh
# keras-llm train gpt2 --data my_text.txt --strategy mirrored           # all GPUs of this machine
# keras-llm launch --workers 2 -- train gpt2 --data my_text.txt         # two processes on this machine
# keras-llm train gpt2 --data my_text.txt --strategy multi-worker      # on each machine, with its TF_CONFIG
# ```
#
# ## What was corrected
#
# The articles that this course grew out of say that large models need much computing power, and leave it at that: there is
# no program for more than one device in them. What is corrected here is a habit, the mean of means.
#
# ## Exercises
#
# 1. **Three devices.** Give three devices 5, 2 and 1 tokens with gradients of your choice. When does the mean of means
#    come out right all the same? ([solution](solutions/19_1_three_devices.py))
# 2. **Clip, then add?** The gradient's norm is cut to 1. Show that cutting each device's own gradient gives another step than
#    cutting the sum, and that the step may even go in another direction. ([solution](solutions/19_2_clip_then_add.py))
# 3. **Around the ring.** Four workers have a vector each and want the sum. Sending everything to one of them makes it the
#    bottleneck. Let each send to its neighbour only, one quarter of the vector at a time, and count what each sends.
#    ([solution](solutions/19_3_around_the_ring.py))
