"""Types of the problem."""

from typing import TypedDict

from torch import Tensor

input_t = Tensor
output_t = Tensor


class TestSpec(TypedDict):
    """Arguments of `generate_input`."""

    rows: int
    columns: int
    seed: int
