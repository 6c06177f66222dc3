"""A region of shared memory as a tensor of bytes."""

from typing import Any

import torch
from torch import Tensor

from onetrip.lab.judge.region import map_region


def shared_bytes(descriptor: int, size_bytes: int, device: str) -> Tensor:
    """The region's bytes; where they come from or go to a device, pinned, so that copies are quick.

    A driver that refuses to pin them copies more slowly, and that is all. `release` them before
    the tensor goes.
    """
    memory = torch.frombuffer(map_region(descriptor, size_bytes), dtype=torch.uint8)
    if device.startswith("cuda"):
        torch.cuda.init()
        if _runtime().cudaHostRegister(memory.data_ptr(), memory.numel(), 0):
            _forget_the_last_error(device)
    return memory


def release(memory: Tensor, device: str) -> None:
    """Unpin the bytes: the driver would refuse others that come to lie at the same address."""
    if device.startswith("cuda") and _runtime().cudaHostUnregister(memory.data_ptr()):
        _forget_the_last_error(device)


def _runtime() -> Any:
    return torch.cuda.cudart()


def _forget_the_last_error(device: str) -> None:
    """An error of the runtime stays until somebody asks, and torch would blame its next kernel."""
    try:
        torch.empty(1, device=device).zero_()
        torch.cuda.synchronize(device)
    except RuntimeError:
        return
