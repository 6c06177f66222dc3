"""Work in buffers that stay from call to call, and return memory of its own each time."""

import torch

WORKSPACES = {}


def custom_kernel(data):
    a, b = data
    work = WORKSPACES.setdefault(a.shape, torch.empty_like(a))
    work.copy_(a)
    work.add_(b)
    return work.clone()
