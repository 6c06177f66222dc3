"""Squared distances of tiles of points, with a bound of their error."""

from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.tile.certified import distance_bound, exact_distances

# Up to so many features, sums of squared differences are faster than a product of matrices.
MAX_DIFFERENCE_FEATURES = 6


class Products:
    """Points [N, D] in float64, and what their tiles of squared distances are made from.

    Few features: differences in float64, exact to a few units in the last place. Many: products of
    centred float32, whose error is bounded from the norms. A place N is nowhere: at an infinite
    distance from everything.

    Parameters
    ----------
    x : Tensor [N, D], float64
    certified : False takes the products' values as they are.
    """

    def __init__(self, x: Tensor, *, certified: bool = True) -> None:
        self.x = x
        self.N, self.D = x.shape
        self.by_difference = self.D <= MAX_DIFFERENCE_FEATURES
        self._certified = certified
        if self.by_difference:
            nowhere = x.new_full((self.D, 1), torch.inf)
            self._columns = torch.cat([x.T, nowhere], 1)  # [D, N + 1]
            return
        centred = (x - x.mean(0)).float()
        norms = torch.linalg.vector_norm(centred, dim=1)
        squares, one = norms.square()[:, None], torch.ones_like(norms)[:, None]
        # One product makes |x|² - 2 x·y + |y|²: rows [-2x, |x|², 1] by columns [y, 1, |y|²].
        self._rows = _with_nowhere(torch.cat([-2.0 * centred, squares, one], 1), 1.0)
        self._columns = _with_nowhere(torch.cat([centred, one, squares], 1), torch.inf)
        self._bound = distance_bound(norms.double(), norms.double().max(), 0.0, self.D + 2)

    def error(self, rows: slice | Tensor) -> Tensor:
        """Bound of the error of `squares` in each of `rows`, float64."""
        if self.by_difference or not self._certified:
            return self.x.new_zeros(self.x[rows, 0].shape if self.D else (self.N,))
        return self._bound[rows]

    def squares(self, rows: slice, columns: slice | Tensor) -> Tensor:
        """Squared distances [rows, columns] between runs or lists of places."""
        if self.by_difference:
            total = torch.zeros((), dtype=self.x.dtype, device=self.x.device)
            for feature in self._columns:
                difference = feature[rows][:, None] - feature[columns]
                total = difference.square_().add_(total)
            return total
        return self._rows[rows] @ self._columns[columns].T

    def stacked(self, leaves: Tensor) -> "Tiles":
        """The points of all leaves [leaves, L], laid out for tiles of pairs of them."""
        if self.by_difference:
            return Tiles(None, tuple(feature[leaves] for feature in self._columns))
        return Tiles(self._rows[leaves], (self._columns[leaves],))

    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Squared distances of pairs of places, of two tensors of any one shape, in float64.

        The same bits from either end of a pair: what decides between edges comes from here.
        """
        if self.by_difference:
            total = torch.zeros((), dtype=self.x.dtype, device=self.x.device)
            for feature in self._columns:
                total = (feature[rows] - feature[columns]).square_().add_(total)
            return total.expand(rows.shape)
        flat = exact_distances(self.x, self.x, rows.reshape(-1), columns.reshape(-1))
        return flat.view(rows.shape)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Squared distances of every point of a leaf to every point of another.

    With `rows` [leaves, L, D + 2], a product with ``columns[0]`` of the same shape; without, a sum
    of differences over ``columns``, [leaves, L] for each feature.
    """

    rows: Tensor | None
    columns: tuple[Tensor, ...]

    def squares(self, leaf_rows: Tensor, leaf_columns: Tensor) -> Tensor:
        """Tiles [P, L, L] of P pairs of leaves."""
        if self.rows is not None:
            return torch.bmm(self.rows[leaf_rows], self.columns[0][leaf_columns].mT)
        total = torch.zeros((), dtype=torch.float64, device=leaf_rows.device)
        for feature in self.columns:
            difference = feature[leaf_rows][:, :, None] - feature[leaf_columns][:, None, :]
            total = difference.square_().add_(total)
        return total


def _with_nowhere(points: Tensor, last: float) -> Tensor:
    """One more row, zeros but for its last entry."""
    nowhere = points.new_zeros(1, points.shape[1])
    nowhere[0, -1] = last
    return torch.cat([points, nowhere])
