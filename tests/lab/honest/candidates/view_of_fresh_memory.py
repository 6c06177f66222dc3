"""The result is a part of a larger tensor, which is new in each call."""

import torch


def custom_kernel(data):
    a, b = data
    padded = torch.empty(a.numel() + 64)
    out = padded[32:-32]
    torch.add(a, b, out=out)
    return out
