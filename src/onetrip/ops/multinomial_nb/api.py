"""`onetrip.multinomial_nb`: contract, checks, dispatch."""

import importlib
from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from onetrip.core import recording
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, complaint
from onetrip.core.selection import resolve
from onetrip.ops.multinomial_nb import select
from onetrip.ops.multinomial_nb.reference import multinomial_nb_reference
from onetrip.tile.problem import problem_on

Impl = Literal["auto", "reference", "torch", "triton"]

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_WAY_OUT = "Move or reshape it to agree with the others."


def multinomial_nb(
    x: Shaped[Tensor, "N D"],
    y: Int[Tensor, " N"],
    feature_count: Float[Tensor, "C D"],
    class_count: Float[Tensor, " C"],
    *,
    sample_weight: Float[Tensor, " N"] | None = None,
    impl: Impl = "auto",
) -> tuple[Float[Tensor, "C D"], dict[str, Tensor]]:
    """Sums of features by class, added to earlier sums, reading the samples once.

    Computes ``feature_count + one_hot(y).T @ x`` and ``class_count + one_hot(y).sum(0)``: what
    multinomial naive Bayes learns from a batch of samples. Neither the one-hot classes [N, C] nor
    a copy of the samples in another dtype is ever stored.

    Parameters
    ----------
    x : Tensor [N, D], float64 | float32 | float16 | bfloat16 | int64 | int32 | int16 | int8 | uint8
        Counts or weights of terms, any strides.
    y : Tensor [N], int64 | int32
        Class of each sample, from 0 to C - 1. Not checked on a device, where looking would wait.
    feature_count : Tensor [C, D], float64
        Sums so far; zeros to begin with. Not written to.
    class_count : Tensor [C], float64
        Weights of the samples so far.
    sample_weight : Tensor [N], float32 | float64, optional
    impl : {"auto", "reference", "torch", "triton"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    feature_count : Tensor [C, D], float64
    extra : dict
        "class_count" [C], float64.

    Raises
    ------
    ShapeError, DtypeError
        Tensors do not agree; the message says which.
    ArgumentError
        A class beyond C - 1 (on a CPU).
    UnsupportedError
        `impl` cannot run this problem here; the message says why.

    Notes
    -----
    Not differentiable. Deterministic. Error budget: `spec.py`. Cost: `cost.py`.

    References
    ----------
    scikit-learn's MultinomialNB, attributes `feature_count_` and `class_count_`.

    Examples
    --------
    >>> import onetrip, torch
    >>> x = torch.tensor([[1, 0, 2], [0, 3, 0], [4, 0, 0]])
    >>> counts, extra = onetrip.multinomial_nb(
    ...     x, torch.tensor([0, 1, 0]), torch.zeros(2, 3).double(), torch.zeros(2).double()
    ... )
    >>> counts
    tensor([[5., 0., 2.],
            [0., 3., 0.]], dtype=torch.float64)
    >>> extra["class_count"]
    tensor([2., 1.], dtype=torch.float64)
    """
    _check(x, y, feature_count, class_count, sample_weight)
    if recording.active():
        given = {"x": x, "y": y, "feature_count": feature_count, "class_count": class_count}
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        recording.note("multinomial_nb", given | weights, {})
    axes = {"N": x.shape[0], "D": x.shape[1], "C": class_count.shape[0]}
    chosen, config = resolve(select.OPERATOR, select, impl, problem_on(x.device, axes, x.dtype))
    if chosen == "reference":
        return multinomial_nb_reference(
            x, y, feature_count, class_count, sample_weight=sample_weight
        )
    file = select.kernel_file(chosen, config)
    module = importlib.import_module(f"onetrip.ops.multinomial_nb.{file}")
    features, classes = module.count(x, y, feature_count, class_count, sample_weight, config)
    return features, {"class_count": classes}


def _check(
    x: Tensor, y: Tensor, feature_count: Tensor, class_count: Tensor, sample_weight: Tensor | None
) -> None:
    if x.dim() != 2:
        raise ShapeError(complaint("x", expected="a matrix [N, D]", got=list(x.shape)))
    if x.dtype not in (*_FLOATS, *_INTEGERS):
        expected = "real numbers of a floating or integer dtype"
        raise DtypeError(complaint("x", expected=expected, got=x.dtype, way_out="Cast it."))
    if y.dtype not in (torch.int64, torch.int32):
        raise DtypeError(complaint("y", expected="int64 or int32", got=y.dtype))
    if class_count.dim() != 1:
        raise ShapeError(complaint("class_count", expected="[C]", got=list(class_count.shape)))
    shapes = {
        "y": (y, (x.shape[0],)),
        "feature_count": (feature_count, (class_count.shape[0], x.shape[1])),
        "sample_weight": (sample_weight, (x.shape[0],)),
    }
    for name, (tensor, shape) in shapes.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            got = list(tensor.shape)
            raise ShapeError(complaint(name, expected=str(list(shape)), got=got, way_out=_WAY_OUT))
    for name, tensor in (("feature_count", feature_count), ("class_count", class_count)):
        if tensor.dtype != torch.float64:
            raise DtypeError(complaint(name, expected="float64", got=tensor.dtype))
    if sample_weight is not None and sample_weight.dtype not in (torch.float32, torch.float64):
        expected = "float32 or float64"
        raise DtypeError(complaint("sample_weight", expected=expected, got=sample_weight.dtype))
    others = (y, feature_count, class_count, sample_weight)
    if any(tensor is not None and tensor.device != x.device for tensor in others):
        raise ArgumentError(complaint("x", expected="on the device of the others", got=x.device))
    if y.device.type == "cpu" and y.numel():
        low, high = (int(bound) for bound in y.aminmax())
        if low < 0 or high >= class_count.numel():
            expected = f"classes from 0 to {class_count.numel() - 1}"
            raise ArgumentError(complaint("y", expected=expected, got=f"{low} to {high}"))
