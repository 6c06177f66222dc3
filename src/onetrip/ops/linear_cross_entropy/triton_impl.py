# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Launches the portable Triton kernels for the walk in `columns.py`."""

import contextlib
from collections.abc import Mapping

import torch
import triton
from torch import Tensor

from onetrip.ops.linear_cross_entropy import kernel_kept_triton as kept_kernels
from onetrip.ops.linear_cross_entropy import kernel_rows_triton as rows_kernels
from onetrip.ops.linear_cross_entropy import kernel_triton as kernels
from onetrip.ops.linear_cross_entropy.columns import MAX_LIFT, REDO_ROWS, Call, Request, Rows
from onetrip.ops.linear_cross_entropy.rows import Partials, RowStats
from onetrip.ops.linear_cross_entropy.target_check import check_targets, counted, device_count
from onetrip.ops.linear_cross_entropy.torch_impl import call_with


def empty_partials(call: Call, groups: int) -> Partials:
    """Buffers [groups, N] for the statistics that the call asks for."""
    shape = (groups, call.input.shape[0])

    def buffer(asked: bool, dtype: torch.dtype = torch.float32) -> Tensor | None:
        return torch.empty(shape, dtype=dtype, device=call.input.device) if asked else None

    return Partials(
        maximum=torch.empty(shape, device=call.input.device),
        total=torch.empty(shape, device=call.input.device),
        gap=buffer(call.entropy),
        linear=buffer(call.smoothing),
        best=buffer(call.argmax),
        best_at=buffer(call.argmax, torch.int32),
    )


def on_device_of(tensor: Tensor) -> contextlib.AbstractContextManager[object]:
    """Make the tensor's device current, as a launch needs; nothing on a CPU (the interpreter)."""
    if tensor.device.type == "cpu":
        return contextlib.nullcontext()
    return torch.cuda.device(tensor.device)


def bases_of(kept: Tensor, N: int, tile: int) -> Tensor:
    """Bases [tiles, N] of kept logits, in the rows below those of the tokens."""
    tiles = kept.shape[1] // tile
    return kept[N:].view(-1)[: tiles * N].view(tiles, N)


class TritonColumns:
    """Tiles of columns by the portable kernels."""

    def __init__(self, config: Mapping[str, int], *, store_logits: bool) -> None:
        self.config = config
        self.store_logits = store_logits

    @property
    def kept_tile(self) -> int:
        """Columns that share one base where logits are kept."""
        return self.config["BLOCK_V"]

    def _bases(self, kept: Tensor | None, N: int) -> Tensor | None:
        """Where the bases of `kept` lie, if it holds logits."""
        stored = kept is not None and self.store_logits
        return bases_of(kept, N, self.kept_tile) if stored else None

    def _tiling(self) -> dict[str, int]:
        config = self.config
        return {
            "BLOCK_N": config["BLOCK_N"],
            "BLOCK_V": config["BLOCK_V"],
            "BLOCK_D": config["BLOCK_D"],
            "CHUNK": config["CHUNK"],
            "num_warps": config["num_warps"],
            "num_stages": config["num_stages"],
        }

    def prepare(self, request: Request) -> Call:
        """Look at the targets: local columns, validity, the target's logit; report bad ones."""
        x, shard = request.input, request.shard
        N, D = x.shape
        on_gpu = x.device.type != "cpu"
        local = torch.empty(N, dtype=torch.int32, device=x.device)
        valid = torch.empty(N, dtype=torch.bool, device=x.device)
        ref = torch.empty(N, dtype=torch.float32, device=x.device)
        bad = device_count(x.device, shard.total) if on_gpu else torch.zeros(1, dtype=torch.int32)
        block_n, block_d = 4, min(1024, triton.next_power_of_2(max(D, 16)))
        with on_device_of(x):
            rows_kernels._linear_cross_entropy_prepare_kernel[(triton.cdiv(N, block_n),)](
                x,
                request.weight,
                request.weight if request.bias is None else request.bias,
                request.target,
                local,
                valid,
                ref,
                bad,
                N,
                D,
                request.ignore_index,
                shard.start,
                request.weight.shape[0],
                shard.total,
                x.stride(0),
                request.weight.stride(0),
                request.logit_scale,
                1.0 if request.softcap is None else request.softcap,
                HAS_BIAS=request.bias is not None,
                CAP=request.softcap is not None,
                BLOCK_N=block_n,
                BLOCK_D=block_d,
            )
        if on_gpu:
            counted(bad, shard.total)
        else:
            check_targets(bad, shard.total)
        return call_with(request, local, valid, ref)

    def finish_rows(self, call: Call, parts: Partials, *, mend: bool) -> Rows:
        """Rows from the statistics of groups of columns; with units and flags when `mend`."""
        groups, N = parts.maximum.shape
        device = call.input.device

        def rows(asked: bool = True, dtype: torch.dtype = torch.float32) -> Tensor | None:
            return torch.empty(N, dtype=dtype, device=device) if asked else None

        logprob, lse, mass = (torch.empty(N, device=device) for _ in range(3))
        entropy, smooth = rows(call.entropy), rows(call.smoothing)
        argmax = rows(call.argmax, torch.int64)
        units = torch.empty(4, N, device=device) if mend else None
        blocks = triton.cdiv(N, REDO_ROWS)
        redo = torch.empty(blocks, dtype=torch.int32, device=device) if mend else None
        weight_sum = call.weight_sum
        if call.smoothing and not isinstance(weight_sum, Tensor):
            weight_sum = torch.full((1,), weight_sum, device=device)
        # The reference is this process's own until here: the kernel may raise it in place.
        ref = call.ref.clone() if mend else call.ref
        unused = lse
        with on_device_of(lse):
            rows_kernels._linear_cross_entropy_merge_kernel[(blocks,)](
                parts.maximum,
                parts.total,
                unused if parts.gap is None else parts.gap,
                unused if parts.linear is None else parts.linear,
                unused if parts.best is None else parts.best,
                call.target if parts.best_at is None else parts.best_at,
                call.target,
                call.valid,
                ref,
                unused if isinstance(weight_sum, float) else weight_sum,
                logprob,
                lse,
                mass,
                unused if entropy is None else entropy,
                unused if smooth is None else smooth,
                unused if argmax is None else argmax,
                unused if units is None else units,
                call.target if redo is None else redo,
                N,
                groups,
                MAX_LIFT,
                call.logit_scale,
                ENTROPY=call.entropy,
                SMOOTHING=call.smoothing,
                ARGMAX=call.argmax,
                MEND=mend,
                BLOCK_N=REDO_ROWS,
                BLOCK_G=16,
            )
        stats = RowStats(logprob, lse, mass, entropy, smooth, argmax)
        return Rows(stats, ref, units, redo)

    def scale_rows(self, matrix: Tensor, factor: Tensor, out: Tensor) -> None:
        """``out = factor * matrix``, in place too; a factor of 0 gives 0 whatever it meets."""
        N, D = matrix.shape
        block_n, block_d = 8, 512
        with on_device_of(out):
            rows_kernels._linear_cross_entropy_scale_rows_kernel[
                (triton.cdiv(N, block_n), triton.cdiv(D, block_d))
            ](
                matrix,
                factor,
                out,
                N,
                D,
                matrix.stride(0),
                BLOCK_N=block_n,
                BLOCK_D=block_d,
            )

    def stats(self, call: Call, kept: Tensor | None) -> Partials:
        """Partial statistics of every group of tiles; fills `kept` when given."""
        N, D = call.input.shape
        V = call.weight.shape[0]
        group = self.config["GROUP"]
        groups = triton.cdiv(triton.cdiv(V, self.config["BLOCK_V"]), group)
        parts, bases = empty_partials(call, groups), self._bases(kept, N)
        unused = call.ref
        with on_device_of(call.input):
            kernels._linear_cross_entropy_stats_kernel[
                (triton.cdiv(N, self.config["BLOCK_N"]) * groups,)
            ](
                call.input,
                call.weight,
                call.weight if call.bias is None else call.bias,
                unused if call.class_weight is None else call.class_weight,
                call.target,
                call.ref,
                call.input if kept is None else kept,
                call.input if bases is None else bases,
                parts.maximum,
                parts.total,
                unused if parts.gap is None else parts.gap,
                unused if parts.linear is None else parts.linear,
                unused if parts.best is None else parts.best,
                call.target if parts.best_at is None else parts.best_at,
                N,
                D,
                V,
                0 if kept is None else kept.shape[1],
                call.input.stride(0),
                call.weight.stride(0),
                0 if kept is None else kept.stride(0),
                call.logit_scale,
                1.0 if call.softcap is None else call.softcap,
                GROUP=group,
                HAS_BIAS=call.bias is not None,
                HAS_CLASS_WEIGHT=call.class_weight is not None,
                CAP=call.softcap is not None,
                STORE=kept is not None,
                STORE_LOGITS=bases is not None,
                ENTROPY=call.entropy,
                SMOOTHING=call.smoothing,
                ARGMAX=call.argmax,
                **self._tiling(),
            )
        return parts

    def dlogits(
        self, call: Call, coefficients: Tensor, start: int, out: Tensor, redo: Tensor | None = None
    ) -> None:
        """Gradient of columns [start, start + out.shape[1]) into `out`, or of flagged rows only."""
        N, D = call.input.shape
        V = call.weight.shape[0]
        width = min(out.shape[1], V - start)
        grid = triton.cdiv(N, self.config["BLOCK_N"]) * triton.cdiv(width, self.config["BLOCK_V"])
        with on_device_of(out):
            kernels._linear_cross_entropy_dlogits_kernel[(grid,)](
                call.input,
                call.weight,
                call.weight if call.bias is None else call.bias,
                coefficients if call.class_weight is None else call.class_weight,
                call.target,
                coefficients,
                call.target if redo is None else redo,
                out,
                N,
                D,
                V,
                start,
                width,
                call.input.stride(0),
                call.weight.stride(0),
                out.stride(0),
                call.logit_scale,
                1.0 if call.softcap is None else call.softcap,
                HAS_BIAS=call.bias is not None,
                HAS_CLASS_WEIGHT=call.class_weight is not None,
                CAP=call.softcap is not None,
                ENTROPY=call.entropy,
                SMOOTHING=call.smoothing,
                ONLY_FLAGGED=redo is not None,
                REDO_ROWS=REDO_ROWS,
                **self._tiling(),
            )

    def patch(self, call: Call, kept: Tensor, at_target: Tensor) -> None:
        """Write `at_target` over the kept entry of each row's target."""
        N = kept.shape[0]
        block = 128
        with on_device_of(kept):
            rows_kernels._linear_cross_entropy_patch_kernel[(triton.cdiv(N, block),)](
                kept, call.target, at_target, N, kept.shape[1], kept.stride(0), BLOCK_N=block
            )

    def finish(
        self, call: Call, coefficients: Tensor, ref: Tensor, start: int, kept: Tensor, out: Tensor
    ) -> None:
        """Gradient of columns [start, start + out.shape[1]) of all of `kept` into `out`."""
        N, width = out.shape
        bases = self._bases(kept, N)
        block_n, block_v = 8, 512
        with on_device_of(out):
            kept_kernels._linear_cross_entropy_finish_kernel[
                (triton.cdiv(N, block_n), triton.cdiv(width, block_v))
            ](
                kept[:, start:],
                kept if bases is None else bases,
                out,
                coefficients if call.class_weight is None else call.class_weight,
                call.target,
                ref,
                coefficients,
                N,
                call.weight.shape[0],
                start,
                width,
                kept.stride(0),
                out.stride(0),
                1.0 if call.softcap is None else call.softcap,
                STORED_LOGITS=bases is not None,
                TILE=self.kept_tile,
                CAP=call.softcap is not None,
                ENTROPY=call.entropy,
                SMOOTHING=call.smoothing,
                HAS_CLASS_WEIGHT=call.class_weight is not None,
                BLOCK_N=block_n,
                BLOCK_V=block_v,
                num_warps=4,
            )
