"""Operations and compulsory bytes of the counts of multinomial naive Bayes."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(*, N: int, D: int, C: int, dtype: str, backward: bool = True) -> Cost:
    """Count what no implementation can avoid: each sample is read once and added once.

    There is no gradient: `backward` changes nothing.

    >>> estimate_cost(N=200_000, D=5000, C=20, dtype="float32").bytes_read
    4002400160
    """
    counts = 8 * (C * D + C)
    return Cost(
        flops=N * D,  # one addition a number
        bytes_read=N * D * ITEMSIZE[dtype]  # the samples
        + 8 * N  # their classes
        + counts,  # the sums so far
        bytes_written=counts,
    )
