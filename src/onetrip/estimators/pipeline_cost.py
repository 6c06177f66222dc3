"""What an estimator, or a pipeline of them, costs before it runs: time, memory, what runs, why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device, find_device
from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.estimate import estimate, whole_sizes
from onetrip.core.operators import did_you_mean
from onetrip.core.selection import FLOOR_ONLY
from onetrip.core.units import bytes_text, time_text
from onetrip.estimators.asked import Step, sizes_of, steps_of
from onetrip.estimators.stage_times import is_fitted
from onetrip.estimators.stages import Sizes, Stage, dtype_taken, plan_of


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What one stage costs.

    `impl` is what would run, "" where no operator has a choice of it; `latency_ms` None where there
    is a floor only; `floor_ms` None where there is not even that, on the host.
    """

    step: str
    does: str
    operator: str
    times: int
    impl: str
    why: str
    latency_ms: float | None
    floor_ms: float | None
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class PipelineEstimate:
    """Stages in the order in which they run, one after the other."""

    device: Device
    dtype: str
    stages: tuple[StageEstimate, ...]

    @property
    def floor_ms(self) -> float:
        """Sum of the stages' floors: nothing runs faster."""
        return sum(stage.floor_ms or 0.0 for stage in self.stages)

    @property
    def latency_ms(self) -> float | None:
        """Sum of the predictions, with floors where a stage has no other figure; None for none."""
        known = [stage.latency_ms for stage in self.stages]
        if all(latency_ms is None for latency_ms in known):
            return None
        return sum(stage.latency_ms or stage.floor_ms or 0.0 for stage in self.stages)

    @property
    def is_complete(self) -> bool:
        """Whether every stage has a prediction."""
        return all(stage.latency_ms is not None for stage in self.stages)

    @property
    def peak_bytes(self) -> int:
        """The largest peak of a stage: inputs, outputs and workspace."""
        return max((stage.peak_bytes or 0 for stage in self.stages), default=0)

    def __str__(self) -> str:
        """A table: for each stage the time, the floor, the memory peak, what runs, and why."""
        rows = [("stage", "predicted", "floor", "memory peak", "runs", "why")]
        for stage in self.stages:
            unknown = "–" if stage.floor_ms is None else FLOOR_ONLY
            rows.append(
                (
                    f"{stage.step} {stage.does}{f' × {stage.times}' if stage.times > 1 else ''}",
                    unknown if stage.latency_ms is None else time_text(stage.latency_ms),
                    "–" if stage.floor_ms is None else time_text(stage.floor_ms),
                    "–" if stage.peak_bytes is None else bytes_text(stage.peak_bytes),
                    f"{stage.operator}, {stage.impl}" if stage.impl else "–",
                    stage.why,
                )
            )
        at_least = "" if self.is_complete else "at least "
        total = FLOOR_ONLY if self.latency_ms is None else at_least + time_text(self.latency_ms)
        everything = (total, time_text(self.floor_ms), bytes_text(self.peak_bytes))
        rows.append((f"all on {self.device.name}", *everything, "", ""))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = (
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]
            )
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)


def estimate_pipeline(
    steps: Any,
    *,
    X: Any = None,
    y: Any = None,
    device: str | Device = "h100",
    dtype: str | None = None,
    **sizes: int,
) -> PipelineEstimate:
    """Time, memory peak, what would run and why, for every stage of estimators in a row.

    Nothing runs and neither torch nor triton is imported. A stage is predicted only by figures
    measured on the device: others have a floor, and say so.

    Parameters
    ----------
    steps : names of estimators, in a sequence or joined by "+": "PCA+KMeans"; or an estimator, or
        scikit-learn's `Pipeline` of estimators, whose parameters are read. A step that is not this
        library's is named and has no figures; it is taken to keep the number of features. A share
        of the variance, and "mle", count as all components.
    X : matrix of shape (n_samples, n_features), optional, of which shape and dtype are read. A
        sparse one is counted as if it were dense.
    y : labels or targets, optional, of which the number of classes, and of columns, is read.
    device : short name ("h100"), the name that a driver reports, or a `Device`.
    dtype : dtype of the samples; None, that of X, or float32. Integers count as the float64 that
        estimators make of them.
    **sizes : n_samples, n_features, and the parameters of scikit-learn that are sizes
        (n_clusters, n_components, n_neighbors, n_queries, n_classes, n_outputs, batch_size,
        max_iter, …).
        With a step in front, ``pca__n_components``, of that step alone. They win over what is
        read from objects.

    Returns
    -------
    PipelineEstimate
        Printed, a table with a line for each stage.

    Raises
    ------
    ArgumentError
        Unknown estimator or device; a size that is missing, unknown or negative.

    Examples
    --------
    >>> import onetrip
    >>> sizes = {"n_samples": 100_000, "n_features": 256, "n_components": 16, "n_clusters": 10}
    >>> answer = onetrip.estimate_pipeline("PCA+KMeans", **sizes)
    >>> [f"{stage.step}.{stage.does}" for stage in answer.stages]
    ['pca.fit', 'pca.transform', 'kmeans.start', 'kmeans.fit']
    """
    read, dtype_read = sizes_of(X, y)
    dtype = dtype or dtype_read or "float32"
    if dtype not in ITEMSIZE:
        expected = f"one of {sorted(ITEMSIZE)}"
        raise ArgumentError(complaint("dtype", expected=expected, got=repr(dtype)))
    sizes = whole_sizes(sizes)
    found = device if isinstance(device, Device) else find_device(device)
    answers: list[StageEstimate] = []
    asked: set[str] = set()
    features = sizes.get("n_features", read.get("n_features"))
    chain = steps_of(steps)
    for place, step in enumerate(chain):
        if not step.is_ours:
            answers.append(_unknown_stage(step))
            continue
        mine = dict(step.parameters) | read | _sizes_of(step.name, sizes, features)
        taken = dtype_taken(step.estimator, dtype)
        words = Sizes(step.estimator, mine, taken)
        plan = plan_of(step.estimator, words)
        asked |= words.asked | {f"{step.name}__{word}" for word in words.asked}
        last = place == len(chain) - 1
        if not last and plan.features is None:
            expected = "steps that transform before the last one"
            got = f"{step.estimator} in between"
            raise ArgumentError(complaint("steps", expected=expected, got=got))
        stages = plan.stages
        if last and len(chain) > 1 and stages[-1].does == "transform":
            stages = stages[:-1]  # A pipeline only fits its last step.
        answers += [_estimate_stage(step.name, stage, found, taken) for stage in stages]
        features = plan.features
    unknown = sorted(sizes.keys() - asked)
    if unknown:
        known = sorted(word for word in asked if "__" not in word)
        way_out = did_you_mean(unknown[0], asked)
        raise ArgumentError(
            complaint("sizes", expected=f"among {known}", got=unknown, way_out=way_out)
        )
    return PipelineEstimate(found, dtype, tuple(answers))


def _unknown_stage(step: Step) -> StageEstimate:
    why = f"{step.estimator} is not of this library: no figures, and as many features after it"
    return StageEstimate(step.name, "fit", "", 1, "", why, None, None, None)


def _sizes_of(step: str, sizes: Mapping[str, int], features: int | None) -> dict[str, int]:
    """Sizes as one step sees them: its own before common ones, features of the step before."""
    common = {word: size for word, size in sizes.items() if "__" not in word}
    if features is not None:
        common["n_features"] = features
    prefix = f"{step}__"
    own = {word.removeprefix(prefix): n for word, n in sizes.items() if word.startswith(prefix)}
    return common | own


def _estimate_stage(step: str, stage: Stage, device: Device, dtype: str) -> StageEstimate:
    answer = StageEstimate(
        step, stage.does, stage.operator, stage.times, "", stage.note, None, None, None
    )
    if stage.cost is not None:
        floor_ms = stage.cost.floor_ms(device, dtype)
        known = stage.latency_ms is not None and is_fitted(device)
        latency_ms = stage.latency_ms(device) if known and stage.latency_ms else None
        peak_bytes = stage.held_bytes + (stage.cpu_bytes if device.kind == "cpu" else 0)
        return replace(answer, floor_ms=floor_ms, peak_bytes=peak_bytes, latency_ms=latency_ms)
    if not stage.operator:
        return answer
    found = estimate(
        stage.operator,
        device=device,
        dtype=stage.dtype or dtype,
        backward=False,
        options=dict(stage.options),
        **stage.axes,
    )
    choice = found.choice
    (prediction,) = [one for one in found.predictions if one.impl == choice.impl]
    latency_ms = None if found.has_floor_only else prediction.latency_ms
    return replace(
        answer,
        impl=choice.impl,
        why="; ".join(part for part in (choice.why, stage.note) if part),
        latency_ms=None if latency_ms is None else stage.times * latency_ms,
        floor_ms=stage.times * found.floor_ms,
        peak_bytes=None if found.peak_bytes is None else found.peak_bytes + stage.held_bytes,
    )
