"""The interface between a problem and the judge. No source of problems is named here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from onetrip.core.cost import Cost

if TYPE_CHECKING:
    from torch import Tensor

    from onetrip.lab.verdict import Check

# What `inputs` may hold: tensors, numbers, strings, None, and tuples, lists, dictionaries and
# dataclasses of these. It travels as bytes: nothing is pickled.
Tree = Any


@dataclass(frozen=True, slots=True)
class ProblemRef:
    """Where a problem is found, as plain values; `load_problem` makes a `Problem` of it.

    Parameters
    ----------
    kind : "operator", "folder", "kernelbench" or "run".
    location : an operator's name, or the path of a folder or file.
    options : what else it takes: {"workload": "ragged"} of an operator, a run's parameters.
    """

    kind: str
    location: str
    options: Mapping[str, object] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Case:
    """One set of sizes: `arguments` are JSON values from which `inputs` makes the data.

    `timed` cases are measured, all are verified. A `hidden` case is not told to who proposes.
    """

    name: str
    arguments: Mapping[str, object]
    timed: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """How a candidate's source is called.

    `function` names what the source must define; `convention` says how it is called:

    - "destination": ``function(inputs, outputs)``, both dictionaries of tensors by name; results
      are written into `outputs`, which the judge owns;
    - "data": ``function(data)`` with whatever `inputs` is; returns a tensor or a tuple of them;
    - "model": a class; ``function(*init)(*inputs)``, with `init` and the parameters from `setup`.

    `files` are the problem's own sources that a candidate may import, name -> text. `written`
    counts the input tensors, in the order of the tree's leaves, that the definition itself writes
    or returns: a candidate may too.
    """

    function: str
    convention: str
    files: Mapping[str, str] = field(default_factory=dict)
    written: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output: a tensor of this shape and dtype ("float32"), in a buffer that the judge owns."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Problem(Protocol):
    """A problem as the oracle's process sees it. The candidate's process never loads one."""

    @property
    def ref(self) -> ProblemRef:
        """Where it came from."""
        ...

    @property
    def name(self) -> str:
        """Short and unique in a lab: "linear_cross_entropy/ragged", "vectoradd"."""
        ...

    @property
    def brief(self) -> str:
        """Markdown for who proposes: definition, inputs, outputs, sizes, tolerance."""
        ...

    @property
    def cases(self) -> Sequence[Case]:
        """At least one, at least one of them timed."""
        ...

    @property
    def entry(self) -> Entry:
        """How a candidate's source is called."""
        ...

    @property
    def deterministic(self) -> bool:
        """Whether two runs on the same inputs must agree bit for bit."""
        ...

    @property
    def tolerance(self) -> Mapping[str, object]:
        """What decides right or wrong, as plain values; kept with every attempt."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that changes the work: sources, cases, tolerance."""
        ...

    def setup(self, case: Case, seed: int, device: str) -> Tree:
        """What a "model" is made from: (init arguments, state dictionary); None for others."""
        ...

    def inputs(self, case: Case, seed: int, device: str) -> Tree:
        """Data of one call, other values for each seed."""
        ...

    def outputs(self, case: Case) -> Sequence[OutputSpec]:
        """What a call returns or writes."""
        ...

    def eager(self, case: Case, setup: Tree, inputs: Tree) -> "Mapping[str, Tensor]":
        """The definition in the working dtype, by output name."""
        ...

    def truth(self, case: Case, setup: Tree, inputs: Tree) -> "Mapping[str, Tensor]":
        """The definition in float64, by output name."""
        ...

    def check(
        self,
        case: Case,
        inputs: Tree,
        outputs: "Mapping[str, Tensor]",
        eager: "Mapping[str, Tensor]",
        truth: "Mapping[str, Tensor]",
    ) -> "list[Check]":
        """Hold a candidate's outputs against the truth; one check an output at least."""
        ...

    def cost(self, case: Case) -> Cost | None:
        """Operations and compulsory bytes of a call, from which the floor follows; None unknown."""
        ...

    def dtype(self, case: Case) -> str:
        """The working dtype ("bfloat16"): its matrix rate is the floor's."""
        ...

    def step(
        self, case: Case, contender: "Contender", setup: Tree
    ) -> "Callable[[Tree, Mapping[str, Tensor]], None]":
        """What to call for a contender that is no source: it writes its results into `outputs`."""
        ...

    def peers(self) -> Mapping[str, "Contender"]:
        """What a candidate is timed beside, by name; "eager" is the definition itself."""
        ...


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that can be run on a problem.

    `kind` is "source" (`source` is the text of a Python file), "config" (`impl` and `config` of
    an onetrip operator), "definition" (the problem's own, in the working dtype) or "peer" (`impl`
    names it).
    """

    kind: str
    source: str = ""
    impl: str = ""
    config: Mapping[str, object] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)
