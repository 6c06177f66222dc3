"""What an estimator is given, as tensors; what it answers, in the kind that it was given.

NumPy arrays, data frames and lists go through scikit-learn's own checks, so that its users read
its messages. Tensors stay where they are and are held to the same rules here.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils.validation import assert_all_finite, validate_data
from torch import Tensor

from onetrip.core.errors import (
    ArgumentError,
    DtypeError,
    ShapeError,
    UnsupportedError,
    complaint,
)
from onetrip.tile.side_by_side import (
    on_one_thread,
    run_side_by_side,
    total_square,
    worker_count,
)

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_NUMPY_DTYPES = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.int64: np.int64,
    torch.int32: np.int32,
    torch.int16: np.int16,
    torch.int8: np.int8,
    torch.uint8: np.uint8,
}
_TORCH_DTYPES = {np.dtype(kind): dtype for dtype, kind in _NUMPY_DTYPES.items()}
# What is larger may lose its square, or a sum of a million of them, to infinity.
_LARGEST = {torch.float64: 2.0**499, torch.float32: 2.0**51, torch.bfloat16: 2.0**51}
# Elements whose squares one thread adds up in less than it takes to wake another.
_WORTH_A_THREAD = 1 << 20
# Elements that OpenBLAS leaves to one thread: another one, once awake, looks for work for 10 ms.
_WORTH_A_THREAD_OF_BLAS = 10_000
# What `device` may be, by scikit-learn's rules of parameters.
DEVICES = [str, torch.device]


@dataclass(frozen=True, slots=True)
class Given:
    """A checked matrix of samples, and the way back to the kind in which it came.

    `tensor` is [n_samples, n_features] on the device that computes, sharing the caller's memory
    where it can: never write into it. For sparse input it is None and `csr` holds the matrix.
    """

    tensor: Tensor | None
    csr: sparse.csr_matrix | None
    from_torch: bool
    device: torch.device

    @property
    def samples(self) -> Tensor:
        """The dense matrix; an estimator that takes sparse input looks at `csr` first."""
        if self.tensor is None:
            raise AssertionError("sparse input reached code for dense input")
        return self.tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features)."""
        rows, columns = (self.csr if self.tensor is None else self.tensor).shape  # type: ignore[union-attr]
        return rows, columns

    def answer(self, tensor: Tensor) -> Any:
        """`tensor` as the kind that came in: a tensor on the caller's device, or an array."""
        if self.from_torch:
            return tensor.detach().to(self.device)
        detached = tensor.detach().cpu()
        return (detached.float() if detached.dtype == torch.bfloat16 else detached).numpy()


def take(
    estimator: BaseEstimator,
    X: Any,
    *,
    reset: bool,
    device: str | torch.device = "auto",
    dtypes: Sequence[torch.dtype] = FLOATS,
    accept_sparse: bool = False,
    min_samples: int = 1,
    finite: bool = True,
) -> Given:
    """Check `X` and hand it out as a tensor.

    Parameters
    ----------
    estimator : whose `n_features_in_` and `feature_names_in_` are set or compared.
    X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
    reset : True in `fit`; False where the number of features must be the fitted one.
    device : "auto" computes where `X` is; anything else is where it is moved to.
    dtypes : what is kept as it is; other real dtypes become the first of these.
    accept_sparse : take SciPy sparse input, as CSR.
    min_samples : fewer are refused.
    finite : refuse NaN and infinity, and what is so large that squares become infinite.

    Raises
    ------
    ValueError
        Wrong shape, NaN or infinity, another number of features than in `fit`; a device that is
        not there.
    TypeError
        Sparse input where it is not taken; a complex or non-numeric dtype.
    """
    where = None if isinstance(device, str) and device == "auto" else device_called(device)
    if isinstance(X, Tensor):
        return _take_tensor(estimator, X, reset, where, dtypes, min_samples, finite)
    wanted = [_NUMPY_DTYPES[dtype] for dtype in dtypes if dtype in _NUMPY_DTYPES]
    checked: Any
    if _is_plain(estimator, X, reset, wanted, min_samples):
        checked = np.ascontiguousarray(X)
    else:
        checked = validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr" if accept_sparse else False,
            dtype=wanted,
            order="C",
            ensure_min_samples=min_samples,
            ensure_all_finite=False,
        )
    values = checked.data if sparse.issparse(checked) else checked
    if finite and values.dtype.kind == "f" and values.size and not get_config()["assume_finite"]:
        dtype = _TORCH_DTYPES[values.dtype]
        if not _is_surely_small(values, dtype):
            # As scikit-learn's own check, a trip that stores nothing, which tells the size besides.
            with np.errstate(invalid="ignore"):
                largest = float(max(-values.min(), values.max()))
            if not math.isfinite(largest):
                assert_all_finite(values, estimator_name=type(estimator).__name__, input_name="X")
            refuse_too_large(largest, dtype)
    where = where or torch.device("cpu")
    if sparse.issparse(checked):
        return Given(None, checked, False, where)
    return Given(as_tensor(checked).to(where), None, False, torch.device("cpu"))


def _is_plain(
    estimator: BaseEstimator, X: Any, reset: bool, wanted: list[Any], min_samples: int
) -> bool:
    """Whether `validate_data` would take `X` as it is, which it takes 200 µs to find out.

    Then the features are noted as it does, or are those of the fit.
    """
    if type(X) is not np.ndarray or X.ndim != 2 or X.dtype not in wanted:
        return False
    if X.shape[0] < max(1, min_samples) or X.shape[1] < 1:
        return False
    if reset:
        _note_features(estimator, X.shape[1])
        return True
    fitted = vars(estimator)
    return fitted.get("n_features_in_") == X.shape[1] and "feature_names_in_" not in fitted


def _note_features(estimator: BaseEstimator, features: int) -> None:
    """What a fit on samples whose features have no names leaves behind."""
    estimator.n_features_in_ = features  # type: ignore[attr-defined]
    if hasattr(estimator, "feature_names_in_"):
        delattr(estimator, "feature_names_in_")


def _is_surely_small(values: np.ndarray, dtype: torch.dtype) -> bool:
    """Whether the sum of all squares, which a BLAS has in one trip, bounds each as is needed."""
    limit = _LARGEST.get(dtype, 0.0)
    if values.dtype not in (np.float32, np.float64) or not values.flags.c_contiguous:
        return False
    if values.size <= _WORTH_A_THREAD_OF_BLAS:
        return total_square(values) <= limit**2
    flat = as_tensor(values).view(-1)
    shares = min(worker_count(), values.size // _WORTH_A_THREAD)
    if shares <= 1:
        # A BLAS' own threads look for more work for milliseconds after, in the next step's way.
        with on_one_thread():
            return float(torch.dot(flat, flat)) <= limit**2
    parts = flat.tensor_split(shares)
    squares = run_side_by_side([partial(torch.dot, part, part) for part in parts])
    return float(torch.stack(squares).sum()) <= limit**2


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor over the array's memory; read it only, the array may be a read-only map."""
    if array.flags.writeable:
        return torch.from_numpy(np.ascontiguousarray(array))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def device_called(device: str | torch.device) -> torch.device:
    """The device of this name, if torch has it here."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        expected = '"auto", or a device of torch as "cpu" or "cuda:0"'
        raise ArgumentError(complaint("device", expected=expected, got=repr(device))) from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        expected = f"one of the {torch.cuda.device_count()} GPUs that torch sees"
        way_out = 'Use device="auto" to compute where the samples are.'
        raise UnsupportedError(
            complaint("device", expected=expected, got=repr(str(device)), way_out=way_out)
        )
    return found


def refuse_too_large(largest: float, dtype: torch.dtype) -> None:
    """Refuse values of this size whose squares, or the sums of these, would be infinite."""
    limit = _LARGEST.get(dtype, math.inf)
    if largest > limit:
        way_out = "Scale the samples"
        way_out += "." if dtype == torch.float64 else ", or pass them in float64."
        expected = f"within ±{limit:.3g}, as squares of {str(dtype)[6:]} must stay finite"
        raise ArgumentError(
            complaint("X", expected=expected, got=f"{largest:.3g}", way_out=way_out)
        )


def largest_of(x: Tensor) -> float:
    """Largest magnitude in x, NaN where there is one, in one trip that stores nothing."""
    if not x.numel():
        return 0.0
    least, largest = torch.aminmax(x)
    return float(torch.maximum(-least, largest))


def _take_tensor(
    estimator: BaseEstimator,
    X: Tensor,
    reset: bool,
    where: torch.device | None,
    dtypes: Sequence[torch.dtype],
    min_samples: int,
    finite: bool,
) -> Given:
    name = type(estimator).__name__
    _check_layout(X)
    rows, columns = X.shape
    if rows < min_samples or columns < 1:
        expected = f"at least {min_samples} samples of at least 1 feature for {name}"
        raise ShapeError(complaint("X", expected=expected, got=list(X.shape)))
    if reset:
        _note_features(estimator, columns)
    elif columns != estimator.n_features_in_:  # type: ignore[attr-defined]
        expected = f"{estimator.n_features_in_} features, as {name} was fitted with"  # type: ignore[attr-defined]
        raise ShapeError(complaint("X", expected=expected, got=f"{columns} features"))
    kept = X.detach() if X.dtype in dtypes else X.detach().to(dtypes[0])
    if finite and kept.is_floating_point() and not get_config()["assume_finite"]:
        largest = largest_of(kept)
        if not math.isfinite(largest):
            way_out = "Drop or impute those rows."
            raise ArgumentError(
                complaint("X", expected="finite", got="NaN or infinity", way_out=way_out)
            )
        refuse_too_large(largest, kept.dtype)
    return Given(kept.to(where or X.device), None, True, X.device)


def _check_layout(X: Tensor) -> None:
    """Refuse tensors that are no matrix of real numbers in memory."""
    if X.layout != torch.strided or X.is_meta:
        way_out = "Pass X.to_dense(), or a SciPy matrix where the estimator takes one."
        got = "a meta tensor" if X.is_meta else X.layout
        raise UnsupportedError(complaint("X", expected="a dense tensor", got=got, way_out=way_out))
    if X.dim() != 2:
        expected = "a matrix of shape (n_samples, n_features)"
        way_out = "Reshape it: X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one sample."
        raise ShapeError(complaint("X", expected=expected, got=list(X.shape), way_out=way_out))
    if X.is_complex():
        raise DtypeError(complaint("X", expected="real numbers", got=X.dtype))
