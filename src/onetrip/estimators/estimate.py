"""`onetrip.estimate`: what an operator, an estimator or a pipeline costs before it runs."""

from typing import Any, overload

from onetrip.core import estimate as operators
from onetrip.core.device import Device
from onetrip.core.errors import ArgumentError, complaint
from onetrip.estimators.asked import names_estimators
from onetrip.estimators.pipeline_cost import PipelineEstimate, estimate_pipeline
from onetrip.estimators.stages import EstimatorName


@overload
def estimate(
    operator: EstimatorName,
    *,
    X: Any = ...,
    y: Any = ...,
    device: str | Device = ...,
    dtype: str | None = ...,
    backward: bool = ...,
    options: dict[str, object] | None = ...,
    **axes: int,
) -> PipelineEstimate: ...


# Any: a text may name estimators too, which a type checker cannot see.
@overload
def estimate(
    operator: str,
    *,
    device: str | Device = ...,
    dtype: str | None = ...,
    backward: bool = ...,
    options: dict[str, object] | None = ...,
    **axes: int,
) -> operators.Estimate | Any: ...


@overload
def estimate(
    operator: object,
    *,
    X: Any = ...,
    y: Any = ...,
    device: str | Device = ...,
    dtype: str | None = ...,
    backward: bool = ...,
    options: dict[str, object] | None = ...,
    **axes: int,
) -> PipelineEstimate: ...


def estimate(
    operator: Any,
    *,
    X: Any = None,
    y: Any = None,
    device: str | Device = "h100",
    dtype: str | None = None,
    backward: bool = True,
    options: dict[str, object] | None = None,
    **axes: int,
) -> operators.Estimate | PipelineEstimate:
    """Floor, compulsory bytes, and each implementation's predicted time and workspace.

    Nothing runs and neither torch nor triton is imported.

    Parameters
    ----------
    operator : name of an operator, "kmeans" for one. Or estimators, for a table of every stage, as
        `onetrip.estimate_pipeline` answers it: their names ("KMeans", "PCA+KMeans"), one itself,
        or scikit-learn's `Pipeline` of them. A name of both, in these letters, is the operator's.
    X, y : of estimators only: samples of which shape and dtype are read, labels of which the
        number of classes is read; in place of sizes.
    device : short name ("h100"), the name that a driver reports, or a `Device`.
    dtype : dtype of the floating inputs; None, that of X, else float32 for an operator of
        estimators, else bfloat16.
    backward : count forward and backward, as a training step does; False counts forward only.
    options : keyword arguments of the public function that change the work (`memory_budget`, …).
    **axes : size of every axis that the operator's spec declares, by its letter or its word
        ("n_samples"); of estimators, also their parameters that are sizes (n_clusters, …).

    Returns
    -------
    Estimate or PipelineEstimate
        Times in milliseconds, memory in bytes.

    Raises
    ------
    ArgumentError
        Unknown operator or device, a missing or unknown axis, a negative size.

    Examples
    --------
    >>> import onetrip
    >>> answer = onetrip.estimate("linear_cross_entropy", N=8192, D=2304, V=256000)
    >>> answer.bound
    'compute'
    >>> from onetrip.cluster import KMeans
    >>> answer = onetrip.estimate(KMeans(n_clusters=100), n_samples=1_000_000, n_features=64)
    >>> [stage.does for stage in answer.stages]
    ['start', 'fit', 'transform']
    """
    if not isinstance(operator, str) or names_estimators(operator):
        if options is not None or not backward:
            expected = "left out for estimators, whose parameters say what they do"
            raise ArgumentError(complaint("options, backward", expected=expected, got="one given"))
        return estimate_pipeline(operator, X=X, y=y, device=device, dtype=dtype, **axes)
    if X is not None or y is not None:
        way_out = 'Pass sizes, or an estimator: KMeans(), or "KMeans" in place of "kmeans".'
        expected = f"left out for the operator {operator!r}"
        raise ArgumentError(complaint("X, y", expected=expected, got="one given", way_out=way_out))
    return operators.estimate(
        operator, device=device, dtype=dtype, backward=backward, options=options, **axes
    )
