"""The implementation on a device: Triton finds the two least scores, torch decides by them."""

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.kernel_triton import two_least_scores
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.torch_impl import Target, TorchAssigner
from onetrip.tile.certified import UNIT_ROUNDOFF
from onetrip.tile.problem import is_interpreting


class TritonAssigner(TorchAssigner):
    """As on a CPU, with all rows in one task and their scores in registers."""

    def __init__(self, points: Points, clusters: int, config: Config, certified: bool) -> None:
        rows = points.x.shape[0]
        one_task = {"scores": rows * clusters, "least_rows": rows}
        super().__init__(points, clusters, one_task, certified)
        self._config = config
        # Gathering rows and centres to spare some products would cost more memory than it saves.
        self._tightens = False
        self._is_few = False  # the kernel finds the two least of any number
        exact = is_interpreting() or torch.version.hip is not None
        self._precision = "ieee" if exact else "tf32"
        unit = 0.0 if exact else UNIT_ROUNDOFF["tf32"]
        self._rounding = (unit, points.x.shape[1], "float32")

    def _two_least(
        self, rows: slice | Tensor, target: Target
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        found = two_least_scores(
            self.points.centred,
            None if isinstance(rows, slice) else rows,
            target.centred,
            target.square,
            self._precision,
            self._config,
        )
        return *found, 0.0
