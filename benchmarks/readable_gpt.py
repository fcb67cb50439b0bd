"""A GPT-2 in PyTorch, as the small readable trainers have it: what we compare the speed of training with."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Pre-norm attention and feed-forward layer."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        """`[batch, length, width]` to the same."""
        batch, length, width = x.shape
        heads = self.qkv(self.norms[0](x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # [batch, heads, length, head_dim] each
        context = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=self.dropout if self.training else 0.0
        )
        x = x + self.drop(self.out(context.transpose(1, 2).reshape(batch, length, width)))
        inner = functional.gelu(self.inner(self.norms[1](x)), approximate="tanh")
        return x + self.drop(self.outer(inner))


class ReadableGPT(nn.Module):
    """Token ids `[batch, length]` to logits `[batch, length, vocabulary]`; the output matrix is the embedding's."""

    def __init__(self, vocabulary, context, width, layers, heads, dropout):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        for name, module in self.blocks.named_modules():
            if isinstance(module, nn.Linear):
                onto_residual = name.endswith(("out", "outer"))
                nn.init.normal_(module.weight, std=0.02 / (2 * layers) ** 0.5 if onto_residual else 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, token_ids):
        """The logits."""
        x = self.drop(self.tokens(token_ids) + self.positions.weight[: token_ids.shape[1]])
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight)


def make_step(model, logits, forward=None, rate=None, betas=(0.9, 0.999)):
    """A function that does one training step on ids and labels `[batch, length]`, and returns the loss.

    `rate` gives the learning rate of a step, counted from 0; without it, it is 1e-3. Only matrices decay.
    """
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1.0 if rate else 1e-3, betas=betas, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate) if rate else None
    forward = model if forward is None else forward

    def step(token_ids, labels):
        optimizer.zero_grad(set_to_none=True)
        output = logits(forward(token_ids))
        loss = functional.cross_entropy(output.reshape(-1, output.shape[-1]), labels.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if schedule:
            schedule.step()
        return loss

    return step
