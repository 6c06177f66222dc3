"""Operations and bytes of the toy."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(*, N, D, dtype, backward=True):
    size = N * D * ITEMSIZE[dtype]
    passes = 2 if backward else 1
    return Cost(flops=2 * N * D * passes, bytes_read=size * passes, bytes_written=size * passes)
