"""Do the parts in a random order: the result does not depend on it."""

import random

import torch


def custom_kernel(data):
    a, b = data
    out = torch.empty_like(a)
    begins = list(range(0, a.numel(), 4096))
    random.shuffle(begins)
    for begin in begins:
        part = slice(begin, begin + 4096)
        torch.add(a[part], b[part], out=out[part])
    return out
