"""A KernelBench problem file as a problem: `Model`, `get_inputs`, `get_init_inputs`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.lab.problems.brief import brief_of
from onetrip.lab.problems.defined import DefinedProblem, seeded
from onetrip.lab.problems.loaded_module import Modules
from onetrip.lab.problems.problem import Case, Entry, ProblemRef
from onetrip.lab.problems.sources import read_source
from onetrip.lab.problems.wide import mapped
from onetrip.lab.store.study import fingerprint

_NEEDS = ("Model", "get_inputs", "get_init_inputs")
AS_WRITTEN = "as written"


class KernelBenchProblem(DefinedProblem):
    """One file; a candidate defines ``ModelNew``, whose parameters are those of ``Model``.

    The file's own sizes are the timed case. Option "sizes" gives others, by the names of the
    file's constants: ``[{"batch_size": 3}]``; option "timed" puts such sizes in place of the
    file's own ({"batch_size": 8} for a smaller machine).
    """

    def __init__(self, ref: ProblemRef) -> None:
        super().__init__(ref, "sizes", "timed")
        self._path = Path(ref.location)
        self._source = read_source(self._path)
        self._run: dict[tuple[str, str], ModuleType] = {}
        self._built: tuple[Any, nn.Module] | None = None
        self.cases = self._all_cases()

    @property
    def name(self) -> str:
        """The file's stem, unless the options give another name."""
        return str(self.ref.options.get("name", self._path.stem))

    @property
    def brief(self) -> str:
        """The file itself."""
        return brief_of(self, self._source)

    @property
    def entry(self) -> Entry:
        """``ModelNew(*init)(*inputs)``."""
        return Entry("ModelNew", "model", {}, self._probe.written)

    @property
    def fingerprint(self) -> str:
        """Of the file, the cases and the tolerance."""
        cases = [[case.name, dict(case.arguments), case.timed] for case in self.cases]
        return fingerprint([
            "kernelbench", self.name, self._source, cases, dict(self.tolerance),
            self.deterministic,
        ])  # fmt: skip

    def setup(self, case: Case, seed: int, device: str) -> tuple[list, dict[str, Tensor]]:
        """Arguments of the constructor, and parameters drawn from `seed`."""
        module = self._module(case, device)
        with seeded(seed):
            init = list(module.get_init_inputs())
            model = module.Model(*init)
        moved = mapped(init, lambda tensor: tensor.to(device))
        return moved, {
            name: tensor.detach().to(device) for name, tensor in model.state_dict().items()
        }

    def inputs(self, case: Case, seed: int, device: str) -> tuple:
        """What `get_inputs` draws from `seed`."""
        with seeded(seed):
            drawn = self._module(case, device).get_inputs()
        return tuple(mapped(list(drawn), lambda tensor: tensor.detach().to(device)))

    def _define(self, case: Case, setup: Any, inputs: Any, device: str) -> Any:
        if self._built is None or self._built[0] is not setup:
            self._built = (setup, self._build(case, setup, device))
        built = self._built[1]
        if any(True for _ in built.buffers()):
            # A call may change them, and no call may depend on the one before.
            self._built = None
        return built(*inputs)

    def _build(self, case: Case, setup: Any, device: str) -> nn.Module:
        """The model with the parameters of `setup`, in their dtype."""
        init, state = setup
        module = self._module(case, device)
        # Its own initial values are not used, and must not depend on who ran before.
        with seeded(0):
            model: nn.Module = module.Model(*init).to(device)
        if any(tensor.is_floating_point() for tensor in state.values()):
            floating = next(t.dtype for t in state.values() if t.is_floating_point())
            model = model.to(floating)
        model.load_state_dict(state)
        return model

    def _cost_function(self) -> Callable[..., Mapping[str, int]] | None:
        module = self._module(self.cases[0], "cpu")
        estimate = getattr(module, "estimate_cost", None)
        if estimate is None:
            return None
        constants = {name: value for name, value in vars(module).items() if isinstance(value, int)}
        names = estimate.__code__.co_varnames[: estimate.__code__.co_argcount]
        return lambda **arguments: estimate(
            **{name: arguments.get(name, constants.get(name)) for name in names}
        )

    def _all_cases(self) -> tuple[Case, ...]:
        timed = self.ref.options.get("timed", {})
        others = self.ref.options.get("sizes", [])
        if not isinstance(timed, Mapping):
            raise ArgumentError(complaint("timed", expected="a mapping of sizes", got=repr(timed)))
        if not isinstance(others, (list, tuple)):
            expected = "a list of mappings of sizes"
            raise ArgumentError(complaint("sizes", expected=expected, got=repr(others)))
        first = Case(_name(timed), dict(timed), timed=True)
        return (first, *(Case(_name(sizes), dict(sizes)) for sizes in others))

    def _module(self, case: Case, device: str) -> ModuleType:
        """The file's module with the case's constants in place of its own."""
        key = (case.name, device.partition(":")[0])
        if key not in self._run:
            file = self._path.name
            module = Modules({file: self._source}, device).load(file)
            missing = [name for name in _NEEDS if not hasattr(module, name)]
            if missing:
                raise DataError(f"{self._path} defines no {', '.join(missing)}.")
            unknown = [name for name in case.arguments if not hasattr(module, name)]
            if unknown:
                raise DataError(f"{self._path} has no constant {', '.join(unknown)}.")
            vars(module).update(case.arguments)
            self._run[key] = module
        return self._run[key]


def _name(sizes: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in sizes.items()) or AS_WRITTEN
