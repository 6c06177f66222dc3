"""Soft-capped logits (Gemma 2): ``cap * tanh(z / cap)``."""

import triton
import triton.language as tl


@triton.jit
def soft_cap(z, cap):
    """Return ``cap * tanh(z / cap)`` in float32, accurate near zero.

    Away from zero by the exponential; near zero, where one minus it would cancel, by the series
    up to the eleventh power, whose next term is below 6e-10 of the result at 0.3.
    """
    y = z / cap
    t = tl.exp2(tl.abs(y) * -2.8853900817779268)
    far = (1.0 - t) / (1.0 + t)
    far = tl.where(y < 0, -far, far)
    q = y * y
    series = -0.0088632355299022 * q + 0.0218694885361552
    series = series * q - 0.0539682539682540
    series = series * q + 0.1333333333333333
    series = series * q - 0.3333333333333333
    near = y + y * q * series
    return cap * tl.where(tl.abs(y) < 0.3, near, far)
