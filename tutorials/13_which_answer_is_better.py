# %% [markdown]
# # 13. Which answer is better? Learning from preferences
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/13_which_answer_is_better.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 3 to 5 | 2 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** [Chapter 12](12_following_instructions.ipynb) showed a model right answers. Often nobody can write
# *the* right answer, but of two answers everybody can say which is better. How does a model learn from that alone?

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging

import keras
import matplotlib.pyplot as plt
import numpy as np

keras.utils.set_random_seed(0)
logging.getLogger("tensorflow").setLevel("ERROR")  # it warns when it meets many new models, as here

# %%
from keras_llm import AdamW, GPT2Model, TextGenerator, TokenCrossEntropy, Tokenizer, WarmupCosine
from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.datasets.chat import ChatTemplate
from keras_llm.datasets.packing import pack
from keras_llm.datasets.preferences import mismatched_answers, pair_features
from keras_llm.evaluation.predictions import predict
from keras_llm.evaluation.preferences import preference_metrics
from keras_llm.generation import GREEDY
from keras_llm.training.preferences import PairScorer, PreferenceLoss, reward_margins

# %% [markdown]
# ## One pair, on paper
#
# A question, a better answer, a worse one. A language model gives each answer a probability, the product of those of its
# tokens; we take logarithms, so it is a sum. Say that the model finds
#
# | | log-probability before | after a step of training |
# | --- | --- | --- |
# | better answer | -10 | -9 |
# | worse answer | -12 | -14 |
#
# Before, the better answer was already the likelier one, by 2. After, by 5. What is to be rewarded is not how likely the
# better one *is*, some answers are just short, but how much likelier it has *become* than the other one has. So we need a
# **reference**, the model as it was. Rafailov et al. (2023) call $\beta \log(p / p_{ref})$ the implicit *reward* of an
# answer, and the reward of the better one less that of the worse one is the **margin**.

# %%
BETA = 0.5
before, after = np.array([-10.0, -12.0]), np.array([-9.0, -14.0])  # better, worse
rewards = BETA * (after - before)
margin = rewards[0] - rewards[1]
print(f"rewards {rewards}, margin {margin}")
assert margin == 0.5 * (1 - -2)

# %% [markdown]
# The margin becomes a probability by the logistic function $\sigma(m) = 1 / (1 + e^{-m})$: the chance that a judge with
# these rewards prefers the better answer. The loss is its negative logarithm, as always. That is all of **DPO**, direct
# preference optimization (equation 7 of the paper):
#
# $$L = -\log \sigma\left(\beta \log \frac{p(better)}{p_{ref}(better)} - \beta \log \frac{p(worse)}{p_{ref}(worse)}\right)$$

# %%
loss = -np.log(1 / (1 + np.exp(-margin)))
print(f"loss {loss:.4f}; at the start, where the margin is 0: {np.log(2):.4f}")
assert np.isclose(margin, reward_margins(before[None], after[None], BETA)[0])
assert np.isclose(loss, float(PreferenceLoss(BETA)(before[None], after[None])), rtol=1e-5)

# %% [markdown]
# How hard does a pair pull? The slope of the loss is $-\sigma(-m)$: one half at the start, near 0 when the margin is large.
# A pair that is settled is left in peace, and that is what keeps the model near its reference.

# %%
m = np.linspace(-4, 6, 101)
figure, axes = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
axes.plot(m, np.log1p(np.exp(-m)), label="loss")
axes.plot(m, 1 / (1 + np.exp(m)), label="pull, $\\sigma(-m)$")
axes.plot(margin, loss, "o", color="tab:blue")
axes.set(xlabel="margin")
axes.legend()
axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## A model that answers
#
# As in chapter 12, but from nothing, to be quick: the dialogues of the sample are all that it has read.

# %%
rows = {split: load("dialogue_en", split) for split in ("train", "validation", "test")}
LENGTH, EPOCHS = 128 if FULL else 64, 12 if FULL else 2
contents = [message["content"] for row in rows["train"] for message in row["messages"]]
template = ChatTemplate(Tokenizer.train(contents, "byte_bpe", 1024))
examples = [template.example(row["messages"]) for row in rows["train"]]
examples = [(ids[:LENGTH], labels[:LENGTH]) for ids, labels in examples]
token_ids, segment_ids, labels = pack(*zip(*examples), LENGTH)
features = {"token_ids": token_ids, "segment_ids": segment_ids}
batches = PaddedBatches(features, labels, 8, (LENGTH,), seed=0)

# %%
sizes = {"vocabulary_size": template.tokenizer.vocabulary_size, "context_length": LENGTH, "num_layers": 2}
model = GPT2Model.from_preset("nano", **sizes, dropout=0.1)
steps = EPOCHS * batches.steps_per_epoch
model.compile(AdamW(WarmupCosine(3e-3, 20, steps)), TokenCrossEntropy(), jit_compile=FULL)
plan = {"shuffle": False, "verbose": 0}
history = model.fit(batches.stream(), steps_per_epoch=batches.steps_per_epoch, epochs=EPOCHS, **plan)
print(
    f"{steps} steps; loss on the answers {history.history['loss'][0]:.2f} -> {history.history['loss'][-1]:.2f}"
)

# %% [markdown]
# ## Pairs without a judge
#
# Real pairs come from people, or from a larger model, that compare two answers. We have neither, so we take two
# preferences that need no judge:
#
# - **short**: the first sentence of an answer is better than all of it. A matter of *style*.
# - **fitting**: the answer to a question is better than the answer to another one. A matter of *knowledge*: both are good
#   English, only one fits.


# %%
def short_answers(rows):
    turns = [[message["content"] for message in row["messages"]][:2] for row in rows]
    found = [(question, answer, answer.find(". ") + 1) for question, answer in turns]
    return [{"prompt": q, "chosen": a[:end], "rejected": a} for q, a, end in found if end]


makers = {"short": short_answers, "fitting": mismatched_answers}
pairs = {kind: {split: make(part) for split, part in rows.items()} for kind, make in makers.items()}
for kind, own in pairs.items():
    print(kind, {split: len(part) for split, part in own.items()}, *own["test"][0].items(), sep="\n  ")

# %% [markdown]
# `PairScorer` reads both answers behind their question and adds up the log-probabilities of the answers' tokens. By hand,
# for one answer:

# %%
features = {
    kind: {split: pair_features(template, part, LENGTH) for split, part in own.items()}
    for kind, own in pairs.items()
}


def score(scorer, own):
    batches = PaddedBatches(own, None, 8, (64, 128), shuffle=False)
    return np.array(predict(scorer, batches))  # [pairs, 2]: better, worse


# %%
own = features["fitting"]["test"]
ids, is_answer = (np.array(own[name][0]) for name in ("chosen_ids", "chosen_answer"))
logits = np.asarray(model(ids[None]), "float64")[0]
log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
by_hand = sum(log_p[place - 1, ids[place]] for place in np.flatnonzero(is_answer))
by_library = score(PairScorer(model), own)[0, 0]
print(f"{by_hand:.3f}, {by_library:.3f}")
assert np.isclose(by_hand, by_library, rtol=1e-4)

# %% [markdown]
# ## Training
#
# For each preference a copy of the model. The labels are the reference's scores, computed once. The step is small, as the
# model is not to forget what it can do.

# %%
PASSES = 3 if FULL else 1
PEAK = {"short": 3e-5, "fitting": 2e-4}  # learning rates


def tune(own, reference, peak):
    scorer = PairScorer(model.with_vocabulary_size(model.vocabulary_size))  # a copy
    train = PaddedBatches(own, reference, 8, (64, 128), seed=0)
    steps = PASSES * train.steps_per_epoch
    optimizer = AdamW(WarmupCosine(peak, steps // 10, steps), weight_decay=0.01)
    scorer.compile(optimizer, PreferenceLoss(beta=0.1), jit_compile=False)
    scorer.fit(train.stream(), steps_per_epoch=train.steps_per_epoch, epochs=PASSES, **plan)
    return scorer


# %%
reference, found, scorers = {}, {}, {}
for kind, own in features.items():
    reference[kind] = {split: score(PairScorer(model), part) for split, part in own.items()}
    scorers[kind] = tune(own["train"], reference[kind]["train"], PEAK[kind])
    found[kind] = {split: score(scorers[kind], part) for split, part in own.items()}

# %%
names = ("reward_accuracy", "reward_margin", "likelier_accuracy", "chosen_token_loss")
for kind, own in features.items():
    for split in ("train", "test"):
        tokens = [sum(row) for row in own[split]["chosen_answer"]]
        for when, scores in (("before", reference[kind][split]), ("after", found[kind][split])):
            figures = preference_metrics(reference[kind][split], scores, tokens, beta=0.1)
            print(f"{kind:8} {split:6} {when:7}", {name: round(figures[name], 2) for name in names})

# %% [markdown]
# (*Before*, all margins are 0, so the reward accuracy is 0 too; which answer is the likelier one can be asked then
# already. The other columns: the share of pairs with a margin above 0, the mean margin, and the loss of the better
# answers in nats a token.)

# %%
figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
bins = np.linspace(-4, 4, 41)
for axes, kind in zip(panels, features):
    for split in ("train", "test"):
        margins = reward_margins(reference[kind][split], found[kind][split], 0.1)
        label = f"{split}, {len(margins)} pairs"
        axes.hist(np.clip(margins, -4, 4), bins, alpha=0.6, density=True, label=label)
    axes.axvline(0, color="black", label="before: all at 0")
    axes.set(title=kind, xlabel="margin after training", yticks=[])
    axes.legend()
plt.show()

# %% [markdown]
# **Style is learned, knowledge is not.** That an answer should be short holds for questions that the model has not seen:
# the margins are small, but in all test pairs they are above 0, where those of the training pairs are. Which answer
# *fits*, it has learned by heart: on the training pairs the margins are large, on held-out pairs they lie on both sides
# of 0, hardly better than a coin. To know what fits a question a model must understand it, and 175 dialogues cannot
# teach that.
#
# There can be a price, too. DPO cares for the *difference* alone. In the last column, the better answers of *fitting* have
# become **less likely** on the test pairs (a loss of 5.18 after 4.9), only not as fast as the worse ones. Those of *short*
# have not: there the step was smaller, as all pairs pull the same way.
#
# Does it show when the model writes? We let it answer the questions of the test dialogues, and count tokens.

# %%
prompts = [
    template.prompt([{"role": "user", "content": pair["prompt"]}]) for pair in pairs["fitting"]["test"]
]
ROOM = LENGTH - max(map(len, prompts))
for name, own in {"before": model, "short": scorers["short"].model}.items():
    written = TextGenerator(own).generate_ids(prompts, ROOM, GREEDY, stop=[template.end_id])
    print(f"{name}: {np.mean([len(ids) for ids in written]):.1f} tokens an answer, for example")
    print("  ", template.tokenizer.decode(written[0]))

# %% [markdown]
# From the command line, on a file with `prompt`, `chosen` and `rejected` in each line:
#
# ```sh
# keras-llm train preferences --data my_pairs.jsonl --start-from my_chat --output my_tuned
# keras-llm chat my_tuned
# ```
#
# ## What was corrected
#
# Nothing: the articles do not speak of preferences. For them a model is finished when it is fine-tuned.
#
# ## Exercises
#
# 1. **The pull, by hand.** Show with small differences that the gradient of the loss for the two log-probabilities is
#    $-\beta \sigma(-m)$ and $+\beta \sigma(-m)$. ([solution](solutions/13_1_the_pull.py))
# 2. **How dear is it to leave?** Train one small model with $\beta$ = 0.02, 0.1 and 1. How far does it go from its
#    reference, in nats an answer? ([solution](solutions/13_2_beta.py))
# 3. **Is it the length?** Which answer of a pair would one choose who only counts tokens and takes the shorter one? And is
#    the likelier answer *by token* a better judge? ([solution](solutions/13_3_length.py))
#
# Next: [chapter 14](14_bert_pretraining.ipynb) reads to both sides.
