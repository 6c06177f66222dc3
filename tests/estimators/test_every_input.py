"""Every estimator on every kind of samples: what comes out, and that nothing is written to."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_pairs import NAMES, answers, make, samples, targets
from scipy import sparse

_KINDS = {
    "array": np.array,
    "fortran": np.asfortranarray,
    "reversed": lambda X: X[::-1, ::-1],
    "frame": pd.DataFrame,
    "tensor": torch.tensor,
    "csr": sparse.csr_array,
}
# One sample cannot be clustered, and a linkage or a projection in the plane wants two.
_SHAPES = {"tall": (40, 5), "wide": (7, 30)}


def _copy(X):
    return X.clone() if isinstance(X, torch.Tensor) else X.copy()


def _same(X, before):
    if sparse.issparse(X):
        return (X != before).nnz == 0
    return np.array_equal(np.asarray(X), np.asarray(before))


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_samples_stay_as_they_are(name, dtype, shape):
    rows, features = _SHAPES[shape]
    for kind, make_kind in _KINDS.items():
        X = make_kind(samples(rows, features).astype(dtype))
        before = _copy(X)
        answers(make(name).fit(X, targets(rows)), X)
        assert _same(X, before), f"{kind} was written to"
