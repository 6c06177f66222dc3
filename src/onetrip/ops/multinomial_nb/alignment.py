"""What kernels may take for granted of where rows begin, so that they read them 16 bytes at a time.

Triton finds sizes and strides that are multiples of 16, and reads by single numbers where they are
not: 5,000 features are a multiple of 8. Copies of 4 bytes into shared memory took six times as
long as the same bytes 16 at a time, so a kernel is told the greatest common measure of size and
stride at compile time, and where that is too short, it does not copy ahead.
"""

import math

from torch import Tensor

# Copies into shared memory are slow below this, reads into registers are not.
_LEAST_BYTES = 8


def common_measure(x: Tensor) -> int:
    """Largest power of two up to 16 that measures the columns of x [N, D] and the step of its rows.

    >>> import torch
    >>> common_measure(torch.zeros(3, 5000)), common_measure(torch.zeros(3, 7))
    (8, 1)
    """
    return math.gcd(16, x.shape[1], x.stride(0))


def stages(x: Tensor, wanted: int) -> int:
    """Depth of the pipeline into shared memory: `wanted`, or none for rows without a measure."""
    return wanted if common_measure(x) * x.element_size() >= _LEAST_BYTES else 1
