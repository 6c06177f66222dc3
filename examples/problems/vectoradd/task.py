"""Types of the problem."""

from typing import TypedDict

from torch import Tensor

input_t = tuple[Tensor, Tensor]
output_t = Tensor


class TestSpec(TypedDict):
    """Arguments of `generate_input`."""

    size: int
    seed: int
