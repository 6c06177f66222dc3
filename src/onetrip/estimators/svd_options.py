"""What PCA and TruncatedSVD both take of scikit-learn's options, and what they refuse."""

from typing import Any

from sklearn.utils import check_random_state

from onetrip.core.errors import UnsupportedError, complaint
from onetrip.estimators.arrays import Given

_SEEDS = 2**31 - 1


def seed_of(random_state: Any) -> int:
    """The operator's seed, drawn as scikit-learn draws: a `RandomState` advances.

    >>> seed_of(0) == seed_of(0)
    True
    """
    return int(check_random_state(random_state).randint(_SEEDS))


def random_solver(given: Given) -> str:
    """The operator's solver where random directions are asked for.

    On a GPU "auto", as the Gram matrix is exact and for most sizes takes less time.
    """
    return "auto" if given.tensor is not None and given.tensor.is_cuda else "randomized"


def refuse_options(normalizer: str, tol: float) -> None:
    """Refuse what no solver here does: other power iterations, and values to a tolerance."""
    if normalizer in ("LU", "none"):
        way_out = "QR is at least as accurate and, on the thin matrices here, as fast."
        raise UnsupportedError(
            complaint(
                "power_iteration_normalizer",
                expected='"auto" or "QR"',
                got=repr(normalizer),
                way_out=way_out,
            )
        )
    if tol:
        raise UnsupportedError(
            complaint("tol", expected="0: exact values have no tolerance", got=tol)
        )
