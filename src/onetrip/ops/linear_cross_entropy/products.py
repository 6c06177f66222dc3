"""The products of the backward pass, in float32 inside whatever the dtype."""

import torch
from torch import Tensor


def multiply(a: Tensor, b: Tensor, *, out: Tensor) -> None:
    """``out = a @ b``, accumulated in float32 and rounded once to `out`'s dtype."""
    if a.device.type == "cpu" and a.dtype != torch.float32:
        out.copy_(a.float() @ b.float())
    else:
        torch.mm(a, b, out=out)


def column_sums(g: Tensor, factors: Tensor | None) -> Tensor:
    """Sums of ``factors * g`` over the rows, float32 [columns]; None stands for factors of 1.

    On a device it is a product too: torch's sum over rows takes up to four times the memory of `g`.
    """
    if factors is None:
        if g.device.type == "cpu":
            return g.sum(0, dtype=torch.float32)
        factors = g.new_ones(g.shape[0])
    row = factors.to(g.dtype).unsqueeze(0)
    if g.dtype == torch.float32 or g.device.type == "cpu":
        return torch.mm(row, g).squeeze(0)
    return torch.mm(row, g, out_dtype=torch.float32).squeeze(0)


class Accumulator:
    """Float32 sum of products of the shape of `like`, in memory of its own unless it is given."""

    def __init__(self, like: Tensor, total: Tensor | None = None) -> None:
        self.total = torch.empty_like(like, dtype=torch.float32) if total is None else total
        self.empty = True

    def add(self, a: Tensor, b: Tensor) -> None:
        """Add ``a @ b``; the first product is stored, which saves a pass of zeros."""
        if a.dtype == torch.float32 or a.device.type == "cpu":
            a, b = a.float(), b.float()
            if self.empty:
                torch.mm(a, b, out=self.total)
            else:
                self.total.addmm_(a, b)
        elif self.empty:
            torch.mm(a, b, out_dtype=torch.float32, out=self.total)
        else:
            torch.addmm(self.total, a, b, out_dtype=torch.float32, out=self.total)
        self.empty = False
