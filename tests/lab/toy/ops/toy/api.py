"""The toy, right or with the defect that its configuration asks for."""

import ctypes
import os

import torch

from onetrip.core.selection import Problem
from onetrip.ops.toy.select import default_config  # pyright: ignore[reportMissingImports]

DEFECTS = {
    "none": 0,
    "wrong": 1,
    "wrong gradient": 2,
    "missing store": 3,
    "changes its input": 4,
    "raises": 5,
    "segmentation fault": 6,
    "leaves": 7,
    "takes all memory": 9,
    "does not compile": 10,
    "wrong rows beyond the first 32": 11,
    "not a number": 13,
}


class CompilationError(Exception):
    """Stands for the one of a compiler."""


class _Toy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, defect):
        ctx.save_for_backward(x)
        ctx.defect = defect
        y = torch.empty_like(x)
        rows = x.shape[0] - (defect == DEFECTS["missing store"])
        y[:rows] = 2 * x[:rows] * x[:rows]
        if defect == DEFECTS["wrong"]:
            y[0, 0] += 1e-3
        elif defect == DEFECTS["wrong rows beyond the first 32"]:
            y[32:] = 0
        elif defect == DEFECTS["not a number"]:
            y[-1, -1] = float("nan")
        return y

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return (
            torch.zeros_like(x) if ctx.defect == DEFECTS["wrong gradient"] else 4 * x * grad
        ), None


def toy(x, *, impl="auto"):
    axes = dict(zip("ND", x.shape, strict=True))
    config = default_config("torch", Problem(axes, "float32"))
    defect = config["defect"]
    if defect == DEFECTS["changes its input"]:
        with torch.no_grad():
            x[0, 0] = 0
    elif defect == DEFECTS["raises"]:
        raise ValueError("the toy broke")
    elif defect == DEFECTS["segmentation fault"]:
        ctypes.string_at(0)
    elif defect == DEFECTS["leaves"]:
        os._exit(3)
    elif defect == DEFECTS["takes all memory"]:
        torch.ones(1 << 40, dtype=torch.uint8)
    elif defect == DEFECTS["does not compile"]:
        raise CompilationError("at 12:3: no such layout")
    # More work, so that one configuration is faster than another.
    for _ in range(config["size"] - 1):
        x.detach().exp().sum()
    return _Toy.apply(x, defect)
