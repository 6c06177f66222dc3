"""The problem in float64, gradients as a kernel makes them, and how far apart they are."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 512


@dataclass(frozen=True)
class Error:
    """Relative errors of one gradient against float64.

    `norm` is of the whole; `largest` is the worst row's error over the largest row; `own` the
    worst row's error over that row itself, and `own_median` the median of these.
    """

    norm: float
    largest: float
    own_median: float
    own: float


def error_of(actual: Tensor, gold: Tensor) -> Error:
    """Compare by rows, in float64."""
    wrong = (actual.double() - gold).norm(dim=1)
    row = gold.norm(dim=1)
    own = (wrong / row.clamp_min(1e-300))[row > 0]
    return Error(
        norm=(wrong.norm() / row.norm()).item(),
        largest=(wrong.max() / row.max()).item(),
        own_median=own.median().item(),
        own=own.max().item(),
    )


@dataclass(frozen=True)
class Problem:
    """The data in one ordering; `p` is the softmax in float32, `dx` and `dw` are float64 truth."""

    x: Tensor
    w: Tensor
    target: Tensor
    p: Tensor
    dx: Tensor
    dw: Tensor
    loss: float

    @property
    def p_target(self) -> Tensor:
        """Probability of each row's target, float32 ``[N]``."""
        return self.p.gather(1, self.target[:, None])[:, 0]

    def g(self, rows: slice) -> Tensor:
        """Derivative of the summed loss by the logits of some rows."""
        return minus_one_hot(self.p[rows].clone(), self.target[rows])

    def reordered(self, rows: Tensor, columns: Tensor) -> "Problem":
        """The same problem with its rows and its vocabulary permuted."""
        return Problem(
            x=self.x[rows],
            w=self.w[columns],
            target=columns.argsort()[self.target[rows]],
            p=self.p[rows][:, columns],
            dx=self.dx[rows],
            dw=self.dw[columns],
            loss=self.loss,
        )


def solve(x: Tensor, w: Tensor, target: Tensor) -> Problem:
    """Gradients in float64, and the softmax of float32 logits: the operator never rounds those."""
    n = len(x)
    p = torch.empty(n, len(w), device=x.device)
    x64, w64 = x.double(), w.double()
    dx, dw, loss = torch.empty_like(x64), torch.zeros_like(w64), 0.0
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        log_p = torch.log_softmax(x64[rows] @ w64.T, dim=1)
        loss -= log_p.gather(1, target[rows, None]).sum().item()
        g = minus_one_hot(log_p.exp_(), target[rows])
        dx[rows] = g @ w64
        dw += g.T @ x64[rows]
        p[rows] = torch.softmax(x[rows].float() @ w.float().T, dim=1)
    return Problem(x, w, target, p, dx, dw, loss / n)


def minus_one_hot(p: Tensor, target: Tensor) -> Tensor:
    """From the softmax to the derivative by the logits, in place."""
    p[torch.arange(len(p), device=p.device), target] -= 1
    return p


def as_a_kernel(
    problem: Problem,
    g_of: Callable[[slice], Tensor],
    dx_extra: Tensor | None = None,
    dw_extra: Tensor | None = None,
) -> tuple[Error, Error]:
    """Errors of dx and dw: dlogits rounded to bfloat16, sums in float32, results in bfloat16.

    `g_of` gives dlogits of a slice of rows; the extras are added before the last rounding.
    """
    x, w = problem.x.float(), problem.w.float()
    dx = torch.zeros_like(x) if dx_extra is None else dx_extra
    dw = torch.zeros_like(w) if dw_extra is None else dw_extra
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        g = g_of(rows).bfloat16().float()
        dx[rows] += g @ w
        dw.addmm_(g.T, x[rows])
    return error_of(dx.bfloat16(), problem.dx), error_of(dw.bfloat16(), problem.dw)


def plain_bf16(problem: Problem) -> tuple[Error, Error]:
    """Errors of what everybody runs: logits rounded to bfloat16, then as above."""

    def g_of(rows: slice) -> Tensor:
        logits = (problem.x[rows].float() @ problem.w.float().T).bfloat16()
        return minus_one_hot(torch.softmax(logits.float(), dim=1), problem.target[rows])

    return as_a_kernel(problem, g_of)


def exact(problem: Problem) -> tuple[Error, Error]:
    """Errors of the operator that skips nothing."""
    return as_a_kernel(problem, problem.g)
