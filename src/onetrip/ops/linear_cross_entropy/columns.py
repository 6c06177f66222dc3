"""The walk over the vocabulary, one tile of columns at a time; a backend computes the tiles.

Forward: one product, which leaves statistics of each token and, as far as the budget goes, the
exponentials of the first `kept` columns, each relative to its row's reference. Plain cross
entropy can use those as they are: with ``E = exp(z - ref)`` and the target's entry set to
``-exp(rest - ref)``, the gradient of the logits is ``s * E`` with one factor per row, so

    dinput = s * (E @ weight)        dweight = E.T @ (s * input)

without another pass over E. Any other loss turns E into gradients tile by tile. `walk.py` is the
backward half.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy.plan import Plan, kept_rows
from onetrip.ops.linear_cross_entropy.rows import (
    Partials,
    RowStats,
    exponential_units,
    finish_stats,
    low_references,
    merge_groups,
)
from onetrip.ops.linear_cross_entropy.shards import Shard

# A kept exponential is relative to the target's. Rows whose log-sum-exp is more nats than this
# above it would overflow: their block is computed again, relative to the log-sum-exp.
MAX_LIFT = 60.0
# Rows that share one flag for that; a multiple of every kernel's row block.
REDO_ROWS = 128


@dataclass(frozen=True, slots=True)
class Request:
    """One call's tensors and options on one process, flattened to rows.

    Parameters
    ----------
    input : Tensor [N, D], contiguous.
    weight : Tensor [V, D], this process's classes; rows contiguous.
    bias : Tensor [V] or None.
    class_weight : Tensor [all classes], float32, or None; label smoothing only.
    target : Tensor [N], int64 or int32, of all classes.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    class_weight: Tensor | None
    target: Tensor
    ignore_index: int
    logit_scale: float
    softcap: float | None
    entropy: bool
    smoothing: bool
    argmax: bool
    shard: Shard


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose targets have been looked at.

    Parameters
    ----------
    class_weight : Tensor [V], this process's classes, or None.
    target : Tensor [N], int32: column in `weight`, or -1 where it is not one of them.
    valid : Tensor [N], bool: the row has a target on some process.
    ref : Tensor [N], float32: the target's logit; any logit of a row without target; NaN where
        the target is no class at all.
    weight_sum : sum of all class weights of all processes.
    target_weight : class weight of each row's target [N], or 1.0.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    class_weight: Tensor | None
    target: Tensor
    valid: Tensor
    ref: Tensor
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
            ref=self.ref[start:stop],
            target_weight=target_weight,
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Statistics of each row, and how its kept exponentials are to be read.

    `ref` is what kept exponentials are relative to, `units` their units (see
    `rows.exponential_units`) and `redo` flags the blocks of `REDO_ROWS` rows whose exponentials
    must be computed again; both are None where no exponentials are kept.
    """

    stats: RowStats
    ref: Tensor
    units: Tensor | None = None
    redo: Tensor | None = None


class Backend(Protocol):
    """Computes tiles; every method reads its arguments and writes only what is said."""

    def prepare(self, request: Request) -> Call:
        """Look at the targets: local columns, validity, the target's logit; report bad ones."""
        ...

    def stats(self, call: Call, kept: Tensor | None) -> Partials:
        """Partial statistics over all columns; fills `kept` [kept_rows, kept] when given."""
        ...

    def finish_rows(self, call: Call, parts: Partials, *, mend: bool) -> Rows:
        """Rows from the statistics of groups of columns; with units and flags when `mend`."""
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
        """Gradient of columns [start, start + out.shape[1]) of all of `kept` into `out`."""
        ...

    def scale_rows(self, matrix: Tensor, factor: Tensor, out: Tensor) -> None:
        """``out = factor * matrix``, in place too; a factor of 0 gives 0 whatever it meets."""
        ...


def finish_rows(call: Call, parts: Partials, *, mend: bool) -> Rows:
    """`Backend.finish_rows` in torch."""
    merged = merge_groups(parts)
    stats = finish_stats(merged, ref=call.ref, valid=call.valid, weight_sum=call.weight_sum)
    if not mend:
        return Rows(stats, call.ref)
    low = low_references(stats, call.ref, MAX_LIFT)
    ref = torch.where(low, stats.lse, call.ref)
    blocks = torch.nn.functional.pad(low, (0, -low.shape[0] % REDO_ROWS)).view(-1, REDO_ROWS)
    units = exponential_units(stats, ref, call.valid, call.logit_scale)
    return Rows(stats, ref, units, blocks.any(1).to(torch.int32))


@dataclass(frozen=True, slots=True)
class Forward:
    """What the backward pass needs of the forward pass.

    `units` is None unless the kept exponentials are used as they are.
    """

    call: Call
    stats: RowStats
    ref: Tensor
    units: Tensor | None
    kept: Tensor


def forward(
    backend: Backend, request: Request, plan: Plan, *, stores_exponentials: bool
) -> Forward:
    """Statistics of every row, and the columns that the plan keeps."""
    shard = request.shard
    call = backend.prepare(request)
    if shard.group:
        shared = torch.where((call.target >= 0) | call.ref.isnan(), call.ref, 0.0)
        shard.reduce(shared)
        ref = torch.where(call.valid | shared.isnan(), shared, call.ref)
        call = replace(call, ref=ref)
    rows = kept_rows(call.input.shape[0], stores_exponentials=stores_exponentials)
    kept = call.input.new_empty(rows, plan.kept)
    parts = backend.stats(call, kept if plan.kept else None)
    # A soft cap bounds what a row can have over its reference; `select` keeps nothing beyond.
    mend = plan.kept > 0 and stores_exponentials and call.softcap is None
    if shard.group:
        found = finish_rows(call, shard.gather(merge_groups(parts)), mend=mend)
    else:
        found = backend.finish_rows(call, parts, mend=mend)
    if found.units is not None:
        # Decided on the device: where no block is flagged, the launch returns at once.
        plain = replace(call, entropy=False, smoothing=False)
        backend.dlogits(plain, found.units, 0, kept, found.redo)
        backend.patch(call, kept, found.units[2])
    return Forward(call, found.stats, found.ref, found.units if plan.relative else None, kept)
