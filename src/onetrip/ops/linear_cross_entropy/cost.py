"""Operations and compulsory bytes of linear cross entropy."""

from onetrip.core.cost import ITEMSIZE, Cost


def estimate_cost(*, N: int, D: int, V: int, dtype: str, backward: bool = True) -> Cost:
    """Count what no implementation can avoid: the logits once, and each gradient's product once.

    >>> estimate_cost(N=8192, D=2304, V=256000, dtype="bfloat16").flops == 6 * 8192 * 2304 * 256000
    True
    """
    itemsize = ITEMSIZE[dtype]
    matmul = 2 * N * D * V
    hidden_and_head = (N * D + V * D) * itemsize
    return Cost(
        flops=matmul  # logits = input @ linear_weight.T
        + (2 * matmul if backward else 0),  # dinput = dlogits @ weight, dweight = dlogits.T @ input
        bytes_read=hidden_and_head + 8 * N,  # hidden states, head, int64 targets
        bytes_written=4  # the loss
        + (hidden_and_head if backward else 0),  # the two gradients
    )
