"""Operations and compulsory bytes of k-means."""

from onetrip.core.cost import ITEMSIZE, Cost

DEFAULT_MAX_ITER = 300


def estimate_cost(
    *,
    N: int,
    D: int,
    K: int,
    dtype: str,
    backward: bool = True,
    max_iter: int = DEFAULT_MAX_ITER,
) -> Cost:
    """Count what `max_iter` iterations cost when none is spared: early stops only take less.

    There is no backward pass.

    >>> estimate_cost(N=1000, D=8, K=4, dtype="float32", max_iter=1).flops
    168128
    """
    passes = max_iter + 1  # the last one makes the labels match the returned centres
    samples = N * D * ITEMSIZE[dtype]
    centers = K * D * ITEMSIZE[dtype]
    return Cost(
        flops=passes * 2 * N * K * D  # x · c of every pair
        + max_iter * N * D * 2  # each row taken into its sum
        + passes * K * D * 2  # squared norms of the centres
        + 3 * N * D,  # inertia: differences, squares, sum
        bytes_read=passes * samples  # no chip holds the samples between two iterations
        + centers,
        bytes_written=max(4, ITEMSIZE[dtype]) * K * D + 4 * N + 8,  # centres, labels, inertia
        product="bfloat16" if dtype == "float32" else "",  # what it leaves open is certified
    )
