"""Attention of long texts, block by block: no matrix of length times length is ever held.

Rabe and Staats 2021, "Self-attention Does Not Need O(n^2) Memory"; Dao et al. 2022, "FlashAttention", algorithms 1
and 4. The softmax of a row is worked out over the blocks of its keys with a running maximum and sum; the backward
pass works the weights out again from the logarithm of that sum, which is all it keeps of them.
"""

from keras import ops

BLOCK = 256  # tokens a block: a block of scores stays in a processor's cache
HIDDEN = -1e9  # the score of what may not be seen


def blockwise_attention(
    query, key, value, key_mask=None, causal=False, dropout=0.0, seed=None, segment_ids=None
):
    """`softmax(query key^T) value` in each head, in memory that grows with the length and not with its square.

    Args:
        query: `[batch, num_heads, T, head_dim]`, already divided by `sqrt(head_dim)`.
        key, value: `[batch, num_heads, K, head_dim]`.
        key_mask: bool `[batch, K]`, True at the keys that may be seen; None for all.
        causal: query `t` sees keys `0 ... t`; then `T = K`.
        dropout: rate at which attention weights are dropped.
        seed: uint32 `[2]`, of the weights that are dropped; see `kept_weights`.
        segment_ids: int `[batch, T]`, for self-attention: a query sees the keys of its own segment alone.

    Returns:
        `[batch, num_heads, T, head_dim]`, in the dtype of `query`; so are the gradients of the three inputs.
    """
    batch, num_heads, length, head_dim = ops.shape(query)
    keys_length = ops.shape(key)[2]
    if key_mask is None:
        key_mask = ops.ones((batch, keys_length), "bool")
    key_mask = _filled(ops.cast(key_mask, "bool"), axis=1)  # [batch, K], now whole blocks
    if segment_ids is not None:
        segment_ids = _filled(segment_ids, axis=1)  # likewise
    query, key, value = (_filled(heads, axis=2) for heads in (query, key, value))  # likewise
    query_blocks, key_blocks = ops.shape(query)[2] // BLOCK, ops.shape(key)[2] // BLOCK
    shape = (batch, num_heads, BLOCK, BLOCK)  # of a block of scores

    def first_and_last(i, of_queries):
        """The blocks of keys that a block of queries sees, or the blocks of queries that see a block of keys."""
        if of_queries:
            return 0, (i + 1 if causal else key_blocks)
        return (i if causal else 0), query_blocks

    def scores(q, k, i, j):
        """Of block `i` of the queries and block `j` of the keys, float32 `[batch, num_heads, BLOCK, BLOCK]`."""
        visible = _block(key_mask, j, axis=1)[:, None, None, :]  # [batch, 1, 1, BLOCK]
        if causal:
            places = ops.arange(BLOCK, dtype="int32")
            past = j * BLOCK + places[None, :] <= i * BLOCK + places[:, None]  # [BLOCK, BLOCK]
            visible = ops.logical_and(visible, past)
        if segment_ids is not None:
            own, seen = _block(segment_ids, i, axis=1), _block(segment_ids, j, axis=1)
            same = own[:, None, :, None] == seen[:, None, None, :]  # [batch, 1, BLOCK, BLOCK]
            visible = ops.logical_and(visible, same)
        return ops.where(visible, ops.cast(ops.einsum("bnth,bnkh->bntk", q, k), "float32"), HIDDEN)

    def kept(i, j):
        return kept_weights(seed, dropout, shape, i * BLOCK, j * BLOCK) if dropout else 1.0

    def forward(query, key, value):
        def rows(i):
            q = _block(query, i)
            first, last = first_and_last(i, of_queries=True)

            def step(j, highest, total, context):
                s = scores(q, _block(key, j), i, j)
                new_highest = ops.maximum(highest, ops.max(s, axis=-1))  # [batch, num_heads, BLOCK]
                shrink = ops.exp(highest - new_highest)
                weights = ops.exp(s - new_highest[..., None])
                total = total * shrink + ops.sum(weights, axis=-1)
                own = ops.einsum(
                    "bntk,bnkh->bnth", ops.cast(weights * kept(i, j), value.dtype), _block(value, j)
                )
                context = context * shrink[..., None] + ops.cast(own, "float32")
                return j + 1, new_highest, total, context

            start = (
                first,
                ops.full(shape[:3], HIDDEN, "float32"),
                ops.zeros(shape[:3], "float32"),
                ops.zeros((*shape[:3], head_dim), "float32"),
            )
            _, highest, total, context = ops.while_loop(lambda j, *_: j < last, step, start)
            return ops.cast(context / total[..., None], query.dtype), highest + ops.log(total)

        context, log_total = ops.map(rows, ops.arange(query_blocks, dtype="int32"))
        return _joined(context), _joined(log_total)  # [batch, num_heads, T, head_dim], [batch, num_heads, T]

    @ops.custom_gradient
    def attend(query, key, value):
        context, log_total = forward(query, key, value)

        def gradients(*args, upstream=None):
            d_context = args[0] if upstream is None else upstream
            # sum_k P_tk dP_tk of each row, without P (FlashAttention, appendix B.2)
            inner = ops.sum(ops.cast(d_context * context, "float32"), axis=-1)  # [batch, num_heads, T]

            def weights_and_change(q, k, v, d, i, j):
                weights = ops.exp(scores(q, k, i, j) - _block(log_total, i)[..., None])
                change = ops.cast(ops.einsum("bnth,bnkh->bntk", d, v), "float32") * kept(i, j)
                return weights, ops.cast(weights * (change - _block(inner, i)[..., None]), q.dtype)

            def of_queries(i):
                q, d = _block(query, i), _block(d_context, i)
                first, last = first_and_last(i, of_queries=True)

                def step(j, d_query):
                    k = _block(key, j)
                    _, change = weights_and_change(q, k, _block(value, j), d, i, j)
                    return j + 1, d_query + ops.cast(ops.einsum("bntk,bnkh->bnth", change, k), "float32")

                start = (first, ops.zeros((*shape[:3], head_dim), "float32"))
                return ops.cast(ops.while_loop(lambda j, _: j < last, step, start)[1], query.dtype)

            def of_keys(j):
                k, v = _block(key, j), _block(value, j)
                first, last = first_and_last(j, of_queries=False)

                def step(i, d_key, d_value):
                    q, d = _block(query, i), _block(d_context, i)
                    weights, change = weights_and_change(q, k, v, d, i, j)
                    weights = ops.cast(weights * kept(i, j), d.dtype)
                    d_key = d_key + ops.cast(ops.einsum("bntk,bnth->bnkh", change, q), "float32")
                    d_value = d_value + ops.cast(ops.einsum("bntk,bnth->bnkh", weights, d), "float32")
                    return i + 1, d_key, d_value

                zeros = ops.zeros((*shape[:3], head_dim), "float32")
                _, d_key, d_value = ops.while_loop(lambda i, *_: i < last, step, (first, zeros, zeros))
                return ops.cast(d_key, key.dtype), ops.cast(d_value, value.dtype)

            d_query = ops.map(of_queries, ops.arange(query_blocks, dtype="int32"))
            d_key, d_value = ops.map(of_keys, ops.arange(key_blocks, dtype="int32"))
            return _joined(d_query), _joined(d_key), _joined(d_value)

        return context, gradients

    return attend(query, key, value)[:, :, :length]


def kept_weights(seed, rate, shape, first_query, first_key):
    """What attention weights are multiplied with in training: 0 where dropped, else `1 / (1 - rate)`.

    Each weight has a number of its own, whatever block it is worked out in, so that the backward pass finds the
    same again without having kept anything: a hash of the seed, the row, the head and the two places (the finalizer
    of MurmurHash3, twice).

    Args:
        seed: uint32 `[2]`.
        rate: share that is dropped.
        shape: `(batch, num_heads, queries, keys)` of the block.
        first_query, first_key: places of its first query and key, ints or scalar tensors.

    Returns:
        float32 of that shape.
    """
    batch, num_heads, queries, keys = shape
    heads = _uint32(ops.reshape(ops.arange(batch * num_heads), (batch, num_heads, 1, 1)))
    rows = _uint32(first_query + ops.arange(queries, dtype="int32"))[:, None]  # [queries, 1]
    columns = _uint32(first_key + ops.arange(keys, dtype="int32"))[None, :]  # [1, keys]
    number = _mixed(heads * _uint32(0x9E3779B1) + seed[0])  # [batch, num_heads, 1, 1]
    number = _mixed(
        ops.bitwise_xor(number + rows * _uint32(0x85EBCA77), seed[1])
    )  # [batch, num_heads, queries, 1]
    number = _mixed(number + columns * _uint32(0xC2B2AE3D))  # [batch, num_heads, queries, keys]
    uniform = ops.cast(ops.right_shift(number, _uint32(8)), "float32") / 2**24  # [0, 1)
    return ops.where(uniform >= rate, 1.0 / (1.0 - rate), 0.0)


def _mixed(number):
    number = ops.bitwise_xor(number, ops.right_shift(number, _uint32(16))) * _uint32(0x85EBCA6B)
    number = ops.bitwise_xor(number, ops.right_shift(number, _uint32(13))) * _uint32(0xC2B2AE35)
    return ops.bitwise_xor(number, ops.right_shift(number, _uint32(16)))


def _uint32(values):
    return ops.cast(values, "uint32")


def _filled(x, axis):
    """`x` with zeros (False) behind it along `axis`, up to whole blocks."""
    missing = -ops.shape(x)[axis] % BLOCK
    return ops.pad(x, [(0, missing if i == axis else 0) for i in range(len(x.shape))])


def _block(x, i, axis=2):
    """Block `i` of `x` along `axis`."""
    start = [0] * len(x.shape)
    start[axis] = i * BLOCK
    size = list(ops.shape(x))
    size[axis] = BLOCK
    return ops.slice(x, start, size)


def _joined(blocks):
    """`[blocks, batch, num_heads, BLOCK, ...]` -> `[batch, num_heads, T, ...]`."""
    blocks = ops.moveaxis(blocks, 0, 2)  # [batch, num_heads, blocks, BLOCK, ...]
    shape = ops.shape(blocks)
    return ops.reshape(blocks, (*shape[:2], shape[2] * shape[3], *shape[4:]))
