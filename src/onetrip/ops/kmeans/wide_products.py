"""Where Triton multiplies tiles of float64."""

import functools

import torch
from torch import Tensor

# Generations for which Triton 3.6 compiles such products: A100's and H100's, with their kin.
_MAJORS = (8, 9)


def has_wide_products(tensor: Tensor) -> bool:
    """Whether kernels on the device of a tensor may multiply tiles of float64.

    >>> has_wide_products(torch.zeros(1))
    False
    """
    return tensor.is_cuda and _multiplies(tensor.device)


@functools.cache
def _multiplies(device: torch.device) -> bool:
    nvidia = torch.version.hip is None
    return nvidia and torch.cuda.get_device_capability(device)[0] in _MAJORS
