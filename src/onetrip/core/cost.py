"""Operations, compulsory bytes and the floor that follows from them."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from onetrip.core.device import Device
from onetrip.core.spec import EMPTY

ITEMSIZE = {
    **{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2},
    **{"int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1},
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What any implementation must do: floating-point operations and compulsory bytes.

    `product` is the format in which an implementation may multiply, where it is a faster one than
    the inputs' own: decisions that are certified take the fastest. "" is the inputs' own.
    """

    flops: int
    bytes_read: int
    bytes_written: int
    product: str = ""

    @property
    def bytes(self) -> int:
        """Compulsory bytes: each input read once, each output written once."""
        return self.bytes_read + self.bytes_written

    def compute_ms(self, device: Device, dtype: str) -> float:
        """Operations over the device's matrix rate for `dtype`, or for `product`."""
        return self.flops / device.tflops_for(self.product or dtype) * 1e-9

    def memory_ms(self, device: Device) -> float:
        """Compulsory bytes over the device's bandwidth."""
        return self.bytes / device.bandwidth_gbps * 1e-6

    def floor_ms(self, device: Device, dtype: str) -> float:
        """The larger of the two: no implementation runs faster."""
        return max(self.compute_ms(device, dtype), self.memory_ms(device))

    def bound(self, device: Device, dtype: str) -> str:
        """Which of the two is the larger: "compute" or "memory"."""
        compute_bound = self.compute_ms(device, dtype) >= self.memory_ms(device)
        return "compute" if compute_bound else "memory"


def count_cost(
    estimate_cost: Callable[..., Cost],
    axes: Mapping[str, int],
    *,
    dtype: str,
    backward: bool = True,
    options: Mapping[str, object] = EMPTY,
) -> Cost:
    """Ask an operator's `estimate_cost`, with those of `options` that it has a parameter for.

    >>> def estimate_cost(*, N, dtype, backward=True, max_iter=300):
    ...     return Cost(N * max_iter, 0, 0)
    >>> count_cost(estimate_cost, {"N": 8}, dtype="float32", options={"max_iter": 2}).flops
    16
    """
    counted = {}
    if options:
        known = _parameters(estimate_cost)
        counted = {name: value for name, value in options.items() if name in known}
    return estimate_cost(**axes, dtype=dtype, backward=backward, **counted)


@functools.cache
def _parameters(function: Callable[..., Cost]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
