"""Return the same buffer from every call: the first caller's result changes under him."""

import torch

BUFFERS = {}


def custom_kernel(data):
    a, b = data
    out = BUFFERS.setdefault(a.shape, torch.empty_like(a))
    torch.add(a, b, out=out)
    return out
