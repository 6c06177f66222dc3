"""Plain cross entropy in float32, a few rows at a time, with gradients in the forward pass.

In float32 the weight's gradient is its own accumulator, so a block of rows can finish with its
logits before the next begins: three products in all and no recomputation. With `q` the softmax
over all columns but the target's and ``rest`` their log-sum-exp,

    dlogits = s * (q - onehot)        s = -dlogprob * exp(rest - lse)

so the row's factor goes into the small sides of the two products, and ``1 - p`` is formed without
cancellation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy.walk import Gradients, Wanted


@dataclass(frozen=True, slots=True)
class RowsResult:
    """Log-probabilities [N] and the gradients of ``sum(dlogprob * logprob)``."""

    logprob: Tensor
    gradients: Gradients


def logprob_and_gradients(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    valid: Tensor,
    dlogprob: Tensor,
    *,
    logit_scale: float,
    rows: int,
    wanted: Wanted,
) -> RowsResult:
    """Walk the rows once.

    Parameters
    ----------
    input : Tensor [N, D], float32.
    weight : Tensor [V, D], float32.
    target : Tensor [N], int64, any class where not `valid`.
    dlogprob : Tensor [N], float32: gradient of the loss with respect to each log-probability.
    rows : rows of one block.
    """
    N, V = input.shape[0], weight.shape[0]
    logprob = input.new_empty(N)
    dinput = torch.empty_like(input) if wanted.input else None
    dweight = torch.empty_like(weight) if wanted.weight else None
    dbias = torch.zeros_like(bias) if wanted.bias and bias is not None else None
    block = input.new_empty(min(rows, N), V)
    for start in range(0, N, rows):
        stop = min(start + rows, N)
        x, at = input[start:stop], target[start:stop].unsqueeze(1)
        here = valid[start:stop]
        q = torch.mm(x, weight.T, out=block[: stop - start])
        if bias is not None:
            q.add_(bias)
        if logit_scale != 1.0:
            q.mul_(logit_scale)
        z_target = q.gather(1, at).squeeze(1)
        q.scatter_(1, at, float("-inf"))
        top = q.amax(1)
        torch.softmax(q, 1, out=q)
        rest = top - q.amax(1).log()
        # One class only: nothing but the target, whose probability is 1.
        rest = torch.where(top.isneginf(), top, rest)
        nll = torch.nn.functional.softplus(rest - z_target)
        logprob[start:stop] = torch.where(here, -nll, 0.0)
        q.scatter_(1, at, -1.0)
        # exp(rest - lse) = exp(rest - z_target - nll) = 1 - p
        factor = -dlogprob[start:stop] * logit_scale * torch.exp(rest - z_target - nll)
        factor = torch.where(here, factor, 0.0).unsqueeze(1)
        if dinput is not None:
            torch.mm(q, weight, out=dinput[start:stop]).mul_(factor)
        if dweight is not None:
            if start == 0:
                torch.mm(q.T, x * factor, out=dweight)
            else:
                dweight.addmm_(q.T, x * factor)
        if dbias is not None:
            dbias.addmv_(q.T, factor.squeeze(1))
    return RowsResult(logprob, Gradients(dinput, dweight, dbias))
