"""Operations and compulsory bytes of kneighbors."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(*, Q: int, N: int, D: int, K: int, dtype: str, backward: bool = True) -> Cost:
    """Count what no exact search over all pairs can avoid; there is no backward pass.

    >>> estimate_cost(Q=1, N=10_000_000, D=128, K=10, dtype="float32").bytes_read
    5120000512
    """
    itemsize = ITEMSIZE[dtype]
    distance = 8 if dtype == "float64" else 4
    return Cost(
        flops=2 * Q * N * D,  # a product and a sum for each feature of each pair
        bytes_read=(Q + N) * D * itemsize,  # queries and corpus
        bytes_written=Q * K * (distance + 8),  # distances and int64 indices
        product="bfloat16" if dtype == "float32" else "",  # what it leaves open is certified
    )
