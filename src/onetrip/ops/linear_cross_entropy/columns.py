"""The walk over the vocabulary, one tile of columns at a time; a backend computes the tiles.

Forward: one product, which leaves statistics of each token and, as far as the budget goes, the
exponentials of the first `kept` columns, each relative to its row's reference. Plain cross
entropy can use those as they are: with ``E = exp(z - ref)`` and the target's entry set to
``-exp(rest - ref)``, the gradient of the logits is ``s * E`` with one factor per row, so

    dinput = s * (E @ weight)        dweight = E.T @ (s * input)

without another pass over E. Any other loss turns E into gradients tile by tile.

Backward: each tile of the weight's gradient is finished in one product over all tokens, so it has
no accumulator; the input's gradient accumulates in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy.plan import Plan
from onetrip.ops.linear_cross_entropy.products import Accumulator, multiply
from onetrip.ops.linear_cross_entropy.rows import (
    Partials,
    RowGradients,
    RowStats,
    finish_stats,
    gradient_coefficients,
    merge_groups,
)

# A kept exponential is relative to the target's. Rows whose log-sum-exp is more nats than this
# above it would overflow: their block is computed again, relative to the log-sum-exp.
MAX_LIFT = 60.0
# Rows that share one flag for that; a multiple of every kernel's row block.
REDO_ROWS = 128


@dataclass(frozen=True, slots=True)
class Call:
    """One call's tensors on one process, flattened to rows.

    Parameters
    ----------
    input : Tensor [N, D].
    weight : Tensor [V, D], this process's classes.
    bias : Tensor [V] or None.
    class_weight : Tensor [V], float32, or None; label smoothing only.
    target : Tensor [N], int32: column in `weight`, or -1 where it is not one of them.
    valid : Tensor [N], bool: the row has a target on some process.
    weight_sum : sum of all class weights of all processes.
    target_weight : class weight of each row's target [N], or 1.0.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    class_weight: Tensor | None
    target: Tensor
    valid: Tensor
    weight_sum: Tensor | float
    target_weight: Tensor | float
    logit_scale: float
    softcap: float | None
    entropy: bool
    smoothing: bool
    argmax: bool

    def rows(self, start: int, stop: int) -> "Call":
        """The same call restricted to rows [start, stop)."""
        target_weight = self.target_weight
        if isinstance(target_weight, Tensor):
            target_weight = target_weight[start:stop]
        return replace(
            self,
            input=self.input[start:stop],
            target=self.target[start:stop],
            valid=self.valid[start:stop],
            target_weight=target_weight,
        )


class Backend(Protocol):
    """Computes tiles; every method reads `call` and writes only what it returns or is given."""

    def target_logits(self, call: Call) -> Tensor:
        """Logit of each row's target, float32 [N]; of class 0 where `call.target` is -1."""
        ...

    def stats(self, call: Call, ref: Tensor, kept: Tensor | None) -> Partials:
        """Partial statistics over all columns; fills `kept` [N, kept] when given."""
        ...

    def dlogits(
        self, call: Call, coefficients: Tensor, start: int, out: Tensor, redo: Tensor | None = None
    ) -> None:
        """Gradient of columns [start, start + out.shape[1]) into `out`, or of flagged rows only."""
        ...

    def patch(self, call: Call, kept: Tensor, at_target: Tensor) -> None:
        """Write `at_target` over the kept entry of each row's target."""
        ...

    def finish(
        self, call: Call, coefficients: Tensor, ref: Tensor, start: int, kept: Tensor, out: Tensor
    ) -> None:
        """Gradient of kept columns [start, start + out.shape[1]) into `out`."""
        ...


@dataclass(frozen=True, slots=True)
class Forward:
    """What the backward pass needs of the forward pass."""

    stats: RowStats
    ref: Tensor
    kept: Tensor


Reduce = Callable[[Tensor], None]
Gather = Callable[[Partials], Partials]


def forward(
    backend: Backend,
    call: Call,
    plan: Plan,
    *,
    stores_exponentials: bool,
    reduce: Reduce | None = None,
    gather: Gather | None = None,
) -> Forward:
    """Statistics of every row; `reduce` and `gather` combine the shards of several processes."""
    N = call.input.shape[0]
    ref = backend.target_logits(call)
    if reduce is not None:
        shared = torch.where(call.target >= 0, ref, 0.0)
        reduce(shared)
        ref = torch.where(call.valid, shared, ref)
    kept = call.input.new_empty(N, plan.kept)
    parts = merge_groups(backend.stats(call, ref, kept if plan.kept else None))
    if gather is not None:
        parts = merge_groups(gather(parts))
    stats = finish_stats(parts, ref=ref, valid=call.valid, weight_sum=call.weight_sum)
    # A soft cap bounds what a row can have over its reference; `select` keeps nothing beyond.
    if plan.kept and stores_exponentials and call.softcap is None:
        ref = _mend_exponentials(backend, call, kept, ref, stats)
    return Forward(stats, ref, kept)


def _mend_exponentials(
    backend: Backend, call: Call, kept: Tensor, ref: Tensor, stats: RowStats
) -> Tensor:
    """Recompute blocks whose reference was too low, and put the target's gradient in its place.

    Decided on the device: where no row is flagged, the launch returns at once.
    """
    N = ref.shape[0]
    low = call.valid & (stats.lse - ref > MAX_LIFT)
    flags = torch.nn.functional.pad(low, (0, -N % REDO_ROWS)).view(-1, REDO_ROWS)
    redo = flags.any(1).to(torch.int32)
    ref = torch.where(low, stats.lse, ref)
    at_target = -torch.exp(stats.rest - ref)
    coefficients = torch.zeros(5, N, device=ref.device)
    coefficients[0] = ref
    coefficients[1] = 1.0
    coefficients[2] = at_target
    plain = replace(call, entropy=False, smoothing=False)
    backend.dlogits(plain, coefficients, 0, kept, redo)
    backend.patch(call, kept, at_target)
    return ref


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which gradients are asked for."""

    input: bool
    weight: bool
    bias: bool


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients in the dtype of what they belong to; None where not asked for."""

    input: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


def backward(
    backend: Backend,
    call: Call,
    plan: Plan,
    saved: Forward,
    grads: RowGradients,
    wanted: Wanted,
    reduce: Reduce | None = None,
) -> Gradients:
    """Walk the vocabulary once and finish every gradient."""
    coefficients = gradient_coefficients(
        saved.stats,
        grads,
        ref=saved.ref,
        valid=call.valid,
        weight_sum=call.weight_sum,
        target_weight=call.target_weight,
        logit_scale=call.logit_scale,
        softcap=call.softcap,
    )
    walk = _Walk(backend, call, plan, saved, coefficients, wanted)
    if plan.rows < call.input.shape[0]:
        walk.weight_only()
        dinput = walk.input_by_rows(reduce) if wanted.input else None
    else:
        dinput = walk.everything(reduce)
    return Gradients(dinput, walk.dweight, walk.dbias)


class _Walk:
    """One walk over the columns of the head, with the outputs that it fills."""

    def __init__(
        self,
        backend: Backend,
        call: Call,
        plan: Plan,
        saved: Forward,
        coefficients: Tensor,
        wanted: Wanted,
    ) -> None:
        self.backend, self.call, self.plan, self.saved = backend, call, plan, saved
        self.coefficients = coefficients
        self.wanted = wanted
        self.dweight = torch.empty_like(call.weight) if wanted.weight else None
        self.dbias = torch.empty_like(call.bias) if wanted.bias and call.bias is not None else None
        self.scaled_input = call.input
        self.row_scale: Tensor | None = None
        if plan.relative:
            self._use_exponentials_as_they_are()

    def _use_exponentials_as_they_are(self) -> None:
        """Work in units of each row's ``s = a exp(ref - lse)``, in which E is the gradient."""
        lse, a = self.coefficients[0], self.coefficients[1]
        ref = self.saved.ref
        self.row_scale = a * torch.exp(ref - lse)
        units = torch.zeros_like(self.coefficients)
        units[0] = ref
        units[1] = 1.0
        units[2] = -torch.exp(self.saved.stats.rest - ref)
        self.coefficients = units
        if self.wanted.weight:
            scaled = self.call.input * self.row_scale.to(self.call.input.dtype).unsqueeze(1)
            self.scaled_input = scaled

    def _finish_columns(self, g: Tensor, start: int) -> None:
        """Weight and bias gradients of the columns whose logit gradient is `g` [N, columns]."""
        stop = start + g.shape[1]
        if self.dweight is not None:
            multiply(g.T, self.scaled_input, out=self.dweight[start:stop])
        if self.dbias is not None:
            row_scale = self.row_scale
            if row_scale is None:
                total = g.sum(0, dtype=torch.float32)
            else:
                total = (g.T @ row_scale.to(g.dtype).unsqueeze(1)).squeeze(1)
            self.dbias[start:stop] = total.to(self.dbias.dtype)

    def everything(self, reduce: Reduce | None) -> Tensor | None:
        """All gradients in one walk; returns the input's."""
        call, plan = self.call, self.plan
        V = call.weight.shape[0]
        into = Accumulator(call.input) if self.wanted.input else None
        tile = self._tile(call.input.shape[0])
        start = 0
        kept = min(plan.kept, V)
        while start < V:
            if start < kept and plan.relative:
                stop = kept
                g = self.saved.kept[:, :kept]
            else:
                stop = min(start + plan.columns, kept if start < kept else V)
                g = tile[:, : stop - start]
                if start < kept:
                    stored = self.saved.kept[:, start:stop]
                    self.backend.finish(call, self.coefficients, self.saved.ref, start, stored, g)
                else:
                    self.backend.dlogits(call, self.coefficients, start, g)
            self._finish_columns(g, start)
            if into is not None:
                into.add(g, call.weight[start:stop])
            start = stop
        return None if into is None else into.finish(self.row_scale, reduce)

    def weight_only(self) -> None:
        """The first of two sweeps: gradients of weight and bias over all rows."""
        if self.dweight is None and self.dbias is None:
            return
        tile = self._tile(self.call.input.shape[0])
        for start, stop in self._tiles():
            g = tile[:, : stop - start]
            self.backend.dlogits(self.call, self.coefficients, start, g)
            self._finish_columns(g, start)

    def input_by_rows(self, reduce: Reduce | None) -> Tensor:
        """The second sweep: the input's gradient, `plan.rows` tokens at a time."""
        N = self.call.input.shape[0]
        dinput = torch.empty_like(self.call.input)
        tile = self._tile(self.plan.rows)
        for row in range(0, N, self.plan.rows):
            end = min(row + self.plan.rows, N)
            part = self.call.rows(row, end)
            coefficients = self.coefficients[:, row:end].contiguous()
            into = Accumulator(part.input)
            for start, stop in self._tiles():
                g = tile[: end - row, : stop - start]
                self.backend.dlogits(part, coefficients, start, g)
                into.add(g, self.call.weight[start:stop])
            dinput[row:end] = into.finish(None, reduce)
        return dinput

    def _tiles(self) -> list[tuple[int, int]]:
        V = self.call.weight.shape[0]
        return [(at, min(at + self.plan.columns, V)) for at in range(0, V, self.plan.columns)]

    def _tile(self, rows: int) -> Tensor:
        """Workspace for one tile; empty when kept columns are used as they are throughout."""
        whole = self.plan.relative and self.plan.kept >= self.call.weight.shape[0]
        # Rows of a whole number of 256 columns keep every row aligned for wide stores.
        return self.call.input.new_empty(rows, 0 if whole else self.plan.columns)
