"""Compile a function for each size on its first call and keep it."""

import torch

COMPILED = {}


def compiled(size):
    text = f"def add(a, b):\n    out = empty({size})\n    return plus(a, b, out=out)\n"
    scope = {"empty": torch.empty, "plus": torch.add}
    exec(compile(text, f"<add of {size}>", "exec"), scope)
    return scope["add"]


def custom_kernel(data):
    a, b = data
    size = a.numel()
    if size not in COMPILED:
        COMPILED[size] = compiled(size)
    return COMPILED[size](a, b)
