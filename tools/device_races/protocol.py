"""What a file of this folder holds: the races of one operator on a device.

A file `<operator>.py` defines ``RACES``, a tuple of `Race`. A contender imports its library inside
its function; one whose library is missing is left out by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import onetrip
from onetrip.core.device import Device
from onetrip.core.operators import operator_module
from onetrip.estimators.pipeline_cost import StageEstimate

Inputs = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Race:
    """One problem that our operator and its peers solve side by side.

    Parameters
    ----------
    name : unique within the file.
    axes : of the operator's cost, {"N": 1_000_000}.
    options : of the operator's cost, {"max_iter": 20}.
    runs : what "onetrip" is: "" the operator alone, "HDBSCAN" an estimator from end to end,
        "KMeans.start" one of its stages, "MiniBatchKMeans.batches+label" several, as `onetrip
        estimate` calls them. `options` that are sizes are the estimator's then.
    make : draws the inputs on the device from a fixed seed.
    contenders : name -> a function of the inputs that solves the problem and returns its answer;
        names of ours begin with "onetrip".
    errors : of an answer, by name; the truth is float64.
    allowed : the largest of each error that is right. Where "onetrip" has a larger one, nothing
        is timed; a peer that has one is timed and marked as incorrect.
    """

    name: str
    axes: Mapping[str, int]
    make: Callable[[], Inputs]
    contenders: Mapping[str, Callable[[Inputs], Any]]
    errors: Callable[[Inputs, Any], Mapping[str, float]]
    allowed: Mapping[str, float]
    options: Mapping[str, object] = field(default_factory=dict)
    dtype: str = "float32"
    runs: str = ""

    def excess(self, errors: Mapping[str, float]) -> str:
        """What is larger than allowed, as words; "" where nothing is. NaN is."""
        large = [name for name, most in self.allowed.items() if not errors[name] <= most]
        return ", ".join(f"{name} {errors[name]:.3g} > {self.allowed[name]:.3g}" for name in large)


def stages_of(
    runs: str,
    operator: str,
    axes: Mapping[str, int],
    options: Mapping[str, Any],
    *,
    device: str | Device,
    dtype: str,
) -> tuple[StageEstimate, ...]:
    """What `onetrip estimate` says of what a race `runs`: all stages of an estimator, or some."""
    estimator, _, wanted = runs.partition(".")
    words = operator_module(operator, "spec").SPEC.words
    sizes = {words[axis]: size for axis, size in axes.items()} | dict(options)
    answer = onetrip.estimate_pipeline(estimator, device=device, dtype=dtype, **sizes)
    return tuple(stage for stage in answer.stages if not wanted or stage.does in wanted.split("+"))
