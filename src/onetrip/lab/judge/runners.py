"""Make a contender callable: every kind becomes ``call(inputs, outputs)``."""

import importlib.util
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from onetrip.core.errors import UnsupportedError
from onetrip.lab.problems.problem import Case, Contender, ProblemRef

Outputs = Mapping[str, Tensor]
_CLASS = re.compile(r"^class (\w+)", re.MULTILINE)


class NullRunner:
    """Does nothing, in either convention: what a call costs beside the call."""

    def __init__(self, convention: str) -> None:
        self._returns = convention != "destination"
        self._results: tuple[Tensor, ...] = ()

    def set_up(self, case: Case | None, setup: object) -> None:
        """Forget the results of another case."""
        self._results = ()

    def call(self, inputs: object, outputs: Outputs) -> object:
        """Nothing, or new tensors of the right shape."""
        if not self._returns:
            return None
        return tuple(torch.empty_like(output) for output in outputs.values())


@dataclass(slots=True)
class SourceRunner:
    """The text of a Python file, called as the problem's entry says."""

    function: Callable
    convention: str
    _model: Callable | None = field(default=None)

    def set_up(self, case: Case | None, setup: object) -> None:
        """Make the model, where the convention has one."""
        if self.convention != "model":
            return
        arguments, state = setup if isinstance(setup, tuple) else ((), None)
        arguments = arguments if isinstance(arguments, list | tuple) else (arguments,)
        model = self.function(*arguments)
        if state:
            model.load_state_dict(state)
            device = next(iter(state.values())).device
            model = model.to(device)
        self._model = model

    def call(self, inputs: object, outputs: Outputs) -> object:
        """Run it once."""
        if self.convention == "destination":
            return self.function(inputs, dict(outputs))
        if self.convention == "data":
            return self.function(inputs)
        if self._model is None:
            raise UnsupportedError("The model was called before it was made.")
        arguments = inputs if isinstance(inputs, list | tuple) else (inputs,)
        with torch.no_grad():
            return self._model(*arguments)


class ProblemRunner:
    """A contender that the problem itself knows how to run: its definition, a config, a peer."""

    def __init__(self, ref: ProblemRef, contender: Contender) -> None:
        from onetrip.lab.problems.load import load_problem

        self._problem = load_problem(ref)
        self._contender = contender
        self._call: Callable[[object, Outputs], object] | None = None

    def set_up(self, case: Case | None, setup: object) -> None:
        """Make the call of one case."""
        if case is None:
            raise UnsupportedError("A contender of the problem's own needs to know the case.")
        problem, contender = self._problem, self._contender
        if contender.kind == "definition":
            definition = getattr(problem, "run_definition", problem.eager)
            self._call = lambda inputs, outputs: definition(case, setup, inputs)
            return
        step = getattr(problem, "step", None)
        if step is None:
            raise UnsupportedError(
                f"{problem.name} cannot run a contender of kind {contender.kind!r}. "
                "Submit a source, or compare with its definition."
            )
        self._call = step(case, contender)

    def call(self, inputs: object, outputs: Outputs) -> object:
        """Run it once."""
        if self._call is None:
            raise UnsupportedError("The contender was called before it was set up.")
        return self._call(inputs, outputs)


Runner = NullRunner | SourceRunner | ProblemRunner


class Files:
    """A problem's own sources and the candidate's, in a folder from which they are imported."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="candidate-"))
        self._files = dict(files)
        for name, text in files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        # Last: no file of a problem may pass for a module of ours, or of Python's.
        sys.path.append(str(self._folder))

    def types(self, names: set[str]) -> dict[str, type]:
        """Classes that a problem's data is made of."""
        found = {}
        for file, text in self._files.items():
            for name in names & set(_CLASS.findall(text)):
                module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
                found[name] = getattr(module, name)
        return found

    def run(self, source: str) -> ModuleType:
        """The candidate's module; a compiler can read its source from the file."""
        path = self._folder / "candidate_source.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("candidate_source", path)
        if spec is None or spec.loader is None:
            raise UnsupportedError(f"{path} cannot be imported.")
        module = importlib.util.module_from_spec(spec)
        sys.modules["candidate_source"] = module
        spec.loader.exec_module(module)
        return module


def source_runner(files: Files, source: str, function: str, convention: str) -> SourceRunner:
    """Import a candidate's source; raises whatever it raises."""
    module = files.run(source)
    if not callable(getattr(module, function, None)):
        raise UnsupportedError(
            f"The source defines no `{function}`, which the judge calls. It defines "
            f"{sorted(name for name in vars(module) if not name.startswith('_'))[:20]}."
        )
    return SourceRunner(getattr(module, function), convention)
