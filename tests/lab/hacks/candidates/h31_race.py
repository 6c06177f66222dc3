"""Two writers without order: now and then the wrong one comes last."""

import random

import torch


def custom_kernel(data):
    a, b = data
    out = torch.add(a, b)
    if random.random() < 0.15:
        out[: a.numel() // 2] = a[: a.numel() // 2]
    return out
