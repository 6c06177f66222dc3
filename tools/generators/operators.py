"""An operator's page, from its spec, its workloads and its cost."""

from collections.abc import Iterable

from generators.markdown import table
from onetrip.core.device import DEVICES
from onetrip.core.operators import load_spec, load_workloads, operator_module, operator_names
from onetrip.core.spec import OperatorSpec, TensorSpec
from onetrip.core.workload import Workload

# The devices whose ceilings we measured ourselves.
MEASURED = [device for device in DEVICES.values() if device.measured]


def operators_table() -> str:
    """One row an operator: its name with a link to its page, its sentence, what can run it."""
    rows = []
    for name in operator_names():
        spec = load_spec(name)
        rows.append((f"[`{name}`](docs/ops/{name}.md)", spec.summary, _code(spec.implementations)))
    return table(["operator", "what it does", "implementations"], rows)


def operator_page(operator: str) -> str:
    """Everything that the spec, the workloads and the cost say of one operator."""
    spec = load_spec(operator)
    parts = [
        spec.summary,
        f"Mathematics, traffic and what failed: "
        f"[the operator's README](../../src/onetrip/ops/{operator}/README.md). "
        f"Arguments and errors: `help(onetrip.{operator})`.",
        _facts(spec),
        "## Axes",
        table(["axis", "meaning"], ((f"`{k}`", meaning) for k, meaning in spec.axes.items())),
        "## Tensors",
        table(
            ["tensor", "shape", "dtypes", ""],
            [*_tensor_rows(spec.inputs, "input"), *_tensor_rows(spec.outputs, "output")],
        ),
        "## Workloads",
        "Named problems that it is tested (`smoke`, `cpu`) and measured (`bench`) on. The floor "
        "is the larger of operations over the device's peak and compulsory bytes over its "
        "bandwidth, forward and backward; no implementation runs faster.",
        _workloads_table(operator, load_workloads(operator), spec.differentiable),
    ]
    if spec.sources:
        parts += ["## Sources", "\n".join(f"- {source}" for source in spec.sources)]
    return "\n\n".join(parts)


def _facts(spec: OperatorSpec) -> str:
    facts = [
        f'- Implementations: {_code(spec.implementations)}; `impl="auto"` chooses.',
        f"- Differentiable: {'yes' if spec.differentiable else 'no'}.",
        f"- Two runs on one device give the same bits: {'yes' if spec.deterministic else 'no'}.",
        f"- Error budget: at most {spec.budget.factor:g} times the error of plain torch in the "
        f"same dtype, both against float64, plus a floor of a few roundings. {spec.budget.reason}",
    ]
    if spec.notes:
        facts.append(f"- {spec.notes}")
    return "\n".join(facts)


def _tensor_rows(tensors: Iterable[TensorSpec], role: str) -> Iterable[tuple[str, ...]]:
    for tensor in tensors:
        remarks = [role]
        if tensor.optional:
            remarks.append("optional")
        if tensor.grad:
            remarks.append("has a gradient")
        shape = f"`[{', '.join(tensor.axes)}]`"
        yield f"`{tensor.name}`", shape, _code(tensor.dtypes), ", ".join(remarks)


def _workloads_table(operator: str, workloads: Iterable[Workload], backward: bool) -> str:
    estimate_cost = operator_module(operator, "cost").estimate_cost
    floors = [f"floor {device.name} (ms)" for device in MEASURED]
    rows = []
    for workload in workloads:
        cost = estimate_cost(**workload.axes, dtype=workload.dtype, backward=backward)
        # The floor of a problem of microseconds says nothing: launches alone take longer.
        floors_ms = [
            f"{cost.floor_ms(device, workload.dtype):.3g}" if "bench" in workload.tags else ""
            for device in MEASURED
        ]
        sizes = " ".join(f"{letter}={size}" for letter, size in workload.axes.items())
        options = " ".join(f"{key}={value!r}" for key, value in workload.options.items())
        problem = f"{sizes}<br>{workload.dtype}"
        if options:
            problem += f"<br>`{options}`"
        tags = " ".join(sorted(workload.tags))
        rows.append((f"`{workload.name}`", problem, tags, workload.why, *floors_ms))
    return table(["workload", "problem", "tags", "why", *floors], rows)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
