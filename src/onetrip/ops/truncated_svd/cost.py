"""Operations and compulsory bytes of truncated_svd."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(*, N: int, D: int, K: int, dtype: str, backward: bool = True) -> Cost:
    """Count what no implementation can avoid: one trip over x, and its half of a Gram matrix.

    There is no backward pass. The randomized solver does more, or less, by its options.

    >>> estimate_cost(N=1_000_000, D=256, K=32, dtype="float32").bytes_read
    1024000000
    """
    itemsize = ITEMSIZE[dtype]
    smaller = min(N, D)
    return Cost(
        flops=N * D * (smaller + 1)  # the upper half of the smaller Gram matrix, and the sums
        + 9 * smaller**3,  # its eigenvectors
        bytes_read=N * D * itemsize,  # x
        bytes_written=max(4, itemsize) * (K * D + K + D + 1),  # vectors, values, mean, variance
    )
