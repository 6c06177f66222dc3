"""Moments of samples that come batch by batch, and the components of all that have come."""

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.truncated_svd.solve import leading_eigenvectors, with_fixed_signs
from onetrip.ops.truncated_svd.torch_impl import shifted_moments


class RunningMoments:
    """Number, mean [D] and centred Gram matrix [D, D] of samples so far, in float64.

    Two sets of samples are merged by the distance of their means (Chan, Golub, LeVeque, 1983), so
    that samples far from the origin cost no digits.

    Attributes
    ----------
    count : int
    mean : Tensor [D], float64
    gram : Tensor [D, D], float64, sum over samples of ``(x - mean)(x - mean)ᵀ``

    Examples
    --------
    >>> moments = RunningMoments(2, torch.device("cpu"))
    >>> for batch in (torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([[4.0, 1.0]])):
    ...     moments.add(batch, {"tile_elements": 1 << 18})
    >>> moments.count, moments.mean.tolist(), moments.gram.diagonal().tolist()
    (3, [2.0, 1.0], [8.0, 0.0])
    """

    def __init__(self, features: int, device: torch.device) -> None:
        self.count = 0
        self.mean = torch.zeros(features, dtype=torch.float64, device=device)
        self.gram = torch.zeros(features, features, dtype=torch.float64, device=device)

    def add(self, x: Tensor, config: Config) -> None:
        """Add samples x [N, D] of any float dtype, N at least 1."""
        gram, mean = shifted_moments(x, config)
        rows = x.shape[0]
        total = self.count + rows
        apart = mean - self.mean
        self.gram += gram
        self.gram.addr_(apart, apart, alpha=self.count * rows / total)
        self.mean += apart * (rows / total)
        self.count = total

    def components(self, kept: int, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
        """Singular values [K] of the centred samples so far, and what `truncated_svd` returns.

        The samples are gone, so that no second trip corrects small values: of values below 1e-4
        of the largest float32 shows some error, of those below 1e-8 nothing is left.
        """
        values, vectors = leading_eigenvectors(self.gram, len(self.gram))
        squares = values.clamp_min(0.0)
        components = vectors.T[:kept]
        # Values of a matrix of fewer rows than columns are few; the others are rounding.
        squares[min(self.count, squares.shape[0]) :] = 0.0
        return squares[:kept].sqrt().to(dtype), {
            "components": with_fixed_signs(components).to(dtype).contiguous(),
            "mean": self.mean.to(dtype),
            "total_variance": (self.gram.trace() / self.count).to(dtype),
            "residual": (squares[kept:].sum() / self.count).to(dtype),
        }
