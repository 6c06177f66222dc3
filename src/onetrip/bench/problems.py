"""Turn the name of a problem into data: a workload, a recorded run, or a trained head."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from onetrip.bench.recording_file import RecordedCall, Recording, dtype_name, read_recording
from onetrip.bench.stdlib_corpus import Progress, silent
from onetrip.bench.stdlib_lm import CPU_LM, DEVICE_LM, LmConfig, StdlibLm, stdlib_lm
from onetrip.core.cost import Cost
from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.core.operators import load_spec, load_workloads, operator_module
from onetrip.core.spec import OperatorSpec
from onetrip.core.workload import Workload

# Rows are resampled in runs of this length: neighbours in a text stay neighbours.
_ROWS_PER_RUN = 64
_LARGEST_GAIN = 2.0**-6

_TRAINED_OPERATOR = "linear_cross_entropy"
_TRAINED: Mapping[str, tuple[LmConfig, Workload]] = MappingProxyType(
    {
        "stdlib-lm": (
            CPU_LM,
            Workload(
                "stdlib-lm",
                {"N": 2048, "D": CPU_LM.width, "V": CPU_LM.vocab},
                "float32",
                frozenset({"trained"}),
                why="a trained head on any laptop: logits as peaked and clustered as real ones",
            ),
        ),
        "stdlib-lm-device": (
            DEVICE_LM,
            Workload(
                "stdlib-lm-device",
                {"N": 8192, "D": DEVICE_LM.width, "V": DEVICE_LM.vocab},
                "bfloat16",
                frozenset({"trained", "bench"}),
                why="a trained head of GPT-2's width, on which skipping schemes are judged",
            ),
        ),
    }
)


class BenchProblem(Protocol):
    """One problem with a supply of values for it."""

    @property
    def workload(self) -> Workload:
        """Axes, dtype and options."""
        ...

    def prepare(self, progress: Progress = silent) -> None:
        """Do what takes long, once; later calls, from any process, find it done."""
        ...

    def inputs(
        self,
        seed: int,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """Tensor arguments of the public function, other values for each seed.

        `dtype` replaces the workload's dtype of the floating inputs.
        """
        ...


def resolve(
    operator: str,
    workload: str | None = None,
    recorded: str | Path | None = None,
    call: int | None = None,
) -> BenchProblem:
    """Find a problem. Nothing is trained and no tensor is read before `inputs` or `prepare`.

    Parameters
    ----------
    operator : name of an operator.
    workload : one of `problem_names`; by default the first of them.
    recorded : a file written by `onetrip.record`, in place of `workload`.
    call : which of the file's problems; by default the one that asks for most operations,
        over all of its calls.

    Returns
    -------
    BenchProblem
        `workload`, and `inputs(seed, device, dtype)`.

    Raises
    ------
    ArgumentError
        Unknown operator or workload, or both `workload` and `recorded`.
    DataError
        The file is damaged, or holds no call of the operator.

    Notes
    -----
    Every seed brings other values, so that no candidate can know an answer beforehand:

    - a workload draws them from the seed;
    - "stdlib-lm" reads other windows of held-out text with the trained model;
    - a recording with tensors resamples rows of the first axis of the operator's first input,
      with replacement and in runs of 64 so that neighbours in a text stay together, and scales
      each row of the data by a gain within 1/64 of one. The weights are those of the run. What
      the values look like stays; the loss and every gradient change;
    - a recording without tensors draws random values of the same axes.

    Examples
    --------
    >>> problem = resolve("linear_cross_entropy", "ragged")
    >>> problem.workload.axes["V"], problem.inputs(seed=1)["input"].shape
    (143, torch.Size([67, 40]))
    """
    spec = load_spec(operator)
    if recorded is not None:
        if workload is not None:
            expected = "left out when `recorded` is given"
            raise ArgumentError(complaint("workload", expected=expected, got=repr(workload)))
        return _recorded(spec, read_recording(recorded), call)
    names = problem_names(operator)
    name = names[0] if workload is None else workload
    if name not in names:
        raise ArgumentError(complaint("workload", expected=f"one of {list(names)}", got=repr(name)))
    if name in _TRAINED and operator == _TRAINED_OPERATOR:
        return TrainedProblem(*_TRAINED[name])
    return DrawnProblem(spec, next(w for w in load_workloads(operator) if w.name == name))


def problem_names(operator: str) -> tuple[str, ...]:
    """Every name that `resolve` takes as `workload`, the default first.

    >>> problem_names("linear_cross_entropy")[0]
    'stdlib-lm'
    """
    trained = tuple(_TRAINED) if operator == _TRAINED_OPERATOR else ()
    return (*trained, *(workload.name for workload in load_workloads(operator)))


class DrawnProblem:
    """Values drawn by the operator's `reference.make_inputs`."""

    def __init__(self, spec: OperatorSpec, workload: Workload) -> None:
        self.workload = workload
        self._spec = spec

    def prepare(self, progress: Progress = silent) -> None:
        """Nothing takes long."""

    def inputs(
        self,
        seed: int,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """Draw the values of one seed."""
        return operator_module(self._spec.name, "reference").make_inputs(
            self.workload.axes,
            dtype=_as_dtype(dtype or self.workload.dtype),
            device=device,
            seed=seed,
            data=self.workload.data,
            optional_inputs=self.workload.optional_inputs,
        )


class TrainedProblem:
    """Held-out text seen by the model of `onetrip.bench.stdlib_lm`, and its head."""

    def __init__(self, config: LmConfig, workload: Workload) -> None:
        self.config = config
        self.workload = workload
        self._lm: StdlibLm | None = None

    def prepare(self, progress: Progress = silent) -> None:
        """Train the model, or find it in the cache."""
        if self._lm is None:
            self._lm = stdlib_lm(self.config, progress=progress)

    def inputs(
        self,
        seed: int,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """Read the windows that `seed` picks; trains the model if it is not there yet."""
        lm = self._lm or stdlib_lm(self.config)
        self._lm = lm
        problem = lm.problem(
            self.workload.axes["N"],
            seed=seed,
            device=device,
            dtype=_as_dtype(dtype or self.workload.dtype),
        )
        return {
            "input": problem.hidden,
            "linear_weight": problem.head,
            "target": problem.target,
        }


class RecordedProblem:
    """The tensors of a recorded call, resampled for each seed."""

    def __init__(self, spec: OperatorSpec, recording: Recording, call: RecordedCall) -> None:
        self.workload = _workload_of(recording, call)
        self._spec = spec
        self._recording = recording
        self._call = call

    def prepare(self, progress: Progress = silent) -> None:
        """Nothing takes long."""

    def inputs(
        self,
        seed: int,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """Resample the recorded rows."""
        recorded = self._recording.load_tensors(self._call)
        generator = torch.Generator().manual_seed(seed)
        resampled = resample_rows(self._spec, recorded, generator)
        wanted = _as_dtype(dtype or self.workload.dtype)
        return {
            name: tensor.to(
                device, wanted if dtype_name(tensor) == self.workload.dtype else tensor.dtype
            )
            for name, tensor in resampled.items()
        }


def resample_rows(
    spec: OperatorSpec, tensors: Mapping[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Other values like these: runs of rows drawn with replacement, each row's data rescaled.

    Rows lie along the first axis of the operator's first input. Tensors that begin with that
    axis are resampled together; those of them that are differentiable data are rescaled.
    """
    letter = spec.inputs[0].axes[0]
    by_row = {
        declared.name: declared.grad
        for declared in spec.inputs
        if declared.name in tensors and declared.axes[:1] == (letter,)
    }
    n_rows = len(tensors[next(iter(by_row))]) if by_row else 0
    if n_rows == 0:
        return dict(tensors)
    length = min(_ROWS_PER_RUN, n_rows)
    n_runs = -(-n_rows // length)
    start = torch.randint(0, n_rows - length + 1, (n_runs, 1), generator=generator)
    row = (start + torch.arange(length)).flatten()[:n_rows]
    gain = 1 + _LARGEST_GAIN * (2 * torch.rand(n_rows, generator=generator) - 1)  # [N] float32
    resampled = dict(tensors)
    for name, is_data in by_row.items():
        drawn = tensors[name][row]
        if is_data:
            # In float32 at least: a half has no value between 1 and 1 + 2**-7.
            drawn = (drawn * gain.view(-1, *[1] * (drawn.ndim - 1))).to(drawn.dtype)
        resampled[name] = drawn
    return resampled


def _recorded(spec: OperatorSpec, recording: Recording, call: int | None) -> BenchProblem:
    calls = [found for found in recording.calls if found.operator == spec.name]
    if not calls:
        seen = sorted({found.operator for found in recording.calls}) or "no call at all"
        raise DataError(
            f"The recording {recording.path} holds no call of {spec.name}, but of {seen}. "
            "Record a step that calls it."
        )
    if call is None:
        estimate = operator_module(spec.name, "cost").estimate_cost

        def total_flops(found: RecordedCall) -> int:
            cost: Cost = estimate(**found.axes, dtype=found.dtype)
            return found.count * cost.flops

        chosen = max(calls, key=total_flops)
    elif 0 <= call < len(calls):
        chosen = calls[call]
    else:
        expected = f"between 0 and {len(calls) - 1} for this file"
        raise ArgumentError(complaint("call", expected=expected, got=call))
    if chosen.member is None:
        return DrawnProblem(spec, _workload_of(recording, chosen))
    return RecordedProblem(spec, recording, chosen)


def _workload_of(recording: Recording, call: RecordedCall) -> Workload:
    spec = load_spec(call.operator)
    optional = {declared.name for declared in spec.inputs if declared.optional}
    reference = getattr(operator_module(spec.name, "reference"), f"{spec.name}_reference")
    defining = inspect.signature(reference).parameters
    return Workload(
        name=f"{recording.path.stem}-{recording.calls.index(call)}",
        axes=call.axes,
        dtype=call.dtype,
        tags=frozenset({"recorded"}),
        why=f"called {call.count} times in {recording.path.name} on {call.device}",
        # What the reference does not know says how the run computed (`memory_budget`), not what.
        options={name: value for name, value in call.options.items() if name in defining},
        optional_inputs=tuple(name for name in call.tensors if name in optional),
    )


def _as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    return getattr(torch, dtype) if isinstance(dtype, str) else dtype
