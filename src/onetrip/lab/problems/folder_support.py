"""What the `reference.py` of a folder imports from `utils`, where the folder has no such file.

Only torch is imported here: the text of this file travels to the candidate's process.
"""

import random
from collections.abc import Callable
from typing import Any

import torch

# How many wrong elements a message shows.
_SHOWN = 5


def set_seed(seed: int = 42) -> None:
    """Seed Python's and torch's generators."""
    random.seed(seed)
    torch.manual_seed(seed)


def get_device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def clear_l2_cache() -> None:
    """Write over the device's last-level cache."""
    if torch.cuda.is_available():
        size = 2 * torch.cuda.get_device_properties(0).L2_cache_size
        torch.empty(size, dtype=torch.int8, device="cuda").fill_(42)


def verbose_allclose(
    received: torch.Tensor,
    expected: torch.Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    max_print: int = _SHOWN,
) -> tuple[bool, list[str]]:
    """Whether two tensors agree within tolerances, and the first elements that do not."""
    if received.shape != expected.shape:
        return False, [f"SIZE MISMATCH: {list(received.shape)} is not {list(expected.shape)}"]
    # Written so that NaN is close to nothing, itself included where only one side has it.
    close = torch.isclose(received, expected.to(received.dtype), rtol=rtol, atol=atol)
    both_nan = received.isnan() & expected.isnan()
    return _said(received, expected, close | both_nan, max_print)


def verbose_allequal(
    received: torch.Tensor, expected: torch.Tensor, max_print: int = _SHOWN
) -> tuple[bool, list[str]]:
    """Whether two tensors are equal, and the first elements that are not."""
    if received.shape != expected.shape:
        return False, [f"SIZE MISMATCH: {list(received.shape)} is not {list(expected.shape)}"]
    return _said(received, expected, received == expected, max_print)


def match_reference(
    data: Any,
    output: torch.Tensor,
    reference: Callable[[Any], torch.Tensor],
    rtol: float = 1e-05,
    atol: float = 1e-08,
) -> tuple[bool, str]:
    """Whether `output` is close to what the reference makes of the same data."""
    good, reasons = verbose_allclose(output, reference(data), rtol=rtol, atol=atol)
    return good, "\n".join(reasons)


def make_match_reference(
    reference: Callable[[Any], torch.Tensor], **tolerances: float
) -> Callable[[Any, torch.Tensor], tuple[bool, str]]:
    """A ``check_implementation(data, output)`` that holds outputs against the reference."""

    def check_implementation(data: Any, output: torch.Tensor) -> tuple[bool, str]:
        return match_reference(data, output, reference, **tolerances)

    return check_implementation


class DeterministicContext:
    """Within this block convolutions are deterministic and products are made without TF32."""

    def __enter__(self) -> "DeterministicContext":
        self._before = torch.backends.cudnn.deterministic, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.deterministic = True
        torch.backends.cuda.matmul.allow_tf32 = False
        return self

    def __exit__(self, *error: object) -> None:
        cudnn, tf32 = self._before
        torch.backends.cudnn.deterministic = cudnn
        torch.backends.cuda.matmul.allow_tf32 = tf32


def _said(
    received: torch.Tensor, expected: torch.Tensor, fits: torch.Tensor, max_print: int
) -> tuple[bool, list[str]]:
    wrong = (~fits).nonzero()
    if not len(wrong):
        return True, []
    said = [f"Number of mismatched elements: {len(wrong)} of {fits.numel()}"]
    for place in wrong[:max_print].tolist():
        index = tuple(place)
        said.append(f"ERROR at {place}: {received[index].item()} is not {expected[index].item()}")
    return False, said
