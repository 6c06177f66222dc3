"""Operations and compulsory bytes of scaled_relu."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(*, N: int, D: int, dtype: str, backward: bool = True) -> Cost:
    """Count what no implementation can avoid.

    >>> estimate_cost(N=2, D=8, dtype="float32", backward=False).bytes
    128
    """
    matrix = N * D * ITEMSIZE[dtype]
    return Cost(
        flops=2 * N * D  # a product and a comparison
        + (2 * N * D if backward else 0),  # the same for the gradient
        bytes_read=matrix  # x
        + (2 * matrix if backward else 0),  # dy, and x again to see which elements pass
        bytes_written=matrix  # y
        + (matrix if backward else 0),  # dx
    )
