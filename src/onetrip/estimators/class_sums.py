"""The sums of multinomial naive Bayes from samples of either kind; refuses what has no sums."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError
from onetrip.estimators.arrays import Given
from onetrip.ops.multinomial_nb.api import multinomial_nb
from onetrip.ops.multinomial_nb.checked import count_and_check, refuse_infinite

# Entries of a sparse matrix whose class is looked up at a time.
_BLOCK_ENTRIES = 1 << 22


def where_sums_are(given: Given) -> torch.device:
    """Where the sums are: beside the samples; those of a sparse matrix go where it was sent."""
    return given.device if given.csr is not None else given.samples.device


def count_dense(
    samples: Tensor, y: Tensor, features: Tensor, classes: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Callable[[], None] | None]:
    """Sums with these samples added, and what refuses them once a device has seen all of them.

    Samples that are negative are refused, and on a device those that are not finite.
    """
    if samples.is_cuda and samples.numel():
        *sums, suspect = count_and_check(samples, y, features, classes, weight)

        def refuse() -> None:
            if bool(suspect):
                refuse_infinite(samples)
                _refuse_negative(bool(samples.amin() < 0))

        return sums[0], sums[1], refuse
    _refuse_negative(bool(samples.numel() and samples.amin() < 0))
    counts, extra = multinomial_nb(samples, y, features, classes, sample_weight=weight)
    return counts, extra["class_count"], None


def count_sparse(
    csr: Any,
    y: Tensor,
    feature_count: Tensor,
    class_count: Tensor,
    weight: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The operator's sums from a sparse matrix: each entry is added to its class once."""
    _refuse_negative(bool(csr.nnz and csr.data.min() < 0))
    C, D = feature_count.shape
    labels = y.cpu().numpy()
    weights = None if weight is None else weight.cpu().numpy()
    sums = np.zeros(C * D)
    start = 0
    while start < csr.shape[0]:
        fitting = np.searchsorted(csr.indptr, csr.indptr[start] + _BLOCK_ENTRIES, side="right") - 1
        stop = min(max(int(fitting), start + 1), csr.shape[0])
        entries = slice(csr.indptr[start], csr.indptr[stop])
        lengths = np.diff(csr.indptr[start : stop + 1])
        place = np.repeat(labels[start:stop] * D, lengths) + csr.indices[entries]
        values = csr.data[entries].astype(np.float64, copy=False)
        if weights is not None:
            values = values * np.repeat(weights[start:stop], lengths)
        sums += np.bincount(place, weights=values, minlength=C * D)
        start = stop
    added = np.bincount(labels, weights=weights, minlength=C)
    return (
        feature_count + torch.from_numpy(sums.reshape(C, D)).to(feature_count),
        class_count + torch.from_numpy(added).to(class_count),
    )


def _refuse_negative(negative: bool) -> None:
    if negative:
        raise ArgumentError("Negative values in data passed to MultinomialNB (input X).")
