"""The largest eigenvalues alone, by block Lanczos, where a Cholesky factor proves them complete.

All eigenvectors of a symmetric matrix take ten products of it with itself, one column after the
other. A few of them lie in a small space that products of the matrix with a thin block span. What
is found there is checked afterwards: the residuals say that these are eigenvectors, and a Cholesky
factor of what is left says that no larger eigenvalue was missed, as of equal ones it may be.
"""

import torch
from torch import Tensor

# Directions that are multiplied together: 20 eigenvectors of 800, of 1000 and of 1500 took 176
# dimensions by 8, and 300 by 20. Each multiplication reads the whole matrix.
_BLOCK = 8
# Blocks between looks at what is found, and dimensions for each component before the first look.
_PATIENCE = 3
_BEFORE = 4
# Dimensions, as a share of all, after which all eigenvectors would be found as soon, and the share
# of components that they may hold: spectra that fall took six to nine dimensions a component.
_MOST_SPAN = 0.36
_FEW = 1 / 16
# Residual over the largest eigenvalue that half of the dimensions must have reached, as the other
# half gains thirty bits; those of noise, which does not fall, had 2^-9 at best.
_HALFWAY = 2.0**-10
# Error, over the largest eigenvalue, of what is taken for an eigenvector; half of a digit more than
# the rounding of the matrix.
_ALLOWED = 2.0**-46
# Share of a direction that a subtraction has left, above which it left no rounding to speak of.
_MUCH = 0.5
# Least of the wanted eigenvalues over the largest: of smaller ones that error would be too much.
_STEEP = 2.0**-20


def few_eigenvectors(matrix: Tensor, kept: int, unit: float = 0.0) -> tuple[Tensor, Tensor] | None:
    """Largest eigenvalues [K], falling, and eigenvectors [S, K], or None where all are to be found.

    Parameters
    ----------
    matrix : Tensor [S, S], float64, symmetric, no eigenvalue below zero but for rounding
    kept : K
    unit : float
        What a product of the matrix with an eigenvector may be off by, over the least of the K
        values, where that is more than rounding: who rounds the vectors to float32 needs no more.
    """
    S = matrix.shape[0]
    most = int(_MOST_SPAN * S) // _BLOCK * _BLOCK
    size = torch.linalg.matrix_norm(matrix)
    if kept > _FEW * S or most < 4 * _BLOCK or not bool(size.isfinite()):
        return None
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(S, _BLOCK, generator=generator, dtype=matrix.dtype)
    directions = matrix.new_empty(most, S)
    projected = matrix.new_zeros(most, most)
    block = torch.linalg.qr(start).Q.T
    for span in range(_BLOCK, most + 1, _BLOCK):
        new = slice(span - _BLOCK, span)
        directions[new] = block
        basis = directions[:span]
        image = block @ matrix  # [_BLOCK, S]
        # Beside the last two blocks it has nothing but rounding, which goes with the rest below.
        last = slice(max(0, span - 2 * _BLOCK), span)
        projected[new, last] = image @ directions[last].T
        image -= projected[new, last] @ directions[last]
        following, lengths = torch.linalg.qr(image.T)
        block, lengths = _apart_from(basis, following.T, lengths)
        # Products bring nothing new any more: all that there is has been found.
        exhausted = bool(lengths.diagonal().abs().min() <= _ALLOWED * size)
        due = span >= _BEFORE * kept and (span // _BLOCK) % _PATIENCE == 0
        if span >= kept and (due or exhausted or span == most):
            # Reads the lower triangle only, which is what has been filled.
            values, rotation = torch.linalg.eigh(projected[:span, :span])
            values, rotation = values[-kept:].flip(0), rotation[:, -kept:].flip(1)
            left = torch.linalg.matrix_norm(lengths @ rotation[-_BLOCK:])
            if bool(left <= _allowed(values, unit)):
                vectors = basis.T @ rotation
                return (values, vectors) if are_leading(matrix, values, vectors, unit) else None
            if 2 * span >= most and bool(left > _HALFWAY * values[0]):
                return None
    return None


def _apart_from(basis: Tensor, block: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal rows `block` without what they have of `basis`, and `lengths` of those before.

    A second time where little was left: one subtraction leaves what it rounds away.
    """
    for _ in range(2):
        following, shorter = torch.linalg.qr((block - (block @ basis.T) @ basis).T)
        block, lengths = following.T, shorter @ lengths
        if bool(shorter.diagonal().abs().min() > _MUCH):
            break
    return block, lengths


def _allowed(values: Tensor, unit: float) -> Tensor:
    """Error that is taken for none, of eigenvectors of these values [K], falling."""
    return torch.maximum(_ALLOWED * values[0], unit * values[-1])


def are_leading(matrix: Tensor, values: Tensor, vectors: Tensor, unit: float = 0.0) -> bool:
    """Whether these are eigenvalues [K] and eigenvectors [S, K], and no other value is larger."""
    largest, least = values[0], values[-1]
    allowed = _allowed(values, unit)
    if bool(least <= _STEEP * largest):
        return False
    scaled = vectors * values
    wrong = torch.linalg.matrix_norm(matrix @ vectors - scaled)
    slanted = torch.linalg.matrix_norm(vectors.T @ scaled - values.diag())
    if not bool(torch.maximum(wrong, slanted) <= 4.0 * allowed):
        return False
    # Positive definite, if nothing that these vectors leave is above the least of the values.
    rest = torch.addmm(matrix, scaled, vectors.T, beta=-1.0)
    rest.diagonal().add_(least + allowed)
    return not bool(torch.linalg.cholesky_ex(rest).info)
