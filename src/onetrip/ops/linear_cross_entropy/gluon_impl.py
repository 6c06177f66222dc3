# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Launches the Gluon kernels; the kernels over rows are the portable ones."""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from onetrip.ops.linear_cross_entropy import kernel_gluon_dlogits, kernel_gluon_stats
from onetrip.ops.linear_cross_entropy.columns import REDO_ROWS, Call
from onetrip.ops.linear_cross_entropy.kernel_gluon import COLS, DEPTH, HALF
from onetrip.ops.linear_cross_entropy.rows import Partials
from onetrip.ops.linear_cross_entropy.triton_impl import (
    TritonColumns,
    empty_partials,
    on_device_of,
)

_X_BLOCK = (HALF.value, DEPTH.value)
_W_BLOCK = (COLS.value, DEPTH.value)
_OUT_BLOCK = (HALF.value, COLS.value)
# Four slots fill the shared memory; a tile on its way out takes the place of one.
_STAGES = 4
_STAGES_WITH_STORE = 3


@functools.cache
def _programs(device: torch.device) -> int:
    """One program a multiprocessor: the ring takes all of its shared memory."""
    return torch.cuda.get_device_properties(device).multi_processor_count


@functools.cache
def _layout(block: tuple[int, int], dtype: torch.dtype) -> Any:
    element = {torch.bfloat16: gl.bfloat16, torch.float16: gl.float16}[dtype]
    return gl.NVMMASharedLayout.get_default_for(list(block), element)


class GluonColumns(TritonColumns):
    """Tiles of columns by the Hopper kernels."""

    def __init__(self, config: Mapping[str, int], *, store_logits: bool) -> None:
        super().__init__(config, store_logits=store_logits)
        self._described: dict[tuple[int, torch.Size], TensorDescriptor] = {}

    @property
    def kept_tile(self) -> int:
        """Columns that share one base where logits are kept."""
        return COLS.value

    def _describe(self, tensor: Tensor, block: tuple[int, int]) -> TensorDescriptor:
        """A copy-engine descriptor of a matrix whose rows are contiguous.

        Making one takes as long as a launch, and a walk meets the same matrices again.
        """
        key = tensor.data_ptr(), tensor.shape
        found = self._described.get(key)
        if found is None:
            layout = _layout(block, tensor.dtype)
            found = TensorDescriptor.from_tensor(tensor, list(block), layout)
            self._described[key] = found
        return found

    def stats(self, call: Call, kept: Tensor | None) -> Partials:
        """Partial statistics of every group of tiles; fills `kept` when given."""
        N, D = call.input.shape
        V = call.weight.shape[0]
        group = self.config["GROUP"]
        tiles = -(-V // _W_BLOCK[0])
        groups = -(-tiles // group)
        items = -(-N // REDO_ROWS) * groups
        parts, bases = empty_partials(call, groups), self._bases(kept, N)
        unused = call.ref
        with on_device_of(call.input):
            kernel_gluon_stats._linear_cross_entropy_stats_kernel[
                (min(items, _programs(call.input.device)),)
            ](
                self._describe(call.input, _X_BLOCK),
                self._describe(call.weight, _W_BLOCK),
                self._describe(
                    call.input if kept is None else kept[:N],
                    _X_BLOCK if kept is None else _OUT_BLOCK,
                ),
                call.input if bases is None else bases,
                call.weight if call.bias is None else call.bias,
                unused if call.class_weight is None else call.class_weight,
                call.target,
                call.ref,
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
                items,
                call.logit_scale,
                1.0 if call.softcap is None else call.softcap,
                GROUP=group,
                CHUNK=self.config["CHUNK"],
                STAGES=_STAGES if kept is None else _STAGES_WITH_STORE,
                HAS_BIAS=call.bias is not None,
                HAS_SCALE=call.logit_scale != 1.0,
                HAS_CLASS_WEIGHT=call.class_weight is not None,
                CAP=call.softcap is not None,
                STORE=kept is not None,
                STORE_LOGITS=bases is not None,
                ENTROPY=call.entropy,
                SMOOTHING=call.smoothing,
                ARGMAX=call.argmax,
                num_warps=4,
            )
        return parts

    def dlogits(
        self, call: Call, coefficients: Tensor, start: int, out: Tensor, redo: Tensor | None = None
    ) -> None:
        """Gradient of columns [start, start + out.shape[1]) into `out`, or of flagged rows only."""
        N, D = call.input.shape
        V = call.weight.shape[0]
        width = min(out.shape[1], V - start)
        items = -(-N // REDO_ROWS) * -(-width // _W_BLOCK[0])
        with on_device_of(out):
            kernel_gluon_dlogits._linear_cross_entropy_dlogits_kernel[
                (min(items, _programs(out.device)),)
            ](
                self._describe(call.input, _X_BLOCK),
                self._describe(call.weight, _W_BLOCK),
                self._describe(out, _OUT_BLOCK),
                call.weight if call.bias is None else call.bias,
                coefficients if call.class_weight is None else call.class_weight,
                call.target,
                coefficients,
                call.target if redo is None else redo,
                N,
                D,
                V,
                start,
                width,
                items,
                call.logit_scale,
                1.0 if call.softcap is None else call.softcap,
                CHUNK=self.config["CHUNK"],
                STAGES=_STAGES_WITH_STORE,
                HAS_BIAS=call.bias is not None,
                HAS_SCALE=call.logit_scale != 1.0,
                HAS_CLASS_WEIGHT=call.class_weight is not None,
                CAP=call.softcap is not None,
                ENTROPY=call.entropy,
                SMOOTHING=call.smoothing,
                ONLY_FLAGGED=redo is not None,
                num_warps=4,
            )
