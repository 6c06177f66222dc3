"""Train a tiny language model with the loss swapped in, and see what it no longer stores."""

import torch
from torch import nn

from onetrip.nn import LinearCrossEntropyLoss
from onetrip.testing.memory import peak_memory

VOCABULARY, FEATURES, TOKENS, BATCH = 8192, 64, 64, 8


class TinyLM(nn.Module):
    """One transformer layer between an embedding and a head that share their matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, FEATURES)
        self.layer = nn.TransformerEncoderLayer(FEATURES, 4, 128, dropout=0.0, batch_first=True)
        self.lm_head = nn.Linear(FEATURES, VOCABULARY, bias=False)
        self.lm_head.weight = self.embedding.weight
        nn.init.normal_(self.embedding.weight, std=FEATURES**-0.5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Hidden states [batch, tokens, features]; the head is the loss's business."""
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.layer(self.embedding(tokens), src_mask=mask, is_causal=True)


def train(swapped: bool, steps: int = 5) -> tuple[list[float], int]:
    """Losses of a few steps, and the peak of the last one in bytes."""
    torch.manual_seed(0)
    model = TinyLM()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    plain = nn.CrossEntropyLoss()
    ours = LinearCrossEntropyLoss.from_linear(model.lm_head, memory_budget=4 << 20)
    text = torch.randint(VOCABULARY, (BATCH, TOKENS + 1))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        with peak_memory() as memory:
            hidden, target = model(text[:, :-1]), text[:, 1:]
            if swapped:
                loss = ours(hidden, target)
            else:
                loss = plain(model.lm_head(hidden).flatten(0, 1), target.flatten())
            loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, memory.peak_bytes


if __name__ == "__main__":
    plain_losses, plain_bytes = train(swapped=False)
    losses, peak_bytes = train(swapped=True)
    for step, pair in enumerate(zip(losses, plain_losses, strict=True)):
        print(f"step {step}: loss {pair[0]:.4f}, plain torch {pair[1]:.4f}")
    print(f"peak {peak_bytes / 2**20:.1f} MiB, plain torch {plain_bytes / 2**20:.1f} MiB")
    print(f"saved {(plain_bytes - peak_bytes) / 2**20:.1f} MiB")
