"""Orders of rows and vocabulary that might gather what is alive into few tiles."""

import torch
from gradients import Problem
from torch import Tensor

ORDERINGS = (
    "as is",
    "vocabulary by p",
    "both by p",
    "vocabulary by direction",
    "both by direction",
)
_LEAF = 128


def ordered(name: str, problem: Problem) -> tuple[Tensor, Tensor]:
    """Permutations of the rows and of the vocabulary; "both by p" sorts rows by their target."""
    rows = torch.arange(len(problem.x), device=problem.x.device)
    columns = torch.arange(len(problem.w), device=problem.w.device)
    if name == "as is":
        return rows, columns
    if name == "vocabulary by direction":
        return rows, by_direction(problem.w.float())
    if name == "both by direction":
        return by_direction(problem.x.float()), by_direction(problem.w.float())
    columns = problem.p.sum(0).argsort(descending=True)
    if name == "both by p":
        position = columns.argsort()
        rows = position[problem.target].argsort(stable=True)
    return rows, columns


def by_direction(vectors: Tensor) -> Tensor:
    """Order vectors so that those of a tile point alike.

    Halve them at the median of their first principal component, again and again.
    """
    generator = torch.Generator().manual_seed(0)

    def halves(members: Tensor) -> list[Tensor]:
        if len(members) <= _LEAF:
            return [members]
        centred = vectors[members] - vectors[members].mean(0)
        direction = torch.randn(centred.shape[1], generator=generator).to(centred)
        for _ in range(12):
            direction = centred.T @ (centred @ direction)
            direction = direction / direction.norm()
        order = members[(centred @ direction).argsort()]
        middle = len(order) // 2
        return halves(order[:middle]) + halves(order[middle:])

    return torch.cat(halves(torch.arange(len(vectors), device=vectors.device)))
