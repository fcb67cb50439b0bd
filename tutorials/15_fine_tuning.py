# %% [markdown]
# # 15. Fine-tuning: one model, your task
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/15_fine_tuning.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 2 to 4 | 3.5 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** Somebody has trained a BERT on more text than you will ever read. You have a few hundred texts with
# labels of your own. What must be added to the model so that it sorts *your* texts, and what does it gain?
#
# What must be added is one matrix, and we calculate with it on paper. The gain is measured, beside the laziest
# answer and the LSTM of [chapter 4](04_lstm_classifier.ipynb), on the same rows.
#
# The full profile starts from a published model of 22.7 million weights, which is downloaded once (90 MB). The small
# profile downloads nothing: it makes a tiny BERT from nothing, to show that the program runs. Its results are poor.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging
import pathlib
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.evaluation.classification import class_table, classification_metrics, draw_confusion
from keras_llm.models import lstm
from keras_llm.models.bert import BertClassifier, BertEncoder
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import TokenAccuracy, TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

np.set_printoptions(precision=3, suppress=True)
logging.getLogger("tensorflow").setLevel("ERROR")  # it warns when it meets many new models, as here

# %% [markdown]
# ## A head, on paper
#
# BERT reads a text and gives a vector for each token. The first token is always `[CLS]`, which stands for nothing
# itself. Through attention it can collect what the other tokens say, and its vector, passed through one more layer, is
# the *pooled vector*: the whole text in a few hundred numbers.
#
# Let a text have a pooled vector of three numbers, and let there be two labels. The *head* is a matrix with a column
# for each label, and a bias. The products are the scores of the labels, the *logits*.

# %%
pooled = np.array([1.0, 0.5, -1.0])
W = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])  # [3, 2]: a column a label
b = np.zeros(2)
logits = pooled @ W + b
print(logits)
assert logits.tolist() == [2, -1]  # 1 * 1 + 0.5 * 2, and -1 * 1

# %% [markdown]
# The softmax of [chapter 6](06_attention_by_hand.ipynb) makes shares of them. On paper: $e^2 = 7.389$ and $e^{-1} =
# 0.368$, so the first label has $7.389 / 7.757 = 0.953$. If it is the right one, then the *loss* is $-\ln 0.953 =
# 0.049$: the surer of the right label, the smaller.


# %%
def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))  # exercise 1 of chapter 6
    return powers / powers.sum(axis=-1, keepdims=True)


shares = softmax(logits)
loss = -np.log(shares[0])
print(shares, loss.round(4))
assert np.isclose(shares[0], 7.389 / 7.757, atol=1e-4) and np.isclose(loss, 0.0486, atol=1e-4)

# %% [markdown]
# ## One step of learning, on paper
#
# In which direction must the logits move? The derivative of this loss is very simple: *what the model says minus what
# is right*. Each weight of the head then moves by the number that it was multiplied with.

# %%
right = np.array([1.0, 0.0])
error = shares - right  # the derivative of the loss with respect to the logits
W_new, b_new = W - 1.0 * np.outer(pooled, error), b - 1.0 * error  # a learning rate of 1
loss_new = -np.log(softmax(pooled @ W_new + b_new)[0])
print("error", error, " new logits", pooled @ W_new + b_new)
print(f"loss before {loss:.4f}, after {loss_new:.4f}")

# %% [markdown]
# On paper: the error is $-0.047$ and $0.047$. The pooled vector times itself is $1 + 0.25 + 1 = 2.25$; with the bias
# each logit moves by $3.25 \cdot 0.047 = 0.154$. And the rule itself, against a small real change of one weight:

# %%
assert np.allclose(pooled @ W_new + b_new, [2.154, -1.154], atol=1e-3)
change = np.zeros_like(W)
change[1, 0] = 1e-6
losses = [-np.log(softmax(pooled @ (W + sign * change))[0]) for sign in (1, -1)]
measured = (losses[0] - losses[1]) / 2e-6
print(f"measured {measured:.4f}, by the rule {pooled[1] * error[0]:.4f}")
assert np.isclose(measured, pooled[1] * error[0], atol=1e-6)

# %% [markdown]
# ## The library's model is equal to it
#
# `BertClassifier` is an encoder and such a head. Here is one with random weights and vectors of eight numbers. We take
# its weights out and do by hand what comes after the last block: the pooler, the head, the softmax, the loss.

# %%
keras.utils.set_random_seed(0)
encoder = BertEncoder(vocabulary_size=50, context_length=16, hidden_dim=8, num_layers=1, num_heads=2)
model = BertClassifier(encoder, num_classes=2)
token_ids = np.array([[2, 7, 9, 8, 3], [2, 8, 3, 0, 0]])  # 2 is [CLS], 3 [SEP], 0 [PAD]
x = np.asarray(encoder(token_ids)["sequence_output"])  # [2, 5, 8]: a vector for each token

# %%
pooler_kernel, pooler_bias = encoder.pooler.get_weights()
kernel, bias = model.output_layer.get_weights()
pooled = np.tanh(x[:, 0] @ pooler_kernel + pooler_bias)  # [2, 8], from the vectors of [CLS]
by_hand = pooled @ kernel + bias  # [2, 2]
assert np.allclose(pooled, encoder(token_ids)["pooled_output"], atol=1e-6)
assert np.allclose(by_hand, model(token_ids), atol=1e-6)

# %%
labels = np.array([0, 1])
loss = -np.log(softmax(by_hand)[[0, 1], labels]).mean()
print(f"loss {loss:.5f} by hand, {TokenCrossEntropy()(labels, model(token_ids)):.5f} by the library")
assert np.isclose(loss, TokenCrossEntropy()(labels, model(token_ids)), atol=1e-6)

# %% [markdown]
# ## The texts
#
# Sentences about five topics, the ones of chapter 4. **To take your own**, write the name of your file: a `.csv` with
# the columns `text` and `label` is enough. It is cut into parts for training, validation and test by itself.

# %%
DATA = "topics_en"  # or a file of yours, such as "reviews.csv"
rows = {split: load(DATA, split) for split in ("train", "validation", "test")}
labels = sorted({row["label"] for row in rows["train"]})
texts = {split: [row["text"] for row in part] for split, part in rows.items()}
y = {split: np.array([labels.index(row["label"]) for row in part]) for split, part in rows.items()}
print({split: len(part) for split, part in rows.items()}, labels)
print(rows["train"][0])

# %% [markdown]
# ## A model that has read before
#
# `from_pretrained` takes a name on the Hugging Face hub, or a folder. `head="new"` means: everything from there, but a
# fresh head. The tokenizer must come from the same place: the weights know the words by *its* numbers.

# %%
START = "sentence-transformers/all-MiniLM-L6-v2"  # 6 layers, 384 wide, English; licence Apache-2.0
if FULL:
    tokenizer = Tokenizer.from_pretrained(START)
else:
    tokenizer = Tokenizer.train(texts["train"], "wordpiece", 2_000, lowercase=True)


# %%
def fresh(classes, size="tiny"):
    """A BERT that has read nothing: random weights."""
    encoder = BertEncoder.from_preset(size, vocabulary_size=tokenizer.vocabulary_size, context_length=128)
    return BertClassifier(encoder, num_classes=len(classes), labels=classes)


def start(classes):
    if not FULL:
        return fresh(classes)
    return BertClassifier.from_pretrained(START, head="new", num_classes=len(classes), labels=classes)


# %%
keras.utils.set_random_seed(0)
model = start(labels)
head = model.output_layer.count_params()
print(f"{model.count_params():,} weights, {head:,} of them in the head")
assert head == model.encoder.hidden_dim * 5 + 5

# %% [markdown]
# Before anything else, look at what the tokenizer makes of *your* texts. A word without a token becomes `[UNK]`, and
# the model sees nothing of it. This is an English vocabulary: it is no use for Chinese, and for Chinese texts you
# would start from another model, such as `bert-base-chinese`.

# %%
print([tokenizer.id_to_token(index) for index in tokenizer.encode(texts["train"][0])])
for name in (DATA, "topics_zh"):
    ids = np.concatenate([tokenizer.encode(row["text"]) for row in load(name, "train")])
    print(f"{name}: {(ids == tokenizer.unknown_id).mean():.1%} of the tokens are [UNK]")

# %% [markdown]
# ## The head alone
#
# The cheapest way: leave the pretrained weights as they are, calculate the pooled vector of each text *once*, and
# train nothing but the head, with the rule from above. `PaddedBatches` puts texts of like length together and fills
# them up to 32 or 64 tokens: few lengths, so that TensorFlow prepares few programs.

# %%
LENGTHS = (32, 64)


def batches(texts, y=None, size=32, seed=0):
    ids = tokenizer.encode(list(texts))
    ids = [row if len(row) <= 64 else [*row[:63], tokenizer.separator_id] for row in ids]
    return PaddedBatches({"token_ids": ids}, y, size, LENGTHS, seed, shuffle=y is not None)


# %%
def pooled_vectors(texts):
    part = batches(texts)
    vectors = np.zeros((len(texts), model.encoder.hidden_dim))
    for i in range(part.num_batches):
        numbers = part.rows_of(i)[1]  # which texts stand in this batch
        output = model.encoder(part[i])["pooled_output"]
        vectors[numbers] = np.asarray(output)[: len(numbers)]
    return vectors


# %%
H = {split: pooled_vectors(part) for split, part in texts.items()}  # [n, hidden_dim]
W, b = np.zeros((H["train"].shape[1], len(labels))), np.zeros(len(labels))
one_hot = np.eye(len(labels))[y["train"]]
for _ in range(1_000):
    error = softmax(H["train"] @ W + b) - one_hot  # [n, labels]
    W -= 0.5 * H["train"].T @ error / len(error)
    b -= 0.5 * error.mean(axis=0)
head_alone = {split: (h @ W + b).argmax(axis=1) for split, h in H.items()}
print({split: float((head_alone[split] == y[split]).mean().round(3)) for split in H})

# %% [markdown]
# ## Fine-tuning: everything learns
#
# Now the same step reaches the encoder too: all weights may move, but only a little. Three things are different from
# training from nothing:
#
# - the *learning rate* is small, 0.0001, and rises and falls: large steps would destroy what was learnt before;
# - a few passes over the texts are enough;
# - `AdamW` lets matrices decay a little, and cuts gradients that are too long.
#
# The rest is plain Keras. (`stream()` prepares batches while the model calculates. It never ends, so `fit` is told the
# length of a pass.)

# %%
EPOCHS = 4 if FULL else 2


def compile_for(model, steps, rate):
    schedule = WarmupCosine(rate, steps // 10, steps, floor=0.0)
    optimizer = AdamW(schedule, weight_decay=0.01, beta_2=0.999, epsilon=1e-6)
    # XLA would prepare a program for each length and takes longer for it than it saves.
    model.compile(optimizer, TokenCrossEntropy(), metrics=[TokenAccuracy()], jit_compile=False)


def fine_tune(model, texts, y, epochs, rate):
    train = batches(texts, y)
    steps = train.steps_per_epoch
    compile_for(model, epochs * steps, rate)
    return model.fit(train.stream(), steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0).history


# %%
history = fine_tune(model, texts["train"], y["train"], EPOCHS, 1e-4 if FULL else 1e-3)
for epoch, (loss, share) in enumerate(zip(history["loss"], history["token_accuracy"]), start=1):
    print(f"pass {epoch}: loss {loss:.3f}, right {share:.3f}")


# %% [markdown]
# The loss begins near $\ln 5 = 1.609$, that of a model that gives each label one fifth. What does it say to texts that
# it has not seen?


# %%
def probabilities(model, texts):
    ids, _ = tokenizer.pad(tokenizer.encode(list(texts)), 64, truncate=True)  # [n, 64]
    return softmax(model.predict(ids, batch_size=32, verbose=0))  # [n, labels]


tuned = {split: probabilities(model, texts[split]) for split in ("validation", "test")}
for split, p in tuned.items():
    print(f"{split}: {(p.argmax(axis=1) == y[split]).mean():.3f}")

# %% [markdown]
# ## The table a class
#
# For each label: of the texts that were *said* to have it, how many do (precision)? Of those that have it, how many
# were found (recall)? F1 is their harmonic mean. Support is the number of texts: with so few, one text more or less
# moves a number by ten points.

# %%
metrics = classification_metrics(y["test"], tuned["test"].argmax(axis=1), labels)
print(class_table(metrics))

# %%
with tempfile.TemporaryDirectory() as folder:
    draw_confusion(metrics, labels, pathlib.Path(folder) / "confusion.png")
    picture = plt.imread(pathlib.Path(folder) / "confusion.png")
figure = plt.figure(figsize=(6.2, 5.4))
plt.imshow(picture, interpolation="antialiased")
plt.axis("off")
plt.show()

# %% [markdown]
# Look at what was wrong, always: some mistakes are the model's, and some texts could carry either label.

# %%
wrong = [(row, p) for row, p in zip(rows["test"], tuned["test"]) if labels[p.argmax()] != row["label"]]
for row, p in wrong[:5]:
    print(f"said {labels[p.argmax()]} ({p.max():.2f}), right is {row['label']}: {row['text']}")

# %% [markdown]
# ## Beside the others
#
# A number alone says nothing. On the same test texts:
#
# - the laziest answer: always the label that is most frequent in the training texts;
# - the LSTM of chapter 4, in both directions, made and trained as there;
# - a BERT of the same kind that has read nothing before (a tiny one, with more passes and larger steps);
# - the pretrained model with the head alone;
# - the pretrained model, everything tuned.

# %%
reader = lstm.train_tokenizer(rows["train"], 100_000, lowercase=True)
reader = lstm.train_tokenizer(rows["train"], 9 * reader.vocabulary_size // 10, lowercase=True)
length = int(np.percentile([len(ids) for ids in reader.encode(texts["train"])], 95))
arrays = {s: lstm.preprocess_data(rows[s], reader, labels, length, "classifier") for s in rows}

# %%
keras.utils.set_random_seed(0)
size = {"embedding_dim": 64, "units": 32, "dropout": 0.5, "bidirectional": True}
network = lstm.build_model("classifier", reader.vocabulary_size, len(labels), **size)
passes = 14 if FULL else 2
lstm.train_model(network, *arrays["train"], *arrays["validation"], passes, 32, 5e-3, patience=passes)
lstm_says = network.predict(arrays["test"][0], verbose=0).argmax(axis=1)

# %%
keras.utils.set_random_seed(0)
untaught = fresh(labels)
fine_tune(untaught, texts["train"], y["train"], 20 if FULL else 2, 1e-3)
untaught_says = probabilities(untaught, texts["test"]).argmax(axis=1)


# %%
def wilson(hits, n, z=1.96):
    """The accuracies that fit what was seen, as in chapter 4."""
    share, extra = hits / n, z * z / n
    middle = (share + extra / 2) / (1 + extra)
    half = z * np.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    return middle - half, middle + half


# %%
says = {
    "most frequent label": np.full(len(y["test"]), np.bincount(y["train"]).argmax()),
    "LSTM of chapter 4": lstm_says,
    "tiny BERT, read nothing": untaught_says,
    "pretrained, head alone": head_alone["test"],
    "pretrained, all tuned": tuned["test"].argmax(axis=1),
}

# %%
hits = {name: int((said == y["test"]).sum()) for name, said in says.items()}
n = len(y["test"])
for name, count in hits.items():
    low, high = wilson(count, n)
    print(f"{name:24} {count:2} of {n} = {count / n:.2f} ({low:.2f} to {high:.2f})")

# %%
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for place, (name, count) in enumerate(hits.items()):
    low, high = wilson(count, n)
    axes.barh(place, count / n, color="tab:blue" if name == "pretrained, all tuned" else "tab:gray")
    axes.plot([low, high], [place, place], color="black", marker="|")
axes.set_yticks(range(len(hits)), hits)
axes.invert_yaxis()
axes.set(xlim=(0, 1), xlabel="right on the test texts, with the interval of 95 %")
plt.show()

# %% [markdown]
# In the stored run the pretrained model is ahead, and its interval does not touch that of the LSTM. Three things are
# worth a second look:
#
# - **The head alone is almost as good.** The pooled vectors of a model that has read much lie apart by topic already, and
#   a matrix with 1,925 numbers is enough to cut between them. That is cheap: each text is read once. Tuning everything
#   pays when the task is further from what the model knows.
# - **The architecture is not what helps.** The tiny BERT that has read nothing is no better than the LSTM. What helps is
#   the reading. The bag of words of chapter 4 had 39 of the same 45 texts, more than both; its interval, 0.74 to 0.94,
#   overlaps with that of the best model here.
# - **The data are easy,** and were written for this course. For results, take public data: `README.md` of the repository
#   has figures.
#
# ## Your own texts
#
# Write your sentences into the list. As in chapter 4, one label must be said, even where none fits.

# %%
MY_TEXTS = ["The striker scored twice in the last ten minutes.", "My cat sleeps on the piano."]
for text, p in zip(MY_TEXTS, probabilities(model, MY_TEXTS)):
    print(f"{labels[p.argmax()]} ({p.max():.2f}): {text}")

# %% [markdown]
# `save_pretrained` writes the folder that `from_pretrained` reads, and that the `transformers` library reads too. The
# labels travel in it.

# %%
with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    tokenizer.save(folder)
    again = BertClassifier.from_pretrained(folder)
    print(sorted(path.name for path in pathlib.Path(folder).iterdir()), again.labels)
assert np.allclose(probabilities(again, MY_TEXTS), probabilities(model, MY_TEXTS), atol=1e-4)

# %% [markdown]
# The same from the command line, with a folder at the end that holds model, table and curves:
#
# ```sh
# keras-llm train classify --data reviews.csv --start-from sentence-transformers/all-MiniLM-L6-v2 --output my_run
# keras-llm predict my_run "The striker scored twice."
# ```
#
# ## What was corrected
#
# This course grew out of a few survey articles; all corrections are listed in [CORRECTIONS.md](CORRECTIONS.md). One of
# them ends in a program that fine-tunes BERT on two sentences, one about technology (label 0) and one about sports
# (label 1), and then prints a label for two new ones. Its steps are the right ones: tokenize, pad, load, compile, fit,
# predict, print. Here they are in today's Keras:

# %%
two = ["This is an article about technology.", "This is an article about sports."]
names = ["technology", "sports"]
keras.utils.set_random_seed(0)
pair_model = start(names)
token_ids, padding_mask = tokenizer.pad(tokenizer.encode(two))
compile_for(pair_model, 10, 1e-4 if FULL else 1e-3)
inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
fitted = pair_model.fit(inputs, np.array([0, 1]), epochs=10, verbose=0)
print(f"loss {fitted.history['loss'][0]:.3f} to {fitted.history['loss'][-1]:.3f}")

# %%
new = ["This is a new article about sports.", "This is a new article about technology."]
token_ids, padding_mask = tokenizer.pad(tokenizer.encode(new))
new_logits = pair_model.predict({"token_ids": token_ids, "padding_mask": padding_mask}, verbose=0)
for text, row in zip(new, new_logits):
    print(f"{names[row.argmax()]}: {text}")

# %% [markdown]
# And here is what the article's program does otherwise.
#
# **Nothing is measured.** The new sentences are the old ones with one word more, and two right answers of two prove
# nothing. We ask this model about all bundled texts on the two topics; none of them was used to train it. Beside it we
# train a tiny BERT that has read nothing on the same two sentences.

# %%
asked = [row for split in rows for row in rows[split] if row["label"] in names]
keras.utils.set_random_seed(0)
beginner = fresh(names)
compile_for(beginner, 10, 1e-3)
fitted = beginner.fit(inputs, np.array([0, 1]), epochs=10, verbose=0)
print(f"loss {fitted.history['loss'][0]:.3f} to {fitted.history['loss'][-1]:.3f}")

# %%
for name, own in (("pretrained", pair_model), ("read nothing", beginner)):
    on_new = probabilities(own, new).argmax(axis=1)
    on_asked = probabilities(own, [row["text"] for row in asked]).argmax(axis=1)
    correct = np.mean([names[k] == row["label"] for k, row in zip(on_asked, asked)])
    print(f"{name:13} the two new sentences: {(on_new == [1, 0]).sum()} of 2,", end=" ")
    print(f"other texts: {correct:.2f} of {len(asked)}")

# %% [markdown]
# This is a surprise: for a model that has read much, the two sentences *are* enough, in the stored run. Technology and
# sports lie far apart in its vectors already; two examples only tell it which is which. The beginner's loss has
# hardly left $\ln 2 = 0.693$, and its answers are those of a coin. Two printed lines do not tell the one from the other:
# a coin gets both right in one of four cases. That is why one measures.
#
# **Logits taken for probabilities.** The article's BERT ends, as ours, in logits. It is compiled with the loss
# `"categorical_crossentropy"`, which takes its input for probabilities unless told otherwise: it divides by their sum
# and cuts the result to between 0 and 1. For our two logits from the beginning, and the two labels:

# %%
logits = np.array([[2.0, -1.0]])
for label in (0, 1):
    one_hot = np.eye(2)[[label]]
    wrong, good = (
        float(keras.losses.categorical_crossentropy(one_hot, logits, from_logits=told)[0])
        for told in (False, True)
    )
    by_hand = -np.log(softmax(logits)[0, label])
    print(f"label {label}: {wrong:.7f} untold, {good:.4f} told, {by_hand:.4f} by hand")
    assert np.isclose(good, by_hand, atol=1e-4) and not np.isclose(wrong, by_hand, atol=0.01)

# %% [markdown]
# (2 and -1 sum to 1, so 2 stays 2, which is cut to 1, and -1 to almost 0.) Untold, it calls the first case perfect, and there is nothing left to learn from it.
#
# **No attention mask.** The sentences are filled up with zeros, and the model is not told. Then attention reads the
# filling as words. (Our models take id 0 for padding if no mask is given; here we switch that off.)

# %%
ids = tokenizer.encode(new[0])
filled, mask = tokenizer.pad([ids], 40)
alone, masked, unmasked = (
    np.asarray(pair_model({"token_ids": np.array(rows), "padding_mask": seen}))[0]
    for rows, seen in (([ids], np.ones((1, len(ids)), bool)), (filled, mask), (filled, np.ones_like(mask)))
)
print(alone, "alone;", masked, "filled, with a mask;", unmasked, "filled, without")
assert np.allclose(alone, masked, atol=1e-4) and not np.allclose(alone, unmasked, atol=1e-3)

# %% [markdown]
# **The padding function cuts off the beginning.** The new sentences are one token longer than the two it was trained
# on, and the length stays. `pad_sequences` makes them shorter, and cuts at the *front* unless `truncating="post"` is
# given. What goes is `[CLS]`, from which the pooled vector is made. `Tokenizer.pad` cuts at the end, only when asked
# to, and keeps `[SEP]`.

# %%
length = len(ids) - 1
article = keras.utils.pad_sequences([ids], maxlen=length, padding="post")[0]
ours = tokenizer.pad([ids], length, truncate=True)[0][0]
for name, row in (("article", article), ("ours", ours)):
    print(f"{name:8}", [tokenizer.id_to_token(index) for index in row.tolist()])
assert article[0] != tokenizer.class_id and ours[0] == tokenizer.class_id

# %% [markdown]
# **The printed result cannot come from the program.** In that library, `predict` does not return an array but a
# structure with named fields, and the loop at the end goes over the *names*. There is one, `"logits"`, so there is one
# round, and the largest place of one word is place 0: *technology*, for the sentence on sports. The article shows two
# lines, both right. One has to write `predictions.logits`. A dict behaves alike:

# %%
structure = {"logits": new_logits}
for text, prediction in zip(new, structure):
    print(f"{names[np.argmax(prediction)]}: {text}   (the prediction was {prediction!r})")
assert len(list(zip(new, structure))) == 1

# %% [markdown]
# **Labels encoded for nothing.** The labels are made into rows of 0 and 1 (`to_categorical`), which only the larger
# loss needs. With numbers of labels and the *sparse* loss (ours is one) there is less that can go wrong.
#
# **Steps that are too large.** `optimizer="adam"` means a learning rate of 0.001. The authors of BERT recommend
# 0.00002 to 0.00005 for fine-tuning; small models like ours stand 0.0001.
#
# **It does not run any more.** `TFBertForSequenceClassification` was part of the TensorFlow half of `transformers`,
# which was taken out in version 5. TensorFlow 2.5, which it asks for, was made for Python 3.6 to 3.9.
#
# ## Exercises
#
# 1. **The whole gradient.** Check the rule *what the model says minus what is right* for all weights of a head, three
#    texts and four labels, against the gradients that TensorFlow finds. ([solution](solutions/15_1_gradient_of_a_head.py))
# 2. **A text that is too long.** Cut a text of 300 tokens into windows of 64 that overlap by 16 tokens. How many are
#    there? Classify each window and take the mean of the probabilities. ([solution](solutions/15_2_long_text.py))
# 3. **The lazy model and the rare label.** 95 of 100 texts are fine, 5 are spam. What accuracy has a model that always
#    says *fine*, and what F1 a class? Calculate by hand, then compare with the library.
#    ([solution](solutions/15_3_rare_label.py))
#
# Next: [chapter 16](16_names_in_text.ipynb) gives a label not to the text, but to each word.
