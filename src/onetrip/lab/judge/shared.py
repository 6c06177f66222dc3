"""A region of shared memory as a tensor of bytes."""

from typing import Any

import torch
from torch import Tensor

from onetrip.lab.judge.region import map_region


def shared_bytes(descriptor: int, size_bytes: int, device: str) -> Tensor:
    """The region's bytes; where they come from or go to a device, pinned, so that copies are quick.

    A driver that refuses to pin them copies more slowly, and that is all.
    """
    memory = torch.frombuffer(map_region(descriptor, size_bytes), dtype=torch.uint8)
    if device.startswith("cuda"):
        torch.cuda.init()
        runtime: Any = torch.cuda.cudart()
        runtime.cudaHostRegister(memory.data_ptr(), memory.numel(), 0)
    return memory
