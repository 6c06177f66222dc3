"""The backward walk over the vocabulary.

Each tile of the weight's gradient is finished in one product over all tokens, so it has no
accumulator; the input's gradient accumulates in float32.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy.columns import Backend, Forward
from onetrip.ops.linear_cross_entropy.plan import COLUMN_STEP, Plan
from onetrip.ops.linear_cross_entropy.products import Accumulator, column_sums, multiply
from onetrip.ops.linear_cross_entropy.rows import RowGradients, gradient_coefficients
from onetrip.ops.linear_cross_entropy.shards import Shard


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which gradients are asked for."""

    input: bool
    weight: bool
    bias: bool

    def __bool__(self) -> bool:
        return self.input or self.weight or self.bias


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients in the dtype of what they belong to; None where not asked for."""

    input: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


def backward(
    backend: Backend,
    plan: Plan,
    saved: Forward,
    grads: RowGradients,
    wanted: Wanted,
    shard: Shard,
) -> Gradients:
    """Walk the vocabulary and finish every gradient."""
    walk = _Walk(backend, plan, saved, grads, wanted, shard)
    if plan.borrowed:
        dinput = walk.with_borrowed_accumulator()
    elif plan.rows < saved.call.input.shape[0]:
        walk.weight_only()
        dinput = walk.input_by_rows()
    else:
        dinput = walk.everything()
    return Gradients(dinput, walk.dweight, walk.dbias)


class _Walk:
    """One walk over the columns of the head, with the outputs that it fills."""

    def __init__(
        self,
        backend: Backend,
        plan: Plan,
        saved: Forward,
        grads: RowGradients,
        wanted: Wanted,
        shard: Shard,
    ) -> None:
        call = saved.call
        self.backend, self.plan, self.saved, self.call = backend, plan, saved, call
        self.wanted, self.shard = wanted, shard
        self.dweight = torch.empty_like(call.weight) if wanted.weight else None
        self.dbias = torch.empty_like(call.bias) if wanted.bias and call.bias is not None else None
        self.scaled_input = call.input
        self.row_scale: Tensor | None = None
        if saved.units is not None and grads.logprob is not None:
            # Kept exponentials are gradients in units of each row's own factor.
            self.coefficients = saved.units
            self.row_scale = saved.units[3] * grads.logprob
            if wanted.weight:
                self.scaled_input = torch.empty_like(call.input)
                backend.scale_rows(call.input, self.row_scale, self.scaled_input)
        else:
            self.coefficients = gradient_coefficients(
                saved.stats,
                grads,
                ref=call.ref,
                valid=call.valid,
                weight_sum=call.weight_sum,
                target_weight=call.target_weight,
                logit_scale=call.logit_scale,
                softcap=call.softcap,
            )

    def everything(self) -> Tensor | None:
        """All gradients in one walk; returns the input's."""
        call, saved = self.call, self.saved
        into = Accumulator(call.input) if self.wanted.input else None
        kept = min(self.plan.kept, call.weight.shape[0])
        tile = self._tile(call.input.shape[0])
        for start, stop in self._tiles():
            if stop > kept:
                g = tile[:, : stop - start]
                self.backend.dlogits(call, self.coefficients, start, g)
            elif self.row_scale is not None:
                g = saved.kept[:, start:stop]
            else:
                g = tile[:, : stop - start]
                self.backend.finish(call, self.coefficients, saved.ref, start, saved.kept, g)
            self._finish_columns(g, start)
            if into is not None:
                into.add(g, call.weight[start:stop])
        return None if into is None else self._finish_input(into)

    def with_borrowed_accumulator(self) -> Tensor:
        """All gradients, the input's accumulated in the memory of the weight's last columns."""
        call = self.call
        N, D = call.input.shape
        if self.dweight is None:
            raise RuntimeError("an accumulator can be borrowed only from a wanted gradient")
        split = call.weight.shape[0] - self.plan.borrowed
        split -= split % COLUMN_STEP
        lent = self.dweight[split:].reshape(-1).view(torch.float32)[: N * D].view(N, D)
        into = Accumulator(call.input, lent)
        tile = self._tile(N)
        last, first = self._tiles(split), self._tiles(0, split)
        for start, stop in last + first:
            g = tile[:, : stop - start]
            self.backend.dlogits(call, self.coefficients, start, g)
            into.add(g, call.weight[start:stop])
            if start < split:
                self._finish_columns(g, start)
        dinput = self._finish_input(into)
        for start, stop in last:
            g = tile[:, : stop - start]
            self.backend.dlogits(call, self.coefficients, start, g)
            self._finish_columns(g, start)
        return dinput

    def weight_only(self) -> None:
        """The first of two sweeps: gradients of weight and bias over all rows."""
        if self.dweight is None and self.dbias is None:
            return
        tile = self._tile(self.call.input.shape[0])
        for start, stop in self._tiles():
            g = tile[:, : stop - start]
            self.backend.dlogits(self.call, self.coefficients, start, g)
            self._finish_columns(g, start)

    def input_by_rows(self) -> Tensor:
        """The second sweep: the input's gradient, `plan.rows` tokens at a time."""
        N = self.call.input.shape[0]
        dinput = torch.empty_like(self.call.input)
        tile = self._tile(self.plan.rows)
        total = torch.empty(self.plan.rows, self.call.input.shape[1], device=dinput.device)
        for row in range(0, N, self.plan.rows):
            end = min(row + self.plan.rows, N)
            part = self.call.rows(row, end)
            coefficients = self.coefficients[:, row:end].contiguous()
            into = Accumulator(part.input, total[: end - row])
            for start, stop in self._tiles():
                g = tile[: end - row, : stop - start]
                self.backend.dlogits(part, coefficients, start, g)
                into.add(g, self.call.weight[start:stop])
            if self.shard.group:
                self.shard.reduce(into.total)
            dinput[row:end] = into.total
        return dinput

    def _finish_columns(self, g: Tensor, start: int) -> None:
        """Weight and bias gradients of the columns whose logit gradient is `g` [N, columns]."""
        stop = start + g.shape[1]
        if self.dweight is not None:
            multiply(g.T, self.scaled_input, out=self.dweight[start:stop])
        if self.dbias is not None:
            self.dbias[start:stop] = column_sums(g, self.row_scale)

    def _finish_input(self, into: Accumulator) -> Tensor:
        """The accumulated gradient of the input, of all processes, in the input's dtype."""
        total, dtype = into.total, self.call.input.dtype
        if self.row_scale is not None:
            # Processes may differ in the reference of a row: scale first, then add them up.
            in_place = bool(self.shard.group) or dtype == total.dtype
            out = total if in_place else torch.empty_like(total, dtype=dtype)
            self.backend.scale_rows(total, self.row_scale, out)
            total = out
        if self.shard.group:
            self.shard.reduce(total)
        return total.to(dtype)

    def _tiles(self, first: int = 0, last: int | None = None) -> list[tuple[int, int]]:
        """Column ranges: kept ones used as they are in one piece, all others by the plan.

        Sizes that are odd send a product to a slow kernel, so the last odd columns of a range
        go by themselves.
        """
        V = self.call.weight.shape[0] if last is None else last
        kept = min(self.plan.kept, V)
        edges = [first]
        while edges[-1] < V:
            start = edges[-1]
            limit = kept if start < kept else V
            whole = start + (limit - start) // COLUMN_STEP * COLUMN_STEP
            limit = whole if whole > start else limit
            as_they_are = start < kept and self.row_scale is not None
            edges.append(limit if as_they_are else min(start + self.plan.columns, limit))
        return list(itertools.pairwise(edges))

    def _tile(self, rows: int) -> Tensor:
        """Workspace for one tile; empty when kept columns are used as they are throughout."""
        whole = self.row_scale is not None and self.plan.kept >= self.call.weight.shape[0]
        return self.call.input.new_empty(rows, 0 if whole else self.plan.columns)
