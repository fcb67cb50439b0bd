# %% [markdown]
# # 17. Answers in text: point at it
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/17_answers_in_text.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | 3 to 6 | 3.5 GB |
# | small | CPU | 1 | 1.5 GB |
#
# **The question.** Somebody asks about a text, and the answer stands in it, word for word. A BERT cannot write. How can
# it answer?
#
# It points: at the first word of the answer, and at the last one. So a label is a *place*. On paper we find the best
# pair of places, and count how right an answer is; then comes a model, and a plain account of how little a few
# hundred questions teach it.
#
# The full profile starts from a published model of 22.7 million weights, which is downloaded once (90 MB). The small
# profile makes a tiny BERT from nothing, only to show that the program runs.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import logging
import pathlib
import re
import tempfile
from collections import Counter

import keras
import matplotlib.pyplot as plt
import numpy as np

# %%
from keras_llm.datasets import load
from keras_llm.datasets.batches import PaddedBatches
from keras_llm.datasets.windows import join_answers, question_windows
from keras_llm.evaluation.answers import answer_metrics
from keras_llm.models.bert import BertEncoder, BertQuestionAnswerer
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

np.set_printoptions(precision=3, suppress=True)
logging.getLogger("tensorflow").setLevel("ERROR")  # it warns when it meets many new models, as here

# %% [markdown]
# ## Two scores for each word, on paper
#
# *Where is the cup?* The text: *the cup is in the red box.* A model gives each word two scores: does the answer start
# here, does it end here? We choose them ourselves.

# %%
words = ["the", "cup", "is", "in", "the", "red", "box", "."]
start = np.array([1.0, 2.0, 0.0, 0.0, 3.0, 1.0, 0.0, 0.0])
end = np.array([0.0, 4.0, 0.0, 0.0, 0.0, 1.0, 3.5, 0.0])
print("best start:", start.argmax(), words[start.argmax()], "  best end:", end.argmax(), words[end.argmax()])

# %% [markdown]
# Each alone, the best start is the second *the*, and the best end is *cup*: the answer would end before it starts. So the
# two are chosen **together**: of all pairs whose end is not before the start, the one with the largest sum. On paper:
#
# - *the red box*: 3 + 3.5 = 6.5
# - *cup*: 2 + 4 = 6
# - *cup is in the red box*: 2 + 3.5 = 5.5


# %%
def best_span(start, end, longest=30):
    best = (-np.inf, 0, 0)
    for first in range(len(start)):
        for last in range(first, min(first + longest, len(end))):
            best = max(best, (start[first] + end[last], first, last))
    return best


score, first, last = best_span(start, end)
print(score, words[first : last + 1])
assert (score, first, last) == (6.5, 4, 6)
assert best_span(start, end, longest=2) == (6.0, 1, 1)  # if an answer may have two words at most

# %% [markdown]
# ## The loss
#
# Learning is that of chapter 15, done twice. The softmax of the start scores says how sure the model is of each place; the
# loss is the mean of $-\ln$ of the two right shares. The classes are not topics, but the places of the text.


# %%
def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


loss = -(np.log(softmax(start)[4]) + np.log(softmax(end)[6])) / 2
logits, places = np.stack([start, end])[None], np.array([[4, 6]])  # [1, 2, 8] and [1, 2]
print(f"loss {loss:.4f} by hand, {TokenCrossEntropy()(places, logits):.4f} by the library")
assert np.isclose(loss, TokenCrossEntropy()(places, logits), atol=1e-5)

# %% [markdown]
# ## From characters to tokens
#
# A data set says *where* the answer is in characters; the model counts tokens. The tokenizer tells the place of each token,
# its *offset*. The answer's tokens are those that share a character with it. A vocabulary of 15 tokens for our sentence:

# %%
VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] where is the cup ? in red bo ##x ."
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "vocab.txt"
    path.write_text("\n".join(VOCABULARY.split()))
    toy = Tokenizer.from_pretrained(path)

# %%
row = {"question": "Where is the cup?", "context": "The cup is in the red box."}
row["answers"] = [{"text": "the red box", "start": 14}]
ids, offsets = toy.encode_with_offsets(row["context"])
ids, offsets = ids[1:-1], offsets[1:-1]  # without [CLS] and [SEP]
begin, after = 14, 14 + len("the red box")
inside = [n for n, (left, right) in enumerate(offsets) if left < after and right > begin]
print([(toy.id_to_token(index), place) for index, place in zip(ids, offsets)])
print("tokens of the answer:", inside)
assert row["context"][begin:after] == "the red box" and inside == [4, 5, 6, 7]

# %% [markdown]
# The model reads the question and the text as a pair: `[CLS] where is the cup ? [SEP] the cup ... [SEP]`. *Segment ids*
# tell it which is which: 0 and 1. In front of the text there are 7 tokens, so the answer's places are 4 + 7 and 7 + 7.
# The library's `question_windows` gives the same.

# %%
question = toy.encode(row["question"])  # with [CLS] and [SEP]
pair = [*question, *ids, toy.separator_id]
segments = [0] * len(question) + [1] * (len(ids) + 1)
windows = question_windows(toy, [row], 32, 8)  # up to 32 tokens, overlap 8
assert windows.token_ids == [pair] and windows.segment_ids == [segments]
assert windows.labels == [(inside[0] + 7, inside[-1] + 7)] == [(11, 14)]
print(windows.labels)

# %% [markdown]
# **And back.** We give our scores to the tokens (*box* is two of them now, and ends in the second). To the question we
# give high scores on purpose: an answer may not lie there. `join_answers` finds the span that we found, and the text
# between its characters.

# %%
start_scores, end_scores = np.full((1, 17), 9.0), np.full((1, 17), 9.0)
start_scores[0, 7:16] = [1, 2, 0, 0, 3, 1, 0, 0, 0]
end_scores[0, 7:16] = [0, 4, 0, 0, 0, 1, 0, 3.5, 0]
answer = join_answers(start_scores, end_scores, windows, [row["context"]])[0]
print(answer)
score, first, last = best_span(start_scores[0, 7:16], end_scores[0, 7:16])
assert (answer["start"], answer["end"]) == (offsets[first][0], offsets[last][1]) == (14, 25)
assert answer["score"] == score == 6.5 and answer["text"] == "the red box"

# %% [markdown]
# ## A text that is too long
#
# A BERT reads 512 tokens at most, ours here 15. The text is cut into windows that overlap, and *each* window has the
# whole question. Only a window with the whole answer has it as its label. In the others the right place is 0, `[CLS]`:
# "not here".

# %%
windows = question_windows(toy, [row], 15, 3)
for tokens, label in zip(windows.token_ids, windows.labels):
    print([toy.id_to_token(index) for index in tokens[7:-1]], "answer:", label)
assert windows.labels[0] == (0, 0)  # "the red bo" without its end

# %% [markdown]
# To answer, the best span of each window is taken, and of these the one with the highest sum. The scores are compared as
# they are, *before* the softmax: a softmax would give each window a sum of 1, even if nothing is in it.

# %%
scores = {"start": np.zeros((len(windows.token_ids), 15)), "end": np.zeros((len(windows.token_ids), 15))}
for name, by_place in (("start", [1, 2, 0, 0, 3, 1, 0, 0, 0]), ("end", [0, 4, 0, 0, 0, 1, 0, 3.5, 0])):
    for number, own in enumerate(windows.offsets):
        for place, offset in enumerate(own):
            scores[name][number, place] = 0 if offset is None else by_place[offsets.index(offset)]
joined = join_answers(scores["start"], scores["end"], windows, [row["context"]])[0]
print(joined)
assert joined == answer

# %% [markdown]
# ## How right is an answer? On paper
#
# Two figures are usual. *Exact match* is 1 or 0; capital letters, punctuation and articles do not count. *F1* gives
# points for words in common: precision is their share of what was said, recall their share of what is right.
#
# | said | right | exact match | words in common | F1 |
# | --- | --- | --- | --- | --- |
# | The red box. | red box | 1 | red, box: 2 of 2, 2 of 2 | 1 |
# | in the red box | red box | 0 | red, box: 2 of 3, 2 of 2 | $2 \cdot \frac23 \cdot 1 / \frac53 = 0.8$ |
# | the cup | red box | 0 | none | 0 |


# %%
def plain(text):
    text = re.sub(r"[^\w\s]", "", text.lower())
    return [word for word in text.split() if word not in ("a", "an", "the")]


def f1(said, right):
    said, right = Counter(plain(said)), Counter(plain(right))
    common = (said & right).total()
    precision, recall = common / max(said.total(), 1), common / max(right.total(), 1)
    return 2 * precision * recall / max(precision + recall, 1e-9)


# %%
said = ["The red box.", "in the red box", "the cup"]
exact = [plain(text) == plain("red box") for text in said]
shares = [f1(text, "red box") for text in said]
print(exact, np.round(shares, 3))
assert exact == [True, False, False] and np.allclose(shares, [1, 0.8, 0])
metrics = answer_metrics(said, [["red box"]] * 3)
assert np.isclose(metrics["exact_match"], 1 / 3) and np.isclose(metrics["f1"], 0.6)

# %% [markdown]
# ## Questions, and two baselines
#
# The bundled questions are about short paragraphs. **To take your own**, write the name of a `.json` file in the form of
# SQuAD, the best known set of this kind.

# %%
DATA = "questions_en"  # or a file of yours, such as "my_questions.json"
rows = {split: load(DATA, split) for split in ("train", "validation", "test")}
for split, part in rows.items():
    print(f"{split}: {len(part)} questions on {len({row['context'] for row in part})} paragraphs")
example = rows["test"][0]
print(example["question"], "->", example["answers"][0])

# %% [markdown]
# The first baseline takes three words at random. The second one takes the *sentence* that has most words in common with
# the question. It cannot be exact, but it looks in the right place. For all we also count how often an answer *begins in
# the right sentence*.


# %%
def sentences(text):
    return [match.span() for match in re.finditer(r"[^.?!]+[.?!]?", text)]


def sentence_at(text, place):
    return next(n for n, (left, right) in enumerate(sentences(text)) if place < right)


def likely_sentence(row):
    asked = set(plain(row["question"]))
    spans = sentences(row["context"])
    left, right = max(spans, key=lambda span: len(asked & set(plain(row["context"][slice(*span)]))))
    return {"text": row["context"][left:right], "start": left}


# %%
rng = np.random.default_rng(0)


def random_words(row):
    offsets = [match.span() for match in re.finditer(r"\S+", row["context"])]
    first = rng.integers(len(offsets) - 2)
    left, right = offsets[first][0], offsets[first + 2][1]
    return {"text": row["context"][left:right], "start": left}


# %%
def measure(answers, rows):
    result = answer_metrics([own["text"] for own in answers], [[row["answers"][0]["text"]] for row in rows])
    hits = [
        sentence_at(row["context"], own["start"]) == sentence_at(row["context"], row["answers"][0]["start"])
        for own, row in zip(answers, rows)
    ]
    return {"exact match": result["exact_match"], "F1": result["f1"], "right sentence": np.mean(hits)}


def show(name, result):
    print(f"{name:24}", ", ".join(f"{key} {value:.2f}" for key, value in result.items()))


# %%
results = {"three random words": measure([random_words(row) for row in rows["test"]], rows["test"])}
results["the likeliest sentence"] = measure([likely_sentence(row) for row in rows["test"]], rows["test"])
for name, result in results.items():
    show(name, result)

# %% [markdown]
# ## A model that points
#
# `BertQuestionAnswerer` is the encoder with a head of two columns on each token's vector: start and end. We train two of
# them: one from the published weights, and a tiny one that has read nothing.

# %%
START = "sentence-transformers/all-MiniLM-L6-v2"
if FULL:
    tokenizer = Tokenizer.from_pretrained(START)
else:
    everything = [row[column] for row in rows["train"] for column in ("question", "context")]
    tokenizer = Tokenizer.train(everything, "wordpiece", 2_000, lowercase=True)

# %%
LENGTH, OVERLAP = 128, 32
windows = question_windows(tokenizer, rows["train"], LENGTH, OVERLAP)
features = {"token_ids": windows.token_ids, "segment_ids": windows.segment_ids}
train = PaddedBatches(features, np.array(windows.labels), 16, (LENGTH,), seed=0)
LONGEST = max(last - first + 1 for first, last in windows.labels)  # tokens of an answer
print(f"{len(rows['train'])} questions are {len(windows.token_ids)} windows;", end=" ")
print(f"their answers have up to {LONGEST} tokens")

# %% [markdown]
# To answer, the model gives its scores to all windows, and `join_answers` points. No answer may be longer than the
# longest one of the training questions.


# %%
def window_scores(model, windows):
    features = {
        "token_ids": tokenizer.pad(windows.token_ids, LENGTH)[0],
        "segment_ids": tokenizer.pad(windows.segment_ids, LENGTH)[0],  # filled up with 0
    }
    return model.predict(features, batch_size=32, verbose=0)  # [windows, 2, LENGTH]


def answer_all(model, rows):
    windows = question_windows(tokenizer, rows, LENGTH, OVERLAP)
    scores = window_scores(model, windows)
    return join_answers(scores[:, 0], scores[:, 1], windows, [row["context"] for row in rows], LONGEST)


# %% [markdown]
# Training is that of chapter 15. After each pass the validation questions are asked.


# %%
class Validate(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        result = measure(answer_all(self.model, rows["validation"]), rows["validation"])
        show(f"pass {epoch + 1}: loss {logs['loss']:.2f};", result)


def fine_tune(model, epochs, peak):
    steps = epochs * train.steps_per_epoch
    rate = WarmupCosine(peak, steps // 10, steps, floor=0.0)
    optimizer = AdamW(rate, weight_decay=0.01, beta_2=0.999, epsilon=1e-6)
    model.compile(optimizer, TokenCrossEntropy(), jit_compile=False)
    plan = {"steps_per_epoch": train.steps_per_epoch, "epochs": epochs, "shuffle": False, "verbose": 0}
    return model.fit(train.stream(), callbacks=[Validate()], **plan).history


# %%
keras.utils.set_random_seed(0)
size = {"vocabulary_size": tokenizer.vocabulary_size, "context_length": LENGTH}
beginner = BertQuestionAnswerer(BertEncoder.from_preset("tiny", **size))
history = fine_tune(beginner, 6 if FULL else 2, 1e-3)

# %% [markdown]
# A model that gives each of 128 places the same share has a loss of $\ln 128 = 4.85$. In the stored run
# the tiny one's loss falls on the training questions, and on the validation questions nothing gets better.
#
# For the pretrained one we tried two learning rates, and chose by the validation questions: with 0.0001 as in chapter 15
# they had an F1 of 0.36 after six passes, with 0.0003 0.60. Few questions are few steps, here 78.

# %%
keras.utils.set_random_seed(0)
model = beginner
if FULL:
    model = BertQuestionAnswerer.from_pretrained(START, head="new")
    history = fine_tune(model, 6, 3e-4)

# %%
results["tiny BERT, read nothing"] = measure(answer_all(beginner, rows["test"]), rows["test"])
results["pretrained BERT"] = measure(answer_all(model, rows["test"]), rows["test"])
for name, result in results.items():
    if FULL or name != "pretrained BERT":
        show(name, result)

# %% [markdown]
# Plainly said, for the stored run:
#
# - **The tiny BERT has learnt nothing:** an F1 of 0.02 is less than three random words have. To point at an answer one
#   must relate a question to a text, and 204 questions do not teach that from nothing.
# - **The pretrained one has learnt something.** 7 of 19 answers are exact, and F1 is 0.45, against 0.24 for the likeliest
#   sentence. It begins in the right sentence as often as that baseline, 18 of 19 times, and then finds part of
#   the way to the right words.
# - **It is not good.** With the 87,599 training questions of SQuAD, the smaller BERT of the paper has an exact match of
#   0.808 and an F1 of 0.885. And 19 questions are few: one more or less is five points.

# %%
for row, own in list(zip(rows["test"], answer_all(model, rows["test"])))[:8]:
    print(f"{row['question']}\n    said: {own['text']}\n    right: {row['answers'][0]['text']}")

# %% [markdown]
# ## Scores along the text
#
# What the model believes, word by word, for one test question: upwards the share of the start, downwards that of the end.
# The green band is the right answer.

# %%
chosen = 0  # of the test questions
row = rows["test"][chosen]
windows = question_windows(tokenizer, [row], LENGTH, OVERLAP)
scores = window_scores(model, windows)[0]  # [2, LENGTH], of the first window
own = [place for place, offset in enumerate(windows.offsets[0]) if offset is not None]  # of the text
shares = softmax(scores[:, own])  # [2, tokens of the text]
tokens = [tokenizer.id_to_token(windows.token_ids[0][place]) for place in own]

# %%
figure, axes = plt.subplots(figsize=(15, 4), layout="constrained")
axes.bar(range(len(own)), shares[0], color="tab:blue", label="start")
axes.bar(range(len(own)), -shares[1], color="tab:orange", label="end")
first, last = (own.index(place) for place in windows.labels[0])
axes.axvspan(first - 0.5, last + 0.5, color="palegreen", zorder=0, label="right answer")
axes.set_xticks(range(len(own)), tokens, rotation=90, fontsize=8)
axes.set(title=row["question"], ylabel="share", xlim=(-1, len(own)))
axes.legend()
plt.show()

# %% [markdown]
# ## The same questions in a long text
#
# We put two other paragraphs in front of each one, and ask again. Now a text needs several windows, and there are more
# places to be wrong in.

# %%
paragraphs = sorted({row["context"] for row in rows["test"]})
long_rows = []
for row in rows["test"]:
    others = [text for text in paragraphs if text != row["context"]][:2]
    front = " ".join(others) + " "
    right = row["answers"][0]
    moved = {"text": right["text"], "start": right["start"] + len(front)}
    long_rows.append({**row, "context": front + row["context"], "answers": [moved]})
windows = question_windows(tokenizer, long_rows, LENGTH, OVERLAP)
print(f"{len(windows.token_ids) / len(long_rows):.1f} windows a question")
for row in long_rows:
    assert row["context"][row["answers"][0]["start"] :].startswith(row["answers"][0]["text"])

# %%
show("one paragraph", measure(answer_all(model, rows["test"]), rows["test"]))
show("three paragraphs", measure(answer_all(model, long_rows), long_rows))
show("likeliest sentence of 3", measure([likely_sentence(row) for row in long_rows], long_rows))

# %% [markdown]
# In the stored run exact match and F1 stay as they were. Two answers more begin in a wrong sentence (0.84 against
# 0.95). So the windows cost little here; with more text there is more to confuse.
#
# ## Ask your own text

# %%
MY_TEXT = "The bakery opens at six. Its owner, Ilse Brandt, learned her trade in Vienna."
questions = ["When does the bakery open?", "Who owns the bakery?", "Where did the owner learn her trade?"]
asked = [{"question": question, "context": MY_TEXT} for question in questions]
for question, own in zip(questions, answer_all(model, asked)):
    print(f"{question} {own['text']} (characters {own['start']} to {own['end']})")
    assert MY_TEXT[own["start"] : own["end"]] == own["text"]

# %% [markdown]
# In the stored run the second answer is wrong, and there is no sign of it. Always show the place as well, so that a
# reader can check.
#
# The same from the command line:
#
# ```sh
# keras-llm train answer --data my_questions.json --start-from sentence-transformers/all-MiniLM-L6-v2 --output my_run
# keras-llm predict my_run "When does the bakery open?" --context bakery.txt
# ```
#
# ## What was corrected
#
# The articles that this course grew out of name this task often, and have no program for it. Two of their sentences mix
# up three different things.
#
# - **BERT does not generate answers.** One article has a system that *generates* an answer to a question, and BERT as its
#   example. BERT was good at this task because it *points*, as here: each answer that it can give is a piece of the
#   text. `MY_TEXT[start:end]` above is the whole "generation".
# - **GPT-3 does not look up.** Another one says that such a model *retrieves* answers from much text, with GPT-3 as its
#   example. GPT-3 *writes* an answer from its weights, which is another thing, and may write what stands nowhere.
#   Finding the right text among many is a task of its own, and comes *before* pointing.
#
# ## Exercises
#
# 1. **Faster.** `best_span` tries all pairs. Without a limit on the length, one walk through the text is enough: remember
#    the best start so far. Write it, and check it against all pairs. ([solution](solutions/17_1_one_walk.py))
# 2. **No answer.** Some questions have no answer in the text. Compare the best span with the pair (0, 0), `[CLS]`: when is
#    "no answer" said, and how does a threshold move it? ([solution](solutions/17_2_no_answer.py))
# 3. **Chinese.** There are no spaces, so there are no words to compare. Calculate exact match and F1 by characters, on
#    paper and in a program, and compare with the library. ([solution](solutions/17_3_chinese_answers.py))
#
# Back to the [list of chapters](README.md).
