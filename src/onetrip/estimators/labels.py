"""Labels that come as a tensor, held to scikit-learn's rules of a classification."""

from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint


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
