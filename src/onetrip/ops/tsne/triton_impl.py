"""The forces of t-SNE by kernels: widths once, affinities kept or not, then one pass a step."""

import math
from typing import Any

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.tsne import kernel_triton as kernels
from onetrip.ops.tsne import plan
from onetrip.ops.tsne.descent import Forces
from onetrip.ops.tsne.perplexity import Sums, find_widths

# Sums over all samples are in float32: entropies are right to about this.
_TOLERANCE = 1e-6


def make_forces(
    x: Tensor, n_components: int, perplexity: float, memory_budget: int | None, config: Config
) -> Forces:
    """Find the widths of x [N, D]; return the function that descent asks for forces."""
    return _Forces(x, n_components, perplexity, memory_budget, config)


class _Forces:
    def __init__(
        self,
        x: Tensor,
        n_components: int,
        perplexity: float,
        memory_budget: int | None,
        config: Config,
    ) -> None:
        self._M = n_components
        self._N, self._D = x.shape
        self._freedom = max(n_components - 1, 1)
        self._tile: dict[str, Any] = {"BLOCK": config["BLOCK"], "num_warps": config["num_warps"]}
        self._grid = (-(-self._N // config["BLOCK"]),)
        # No distance changes by a common offset, and their rounding errors shrink.
        mean = x.mean(0, dtype=torch.float64)
        self._x = (x - mean).T.float().contiguous()  # [D, N]
        self._beta, self._log_sum = self._find_widths(perplexity)
        self._joint = self._x  # Any pointer, where the affinities are recomputed.
        self._is_kept = plan.keeps_affinities(self._N, config["BLOCK"], 4, memory_budget, "cuda")
        if self._is_kept:
            self._joint = self._keep(config["BLOCK"])

    def __call__(self, y: Tensor, exaggeration: float, wanted: bool) -> tuple[Tensor, float]:
        """Gradient [N, M] at the embedding y [N, M], and the divergence if it is wanted."""
        planes = y.T.contiguous()  # [M, N]
        pull, push = torch.empty_like(planes), torch.empty_like(planes)
        sums = torch.zeros(4, self._N, dtype=torch.float32, device=y.device)
        with torch.cuda.device_of(y):
            kernels._tsne_forces_kernel[self._grid](
                self._x,
                self._beta,
                self._log_sum,
                self._joint,
                planes,
                pull,
                push,
                sums,
                self._N,
                self._D,
                **self._tile | {"M": self._M, "KEPT": self._is_kept, "WANTED": wanted},
            )
        normaliser, p_log_t, p_log_p, mass = sums.sum(1, dtype=torch.float64)
        factor = 2.0 * (self._freedom + 1) / self._freedom
        gradient = factor * (exaggeration * pull - push / normaliser.float()).T.contiguous()
        if not wanted:
            return gradient, math.nan
        shift = math.log(exaggeration) + torch.log(normaliser)
        return gradient, float(exaggeration * (p_log_p + shift * mass - p_log_t))

    def _find_widths(self, perplexity: float) -> tuple[Tensor, Tensor]:
        nearest = torch.empty(self._N, dtype=torch.float32, device=self._x.device)
        with torch.cuda.device_of(self._x):
            kernels._tsne_nearest_kernel[self._grid](
                self._x, nearest, self._N, self._D, **self._tile
            )
        found = torch.empty(3, self._N, dtype=torch.float32, device=self._x.device)

        def sums(beta: Tensor) -> Sums:
            with torch.cuda.device_of(self._x):
                kernels._tsne_entropy_kernel[self._grid](
                    self._x,
                    nearest,
                    beta.float(),
                    found,
                    self._N,
                    self._D,
                    **self._tile,
                )
            total, first, second = found.double()
            mean = first / total
            return Sums(total.log(), mean, second / total - mean.square())

        # The mean distance of all pairs, from the variance alone.
        scale = 2.0 * float(torch.linalg.vector_norm(self._x)) ** 2 / self._N
        start = torch.full_like(nearest, 1.0 / scale if scale > 0.0 else 1.0, dtype=torch.float64)
        beta, log_sum = find_widths(sums, perplexity, start, _TOLERANCE)
        return beta.float(), (log_sum - beta * nearest).float()

    def _keep(self, block: int) -> Tensor:
        """All tiles of affinities on and above the diagonal, ragged ones padded with zeros."""
        count = self._grid[0]
        tiles = torch.empty(
            count * (count + 1) // 2, block, block, dtype=torch.float32, device=self._x.device
        )
        with torch.cuda.device_of(self._x):
            kernels._tsne_joint_kernel[self._grid](
                self._x,
                self._beta,
                self._log_sum,
                tiles,
                self._N,
                self._D,
                **self._tile,
            )
        return tiles
