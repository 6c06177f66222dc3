"""A linear layer with GELU, in KernelBench's format: `Model`, `get_inputs`, `get_init_inputs`."""

import torch
from torch import Tensor, nn

batch_size = 64
in_features = 256
out_features = 512


class Model(nn.Module):
    """GELU of a linear layer."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both, with the product stored in between."""
        return nn.functional.gelu(self.linear(x))


def get_inputs() -> list[Tensor]:
    """Draw a batch."""
    return [torch.randn(batch_size, in_features)]


def get_init_inputs() -> list[int]:
    """Sizes of the layer."""
    return [in_features, out_features]


def estimate_cost(batch_size: int, in_features: int, out_features: int) -> dict[str, int]:
    """Count the product's operations, and each input and output once."""
    read = batch_size * in_features + out_features * (in_features + 1)
    return {
        "flops": 2 * batch_size * in_features * out_features,
        "bytes_read": 4 * read,
        "bytes_written": 4 * batch_size * out_features,
    }
