"""A folder in the format of gpu-mode's reference kernels as a problem, read as it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.lab.problems.brief import brief_of
from onetrip.lab.problems.defined import DefinedProblem, device_of, seeded, takes
from onetrip.lab.problems.loaded_module import Modules
from onetrip.lab.problems.problem import Case, Entry, ProblemRef
from onetrip.lab.problems.task_file import read_task
from onetrip.lab.problems.wide import copied, mapped
from onetrip.lab.store.study import fingerprint
from onetrip.lab.verdict import Check

Tensors = Mapping[str, Tensor]

# What `generate_input` of such folders takes for a seed: some pass it on to NumPy.
_SEEDS = 2**31 - 1
_OWN_CHECK = "check_implementation"
_BOTH, _OWN = "both", "own"


class FolderProblem(DefinedProblem):
    """`task.yml`, `task.py`, `reference.py`; a candidate defines ``custom_kernel(data)``.

    Both this lab's error budget and the folder's own check must accept an output. Option "judge":
    "own" leaves the verdict to the folder's check alone, as where the folder comes from. Option
    "task": "task_device.yml" names another task file, with other sizes.
    """

    def __init__(self, ref: ProblemRef) -> None:
        super().__init__(ref, "judge", "task")
        self._own_alone = ref.options.get("judge", _BOTH) == _OWN
        if ref.options.get("judge", _BOTH) not in (_BOTH, _OWN):
            expected = f"{_BOTH!r} or {_OWN!r}"
            raise ArgumentError(complaint("judge", expected=expected, got=ref.options["judge"]))
        self._folder = Path(ref.location)
        self._task_name = str(ref.options.get("task", "task.yml"))
        if Path(self._task_name).name != self._task_name:
            expected = "the name of a file in the folder"
            raise ArgumentError(complaint("task", expected=expected, got=repr(self._task_name)))
        self._task = read_task(self._folder, self._task_name)
        self.cases = self._task.cases
        if self._own_alone and _OWN_CHECK not in self._task.files["reference.py"]:
            raise DataError(f"{self._folder / 'reference.py'} has no {_OWN_CHECK} to decide.")
        self._modules: dict[str, Modules] = {}

    @property
    def name(self) -> str:
        """The folder's name, with that of another task file; unless the options give one."""
        folder, variant = self._folder.resolve().name, Path(self._task_name).stem
        own = folder if variant == "task" else f"{folder}/{variant.removeprefix('task_')}"
        return str(self.ref.options.get("name", own))

    @property
    def brief(self) -> str:
        """The folder's description and its reference."""
        page = brief_of(self, self._task.files["reference.py"])
        return f"{page}\n## Description\n\n{self._task.description}\n"

    @property
    def entry(self) -> Entry:
        """``custom_kernel(data)``."""
        return Entry("custom_kernel", "data", self._task.files, self._probe.written)

    @property
    def deterministic(self) -> bool:
        """As the options say, else as "deterministic" in `task.yml` does."""
        return bool(self.ref.options.get("deterministic", self._task.deterministic))

    @property
    def tolerance(self) -> Mapping[str, object]:
        """The budget, and the folder's own check beside it."""
        if self._own_alone:
            return {"own check": f"{_OWN_CHECK} alone decides"}
        own = f"{_OWN_CHECK} must accept it too" if self._own_function("cpu") else "none"
        return {**self._tolerance.as_dict(), "own check": own}

    @property
    def fingerprint(self) -> str:
        """Of every file that candidates and judge see, the cases and the tolerance."""
        cases = [[case.name, dict(case.arguments), case.timed, case.hidden] for case in self.cases]
        return fingerprint([
            "folder", self.name, dict(self._task.files), cases, dict(self.tolerance),
            self.deterministic,
        ])  # fmt: skip

    def inputs(self, case: Case, seed: int, device: str) -> Any:
        """What `generate_input` makes of the case's arguments and a seed."""
        seed %= _SEEDS
        generate = self._function("generate_input", device)
        arguments = dict(case.arguments)
        if takes(generate, "seed"):
            arguments["seed"] = seed
        # Some draw from the global generator whatever they are given.
        with self._running(device), seeded(seed):
            data = generate(**arguments)
        return mapped(data, lambda tensor: tensor.detach().to(device))

    def check(
        self, case: Case, inputs: Any, outputs: Tensors, eager: Tensors, truth: Tensors
    ) -> list[Check]:
        """Every output within the budget, and accepted by the folder's own check."""
        checks = super().check(case, inputs, outputs, eager, truth)
        # The folder's check may trust shapes: it sees only what has them.
        if not outputs.keys() >= eager.keys() or _misshapen(outputs, eager):
            return checks
        own = self.own_check(case, inputs, outputs, eager)
        return own if self._own_alone else [*checks, *own]

    def own_check(self, case: Case, inputs: Any, outputs: Tensors, eager: Tensors) -> list[Check]:
        """What the folder's `check_implementation` says; nothing where there is none."""
        device = device_of(inputs)
        own = self._own_function(device)
        if own is None:
            return []
        result = [outputs[name].detach().clone() for name in eager]
        with self._running(device):
            passed, said = _answer(own, copied(inputs), _as_returned(result, eager))
        message = "" if passed else f"{_OWN_CHECK}: {said or 'refused'}"
        return [Check(_OWN_CHECK, passed, None, None, message, case.name)]

    def _define(self, case: Case, setup: Any, inputs: Any, device: str) -> Any:
        reference = self._function("ref_kernel", device)
        with self._running(device):
            return reference(inputs)

    def _cost_function(self) -> Callable[..., Mapping[str, int]] | None:
        return getattr(self._reference("cpu"), "estimate_cost", None)

    def _own_function(self, device: str) -> Callable | None:
        return getattr(self._reference(device), _OWN_CHECK, None)

    def _function(self, name: str, device: str) -> Callable:
        function = getattr(self._reference(device), name, None)
        if function is None:
            raise DataError(f"{self._folder / 'reference.py'} defines no {name}.")
        return function

    def _reference(self, device: str) -> Any:
        return self._on(device).load("reference.py")

    @contextmanager
    def _running(self, device: str) -> Iterator[None]:
        with self._on(device).importable():
            yield

    def _on(self, device: str) -> Modules:
        kind = device.partition(":")[0]
        if kind not in self._modules:
            self._modules[kind] = Modules(self._task.files, device)
        return self._modules[kind]


def _misshapen(outputs: Tensors, eager: Tensors) -> bool:
    return any(
        outputs[name].shape != plain.shape or outputs[name].dtype != plain.dtype
        for name, plain in eager.items()
    )


def _as_returned(result: list[Tensor], eager: Tensors) -> Any:
    return result[0] if "output" in eager else tuple(result)


def _answer(check: Callable, data: Any, output: Any) -> tuple[bool, str]:
    """What the folder's check says: such folders answer with a text, a truth value, or both."""
    try:
        answer = check(data, output)
    except AssertionError as error:
        return False, str(error)
    if isinstance(answer, tuple) and len(answer) == 2:
        return bool(answer[0]), str(answer[1])
    if isinstance(answer, str):
        return not answer, answer
    return answer is None or bool(answer), ""
