"""Data on which rounding loses neighbours, and the truth about them."""

import torch


def draw(kind: str, rows: int, seed: int) -> torch.Tensor:
    """Rows of one kind of data."""
    generator = torch.Generator().manual_seed(seed)

    def normal(n: int, d: int) -> torch.Tensor:
        return torch.randn(n, d, generator=generator)

    made = {
        "normal": lambda: normal(rows, 24),
        "far-away": lambda: normal(rows, 8) + 100,
        "very-far-away": lambda: normal(rows, 8) + 1e4,
        "two-ends": lambda: torch.cat([normal(rows // 2, 8) + 1e3, normal(-(-rows // 2), 8) - 1e3]),
        "duplicated": lambda: normal(-(-rows // 20), 6).repeat(20, 1)[:rows],
        "integers": lambda: torch.randint(0, 4, (rows, 5), generator=generator).float(),
        "all-equal": lambda: torch.full((rows, 3), 1.7),
        "many-features": lambda: normal(rows, 700),
        "tiny": lambda: normal(rows, 8) * 1e-21,
        "huge": lambda: normal(rows, 8) * 1e20,
    }
    return made[kind]()


KINDS = (
    "normal",
    "far-away",
    "very-far-away",
    "two-ends",
    "duplicated",
    "integers",
    "all-equal",
    "many-features",
    "tiny",
    "huge",
)


def truth(x: torch.Tensor, y: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared distances and indices of the k nearest, by float64 differences, smallest index first.

    Row by row and in the order of the features, as the simplest program would.
    """
    squares = torch.stack([(y.double() - row).square().sum(1) for row in x.double()])
    values, order = squares.sort(dim=1, stable=True)
    return values[:, :k], order[:, :k]
