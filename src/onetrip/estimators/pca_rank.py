"""How many principal components to keep: by a share of the variance, or by Minka's evidence."""

import math

import numpy as np


def rank_for_share(ratio: np.ndarray, share: float) -> int:
    """The least number of components that explain more than `share` of the variance.

    >>> rank_for_share(np.array([0.6, 0.3, 0.1]), 0.7)
    2
    """
    return int(np.searchsorted(np.cumsum(ratio), share, side="right")) + 1


def likeliest_rank(spectrum: np.ndarray, samples: int) -> int:
    """Rank of largest evidence (Minka, NIPS 2000), in [1, n_features - 1].

    Parameters
    ----------
    spectrum : array (n_features,), float64
        Explained variances of all components, falling.
    samples : int
    """
    features = len(spectrum)
    if features < 2:
        return 0
    evidence = [_log_evidence(spectrum, rank, samples) for rank in range(1, features)]
    return 1 + int(np.argmax(evidence))


def _log_evidence(spectrum: np.ndarray, rank: int, samples: int) -> float:
    """Minka's equation 77, with the logarithm of each of its factors on a line."""
    features = len(spectrum)
    least = 1e-15
    if spectrum[rank - 1] < least:
        return -math.inf
    dimensions = (features - np.arange(rank)) / 2.0
    log_volume = -rank * math.log(2.0) + sum(
        math.lgamma(half) - math.log(math.pi) * half for half in dimensions
    )
    log_kept = -np.log(spectrum[:rank]).sum() * samples / 2.0
    noise = max(least, spectrum[rank:].sum() / (features - rank))
    log_noise = -math.log(noise) * samples * (features - rank) / 2.0
    free = features * rank - rank * (rank + 1.0) / 2.0
    log_free = math.log(2.0 * math.pi) * (free + rank) / 2.0
    smoothed = spectrum.copy()
    smoothed[rank:] = noise
    log_curvature = 0.0
    for i in range(rank):
        gap = spectrum[i] - spectrum[i + 1 :]
        curvature = gap * (1.0 / smoothed[i + 1 :] - 1.0 / smoothed[i])
        with np.errstate(divide="ignore", invalid="ignore"):
            log_curvature += float((np.log(curvature) + math.log(samples)).sum())
    return (
        log_volume
        + log_kept
        + log_noise
        + log_free
        - log_curvature / 2.0
        - rank * math.log(samples) / 2.0
    )
