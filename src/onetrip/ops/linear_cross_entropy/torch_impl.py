"""The implementation in plain torch: any device, any dtype, a bounded workspace.

`TorchColumns` computes tiles of columns for the walk in `columns.py`. On a CPU in float32, where
the weight's gradient is its own float32 accumulator, `torch_rows.py` is faster still.
"""

from dataclasses import fields

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy.columns import Call, Request, Rows, finish_rows
from onetrip.ops.linear_cross_entropy.rows import Partials, merge_groups
from onetrip.ops.linear_cross_entropy.target_check import check_targets


def _float32_product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """``a @ b`` in float32 whatever the operands' dtype."""
    if a.dtype == torch.float32 or a.device.type == "cpu":
        return torch.mm(a.float(), b.float(), out=out)
    return torch.mm(a, b, out_dtype=torch.float32, out=out)


def scale_and_cap_(z: Tensor, logit_scale: float, softcap: float | None) -> Tensor:
    """Scale, then soft cap, in place."""
    if logit_scale != 1.0:
        z.mul_(logit_scale)
    if softcap is not None:
        z.div_(softcap).tanh_().mul_(softcap)
    return z


def call_with(request: Request, local: Tensor, valid: Tensor, ref: Tensor) -> Call:
    """The request with its targets looked at, and the class weights that smoothing needs."""
    shard = request.shard
    class_weight = None
    weight_sum: Tensor | float = float(shard.total)
    target_weight: Tensor | float = 1.0
    if request.smoothing and request.class_weight is not None:
        weight_sum = request.class_weight.sum()
        target_weight = request.class_weight[torch.where(valid, request.target, 0)]
        stop = shard.start + request.weight.shape[0]
        class_weight = request.class_weight[shard.start : stop].contiguous()
    return Call(
        input=request.input,
        weight=request.weight,
        bias=request.bias,
        class_weight=class_weight,
        target=local,
        valid=valid,
        ref=ref,
        weight_sum=weight_sum,
        target_weight=target_weight,
        logit_scale=request.logit_scale,
        softcap=request.softcap,
        entropy=request.entropy,
        smoothing=request.smoothing,
        argmax=request.argmax,
    )


def _side_by_side(first: Partials, second: Partials) -> Partials:
    """Groups of both, one after the other."""

    def join(name: str) -> Tensor | None:
        parts = getattr(first, name), getattr(second, name)
        return None if parts[0] is None else torch.cat(parts)

    return Partials(**{f.name: join(f.name) for f in fields(Partials)})  # type: ignore[arg-type]


class TorchColumns:
    """Tiles of columns by torch calls, as few passes over a tile as torch allows."""

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def prepare(self, request: Request) -> Call:
        """Look at the targets: local columns, validity, the target's logit; report bad ones."""
        shard, target = request.shard, request.target
        stop = shard.start + request.weight.shape[0]
        counts = target != request.ignore_index
        bad = counts & ((target < 0) | (target >= shard.total))
        check_targets(bad.sum(), shard.total)
        valid = counts & ~bad
        here = valid & (target >= shard.start) & (target < stop)
        local = torch.where(here, target - shard.start, -1).to(torch.int32)
        ref = torch.where(bad, float("nan"), self._target_logits(request, local))
        return call_with(request, local, valid, ref)

    def finish_rows(self, call: Call, parts: Partials, *, mend: bool) -> Rows:
        """Rows from the statistics of groups of columns."""
        return finish_rows(call, parts, mend=mend)

    def scale_rows(self, matrix: Tensor, factor: Tensor, out: Tensor) -> None:
        """``out = factor * matrix``, in place too; a factor of 0 gives 0 whatever it meets."""
        scaled = (matrix.float() * factor.unsqueeze(1)).masked_fill_((factor == 0).unsqueeze(1), 0)
        out.copy_(scaled)

    def _logits(self, call: Call, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        z = _float32_product(call.input, call.weight[start:stop].T, out)
        if call.bias is not None:
            z.add_(call.bias[start:stop].float())
        return scale_and_cap_(z, call.logit_scale, call.softcap)

    def _target_logits(self, request: Request, local: Tensor) -> Tensor:
        """Logit of each row's target, float32 [N]; of class 0 where it is not here."""
        target = local.long().clamp(min=0)
        z = torch.empty(target.shape[0], dtype=torch.float32, device=target.device)
        step = max(1, self.columns // 4)
        for row in range(0, z.shape[0], step):
            head = request.weight[target[row : row + step]].float()
            z[row : row + step] = torch.linalg.vecdot(request.input[row : row + step].float(), head)
        if request.bias is not None:
            z.add_(request.bias[target].float())
        return scale_and_cap_(z, request.logit_scale, request.softcap)

    def stats(self, call: Call, kept: Tensor | None) -> Partials:
        """Statistics over all columns, [1, N], merged tile by tile."""
        V = call.weight.shape[0]
        merged: Partials | None = None
        for start in range(0, V, self.columns):
            tile = self._tile_stats(call, start, min(start + self.columns, V))
            merged = merge_groups(tile if merged is None else _side_by_side(merged, tile))
        if merged is None:
            raise RuntimeError("a head without classes is refused before")
        return merged

    def _tile_stats(self, call: Call, start: int, stop: int) -> Partials:
        z = self._logits(call, start, stop)
        gap = linear = best = best_at = None
        if call.smoothing:
            relative = z - call.ref.unsqueeze(1)
            if call.class_weight is not None:
                share = call.class_weight[start:stop]
                # A class of weight 0 must not contribute 0 * inf where its logit is masked out.
                relative.mul_(share).masked_fill_(share == 0, 0.0)
            linear = relative.sum(1)
        if call.argmax:
            best, at = z.max(1)
            # `max` promises no order among equals; the first of them is what argmax means.
            at = (z == best.unsqueeze(1)).to(torch.uint8).argmax(1)
            best_at = (at + start).to(torch.int32)
        column = (call.target.long() - start).clamp(0, stop - start - 1).unsqueeze(1)
        inside = ((call.target >= start) & (call.target < stop)).unsqueeze(1)
        z.scatter_(1, column, torch.where(inside, float("-inf"), z.gather(1, column)))
        maximum = z.amax(1)
        base = torch.where(maximum.isneginf(), 0.0, maximum)
        z.sub_(base.unsqueeze(1))
        if call.entropy:
            e = z.exp()
            total = e.sum(1)
            # exp(-inf) (-inf) counts as nothing.
            gap = e.mul_(z.clamp_(min=torch.finfo(z.dtype).min)).sum(1)
        else:
            total = z.exp_().sum(1)
        values = (maximum, total, gap, linear, best, best_at)
        return Partials(*(None if value is None else value.unsqueeze(0) for value in values))  # type: ignore[arg-type]

    def dlogits(
        self, call: Call, coefficients: Tensor, start: int, out: Tensor, redo: Tensor | None = None
    ) -> None:
        """Gradient of columns [start, start + out.shape[1]) into `out`."""
        stop = start + out.shape[1]
        ref, a, at_target, b, smooth = coefficients.unsqueeze(2).unbind(0)
        writes_in_place = out.dtype == torch.float32 and out.stride(1) == 1
        z = self._logits(call, start, stop, out if writes_in_place else None)
        slope = None
        if call.softcap is not None:
            slope = (z / call.softcap).square_().neg_().add_(1.0)
        z.sub_(ref)
        if call.entropy:
            p = z.exp()
            z.clamp_(min=torch.finfo(z.dtype).min).mul_(b).add_(a).mul_(p)
        else:
            z.exp_().mul_(a)
        if call.smoothing and call.class_weight is not None:
            z.addmm_(smooth, call.class_weight[start:stop].unsqueeze(0), alpha=-1.0)
        elif call.smoothing:
            z.sub_(smooth)
        if slope is not None:
            z.mul_(slope)
        column = (call.target.long() - start).clamp(0, stop - start - 1).unsqueeze(1)
        inside = ((call.target >= start) & (call.target < stop)).unsqueeze(1)
        z.scatter_(1, column, torch.where(inside, at_target, z.gather(1, column)))
        if z.data_ptr() != out.data_ptr():
            out.copy_(z)

    def patch(self, call: Call, kept: Tensor, at_target: Tensor) -> None:
        """Never called: this backend keeps nothing."""
        raise NotImplementedError

    def finish(
        self, call: Call, coefficients: Tensor, ref: Tensor, start: int, kept: Tensor, out: Tensor
    ) -> None:
        """Never called: this backend keeps nothing."""
        raise NotImplementedError
