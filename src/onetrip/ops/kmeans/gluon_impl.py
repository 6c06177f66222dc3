# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""The search on Hopper, by the Gluon kernel; everything else is as on other devices."""

import dataclasses
import functools
from typing import Any

import torch
import triton
from torch import Tensor
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.device_search import Search
from onetrip.ops.kmeans.kernel_gluon import COLS, CONSUMERS, ROWS, STAGES, _kmeans_hopper_kernel
from onetrip.ops.kmeans.points import Points


class HopperSearch(Search):
    """A search whose rows and centres come by the copy engine."""

    def __init__(self, points: Points, start: Tensor, config: Config, **options: bool) -> None:
        if points.centred.data_ptr() % 16:  # where the copy engine cannot begin
            points = dataclasses.replace(points, centred=points.centred.clone())
        super().__init__(points, start, config, **options)
        self._rows = _described(self.points.centred, self.width)
        self._centers = _described(self.half, self.width)

    def find(self, labels: Tensor) -> None:
        """Write `labels` [N] as half precision tells, and list the rows in doubt."""
        x = self.points.centred
        items = triton.cdiv(x.shape[0], CONSUMERS.value * ROWS.value)
        self._launch(
            _kmeans_hopper_kernel, min(items, _programs(x.device)),
            self._rows, self._centers, self.points.norm,
            self.residue, self.level, self.reach, labels, self.limit, self.other,
            self.scale, x.shape[0], items, self.columns // COLS.value,
            STAGES=STAGES[self.width], num_warps=4,
        )  # fmt: skip


def _described(tensor: Tensor, width: int) -> TensorDescriptor:
    return TensorDescriptor.from_tensor(tensor, [64, width], _layout(width, tensor.dtype))


@functools.cache
def _layout(width: int, dtype: torch.dtype) -> Any:
    element = {torch.float32: gl.float32, torch.float16: gl.float16}[dtype]
    return gl.NVMMASharedLayout.get_default_for([64, width], element)


@functools.cache
def _programs(device: torch.device) -> int:
    """One program a multiprocessor: the ring takes all of its shared memory."""
    return torch.cuda.get_device_properties(device).multi_processor_count
