# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""The search on Hopper, by the Gluon kernels; everything else is as on other devices."""

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.device_search import Search
from onetrip.ops.kmeans.kernel_ahead_gluon import (
    AHEAD_STAGES,
    BIAS,
    WIDE,
    _kmeans_ahead_kernel,
)
from onetrip.ops.kmeans.kernel_gluon import COLS, CONSUMERS, ROWS, STAGES, _kmeans_hopper_kernel
from onetrip.ops.kmeans.points import Points
from onetrip.tile.launches import blocks, next_power


class HopperSearch(Search):
    """A search whose rows and centres come by the copy engine."""

    # Centres that come at a time.
    _tile = COLS.value

    def __init__(self, points: Points, start: Tensor, config: Config, **options: Any) -> None:
        if points.centred.data_ptr() % 16:  # where the copy engine cannot begin
            points = dataclasses.replace(points, centred=points.centred.clone())
        super().__init__(points, start, config, **options)
        self._rows = _described(self.points.centred, 64, self.width)
        self._centers = _described(self.half, self._tile, self.width)

    def find(self, labels: Tensor) -> None:
        """Write `labels` [N] as half precision tells, and list the rows in doubt."""
        x = self.points.centred
        items = blocks(x.shape[0], CONSUMERS.value * ROWS.value)
        kernel, options = self._kernel()
        self.launch(
            kernel, min(items, _programs(x.device)),
            self._rows, self._centers, self.points.norm,
            self.residue, self.level, self.reach, labels, self.limit, self.other,
            self.scale, x.shape[0], items, self.columns // self._tile,
            **options, num_warps=4,
        )  # fmt: skip

    def _kernel(self) -> tuple[Any, dict[str, Any]]:
        return _kmeans_hopper_kernel, {"STAGES": STAGES}


class AheadSearch(HopperSearch):
    """The same, by the kernel that multiplies a tile ahead, for up to 128 features."""

    bias = BIAS
    _tile = WIDE.value

    def _kernel(self) -> tuple[Any, dict[str, Any]]:
        numbers = next_power(self.columns // COLS.value)
        return _kmeans_ahead_kernel, {"STAGES": AHEAD_STAGES, "TILES": numbers}


def hopper_search(points: Points, start: Tensor, config: Config, **options: Any) -> HopperSearch:
    """The search by the kernel that holds rows of these features."""
    kind = AheadSearch if start.shape[1] <= WIDE.value else HopperSearch
    return kind(points, start, config, **options)


def _described(tensor: Tensor, rows: int, width: int) -> TensorDescriptor:
    block = [rows, width]
    return TensorDescriptor.from_tensor(tensor, block, _layout(*block, tensor.dtype))


@functools.cache
def _layout(rows: int, width: int, dtype: torch.dtype) -> Any:
    element = {torch.float32: gl.float32, torch.float16: gl.float16}[dtype]
    return gl.NVMMASharedLayout.get_default_for([rows, width], element)


@functools.cache
def _programs(device: torch.device) -> int:
    """One program a multiprocessor: the ring takes all of its shared memory."""
    return torch.cuda.get_device_properties(device).multi_processor_count
