"""The two products of the backward pass, in float32 inside whatever the dtype."""

import torch
from torch import Tensor


def multiply(a: Tensor, b: Tensor, *, out: Tensor) -> None:
    """``out = a @ b``, accumulated in float32 and rounded once to `out`'s dtype."""
    if a.device.type == "cpu" and a.dtype != torch.float32:
        out.copy_(a.float() @ b.float())
    else:
        torch.mm(a, b, out=out)


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
