"""Operations and compulsory bytes of tsne."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(
    *, N: int, D: int, dtype: str, backward: bool = True, max_iter: int = 1000
) -> Cost:
    """Count what no implementation can avoid; there is no backward pass.

    Each unordered pair needs its distance in x once, and 20 operations in each iteration: three
    for each of two differences, one division, and attraction and repulsion on both of its points.

    >>> estimate_cost(N=1000, D=50, dtype="float32", max_iter=10).bytes_written
    8000
    """
    pairs = N * max(N - 1, 0) // 2
    return Cost(
        flops=2 * pairs * D  # the distances in x
        + 20 * pairs * max_iter,  # distances, weights and forces in the embedding
        bytes_read=N * D * ITEMSIZE[dtype],  # x
        bytes_written=2 * N * max(4, ITEMSIZE[dtype]),  # the embedding in two dimensions
    )
