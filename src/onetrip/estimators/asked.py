"""What is asked about: estimators by name or as objects, one or a pipeline; sizes of a data set.

Objects are told by their class's name and parameters, so that neither scikit-learn nor torch is
imported, and scikit-learn's own estimators may be asked about before the import is swapped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onetrip.core.cost import ITEMSIZE
from onetrip.core.errors import ArgumentError, ShapeError, complaint
from onetrip.core.operators import did_you_mean, operator_names
from onetrip.core.spec import EMPTY
from onetrip.estimators.stages import ESTIMATORS

# What estimators take, and make float64, besides the dtypes that have figures.
_WIDENED = ("bool", "uint16", "uint32", "uint64")
# What scikit-learn calls a step of a pipeline that does nothing.
_NOTHING = (None, "passthrough")
_LOWERED = frozenset(name.lower() for name in ESTIMATORS)


def names_estimators(name: str) -> bool:
    """Whether `name` is of estimators, in any case, and not of an operator.

    >>> names_estimators("PCA+KMeans"), names_estimators("KMeans"), names_estimators("kmeans")
    (True, True, False)

    Raises
    ------
    ArgumentError
        It is of neither.
    """
    if name in operator_names():
        return False
    if "+" in name or name.lower() in _LOWERED:
        return True
    known = [*operator_names(), *ESTIMATORS]
    way_out = did_you_mean(name, known)
    raise ArgumentError(
        complaint("operator", expected=f"one of {known}", got=repr(name), way_out=way_out)
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One estimator: what the pipeline calls it, its class's name, its parameters that are sizes.

    `is_ours` is false for a step of a pipeline that this library has no estimator for.
    """

    name: str
    estimator: str
    parameters: Mapping[str, int] = field(default_factory=lambda: EMPTY)  # type: ignore[assignment]
    is_ours: bool = True


def steps_of(asked: Any) -> tuple[Step, ...]:
    """Steps of "PCA+KMeans", of several names or estimators, of an estimator, of a `Pipeline`.

    >>> [step.name for step in steps_of("PCA+KMeans")]
    ['pca', 'kmeans']
    """
    found = _found(asked)
    if not any(step.is_ours for step in found):
        expected = f"at least one of {list(ESTIMATORS)}"
        raise ArgumentError(complaint("steps", expected=expected, got=repr(asked)))
    return found


def _found(asked: Any) -> tuple[Step, ...]:
    if isinstance(asked, str):
        return tuple(Step(name.lower(), name) for name in asked.split("+"))
    named = getattr(asked, "steps", None)
    if named is not None:
        return tuple(inner for name, step in named for inner in _named(name, step))
    if isinstance(asked, Sequence):
        return tuple(step for one in asked for step in _listed(one))
    return (_step(asked),)


def _named(name: str, step: Any) -> tuple[Step, ...]:
    """A step of a pipeline; all of its own where it is a pipeline itself."""
    if _is_nothing(step):
        return ()
    return _found(step) if hasattr(step, "steps") else (_step(step, name),)


def _listed(one: Any) -> tuple[Step, ...]:
    return _found(one) if isinstance(one, str) else (_step(one),)


def _is_nothing(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step in _NOTHING)


def _step(estimator: Any, name: str = "") -> Step:
    parameters = getattr(estimator, "get_params", None)
    if parameters is None or isinstance(estimator, type):
        expected = "names of estimators, an estimator, or a pipeline of them"
        way_out = "Call the class: KMeans(n_clusters=8)." if isinstance(estimator, type) else ""
        got = repr(estimator)
        raise ArgumentError(complaint("steps", expected=expected, got=got, way_out=way_out))
    called = type(estimator).__name__
    return Step(
        name or called.lower(),
        called,
        {word: round(value) for word, value in parameters(deep=False).items() if _is_size(value)},
        called in ESTIMATORS,
    )


def _is_size(value: Any) -> bool:
    """Whether a parameter is a size; a perplexity of 30.0 is, a share of 0.9 is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value >= 1 and float(value).is_integer()


def sizes_of(X: Any, y: Any) -> tuple[dict[str, int], str | None]:
    """n_samples and n_features of X, n_classes or n_outputs of y, the dtype of X; of None, nothing.

    >>> sizes_of([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], ["a", "b", "a"])
    ({'n_samples': 3, 'n_features': 2, 'n_classes': 2}, 'float64')
    """
    sizes, dtype = {}, None
    if X is not None:
        shape = tuple(getattr(X, "shape", None) or (len(X), *(len(row) for row in X[:1])))
        if len(shape) != 2:
            expected = "a matrix of shape (n_samples, n_features)"
            raise ShapeError(complaint("X", expected=expected, got=list(shape)))
        sizes = {"n_samples": int(shape[0]), "n_features": int(shape[1])}
        # What has no dtype of its own, lists and frames, becomes float64.
        dtype = str(getattr(X, "dtype", "float64")).removeprefix("torch.")
        if dtype in _WIDENED:
            dtype = "float64"
        if dtype not in ITEMSIZE:
            expected = f"numbers of one of {sorted(ITEMSIZE)}"
            raise ArgumentError(complaint("X", expected=expected, got=f"dtype {dtype}"))
    if y is not None:
        y = y.to_numpy() if hasattr(y, "to_numpy") else y
        targets = y.tolist() if hasattr(y, "tolist") else list(y)
        if targets and isinstance(targets[0], list | tuple):
            sizes["n_outputs"] = len(targets[0])
            targets = [label for row in targets for label in row]
        sizes["n_classes"] = len(set(targets))
    return sizes, dtype
