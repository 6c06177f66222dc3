"""Randomized singular values: random directions, sharpened by trips there and back through x.

What a trip is, is the caller's: tiles of a dense matrix here, SciPy's products for a sparse one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from onetrip.tile.side_by_side import on_one_thread

# (basis [D, K], whether products need float64) -> xᵀ x @ basis [D, K] in float64
Trip = Callable[[Tensor, bool], Tensor]

# Squared ratio of lengths below which float32 products drown the smaller direction.
_STEEP = 2.0**-20
# Share of a diagonal that rounding of products of some ten thousand numbers stays below, and what
# keeps a column of zeros from dividing by its length.
_RAISED, _TINY = 2.0**-36, 1e-290
# Elements of a thin matrix below which threads wait for each other longer than they work.
_WORTH_THREADS = 1 << 20


def randomized_decomposition(
    trip: Trip, kept: int, n_iter: int, draw: Tensor
) -> tuple[Tensor, Tensor]:
    """Approximate the `kept` largest singular values [K] and right vectors [K, D].

    In exact arithmetic this is the randomized method of Halko, Martinsson and Tropp with `n_iter`
    power iterations: the last trip w = xᵀx v gives Nyström's ``w (vᵀ w)⁻¹ wᵀ``, which is their
    ``xᵀ q qᵀ x`` for q an orthonormal basis of ``x v``.

    Parameters
    ----------
    trip : multiplies by xᵀ x
    kept : K
    n_iter : trips before the last one
    draw : Tensor [D, columns], float64, normal numbers; K columns and some more, at most D
    """
    basis, _ = _orthonormal(draw)
    wide = False
    for _ in range(n_iter):
        basis, lengths = _orthonormal(trip(basis, wide))
        diagonal = lengths.diagonal().abs()
        wide = wide or bool(diagonal.min() < _STEEP * diagonal.max())
    product = trip(basis, True)
    with on_one_thread(where=product.numel() < _WORTH_THREADS):
        return _nystrom(basis, product, kept)


def _orthonormal(columns: Tensor) -> tuple[Tensor, Tensor]:
    if columns.is_cuda:
        return _by_cholesky(columns)
    with on_one_thread(where=columns.numel() < _WORTH_THREADS):
        basis, lengths = torch.linalg.qr(columns)
    return basis, lengths


def _by_cholesky(columns: Tensor) -> tuple[Tensor, Tensor]:
    """The same from products alone, twice: reflections go column by column, which a device hates.

    Each diagonal is raised by a share of itself, so that there is a factor always. Directions
    whose length is below 2^-18 of what they are mixed with come out shorter than one; the second
    time lengthens them by as much again.
    """
    lengths = torch.eye(columns.shape[1], dtype=columns.dtype, device=columns.device)
    for _ in range(2):
        gram = columns.T @ columns
        gram.diagonal().mul_(1.0 + _RAISED).add_(_TINY)
        factor = torch.linalg.cholesky_ex(gram).L
        columns = torch.linalg.solve_triangular(factor.T, columns, upper=True, left=False)
        lengths = factor.T @ lengths
    return columns, lengths


def _nystrom(basis: Tensor, product: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """Singular values and vectors of ``product (basisᵀ product)⁻¹ productᵀ``."""
    # Small squares are decomposed by the host, where that takes a tenth of a device's time.
    core = (basis.T @ product).cpu()  # [columns, columns]
    values, vectors = torch.linalg.eigh((core + core.T) / 2)
    # Directions that x does not have would be divided by their rounding errors.
    least = float(values[-1].clamp_min(0.0)) * product.shape[0] * 2.0**-52
    scale = torch.where(values > least, values.clamp_min(least).rsqrt(), 0.0)
    scale = torch.nan_to_num(scale, nan=0.0, posinf=0.0)
    root = product @ (vectors * scale).to(product)  # [D, columns]
    if root.is_cuda:
        orthonormal, triangle = torch.linalg.qr(root)
        rotation, singular_values, _ = torch.linalg.svd(triangle.cpu())
        left = orthonormal @ rotation.to(orthonormal)
        return singular_values[:kept].to(left), left[:, :kept].T
    left, singular_values, _ = torch.linalg.svd(root, full_matrices=False)
    return singular_values[:kept], left[:, :kept].T


def normal_draw(D: int, columns: int, seed: int, device: torch.device | str = "cpu") -> Tensor:
    """Normal numbers [D, columns], float64, of the device's own generator."""
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(D, columns, generator=generator, dtype=torch.float64, device=device)
