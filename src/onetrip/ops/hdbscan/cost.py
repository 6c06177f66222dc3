"""Operations and compulsory bytes of hdbscan."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(*, N: int, D: int, dtype: str, backward: bool = True) -> Cost:
    """Count every distance once, in the fastest products: without bounds, each pair may be an edge.

    A method that prunes does less on clustered data, and on data without any structure this.

    >>> estimate_cost(N=1000, D=16, dtype="float32").flops
    15984000
    """
    pairs = N * (N - 1) // 2
    out = 8 if dtype == "float64" else 4
    return Cost(
        flops=pairs * 2 * D,  # a product and a sum for each feature
        bytes_read=N * D * ITEMSIZE[dtype],  # x
        bytes_written=N * (2 * out + 16),  # weights, core distances, both ends
        product="bfloat16" if dtype == "float32" else "",  # what it leaves open is certified
    )
