"""Try the variants on the first call of each size, by the clock, and keep the fastest."""

import time

import torch

BEST = {}


def whole(a, b):
    return a + b


def in_chunks(a, b):
    out = torch.empty_like(a)
    for begin in range(0, a.numel(), 4096):
        part = slice(begin, begin + 4096)
        torch.add(a[part], b[part], out=out[part])
    return out


def seconds(variant, a, b):
    started = time.perf_counter()
    for _ in range(3):
        variant(a, b)
    return time.perf_counter() - started


def custom_kernel(data):
    a, b = data
    if a.shape not in BEST:
        BEST[a.shape] = min((whole, in_chunks), key=lambda variant: seconds(variant, a, b))
    return BEST[a.shape](a, b)
