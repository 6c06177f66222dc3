"""Follow pointers by doubling, all at once."""

import torch
from torch import Tensor


def highest(above: Tensor) -> Tensor:
    """Where every node arrives that goes up until it stays.

    >>> highest(torch.tensor([1, 2, 2, 3])).tolist()
    [2, 2, 2, 3]
    """
    while True:
        # Whether all have arrived is a question to the device: not after every step.
        higher = above[above]
        higher = higher[higher]
        if torch.equal(higher, above):
            return above
        above = higher
