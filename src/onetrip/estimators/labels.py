"""Labels that come as a tensor, held to scikit-learn's rules of a classification."""

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
# Labels that lie within so many integers are looked up in a table.
_TABLE = 1 << 16


def check_labels(y: Tensor) -> None:
    """Refuse what names no classes: complex numbers, and numbers with a fraction.

    >>> import torch
    >>> check_labels(torch.tensor([0.0, 2.0]))
    """
    if y.is_complex():
        raise ArgumentError(complaint("y", expected="labels", got=y.dtype))
    if y.is_floating_point() and not bool((y == y.round()).all()):
        got = f"continuous values in {str(y.dtype)[6:]}"
        way_out = "Pass classes: integers, or strings in an array; or fit a regressor."
        raise ArgumentError(complaint("y", expected="labels", got=got, way_out=way_out))


def classes_and_codes(y: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct labels of y [N], sorted, and the place [N] of each label among them.

    As `torch.unique`, which sorts the labels. Integers that lie close together are marked in a
    table instead: on a device that takes a fraction of the time.

    >>> classes_and_codes(torch.tensor([7, 3, 3, 5]))
    (tensor([3, 5, 7]), tensor([2, 0, 0, 1]))
    """
    if y.dtype not in _INTEGERS or not y.numel():
        return torch.unique(y, return_inverse=True)
    low, high = torch.stack(y.aminmax()).tolist()
    if high - low >= _TABLE:
        return torch.unique(y, return_inverse=True)
    # In the labels' own dtype the differences of small integers could overflow.
    offsets = y.to(torch.int64) - low
    present = torch.zeros(high - low + 1, dtype=torch.bool, device=y.device)
    present[offsets] = True
    classes = present.nonzero()[:, 0]
    codes = offsets if len(classes) == len(present) else (present.cumsum(0) - 1)[offsets]
    return (classes + low).to(y.dtype), codes
