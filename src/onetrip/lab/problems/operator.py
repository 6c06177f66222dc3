"""An onetrip operator on one workload, forward and backward, as a problem."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from onetrip.bench.peers import load_peer, peers_of
from onetrip.bench.problems import BenchProblem, DrawnProblem, problem_names, resolve
from onetrip.bench.truths import reference_forward
from onetrip.core import tuning
from onetrip.core.cost import Cost, count_cost
from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.core.workload import Workload
from onetrip.lab.problems.problem import Case, Contender, Entry, OutputSpec, ProblemRef
from onetrip.lab.problems.within_budget import Tolerance, budget_checks
from onetrip.lab.store.study import fingerprint
from onetrip.lab.verdict import Check
from onetrip.testing.budget import dtype_name
from onetrip.testing.contract.evaluate import Forward, forward, output_dtype
from onetrip.testing.contract.operator import Call, load_operator
from onetrip.testing.contract.operator import Case as ContractCase

Tensors = Mapping[str, Tensor]

_OPTIONS = frozenset({"workload", "recorded", "backward", "hidden"})
# Sizes of hidden cases stay below this: truth about them takes milliseconds.
_HIDDEN_LIMIT = 400
# Above this, the definition is evaluated a few rows at a time where the operator knows how.
_PLAIN_BYTES = 1 << 30
_PLAIN_SHARE_OF_DEVICE = 0.25


class OperatorProblem:
    """One operator, one workload, and hidden cases of other sizes.

    A candidate gets the tensor arguments by name, and "grad_<output>" for each differentiable
    output; it writes "<output>" and "grad_<input>". Options of the reference: {"workload": name}
    or {"recorded": file}; {"backward": False} for the forward pass alone; {"hidden": False} when
    only the one size counts.
    """

    def __init__(self, ref: ProblemRef) -> None:
        unknown = sorted(ref.options.keys() - _OPTIONS)
        if unknown:
            expected = f"a mapping with some of {sorted(_OPTIONS)}"
            raise ArgumentError(complaint("options", expected=expected, got=unknown))
        self.ref = ref
        self._operator = load_operator(ref.location)
        self._source = _source(ref)
        backward = bool(ref.options.get("backward", self._operator.spec.differentiable))
        self._backward = backward and self._operator.spec.differentiable
        self._outlines: dict[str, Forward] = {}
        self.cases: Sequence[Case] = self._all_cases(bool(ref.options.get("hidden", True)))

    @property
    def name(self) -> str:
        """Operator, workload, and the pass where it is not both."""
        name = f"{self.ref.location}/{self._source.workload.name}"
        return name if self._backward == self._operator.spec.differentiable else f"{name}/forward"

    @property
    def brief(self) -> str:
        """Markdown for who proposes."""
        from onetrip.lab.problems.brief import operator_brief

        return operator_brief(self, self._operator.spec, self._source.workload)

    @property
    def entry(self) -> Entry:
        """``run(inputs, outputs)``."""
        return Entry("run", "destination")

    @property
    def deterministic(self) -> bool:
        """As the spec says."""
        return self._operator.spec.deterministic

    @property
    def tolerance(self) -> Mapping[str, object]:
        """The spec's error budget."""
        return Tolerance(self._operator.spec.budget).as_dict()

    @property
    def fingerprint(self) -> str:
        """Of the operator's name, the workload, the cases and the budget."""
        workload = self._source.workload
        cases = [[case.name, dict(case.arguments), case.timed, case.hidden] for case in self.cases]
        options = {name: repr(value) for name, value in sorted(workload.options.items())}
        return fingerprint([
            "operator", self.name, workload.dtype, options, sorted(workload.optional_inputs),
            workload.data, self._recorded_key(), self._backward, cases, dict(self.tolerance),
        ])  # fmt: skip

    def setup(self, case: Case, seed: int, device: str) -> None:
        """Nothing: an operator has no parameters of its own."""

    def inputs(self, case: Case, seed: int, device: str) -> dict[str, Tensor]:
        """Tensor arguments and incoming gradients, none of which is 1."""
        contract_case = self._contract_case(case, device)
        drawn = self._source.inputs(seed, device) if case.timed else contract_case.inputs(seed)
        generator = torch.Generator().manual_seed(seed ^ 0x6772_6164)
        for name, shape, dtype in self._differentiable_outputs(case):
            size = torch.rand(shape, generator=generator) * 1.5 + 0.25
            sign = torch.rand(shape, generator=generator).sub(0.5).sign()
            drawn[f"grad_{name}"] = (size * sign).to(device, getattr(torch, dtype))
        return drawn

    def outputs(self, case: Case) -> tuple[OutputSpec, ...]:
        """The outputs, then the gradients of the inputs that have one."""
        contract_case = self._contract_case(case, "cpu")
        found = self._outline(case)
        specs = [
            OutputSpec(name, tuple(output.shape), output_dtype(contract_case, name))
            for name, output in found.outputs.items()
        ]
        specs += [
            OutputSpec(f"grad_{name}", tuple(leaf.shape), dtype_name(leaf.dtype))
            for name, leaf in found.leaves.items()
        ]
        return tuple(specs)

    def eager(self, case: Case, setup: object, inputs: Tensors) -> dict[str, Tensor]:
        """The reference in the working dtype."""
        given, grads = _split(inputs)
        found = self._definition(self._contract_case(case, _device_of(inputs)), given)
        return _results(found, given, grads)

    def truth(self, case: Case, setup: object, inputs: Tensors) -> dict[str, Tensor]:
        """The reference in float64."""
        given, grads = _split(inputs)
        contract_case = self._contract_case(case, _device_of(inputs))
        wrt = self._wrt(contract_case, given)
        found = reference_forward(contract_case, given, wrt, torch.float64)
        return _results(found, given, grads, in_own_dtype=False)

    def check(
        self, case: Case, inputs: Tensors, outputs: Tensors, eager: Tensors, truth: Tensors
    ) -> list[Check]:
        """Every output and gradient within the spec's budget."""
        return budget_checks(outputs, eager, truth, self._operator.spec.budget, case.name)

    def cost(self, case: Case) -> Cost:
        """As `onetrip estimate` counts it."""
        workload = self._workload(case)
        return count_cost(
            self._operator.estimate_cost,
            workload.axes,
            dtype=workload.dtype,
            backward=self._backward,
            options=workload.options,
        )

    def dtype(self, case: Case) -> str:
        """The workload's."""
        return self._source.workload.dtype

    def peers(self) -> dict[str, Contender]:
        """Plain torch, what ``impl="auto"`` runs here, and the peers that are installed."""
        case = self._contract_case(self.cases[0], "cuda" if torch.cuda.is_available() else "cpu")
        choice = self._operator.select.choose(case.problem)
        found = {
            "eager": Contender("definition"),
            "auto": Contender("config", impl=choice.impl, config=dict(choice.config)),
        }
        workload = self._source.workload
        for peer in peers_of(self.ref.location):
            knows = peer.understands.issuperset({*workload.options, *workload.optional_inputs})
            if knows and peer.version:
                found[peer.name] = Contender("peer", impl=peer.name)
        return found

    def step(
        self, case: Case, contender: Contender, setup: object = None
    ) -> Callable[[Tensors, Tensors], None]:
        """What the judge calls for a contender that is no source: ``step(inputs, outputs)``."""
        if contender.kind == "definition":
            return lambda inputs, outputs: _store(self.eager(case, None, inputs), outputs)
        call = self._call(contender)

        def step(inputs: Tensors, outputs: Tensors) -> None:
            given, grads = _split(inputs)
            contract_case = self._contract_case(case, _device_of(inputs))
            _store(self._pass(contract_case, call(contract_case), given, grads), outputs)

        return step

    def _call(self, contender: Contender) -> Callable[[ContractCase], Call]:
        if contender.kind == "config":
            return lambda case: _pinned(replace(case, impl=contender.impl), contender)
        if contender.kind == "peer":
            peers = {peer.name: peer for peer in peers_of(self.ref.location)}
            if contender.impl not in peers:
                expected = f"one of {list(peers)} for {self.ref.location}"
                raise ArgumentError(complaint("peer", expected=expected, got=contender.impl))
            loaded = load_peer(peers[contender.impl], self._source.workload)
            return lambda case: loaded
        raise UnsupportedError(
            f"A contender of kind {contender.kind!r} is no step of an operator: sources are run "
            "by the judge itself."
        )

    def _pass(
        self, case: ContractCase, call: Call, given: Tensors, grads: Tensors
    ) -> dict[str, Tensor]:
        return _results(forward(case, call, given, self._wrt(case, given)), given, grads)

    def _wrt(self, case: ContractCase, given: Tensors) -> tuple[str, ...]:
        return case.differentiable(given) if self._backward else ()

    def _differentiable_outputs(self, case: Case) -> list[tuple[str, torch.Size, str]]:
        if not self._backward:
            return []
        contract_case = self._contract_case(case, "cpu")
        outputs = self._outline(case).outputs
        return [
            (name, output.shape, output_dtype(contract_case, name))
            for name, output in outputs.items()
            if output.requires_grad
        ]

    def _definition(self, case: ContractCase, given: Tensors) -> Forward:
        wrt = self._wrt(case, given)
        if self._fits(case):
            return forward(case, case.reference, given, wrt)
        return reference_forward(case, given, wrt, None)

    def _outline(self, case: Case) -> Forward:
        """Shapes and dtypes of a call, in tensors without storage."""
        if case.name not in self._outlines:
            try:
                self._outlines[case.name] = self._on_meta(case)
            except RuntimeError:
                # A definition that looks at values, as iterations do, is run on some.
                contract_case = self._contract_case(case, "cpu")
                drawn = self._source.inputs(0) if case.timed else contract_case.inputs(0)
                self._outlines[case.name] = _without_storage(self._definition(contract_case, drawn))
        return self._outlines[case.name]

    def _on_meta(self, case: Case) -> Forward:
        workload = self._workload(case)
        given = {
            tensor.name: torch.empty(
                [workload.axes[letter] for letter in tensor.axes],
                dtype=getattr(
                    torch,
                    workload.dtype if workload.dtype in tensor.dtypes else tensor.dtypes[0],
                ),
                device="meta",
            )
            for tensor in self._operator.spec.inputs
            if not tensor.optional or tensor.name in workload.optional_inputs
        }
        contract_case = self._contract_case(case, "cpu")
        wrt = self._wrt(contract_case, given)
        return forward(contract_case, contract_case.reference, given, wrt)

    def _fits(self, case: ContractCase) -> bool:
        held_bytes = self._operator.select.workspace_bytes("reference", case.problem, {})
        room = _PLAIN_BYTES
        if case.device.type == "cuda":
            total = torch.cuda.get_device_properties(case.device).total_memory
            room = int(total * _PLAIN_SHARE_OF_DEVICE)
        return held_bytes <= room

    def _contract_case(self, case: Case, device: str | torch.device) -> ContractCase:
        return ContractCase(self._operator, "auto", self._workload(case), torch.device(device))

    def _workload(self, case: Case) -> Workload:
        return replace(self._source.workload, axes=dict(case.arguments))  # type: ignore[arg-type]

    def _all_cases(self, with_hidden: bool) -> tuple[Case, ...]:
        workload = self._source.workload
        asked = Case(workload.name, dict(workload.axes), timed=True)
        if not with_hidden or not isinstance(self._source, DrawnProblem):
            return (asked,)
        return (
            asked,
            Case("hidden sizes", _other_sizes(workload.axes, _HIDDEN_LIMIT), hidden=True),
            Case("hidden small sizes", _other_sizes(workload.axes, 40), hidden=True),
        )

    def _recorded_key(self) -> str:
        from onetrip.lab.problems.sources import sha256_of_file

        recorded = self.ref.options.get("recorded")
        return "" if recorded is None else sha256_of_file(str(recorded))


def _source(ref: ProblemRef) -> BenchProblem:
    recorded, workload = ref.options.get("recorded"), ref.options.get("workload")
    if recorded is None and workload is None:
        workload = problem_names(ref.location)[0]
    return resolve(
        ref.location,
        workload=None if workload is None else str(workload),
        recorded=None if recorded is None else str(recorded),
    )


def _other_sizes(axes: Mapping[str, int], limit: int) -> dict[str, int]:
    """Other sizes, no larger: a prime for the rows, and as aligned as they were for the rest.

    A kernel that needs rows of whole 16 bytes may rely on the workload's being so.

    >>> _other_sizes({"N": 8192, "D": 2304, "V": 50257}, 400)
    {'N': 397, 'D': 376, 'V': 397}
    """
    other = {}
    for place, (letter, size) in enumerate(axes.items()):
        unit = 1 if place == 0 else math.gcd(size, 8)
        other[letter] = unit * _prime_up_to(min(size, limit) // unit)
    return other


def _prime_up_to(limit: int) -> int:
    """The largest prime up to `limit`; 1 where there is none."""
    for number in range(limit, 1, -1):
        if all(number % divisor for divisor in range(2, math.isqrt(number) + 1)):
            return number
    return 1


def _pinned(case: ContractCase, contender: Contender) -> Call:
    def call(**arguments: Tensor) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        name = case.operator.spec.name
        with tuning.override(name, contender.impl, dict(contender.config)):  # type: ignore[arg-type]
            return case.run(**arguments)

    return call


def _split(inputs: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    given = {name: tensor for name, tensor in inputs.items() if not name.startswith("grad_")}
    grads = {
        name.removeprefix("grad_"): tensor
        for name, tensor in inputs.items()
        if name.startswith("grad_")
    }
    return given, grads


def _results(
    found: Forward, given: Tensors, grads: Tensors, *, in_own_dtype: bool = True
) -> dict[str, Tensor]:
    # Detached first: `backward` consumes the graph that the outputs belong to.
    results = {name: output.detach() for name, output in found.outputs.items()}
    for name, gradient in found.backward(grads).items():
        # None stands for zero: the outputs do not depend on this input.
        whole = torch.zeros_like(given[name]) if gradient is None else gradient
        results[f"grad_{name}"] = whole.to(given[name].dtype) if in_own_dtype else whole.double()
    return results


def _without_storage(found: Forward) -> Forward:
    outputs = {
        name: output.detach().to("meta").requires_grad_(output.requires_grad)
        for name, output in found.outputs.items()
    }
    return Forward(outputs, {name: leaf.detach().to("meta") for name, leaf in found.leaves.items()})


def _store(results: Tensors, outputs: Tensors) -> None:
    for name, buffer in outputs.items():
        buffer.copy_(results[name])


def _device_of(inputs: Tensors) -> torch.device:
    return next(iter(inputs.values())).device
