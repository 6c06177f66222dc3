"""The two products of the backward pass, in float32 inside whatever the dtype."""

from collections.abc import Callable

import torch
from torch import Tensor


def multiply(a: Tensor, b: Tensor, *, out: Tensor) -> None:
    """``out = a @ b``, accumulated in float32 and rounded once to `out`'s dtype."""
    if a.device.type == "cpu" and a.dtype != torch.float32:
        out.copy_(a.float() @ b.float())
    else:
        torch.mm(a, b, out=out)


class Accumulator:
    """Float32 sum of products, for a result of the shape and dtype of `like`."""

    def __init__(self, like: Tensor) -> None:
        self.like = like
        self.total = torch.empty_like(like, dtype=torch.float32)
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

    def finish(
        self, row_scale: Tensor | None, reduce: Callable[[Tensor], None] | None = None
    ) -> Tensor:
        """The sum over processes, times one factor per row, in the dtype of `like`."""
        total = self.total
        if row_scale is not None:
            # Rows without a target may hold anything, infinity included.
            total.mul_(row_scale.unsqueeze(1))
            total.masked_fill_((row_scale == 0).unsqueeze(1), 0.0)
        if reduce is not None:
            reduce(total)
        return total.to(self.like.dtype)
