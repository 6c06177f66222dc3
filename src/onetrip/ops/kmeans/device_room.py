"""Memory of a search on a device, which can be taken before anything is known of the samples."""

import math

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.kernel_triton import BEYOND, MOST_HELD
from onetrip.tile.launches import blocks, next_power

# Features of a step where rows are not held whole.
WIDEST = 128
# Columns come in pairs of tiles of 64, in which the kernel for Hopper takes them.
_COLUMNS = 128
_OF_SEARCH = ("BLOCK_N", "num_warps", "num_stages")


class Room:
    """Tensors for `N` samples of `D` features and `K` centres; `fill` takes their memory.

    The host fills it while the device reads the samples for the first time.

    Attributes
    ----------
    held : bool, whether rows are held whole; width : int, features of a row of `half`
    columns : int, centres with padding; config : entries of the search's kernel
    """

    def __init__(self, device: torch.device, N: int, K: int, D: int, config: Config) -> None:
        self.device, self.N, self.K = device, N, K
        self.held = D <= MOST_HELD
        self.width = max(16, next_power(D)) if self.held else blocks(D, WIDEST) * WIDEST
        self.config = {
            **{name: config[name] for name in _OF_SEARCH},
            "BLOCK_K": min(config["BLOCK_K"], max(16, next_power(K))),
            "BLOCK_D": self.width if self.held else config["BLOCK_D"],
        }
        step = math.lcm(self.config["BLOCK_K"], _COLUMNS)
        self.columns = blocks(K, step) * step
        self._filled = False

    def fill(self) -> "Room":
        """Take the memory, once; what must begin as zeros is written."""
        if self._filled:
            return self
        self._filled = True
        N, K = self.N, self.K
        self.of_rows = self._empty(2 * N)
        self.residue, self.limit = self.of_rows.split(N)
        self.doubt, self.pair, self.other = self._empty(3, N, dtype=torch.int32).unbind()
        # Apart: one of them is the caller's in the end.
        self.labels: list[Tensor] = [self._empty(N, dtype=torch.int32) for _ in range(3)]
        self.half = self._empty(self.columns, self.width, dtype=torch.float16).zero_()
        self.level = self._empty(self.columns).fill_(BEYOND)
        self.center_norm, self.center_residue = self._empty(2, K).unbind()
        self.reach = self._empty(4)
        self.step, self.report = self._empty(K + 4, dtype=torch.float64).split((K, 4))
        zeros = self._empty(4, dtype=torch.int32).zero_()
        self.count, self.moved, self.longest = zeros[:2], zeros[2], zeros[3]
        return self

    def _empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.device)
