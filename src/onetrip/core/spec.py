"""What an operator declares about itself. Tests, benchmark, docs, estimate and lab read this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

EMPTY: Mapping[str, object] = MappingProxyType({})

# A few units in the last place of each dtype: the least error that a budget ever allows.
DEFAULT_FLOOR = MappingProxyType(
    {"float64": 2.0**-48, "float32": 2.0**-21, "float16": 2.0**-10, "bfloat16": 2.0**-7}
)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of an operator's signature.

    `axes` are letters declared in `OperatorSpec.axes`, in memory order; `grad` says that the
    operator differentiates with respect to it; `optional` that callers may leave it out.
    `vectors_of` names the output that holds the value of each of its rows, which are orthonormal:
    those of value 0 may be any such rows.
    """

    name: str
    axes: tuple[str, ...]
    dtypes: tuple[str, ...]
    grad: bool = False
    optional: bool = False
    vectors_of: str = ""


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """How far a result may be from float64 truth.

    ``|actual - gold| <= factor * max|eager - gold| + floor[dtype] * max|gold|`` where `gold` is
    the reference in float64 and `eager` the reference in the working dtype.
    """

    factor: float
    reason: str
    floor: Mapping[str, float] = field(default_factory=lambda: DEFAULT_FLOOR)


@dataclass(frozen=True, slots=True)
class OperatorSpec:
    """Everything that is true of an operator whatever implementation runs it.

    Parameters
    ----------
    name : the folder in `onetrip.ops` and the public function `onetrip.<name>`.
    summary : one sentence.
    axes : letter -> meaning.
    inputs, outputs : tensors of the signature.
    implementations : names that `impl=` accepts besides "auto".
    budget : error budget with its reason.
    deterministic : bit-equal results of two runs on one device; if not, `notes` says why.
    sources : papers and APIs followed.
    words : letter -> the word that an estimator has for it ("n_samples"), where there is one.
    estimators : names of the estimators that it carries ("KMeans").
    """

    name: str
    summary: str
    axes: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    implementations: tuple[str, ...]
    budget: ErrorBudget
    deterministic: bool = True
    differentiable: bool = True
    sources: tuple[str, ...] = ()
    notes: str = ""
    words: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    estimators: tuple[str, ...] = ()
