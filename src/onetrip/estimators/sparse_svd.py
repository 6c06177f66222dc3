"""Singular values of a SciPy sparse matrix, with the answers of the operator for a dense one.

The matrix stays sparse: its products are SciPy's, its mean is taken out of the products.
"""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from onetrip.ops.truncated_svd.randomized import normal_draw, randomized_decomposition
from onetrip.ops.truncated_svd.solve import leading_eigenvectors, with_fixed_signs

# Features up to which the dense Gram matrix is formed: 32 MiB; with many of them, where so large a
# share of its eigenvectors is wanted that Lanczos' iterations take longer than all of them.
_GRAM_FEATURES = 2048
_FEW_FEATURES = 512
_MANY = 0.1


def sparse_truncated_svd(
    csr: Any,
    *,
    n_components: int,
    center: bool,
    solver: str,
    n_iter: int,
    n_oversamples: int,
    seed: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """As `onetrip.truncated_svd`, for SciPy CSR; `solver` is "randomized" or an exact one."""
    N, D = csr.shape
    dtype = torch.float32 if csr.dtype == np.float32 else torch.float64
    wide = csr.astype(np.float64)
    mean = np.asarray(wide.mean(0)).reshape(-1)
    square = float(wide.multiply(wide).sum())
    total = max(0.0, square - N * float(mean @ mean))
    shift = mean if center else np.zeros_like(mean)
    if solver == "randomized":
        values, vectors = _randomized(wide, shift, n_components, n_iter, n_oversamples, seed)
    elif D <= _FEW_FEATURES or (D <= _GRAM_FEATURES and n_components > _MANY * D):
        values, vectors = _by_gram(wide, shift, n_components)
    else:
        values, vectors = _by_lanczos(wide, shift, n_components, seed)
    residual = max(0.0, (total if center else square) - float(values.square().sum()))
    return values.to(dtype), {
        "components": with_fixed_signs(vectors).to(dtype).contiguous(),
        "mean": torch.from_numpy(mean).to(dtype),
        "total_variance": torch.tensor(total / N, dtype=dtype),
        "residual": torch.tensor(residual / N, dtype=dtype),
    }


def _by_gram(wide: Any, shift: np.ndarray, kept: int) -> tuple[Tensor, Tensor]:
    gram = (wide.T @ wide).toarray()
    gram -= wide.shape[0] * np.outer(shift, shift)
    values, vectors = leading_eigenvectors(torch.from_numpy(gram), kept)
    return values.clamp_min(0.0).sqrt(), vectors.T


def _randomized(
    wide: Any, shift: np.ndarray, kept: int, n_iter: int, n_oversamples: int, seed: int
) -> tuple[Tensor, Tensor]:
    back = sparse.csr_matrix(wide.T)

    def trip(basis: Tensor, _: bool) -> Tensor:
        v = basis.numpy()
        y = wide @ v - shift @ v  # [N, columns]
        return torch.from_numpy(back @ y - np.outer(shift, y.sum(0)))

    draw = normal_draw(wide.shape[1], min(kept + n_oversamples, wide.shape[1]), seed)
    return randomized_decomposition(trip, kept, n_iter, draw)


def _by_lanczos(wide: Any, shift: np.ndarray, kept: int, seed: int) -> tuple[Tensor, Tensor]:
    """ARPACK's values and vectors; `kept` is less than both sides of the matrix."""
    make_operator: Any = LinearOperator
    operator = make_operator(
        wide.shape,
        matvec=lambda v: wide @ v.reshape(-1) - shift @ v.reshape(-1),
        rmatvec=lambda u: wide.T @ u.reshape(-1) - shift * u.sum(),
        dtype=np.float64,
    )
    start = np.random.default_rng(seed).uniform(-1.0, 1.0, min(wide.shape))
    found: Any = svds(operator, k=kept, v0=start)
    _, values, vectors = found
    order = np.argsort(values)[::-1].copy()
    return torch.from_numpy(values[order]), torch.from_numpy(vectors[order])
