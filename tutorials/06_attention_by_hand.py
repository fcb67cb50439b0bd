# %% [markdown]
# # 6. Attention by hand
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials/06_attention_by_hand.ipynb)
#
# | profile | device | minutes | memory |
# | --- | --- | --- | --- |
# | full | CPU | less than 1 | 1 GB |
# | small | CPU | less than 1 | 1 GB |
#
# **The question.** An LSTM reads word after word and must keep everything in one memory. Could each word look at all
# the other words directly, and decide by itself which of them matter?
#
# It can, and the formula is one line: $\text{softmax}(QK^T / \sqrt{d})\,V$. In this chapter we calculate it with
# three words and numbers that fit on paper, and then show that the library's layer does the same.

# %%
import os
import sys

if "google.colab" in sys.modules:
    os.system("pip install -q git+https://github.com/keras-llm/keras_llm")
FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"

# %%
import matplotlib.pyplot as plt
import numpy as np

from keras_llm.layers import MultiHeadAttention, SinusoidalPositionEncoding

np.set_printoptions(precision=3, suppress=True)

# %% [markdown]
# ## Three words, four features
#
# Each word is a vector of four numbers. In a trained model nobody knows what each number means; here we choose them:
# is it *living*, is it an *action*, can one *drink* it, are there *many*?

# %%
words = ["cats", "drink", "milk"]
X = np.array(
    [  # living, action, drinkable, many
        [1.0, 0.0, 0.0, 1.0],  # cats
        [0.0, 1.0, 0.0, 0.0],  # drink
        [0.0, 0.0, 1.0, 0.0],  # milk
    ]
)

# %% [markdown]
# From its vector, each word makes three others, by three matrices that a model learns:
#
# - the **query**: what am I looking for?
# - the **key**: what can I be found by?
# - the **value**: what do I tell to those who found me?
#
# We let an action look for something living and for something drinkable. Something living looks for an action, and
# something drinkable looks for somebody living. Keys and values are simply the word's own features.

# %%
W_Q = np.array(
    [  # looks for: living, action, drinkable, many
        [0.0, 4.0, 0.0, 0.0],  # something living
        [4.0, 0.0, 4.0, 0.0],  # an action
        [4.0, 0.0, 0.0, 0.0],  # something drinkable
        [0.0, 0.0, 0.0, 0.0],  # "many" looks for nothing
    ]
)
W_K = W_V = np.eye(4)
Q, K, V = X @ W_Q, X @ W_K, X @ W_V  # [3, 4] each: one row a word

# %% [markdown]
# ## Scores: how well does a key fit a query?
#
# The score is the product of the query and the key. All scores at once are one matrix product: row = the word that
# looks, column = the word that is looked at. They are divided by $\sqrt{d}$, with $d = 4$ features; we come back to
# the reason.

# %%
scores = Q @ K.T / np.sqrt(4)  # [3, 3]
print(scores)
assert scores[1].tolist() == [2, 0, 2]  # "drink" finds "cats" and "milk"

# %% [markdown]
# ## Weights: softmax makes shares of them
#
# Each word has one unit of attention to give away. The softmax turns its row of scores into shares: take $e$ to the
# power of each score, and divide by the sum of the row.


# %%
def softmax(scores):
    powers = np.exp(scores)
    return powers / powers.sum(axis=-1, keepdims=True)


weights = softmax(scores)  # [3, 3]
print(weights)
assert np.allclose(weights.sum(axis=-1), 1)

# %% [markdown]
# On paper, with $e^0 = 1$ and $e^2 = 7.389$: the row of *drink* is 7.389, 1, 7.389, with the sum 15.778.

# %%
e2 = 7.389
on_paper = [e2 / (2 * e2 + 1), 1 / (2 * e2 + 1), e2 / (2 * e2 + 1)]
assert np.allclose(weights[1], on_paper, atol=1e-4)
assert np.allclose(weights[0], [1 / (e2 + 2), e2 / (e2 + 2), 1 / (e2 + 2)], atol=1e-4)
print(np.round(on_paper, 3))


# %%
def draw_attention(axes, weights, rows, columns, title):
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns, fontsize=12)
    axes.set_yticks(range(len(rows)), rows, fontsize=12)
    for (row, column), weight in np.ndenumerate(weights):
        color = "white" if weight > 0.5 else "black"
        axes.text(column, row, f"{weight:.2f}", ha="center", va="center", color=color, fontsize=12)
    axes.set(xlabel="is looked at", ylabel="looks", title=title)


# %%
figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
draw_attention(axes, weights, words, words, "Attention of three words")
plt.show()

# %% [markdown]
# ## Output: a mixture of the values
#
# Each word takes the values of all words, in these shares.

# %%
output = weights @ V  # [3, 4]
for word, vector in zip(words, output):
    print(f"{word:6}", vector)
assert np.allclose(output[1], weights[1, 0] * V[0] + weights[1, 1] * V[1] + weights[1, 2] * V[2])

# %% [markdown]
# Look at the row of *drink*: before, it only knew that it is an action. Now it also carries that somebody living, and
# many of them, and something drinkable are in the sentence. That is all that attention does: it moves knowledge
# from word to word.

# %% [markdown]
# ## Masks: what must not be seen
#
# Sometimes a word must not look at another one. Then the score is set to minus infinity before the softmax:
# $e^{-\infty} = 0$, so the share is exactly zero, and the rest still sums to one.


# %%
def attention(Q, K, V, visible=True):
    scores = Q @ K.T / np.sqrt(K.shape[-1])
    weights = softmax(np.where(visible, scores, -np.inf))
    return weights @ V, weights


# %% [markdown]
# **The causal mask.** A model that predicts the next word must not see it. Each word sees itself and the words
# before it: a lower triangle.

# %%
causal = np.tril(np.ones((3, 3), bool))
_, causal_weights = attention(Q, K, V, causal)
print(causal_weights)
assert causal_weights[0].tolist() == [1, 0, 0]  # the first word has only itself
assert np.allclose(causal_weights[1, :2], [e2 / (e2 + 1), 1 / (e2 + 1)], atol=1e-4)

# %% [markdown]
# **The padding mask.** Texts of different lengths are filled up to one length. Nobody may look at the filling. With the
# mask, the real words get the same output as without any filling, whatever numbers the filling has.

# %%
padded = np.vstack([X, [9.0, 9.0, 9.0, 9.0]])  # a fourth word, filling
real = np.array([True, True, True, False])
padded_output, padded_weights = attention(padded @ W_Q, padded @ W_K, padded @ W_V, visible=real)
assert np.allclose(padded_output[:3], output)
without_mask, _ = attention(padded @ W_Q, padded @ W_K, padded @ W_V)
print("largest change without the mask:", np.abs(without_mask[:3] - output).max().round(3))

# %%
figure, panels = plt.subplots(1, 2, figsize=(9.6, 4), width_ratios=(3, 4), layout="constrained")
draw_attention(panels[0], causal_weights, words, words, "Causal mask")
draw_attention(panels[1], padded_weights[:3], words, [*words, "(pad)"], "Padding mask")
plt.show()

# %% [markdown]
# ## Why divide by the square root of d?
#
# A product of two vectors of $d$ random numbers is a sum of $d$ terms. The more terms, the larger the sum becomes: its
# variance is $d$. Large scores make the softmax put everything on one word, and then learning stops, because
# small changes of the scores change nothing any more. Divided by $\sqrt{d}$, the variance is 1 for every $d$.

# %%
rng = np.random.default_rng(0)
samples = 20_000 if FULL else 5_000
print("   d   variance   after division   largest of 10 shares   after division")
for d in (4, 16, 64, 256):
    query, keys = rng.normal(size=(samples // 10, 1, d)), rng.normal(size=(samples // 10, 10, d))
    products = (query * keys).sum(axis=-1)  # [samples / 10, 10]
    scaled = products / np.sqrt(d)
    largest = [softmax(x).max(axis=-1).mean() for x in (products, scaled)]
    print(f"{d:4} {products.var():10.1f} {scaled.var():16.2f} {largest[0]:22.2f} {largest[1]:16.2f}")
    assert abs(scaled.var() - 1) < 0.15 and abs(products.var() / d - 1) < 0.15

# %% [markdown]
# ## Several heads
#
# One softmax gives one row of shares. But *drink* has two questions: who drinks, and what? With two *heads*, the four
# features are cut into two halves, and each half has its own softmax.

# %%
contexts, head_weights = [], []
for half in (slice(0, 2), slice(2, 4)):
    context, shares = attention(Q[:, half], K[:, half], V[:, half])  # [3, 2], [3, 3]
    contexts.append(context)
    head_weights.append(shares)
two_heads = np.concatenate(contexts, axis=1)  # [3, 4]: side by side again

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
draw_attention(panels[0], head_weights[0], words, words, "Head 1: living, action")
draw_attention(panels[1], head_weights[1], words, words, "Head 2: drinkable, many")
plt.show()
assert head_weights[0][1].argmax() == 0 and head_weights[1][1].argmax() == 2

# %% [markdown]
# Head 1 of *drink* finds *cats*, head 2 finds *milk*. A word whose query is zero in a head, as *cats* in head 2, looks
# at all words alike. After the heads stand side by side again, one more matrix $W_O$ mixes them.

# %% [markdown]
# ## The library's layer is equal to it
#
# `MultiHeadAttention` has four projections: query, key, value, output. We put our matrices into them. First one head:


# %%
def layer_with(num_heads, matrices, **options):
    layer = MultiHeadAttention(hidden_dim=4, num_heads=num_heads, use_bias=False, **options)
    layer.build()  # makes the variables
    for name, matrix in zip(("query", "key", "value", "output"), matrices):
        getattr(layer, f"{name}_projection").kernel.assign(matrix)
    return layer


layer = layer_with(1, (W_Q, W_K, W_V, np.eye(4)))
ours, shares = layer(X[None].astype("float32"), return_attention=True)  # [1, 3, 4], [1, 1, 3, 3]
assert np.allclose(ours[0], output, atol=1e-5) and np.allclose(shares[0, 0], weights, atol=1e-5)
print(np.asarray(ours[0]))

# %% [markdown]
# Then the masks, and two heads:

# %%
batch = padded[None].astype("float32")  # [1, 4, 4]: one text, four places, four features
masked = layer(batch, padding_mask=real[None])
assert np.allclose(masked[0, :3], output, atol=1e-5)

_, shares = layer_with(1, (W_Q, W_K, W_V, np.eye(4)), causal=True)(batch[:, :3], return_attention=True)
assert np.allclose(shares[0, 0], causal_weights, atol=1e-5)

ours = layer_with(2, (W_Q, W_K, W_V, np.eye(4)))(batch[:, :3])
assert np.allclose(ours[0], two_heads, atol=1e-5)

# %% [markdown]
# Our matrices are full of zeros and ones; a mistake could hide there. So once more with random words and matrices,
# with two heads, the causal mask, and the output matrix:

# %%
R_Q, R_K, R_V, R_O = rng.normal(size=(4, 4, 4))
x = rng.normal(size=(5, 4))
triangle = np.tril(np.ones((5, 5), bool))
halves = (slice(0, 2), slice(2, 4))
heads = [attention(x @ R_Q[:, half], x @ R_K[:, half], x @ R_V[:, half], triangle)[0] for half in halves]
by_hand = np.concatenate(heads, axis=1) @ R_O  # [5, 4]

ours = layer_with(2, (R_Q, R_K, R_V, R_O), causal=True)(x[None].astype("float32"))
print("largest difference below 0.00001:", bool(np.abs(ours[0] - by_hand).max() < 1e-5))
assert np.allclose(ours[0], by_hand, atol=1e-5)

# %% [markdown]
# ## Where this breaks: it does not see the order
#
# Say the words in another order, *milk drink cats*. Each word gets exactly the vector that it had before.

# %%
order = [2, 1, 0]
turned, _ = attention(Q[order], K[order], V[order])
for word, vector in zip(np.array(words)[order], turned):
    print(f"{word:6}", vector)
assert np.allclose(turned, output[order])

# %% [markdown]
# So for attention a sentence is a bag of words: "dog bites man" is "man bites dog". The position has to be told. The
# Transformer of 2017 *adds* a vector to each word that depends on its position only, made of sines and cosines:
#
# $$P_{p,\,2i} = \sin(p / 10000^{2i/d}), \qquad P_{p,\,2i+1} = \cos(p / 10000^{2i/d})$$


# %%
def sinusoids(length, d):
    vectors = np.zeros((length, d))
    for p in range(length):
        for i in range(d // 2):
            angle = p / 10_000 ** (2 * i / d)
            vectors[p, 2 * i : 2 * i + 2] = np.sin(angle), np.cos(angle)
    return vectors


print(sinusoids(3, 4))

# %% [markdown]
# Check on paper: position 0 is sin 0 = 0 and cos 0 = 1, twice. In position 1 the first pair turns by 1 (sin 1 = 0.841),
# the second pair by 1/100 only. The library's layer gives the same:

# %%
P = np.asarray(SinusoidalPositionEncoding(hidden_dim=4)(np.arange(3)))
assert np.allclose(P, sinusoids(3, 4), atol=1e-6)
assert np.allclose(P[0], [0, 1, 0, 1]) and np.allclose(P[1, :3], [0.841, 0.540, 0.010], atol=1e-3)

# %% [markdown]
# With positions, the order makes a difference: *drink* gets another vector in *milk drink cats* than in *cats drink
# milk*.


# %%
def drink_in(order):
    x = X[order] + P  # [3, 4]
    return attention(x @ W_Q, x @ W_K, x @ W_V)[0][1]


print("cats drink milk:", drink_in([0, 1, 2]))
print("milk drink cats:", drink_in([2, 1, 0]))
assert not np.allclose(drink_in([0, 1, 2]), drink_in([2, 1, 0]), atol=0.01)

# %% [markdown]
# ## A picture of positions
#
# Fast waves tell neighbours apart, slow waves tell the beginning from the end, as the last and the first digits of a
# number do. In the second picture, each row is one position vector; at its right side the waves are so slow that the
# sines stay near 0 and the cosines near 1. The third picture, and the cell below it, show what makes these vectors
# useful: the product of two of them depends on their distance only, not on where they stand. So a model can learn "the
# word before me" once for all positions.

# %%
P = np.asarray(SinusoidalPositionEncoding(hidden_dim=64)(np.arange(100)))
figure, panels = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
for feature in (0, 8, 16, 24):
    panels[0].plot(P[:60, feature], label=f"feature {feature}")
panels[0].legend(loc="lower center", ncols=2)
panels[0].set(title="Waves: fast and slow", xlabel="position", ylabel="value", ylim=(-1.7, 1.1))
picture = panels[1].imshow(P, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
figure.colorbar(picture, ax=panels[1])
panels[1].set(title="All position vectors", xlabel="feature", ylabel="position")
panels[2].plot(P @ P[50])
panels[2].set(title="Product with the vector of position 50", xlabel="position", ylabel="product")
plt.show()

# %%
products = P @ P.T  # [100, 100]
for distance in (0, 1, 10, 40):
    same_distance = np.diagonal(products, distance)
    print(f"distance {distance:2}: {same_distance.min():.2f} to {same_distance.max():.2f}")
    assert np.ptp(same_distance) < 1e-3

# %% [markdown]
# ## Where this is slow
#
# Each word looks at each word. For $T$ words that are $T \cdot T$ shares, for each head, in each layer. Twice the
# length costs four times the memory and the work.

# %%
for length in (128, 1_024, 8_192):
    shares = length * length
    print(f"{length:5,} words: {shares:11,} shares, {4 * shares / 2**20:8.2f} MiB in float32, for one head")

# %% [markdown]
# ## What was corrected
#
# This course grew out of a few survey articles on language models. Their worked examples of this chapter's formula do
# not come out. Here is the right arithmetic.
#
# **A softmax over one score.** One article takes the first word as the only query, the second as the only key and the
# third as the only value. Its result, the value itself, is correct, but for a reason that it does not tell: the softmax
# of *one* number is always 1. Query and key have no effect. (Another article writes the whole formula like this, each
# word with its own key only.) Attention needs the scores of *all* keys in one softmax.

# %%
for score in (-3.0, 0.0, 5.0):
    assert softmax(np.array([score])).item() == 1
w1, w2, w3 = X
alone, _ = attention(w1[None] @ W_Q, w2[None], w3[None])
print("one key:   ", alone[0], "is w3, always")
print("three keys:", attention(w1[None] @ W_Q, X, X)[0][0])
assert (alone[0] == w3).all() and (attention(-w1[None], w2[None], w3[None])[0][0] == w3).all()

# %% [markdown]
# **Weights that are no weights.** An article shows attention over four words as a table of 4 x 3 numbers and multiplies
# it by a column of four. Two things are wrong. Four words looking at four words make 4 x 4 shares; and each row must sum
# to 1, but the last one sums to 2.

# %%
table = np.array([[0.1, 0.3, 0.6], [0.4, 0.2, 0.4], [0.7, 0.1, 0.2], [0.5, 0.6, 0.9]])
values = np.array([[0.3], [0.7], [0.1], [0.9]])
print("sums of the rows:", table.sum(axis=1))
try:
    table @ values
except ValueError:
    print(f"a {table.shape} matrix cannot be multiplied by {values.shape}")

# %% [markdown]
# Its smaller example, three words, has good shares (the first three rows) and shapes that fit, but the product is
# wrong: the article finds 0.09, 0.23 and 0.07. On paper: 0.1 · 0.3 + 0.3 · 0.7 + 0.6 · 0.1 = 0.30, and by chance the
# other two rows give 0.30 too.

# %%
three = table[:3] @ values[:3]
print(three.ravel())
assert np.allclose(three, 0.3)

# %% [markdown]
# For four words, a right table needs a fourth column. We take the article's numbers as *scores*, add a column of 0.5,
# and let the softmax make the shares:

# %%
four = softmax(np.column_stack([table, [0.5, 0.5, 0.5, 0.5]]))  # [4, 4]
print(four)
print("sums of the rows:", four.sum(axis=1), " product:", (four @ values).ravel())
assert np.allclose(four.sum(axis=1), 1)

# %% [markdown]
# **A softmax that changes nothing.** An article applies the softmax to a table whose rows are probabilities already, and
# prints the same table as the result. The softmax is not the identity: it pulls such rows close to equal shares.

# %%
row = np.array([0.2, 0.3, 0.1, 0.2, 0.2])
print(softmax(row))
assert not np.allclose(softmax(row), row, atol=0.01)
assert np.allclose(softmax(np.log(row)), row)  # the scores of these shares are their logarithms

# %% [markdown]
# The article then names the predicted words. They do not follow from its table either: the largest number of each row
# gives other words, and two rows have no single largest number. (It also has three outputs for five words; there must
# be one for each word of the vocabulary.)

# %%
vocabulary = np.array(["hello", "world", "python", "code", "AI"])
rows = [[0.2, 0.3, 0.1, 0.2, 0.2], [0.1, 0.2, 0.3, 0.2, 0.2], [0.2] * 5, [0.1, 0.1, 0.3, 0.3, 0.2]]
for row in np.array([*rows, [0.3, 0.2, 0.2, 0.1, 0.2]]):
    print(row, "->", " or ".join(vocabulary[row == row.max()]))

# %% [markdown]
# **A sum that was "simplified".** An article derives the formula and replaces the sum under the fraction line,
# $\sum_j e^{q \cdot k_j}$, by a sum of products in which the *values* occur. The two are not equal, and cannot be: the
# shares say where to look and must not depend on what is found there. The $\sqrt{d}$ gets lost on the way as well. One
# query and two keys, with $d = 1$, show it:

# %%
q, k, v = 1.0, np.array([1.0, 2.0]), np.array([1.0, 3.0])
right = np.exp(q * k).sum()  # e + e^2
simplified = (np.sqrt(q * k) * k * np.sqrt(q * k) * v).sum()  # 1 * 1 * 1 + 2 * 2 * 3
print(f"right {right:.3f}, simplified {simplified:.3f}")
print("sums of the shares:", np.exp(q * k).sum() / right, (np.exp(q * k) / simplified).sum().round(3))
assert np.isclose(right, np.e + np.e**2) and np.isclose(simplified, 13)

# %% [markdown]
# The right derivation has no such step: $\text{share}_j = e^{q \cdot k_j / \sqrt{d}} \,/\, \sum_m e^{q \cdot k_m /
# \sqrt{d}}$, and the output is $\sum_j \text{share}_j \, v_j$.
#
# ## Exercises
#
# 1. **Large scores.** Put scores of 1,000 into our `softmax`. What comes out, and why? Mend it by subtracting the
#    largest score first, and show that this changes no share. ([solution](solutions/06_1_large_scores.py))
# 2. **Two texts.** In translation, the words of one text look at the words of *another* one. Calculate this
#    *cross-attention* for two words that look at our three, and compare with the layer's argument `source`.
#    ([solution](solutions/06_2_cross_attention.py))
# 3. **Positions turn.** The vector of position $p + 5$ is the vector of position $p$, with each pair of features turned
#    by an angle that does not depend on $p$. Find the turning matrix and check it.
#    ([solution](solutions/06_3_positions_turn.py))
#
# Next: [chapter 9](09_gpt2_from_scratch.ipynb) builds a GPT-2 from this layer.
