"""Labels that come as a tensor, held to scikit-learn's rules of a classification."""

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
# Labels from 0 to here are marked in a table.
_TABLE = 1 << 10


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

    As `torch.unique`, which sorts the labels. Small whole numbers are marked in a table instead:
    a device is asked once for all of it, and where they are 0, 1, 2, … the labels are the places.

    >>> classes_and_codes(torch.tensor([7, 3, 3, 5]))
    (tensor([3, 5, 7]), tensor([2, 0, 0, 1]))
    """
    if y.dtype not in _INTEGERS or not y.numel():
        return torch.unique(y, return_inverse=True)
    codes = y.to(torch.int64)
    marks = torch.zeros(_TABLE + 2, dtype=torch.bool, device=y.device)
    # What is below the table goes before its first place, what is above behind its last one.
    present = marks.scatter_(0, codes.clamp(-1, _TABLE).add_(1), True).cpu().numpy()
    if present[0] or present[-1]:
        return torch.unique(y, return_inverse=True)
    classes = present[1:-1].nonzero()[0]
    if classes[-1] == len(classes) - 1:
        return torch.arange(len(classes), dtype=y.dtype, device=y.device), codes
    places = torch.from_numpy(present[1:].cumsum() - 1).to(y.device)
    return torch.from_numpy(classes).to(y.dtype).to(y.device), places[codes]
