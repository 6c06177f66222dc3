"""Checks of what an operator declares: spec, workloads, cost, selection, configurations."""

import inspect
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

from onetrip.core.cost import ITEMSIZE, Cost, count_cost
from onetrip.core.device import DEVICES
from onetrip.core.errors import OnetripError
from onetrip.core.selection import Config, Problem
from onetrip.core.tuning import override
from onetrip.core.workload import Workload
from onetrip.testing.contract.evaluate import assert_case, truth
from onetrip.testing.contract.operator import Case, Operator

_KNOWN_DTYPES = {*ITEMSIZE, "int8", "uint8", "bool"}
_TAGS = {"smoke", "cpu", "bench"}
_CONFIGS_RUN = 4


def check_spec(operator: Operator) -> None:
    """The spec is complete, and the public function has the signature that it declares."""
    spec = operator.spec
    for tensor in (*spec.inputs, *spec.outputs):
        _require(set(tensor.axes) <= set(spec.axes), f"{tensor.name} has an undeclared axis")
        _require(set(tensor.dtypes) <= _KNOWN_DTYPES, f"{tensor.name} has an unknown dtype")
        _require(bool(tensor.dtypes), f"{tensor.name} has no dtype")
    _require("reference" in spec.implementations, "no implementation is the reference")
    _require(len(spec.implementations) >= 2, "there is nothing besides the reference")
    _require(spec.budget.factor >= 0, "the error budget is negative")
    _require(bool(spec.budget.reason), "the error budget has no reason")
    _require(spec.deterministic or bool(spec.notes), "results differ, and no note says why")
    _require(spec.summary.endswith("."), "the summary is not a sentence")
    parameters = inspect.signature(operator.run).parameters
    missing = [tensor.name for tensor in spec.inputs if tensor.name not in parameters]
    _require(not missing, f"the public function takes no {missing}")
    _require("impl" in parameters, "the public function takes no `impl`")


def check_workloads(operator: Operator) -> None:
    """Workloads are named once, sized on every axis, tagged, explained, and can be called."""
    spec, names = operator.spec, [workload.name for workload in operator.workloads]
    _require(len(names) == len(set(names)), f"a name stands twice in {names}")
    optional = {tensor.name for tensor in spec.inputs if tensor.optional}
    parameters = inspect.signature(operator.run).parameters
    for workload in operator.workloads:
        _require(workload.axes.keys() == spec.axes.keys(), f"{workload.name} lacks an axis")
        _require(bool(workload.tags) and workload.tags <= _TAGS, f"{workload.name} is not tagged")
        _require(bool(workload.why), f"{workload.name} does not say why it is measured")
        _require(set(workload.optional_inputs) <= optional, f"{workload.name} asks for no input")
        _require(workload.options.keys() <= parameters.keys(), f"{workload.name} has no option")
    tags = set().union(*(workload.tags for workload in operator.workloads))
    _require({"smoke", "cpu"} <= tags, "no workload is tagged for the lane without a device")


def check_cost(operator: Operator) -> None:
    """Cost is a whole number >= 0, grows with every axis, and a backward pass adds to it."""
    for workload in operator.workloads:
        forward, both = (_cost(operator, workload, b) for b in (False, True))
        _require(forward.flops <= both.flops, f"{workload.name}: a backward pass is free")
        _require(both.bytes > 0, f"{workload.name}: nothing is read or written")
        _cost(operator, replace(workload, axes=dict.fromkeys(workload.axes, 0)), True)
        for letter, size in workload.axes.items():
            larger = replace(workload, axes={**workload.axes, letter: 2 * size})
            for backward, here in ((False, forward), (True, both)):
                more = _cost(operator, larger, backward)
                grows = more.flops >= here.flops and more.bytes >= here.bytes
                _require(grows, f"{workload.name}: twice the {letter} costs less")


def check_select(operator: Operator) -> None:
    """On every device, what is chosen may run, and every answer of `select.py` makes sense."""
    select = operator.select
    for workload, problem in _problems(operator):
        where = f"{workload} on {problem.device_name}"
        choice = select.choose(problem)
        reason = select.unsupported_reason(choice.impl, problem, choice.config)
        _require(reason is None, f"{where}: chooses {choice.impl}, which cannot run: {reason}")
        _require(bool(choice.why), f"{where}: chooses {choice.impl} for no reason")
        known = choice.impl in operator.spec.implementations
        _require(known, f"{where}: chooses the unknown {choice.impl}")
        _require(
            bool(select.unsupported_reason("no-such-implementation", problem)),
            "an implementation that the spec does not name is supported",
        )
        for impl in operator.spec.implementations:
            if select.unsupported_reason(impl, problem) is None:
                _check_answers(operator, impl, problem, f"{where}: {impl}")


def check_configs(case: Case) -> None:
    """Every configuration of the search space runs and is right, or has a reason why it cannot."""
    runnable = [
        config
        for config in _configs(case.operator, case.impl, case.problem)
        if case.unsupported_reason(config) is None
    ]
    picked = random.Random(0).sample(runnable, min(_CONFIGS_RUN, len(runnable)))
    inputs = case.inputs(seed=13)
    true = truth(case, inputs, case.differentiable(inputs))
    for config in picked:
        try:
            with override(case.operator.spec.name, case.impl, config):
                assert_case(case, inputs, true=true)
        except (AssertionError, OnetripError) as error:
            raise AssertionError(f"configuration {dict(config)}: {error}") from error


def _check_answers(operator: Operator, impl: str, problem: Problem, where: str) -> None:
    select = operator.select
    config = select.default_config(impl, problem)
    reason = select.unsupported_reason(impl, problem, config)
    _require(reason is None, f"{where}: the default configuration cannot run: {reason}")
    space = select.search_space(impl, problem)
    for knob, values in space.items():
        _require(len(values) == len(set(values)) > 0, f"{where}: {knob} has values {values}")
        _require(knob in config, f"{where}: the default configuration lacks {knob}")
    workspace_bytes = select.workspace_bytes(impl, problem, config)
    _require(workspace_bytes >= 0, f"{where}: a workspace of {workspace_bytes} bytes")
    if problem.device_name in DEVICES:
        device = DEVICES[problem.device_name]
        for backward in (False, True):
            latency_ms = select.predict_ms(impl, problem, device, config, backward)
            _require(latency_ms >= 0, f"{where}: a latency of {latency_ms} ms")


def _cost(operator: Operator, workload: Workload, backward: bool) -> Cost:
    cost = count_cost(
        operator.estimate_cost,
        workload.axes,
        dtype=workload.dtype,
        backward=backward,
        options=workload.options,
    )
    for part in ("flops", "bytes_read", "bytes_written"):
        value = getattr(cost, part)
        _require(
            isinstance(value, int) and value >= 0, f"{dict(workload.axes)}: {part} is {value!r}"
        )
    return cost


def _problems(operator: Operator) -> Iterator[tuple[str, Problem]]:
    for workload in operator.workloads:
        yield (
            workload.name,
            Problem(workload.axes, workload.dtype, options=workload.options),
        )
        for device in DEVICES.values():
            yield (
                workload.name,
                Problem(
                    workload.axes,
                    workload.dtype,
                    "cuda",
                    device.arch,
                    device.kind == "hip",
                    device.name,
                    workload.options,
                ),
            )


def _configs(operator: Operator, impl: str, problem: Problem) -> list[Config]:
    space = operator.select.search_space(impl, problem)
    combinations = itertools.product(*space.values())
    return [dict(zip(space, values, strict=True)) for values in combinations]


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise AssertionError(complaint)
