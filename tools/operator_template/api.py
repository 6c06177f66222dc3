"""`onetrip.scaled_relu`: contract, checks, dispatch, autograd."""

import importlib
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from onetrip.core import recording
from onetrip.core.errors import DtypeError, ShapeError, complaint
from onetrip.core.selection import Config, resolve
from onetrip.ops.scaled_relu import select
from onetrip.ops.scaled_relu.reference import scaled_relu_reference
from onetrip.tile.problem import problem_on

Impl = Literal["auto", "reference", "torch", "triton"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def scaled_relu(
    x: Float[Tensor, "N D"], *, scale: float = 1.0, impl: Impl = "auto"
) -> Float[Tensor, "N D"]:
    """Rectified linear unit of ``x * scale``, reading `x` once.

    Computes ``torch.relu(x * scale)``. The product ``x * scale`` never leaves the chip.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float16 | bfloat16
        Any strides.
    scale : float, default 1.0
        Factor before the rectification.
    impl : {"auto", "reference", "torch", "triton"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    y : Tensor [N, D], dtype of `x`

    Raises
    ------
    ShapeError
        `x` is not a matrix.
    DtypeError
        `x` has another dtype.
    UnsupportedError
        `impl` cannot run this problem here; the message says why.

    Notes
    -----
    Differentiable in `x`, once. Deterministic. Error budget: `spec.py`. Cost: `cost.py`.

    References
    ----------
    torch.relu.

    Examples
    --------
    >>> import onetrip, torch
    >>> onetrip.scaled_relu(torch.tensor([[1.0, -2.0]]), scale=3.0)
    tensor([[3., 0.]])
    """
    if x.dim() != 2:
        raise ShapeError(complaint("x", expected="a matrix [N, D]", got=list(x.shape)))
    if x.dtype not in _DTYPES:
        expected = "float32, float16 or bfloat16"
        raise DtypeError(complaint("x", expected=expected, got=x.dtype, way_out="Cast it."))
    if recording.active():
        recording.note("scaled_relu", {"x": x}, {"scale": scale})
    problem = problem_on(x.device, {"N": x.shape[0], "D": x.shape[1]}, x.dtype)
    chosen, config = resolve(select.OPERATOR, select, impl, problem)
    if chosen == "reference":
        return scaled_relu_reference(x, scale=scale)
    return _ScaledRelu.apply(x, float(scale), chosen, config)


class _ScaledRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, scale: float, impl: str, config: Config) -> Tensor:
        ctx.save_for_backward(x)
        ctx.scale, ctx.impl, ctx.config = scale, impl, config
        return _implementation(impl).scaled_relu_forward(x, scale, config)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        (x,) = ctx.saved_tensors
        dx = _implementation(ctx.impl).scaled_relu_backward(dy, x, ctx.scale, ctx.config)
        return dx, None, None, None


def _implementation(impl: str):
    """The module that holds both passes; Triton is imported when it is wanted."""
    file = "kernel_triton" if impl == "triton" else "torch_impl"
    return importlib.import_module(f"onetrip.ops.scaled_relu.{file}")
