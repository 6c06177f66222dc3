"""What problems share whose definition is a Python function of their own files."""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from onetrip.core.cost import Cost
from onetrip.core.errors import ArgumentError, DataError, UnsupportedError, complaint
from onetrip.lab.problems.problem import Case, Contender, OutputSpec, ProblemRef
from onetrip.lab.problems.wide import InFloat64, copied, tensors_of, widened
from onetrip.lab.problems.within_budget import (
    PLAIN_BUDGET,
    UNROUNDED_FLOOR,
    Tolerance,
    budget_checks,
)
from onetrip.lab.verdict import Check
from onetrip.testing.budget import dtype_name

Tensors = Mapping[str, Tensor]

# How a definition fails that its own lines tie to one dtype.
_TIED = (RuntimeError, TypeError, ValueError, AssertionError)
# `floor` in the options: each input is read whole, each output written.
_BYTES = "bytes"
_OPTIONS = frozenset({"name", "floor", "factor", "deterministic"})


@dataclass(frozen=True, slots=True)
class Probe:
    """What one run of the definition on the smallest case showed.

    `in_float64` says that it can be evaluated there; `written` counts the input tensors, in the
    order of the tree, that it writes or returns.
    """

    in_float64: bool
    why_not: str
    written: tuple[int, ...]


class DefinedProblem:
    """A definition in Python, run by the oracle in the working dtype and in float64.

    Options of the reference that every such problem takes: "name" in place of the file's;
    "factor" of the error budget; "deterministic": True when two runs must agree bit for bit;
    "floor": "bytes" when every input is read whole and every output written, so that their bytes
    make a floor. A function ``estimate_cost(**arguments)`` beside the definition, which returns
    "flops", "bytes_read" and "bytes_written", makes a better one.
    """

    cases: Sequence[Case] = ()

    def __init__(self, ref: ProblemRef, *more_options: str) -> None:
        allowed = _OPTIONS | set(more_options)
        unknown = sorted(ref.options.keys() - allowed)
        if unknown:
            expected = f"a mapping with some of {sorted(allowed)}"
            raise ArgumentError(complaint("options", expected=expected, got=unknown))
        self.ref = ref
        self._known_outputs: dict[str, tuple[OutputSpec, ...]] = {}

    @property
    def name(self) -> str:
        """Short and unique in a lab."""
        raise NotImplementedError

    def setup(self, case: Case, seed: int, device: str) -> Any:
        """Nothing, unless the problem has parameters."""
        return None

    def inputs(self, case: Case, seed: int, device: str) -> Any:
        """Data of one call."""
        raise NotImplementedError

    def _define(self, case: Case, setup: Any, inputs: Any, device: str) -> Any:
        """Run the definition; it may write into `inputs`."""
        raise NotImplementedError

    def _cost_function(self) -> Callable[..., Mapping[str, int]] | None:
        """The problem's own `estimate_cost`, where it has one."""
        raise NotImplementedError

    @property
    def deterministic(self) -> bool:
        """As the options say; no by default, for a sum by atomic additions is honest."""
        return bool(self.ref.options.get("deterministic", False))

    @property
    def tolerance(self) -> Mapping[str, object]:
        """The error budget, and where the truth comes from."""
        return self._tolerance.as_dict()

    def outputs(self, case: Case) -> tuple[OutputSpec, ...]:
        """What the definition returns: shapes and dtypes, without values where that can be."""
        if case.name not in self._known_outputs:
            self._known_outputs[case.name] = tuple(
                OutputSpec(name, tuple(output.shape), dtype_name(output.dtype))
                for name, output in self._shapes(case).items()
            )
        return self._known_outputs[case.name]

    def eager(self, case: Case, setup: Any, inputs: Any) -> dict[str, Tensor]:
        """The definition in the working dtype."""
        return self.run_definition(case, setup, copied(inputs))

    def run_definition(self, case: Case, setup: Any, inputs: Any) -> dict[str, Tensor]:
        """The definition as it is timed: without a copy of the inputs, into which it may write."""
        with torch.no_grad():
            result = self._define(case, setup, inputs, device_of(inputs))
        return named_outputs(self.name, result)

    def truth(self, case: Case, setup: Any, inputs: Any) -> dict[str, Tensor]:
        """The definition in float64; in its own dtype where its lines tie it to one."""
        if self._probe.in_float64:
            return self._in_float64(case, setup, inputs)
        return _doubled(self.eager(case, setup, inputs))

    def check(
        self, case: Case, inputs: Any, outputs: Tensors, eager: Tensors, truth: Tensors
    ) -> list[Check]:
        """Every output within the budget."""
        return budget_checks(outputs, eager, truth, self._tolerance.budget, case.name)

    def cost(self, case: Case) -> Cost | None:
        """By the problem's `estimate_cost`, or by its bytes where the options say so."""
        function = self._cost_function()
        if function is not None:
            counted = function(**case.arguments)
            return Cost(
                int(counted["flops"]), int(counted["bytes_read"]), int(counted["bytes_written"])
            )
        if self.ref.options.get("floor") != _BYTES:
            return None
        read, written = self._bytes(case)
        return Cost(0, read, written)

    def dtype(self, case: Case) -> str:
        """The floating dtype that most of the outputs have."""
        counts = Counter(
            output.dtype
            for output in self.outputs(case)
            if getattr(torch, output.dtype).is_floating_point
        )
        return counts.most_common(1)[0][0] if counts else "float32"

    def step(
        self, case: Case, contender: Contender, setup: Any = None
    ) -> Callable[[Any, Tensors], None]:
        """The definition; other contenders of such problems are sources."""
        if contender.kind != "definition":
            raise UnsupportedError(
                f"{self.name} has no contender of kind {contender.kind!r}: only its definition "
                "and sources."
            )

        def step(inputs: Any, outputs: Tensors) -> None:
            results = self.eager(case, setup, inputs)
            for name, buffer in outputs.items():
                buffer.copy_(results[name])

        return step

    def peers(self) -> dict[str, Contender]:
        """The definition itself."""
        return {"eager": Contender("definition")}

    @functools.cached_property
    def _tolerance(self) -> Tolerance:
        factor = self.ref.options.get("factor", PLAIN_BUDGET.factor)
        if not isinstance(factor, (int, float)) or not 0 < factor:
            expected = "a positive number"
            raise ArgumentError(complaint("factor", expected=expected, got=repr(factor)))
        budget = replace(PLAIN_BUDGET, factor=float(factor))
        if self._probe.in_float64:
            return Tolerance(budget)
        return Tolerance(
            replace(budget, floor=UNROUNDED_FLOOR),
            f"the definition in its own dtype: in float64 {self._probe.why_not}",
        )

    @functools.cached_property
    def _probe(self) -> Probe:
        """Run the definition once on the smallest case."""
        case = min(self.cases, key=lambda one: (one.timed, self.cases.index(one)))
        device = default_device()
        setup, data = self.setup(case, 1, device), self.inputs(case, 1, device)
        given = copied(data)
        with torch.no_grad():
            result = self._define(case, setup, given, device)
        eager = named_outputs(self.name, result)
        written = _written(tensors_of(data), tensors_of(given), list(eager.values()))
        try:
            gold = self._in_float64(case, setup, data)
        except _TIED as error:
            first_line = (str(error).splitlines() or [""])[0]
            return Probe(False, f"it raises {type(error).__name__}: {first_line[:200]}", written)
        return Probe(*_float64_of(eager, gold), written)

    def _in_float64(self, case: Case, setup: Any, inputs: Any) -> dict[str, Tensor]:
        with torch.no_grad(), InFloat64():
            result = self._define(case, widened(setup), widened(copied(inputs)), device_of(inputs))
        return named_outputs(self.name, result)

    def _shapes(self, case: Case) -> dict[str, Tensor]:
        device = default_device()
        try:
            with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
                setup, data = self.setup(case, 1, device), self.inputs(case, 1, device)
                return named_outputs(self.name, self._define(case, setup, data, device))
        except _TIED:
            # The definition looks at values: then it is run on some.
            setup, data = self.setup(case, 1, device), self.inputs(case, 1, device)
            return self.eager(case, setup, data)

    def _bytes(self, case: Case) -> tuple[int, int]:
        with FakeTensorMode(allow_non_fake_inputs=True):
            given = tensors_of(self.inputs(case, 1, default_device()))
        read = sum(
            tensor.numel() * tensor.element_size()
            for place, tensor in enumerate(given)
            if place not in self._probe.written
        )
        written = sum(
            getattr(torch, output.dtype).itemsize * _numel(output.shape)
            for output in self.outputs(case)
        )
        return read, written


def named_outputs(problem: str, result: Any) -> dict[str, Tensor]:
    """A definition's result by output name.

    >>> list(named_outputs("softmax", (torch.ones(1), torch.ones(2))))
    ['output_0', 'output_1']
    """
    if isinstance(result, Tensor):
        return {"output": result.detach()}
    if isinstance(result, (tuple, list)) and result and all(
        isinstance(part, Tensor) for part in result
    ):  # fmt: skip
        return {f"output_{place}": part.detach() for place, part in enumerate(result)}
    raise DataError(
        f"The definition of {problem} must return a tensor or a tuple of tensors, got "
        f"{type(result).__name__}."
    )


def default_device() -> str:
    """Where a definition is looked at: a GPU when there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_of(inputs: Any) -> str:
    """Device of the first tensor of a tree."""
    tensors = tensors_of(inputs)
    return str(tensors[0].device) if tensors else default_device()


def takes(function: Callable, name: str) -> bool:
    """Whether a function has a parameter of this name.

    >>> takes(lambda size, seed: size, "seed"), takes(lambda **sizes: 1, "seed")
    (True, True)
    """
    parameters = inspect.signature(function).parameters.values()
    return any(
        parameter.name == name or parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in parameters
    )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch's global generators start at `seed` within a block, and put them back."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _written(before: list[Tensor], after: list[Tensor], results: list[Tensor]) -> tuple[int, ...]:
    returned = {result.untyped_storage().data_ptr() for result in results if result.numel()}
    return tuple(
        place
        for place, (was, now) in enumerate(zip(before, after, strict=True))
        if now.untyped_storage().data_ptr() in returned or not _same(was, now)
    )


def _same(was: Tensor, now: Tensor) -> bool:
    if was.dtype.itemsize == 1 and was.is_floating_point():
        was, now = was.view(torch.uint8), now.view(torch.uint8)
    return bool(((was == now) | ((was != was) & (now != now))).all())


def _float64_of(eager: Tensors, gold: Tensors) -> tuple[bool, str]:
    """Whether `gold` is float64 truth about `eager`, and if not, why."""
    for name, plain in eager.items():
        true = gold.get(name)
        if true is None or true.shape != plain.shape:
            return False, f"`{name}` has another shape"
        if plain.is_floating_point() and true.dtype != torch.float64:
            return False, f"`{name}` stays {dtype_name(true.dtype)}"
        if plain.is_floating_point() and not _finite_where(plain, true):
            return False, f"`{name}` is not finite where the definition's own result is"
    return True, ""


def _finite_where(plain: Tensor, true: Tensor) -> bool:
    return bool((true.isfinite() | ~plain.float().isfinite()).all())


def _doubled(outputs: Tensors) -> dict[str, Tensor]:
    return {
        name: output.double() if output.is_floating_point() else output
        for name, output in outputs.items()
    }


def _numel(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
