"""A toy operator, y = tanh(x @ w + b), whose tiled implementation has one planted defect."""

import math
from types import SimpleNamespace

import torch

from onetrip.core.cost import ITEMSIZE, Cost
from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.core.selection import Choice
from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec
from onetrip.core.tuning import overridden
from onetrip.core.workload import Workload
from onetrip.testing.contract import Operator

FLOATS = ("float32", "float16")
SPEC = OperatorSpec(
    name="toy",
    summary="Tanh of a matrix-vector product.",
    axes={"N": "rows", "D": "features"},
    inputs=(
        TensorSpec("x", ("N", "D"), FLOATS, grad=True),
        TensorSpec("w", ("D",), FLOATS, grad=True),
        TensorSpec("b", (), FLOATS, grad=True, optional=True),
    ),
    outputs=(
        TensorSpec("y", ("N",), FLOATS),
        TensorSpec("z", ("N",), FLOATS, optional=True),
    ),
    implementations=("reference", "tiled", "absent"),
    budget=ErrorBudget(2.0, "sums in another order"),
)
WORKLOADS = (
    Workload("ragged", {"N": 37, "D": 19}, "float32", frozenset({"smoke", "cpu"}), why="ragged"),
    Workload(
        "all-outputs",
        {"N": 21, "D": 8},
        "float32",
        frozenset({"smoke", "cpu"}),
        why="an optional input and an optional output",
        options={"aux": True},
        optional_inputs=("b",),
    ),
)
TILE = 16


def reference(x, w, *, b=None, aux=False):
    z = x @ w
    if b is not None:
        z = z + b
    y = torch.tanh(z)
    return (y, {"z": z}) if aux else y


def make_inputs(axes, *, dtype, device, seed, data, optional_inputs):
    generator = torch.Generator(device).manual_seed(seed)
    x, w = (
        torch.randn(shape, generator=generator, device=device)
        for shape in ((axes["N"], axes["D"]), (axes["D"],))
    )
    inputs = {"x": x.to(dtype), "w": (w / math.sqrt(max(axes["D"], 1))).to(dtype)}
    if "b" in optional_inputs:
        inputs["b"] = torch.rand((), generator=generator, device=device).to(dtype)
    return inputs


def estimate_cost(*, N, D, dtype, backward=True):
    flops = 2 * N * D * (3 if backward else 1)
    read = (N * D + D) * ITEMSIZE[dtype]
    return Cost(flops, read, N * ITEMSIZE[dtype] + (read if backward else 0))


def rows_of(defect, x, w, b, tile):
    """The forward pass, tile by tile."""
    N = x.shape[0]
    z = torch.empty(N, dtype=torch.float32, device=x.device)
    for begin in range(0, N, tile):
        end = min(begin + tile, N)
        if defect == "ragged tile is left out" and end - begin < tile:
            continue
        if defect == "last row of a tile is left out":
            end -= 1
        part = (x[begin:end].float() * w.float()).sum(1)
        if defect == "ragged tile reads one row too many" and end - begin < tile:
            part = part + part.roll(1) * 0.01
        z[begin:end] = part
    if b is not None:
        z += b.float()
    return z


def make_toy(defect="", **changes):
    """The parts of the toy; `changes` replace some of them."""

    class Tiled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, b):
            tile = (overridden("toy", "tiled") or {"tile": TILE})["tile"]
            if defect == "a configuration is wrong" and tile == 8:
                tile, w = 8, w * 1.01
            z = rows_of(defect, x, w, b, tile)
            if defect == "hoards memory":
                ctx.hoard = torch.zeros(64, *x.shape)
            if defect == "depends on global random state":
                z = z * (1 + 1e-7 * torch.rand_like(z))
            if defect == "writes into an input":
                x.mul_(-1).mul_(-1).add_(1e-6)
            y, z = torch.tanh(z).to(x.dtype), z.to(x.dtype)
            if defect == "wrong dtype":
                y = y.double()
            ctx.save_for_backward(x, w, y.to(x.dtype))
            ctx.calls = 0
            return y, z

        @staticmethod
        def backward(ctx, *grad_outputs):
            grad_y, grad_z = grad_outputs
            x, w, y = ctx.saved_tensors
            if defect == "ignores the incoming gradient":
                grad_y = torch.ones_like(grad_y)
            dz = grad_y * (1 - y * y) + grad_z
            if defect == "ignores the second output's gradient":
                dz = grad_y * (1 - y * y)
            if defect == "scales the incoming gradient in place":
                grad_y.mul_(2)
            if defect == "scales what it saved":
                with torch.no_grad():
                    dz = dz * (1 + ctx.calls)
                    ctx.calls += 1
            if defect == "gradient is zero":
                return torch.zeros_like(x), torch.zeros_like(w), None
            if defect == "frozen x freezes w" and not ctx.needs_input_grad[0]:
                return None, None, None
            dx = torch.empty_like(x)
            rows = x.shape[0] - 1 if defect == "gradient misses its last row" else x.shape[0]
            dx[:rows] = dz[:rows, None] * w
            if defect == "gradient of the wrong axis":
                dx = dx.flip(0)
            dw = (x.float() * dz[:, None].float()).sum(0).to(w.dtype)
            if defect == "shares its gradient's buffer":
                ctx.buffer = dw = getattr(ctx, "buffer", dw).copy_(dw)
            return dx, dw, dz.sum() if ctx.needs_input_grad[2] else None

    def run(x, w, *, b=None, aux=False, impl="auto"):
        if impl not in ("auto", *SPEC.implementations):
            raise ArgumentError(f"`impl` must be one of {SPEC.implementations}, got {impl!r}.")
        if impl == "absent" and defect != "falls back in silence":
            raise UnsupportedError("impl='absent': needs a device that nobody has")
        if impl == "reference":
            return reference(x, w, b=b, aux=aux)
        if defect == "takes contiguous storage for granted":
            x = torch.as_strided(x, x.shape, (x.shape[1], 1))
        if defect == "overflows":
            x = torch.log(torch.exp(x.clamp_min(-80)))
        if defect == "refuses one row" and x.shape[0] == 1:
            raise ArgumentError("`x` must have two rows or more, got 1.")
        y, z = Tiled.apply(x, w, b)
        if defect == "detached output":
            z = z.detach()
        if defect == "output is missing":
            return y
        return (y, {"z": z}) if aux else y

    select = SimpleNamespace(
        unsupported_reason=unsupported_reason,
        choose=lambda problem: Choice("tiled", {"tile": TILE}, "the only one"),
        default_config=lambda impl, problem: (
            overridden("toy", impl) or ({"tile": TILE} if impl == "tiled" else {})
        ),
        search_space=lambda impl, problem: {"tile": (8, 16, 32)} if impl == "tiled" else {},
        workspace_bytes=lambda impl, problem, config: 8 * math.prod(problem.axes.values()) * 4,
        predict_ms=lambda impl, problem, device, config, backward: 0.1,
    )
    parts = {
        "spec": SPEC,
        "workloads": WORKLOADS,
        "run": run,
        "reference": reference,
        "make_inputs": make_inputs,
        "estimate_cost": estimate_cost,
        "select": select,
    }
    return Operator(**{**parts, **changes})


def unsupported_reason(impl, problem, config=None):
    if impl not in SPEC.implementations:
        return f"there is no implementation {impl!r}"
    return "needs a device that nobody has" if impl == "absent" else None
