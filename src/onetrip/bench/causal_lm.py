"""A small causal transformer in plain torch, to be trained within a minute."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_ROPE_BASE = 10_000.0


class CausalLm(nn.Module):
    """Pre-norm transformer with rotary positions; `forward` stops before the head.

    Parameters
    ----------
    vocab, layers, width, heads : sizes; `width` is a multiple of ``2 * heads``.
    context : longest sequence.
    tied : the head is the embedding itself.
    dropout : probability, applied to each residual branch while training.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        *,
        vocab: int,
        layers: int,
        width: int,
        heads: int,
        context: int,
        tied: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(_Block(width, heads, layers, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, vocab, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)
        if tied:
            self.head.weight = self.embedding.weight
        cos, sin = _rotary_tables(context, width // heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, token: Tensor) -> Tensor:
        """Hidden states ``[B, T, D]`` of tokens ``[B, T]``, normalised: the head's input."""
        x = self.embedding(token)
        cos, sin = self.cos[: token.shape[1]], self.sin[: token.shape[1]]
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        for linear in (self.qkv, self.up):
            nn.init.normal_(linear.weight, std=0.02)
        # Each block adds two branches: their sum keeps the scale of the embedding.
        for linear in (self.attention_out, self.down):
            nn.init.normal_(linear.weight, std=0.02 / math.sqrt(2 * layers))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self._drop(self._attend(self.attention_norm(x), cos, sin))
        return x + self._drop(self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh")))

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, T, width / heads]
        y = F.scaled_dot_product_attention(
            _rotate(q, cos, sin), _rotate(k, cos, sin), v, is_causal=True
        )
        return self.attention_out(y.transpose(1, 2).reshape(batch, length, width))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def _rotary_tables(context: int, head_width: int) -> tuple[Tensor, Tensor]:
    frequency = _ROPE_BASE ** (-torch.arange(0, head_width, 2) / head_width)
    angle = torch.outer(torch.arange(context), frequency)  # [T, head_width / 2]
    return angle.cos(), angle.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
