"""Briefs: what a problem tells who proposes, in Markdown. Hidden cases are counted, not told."""

import inspect
from collections.abc import Mapping, Sequence

from onetrip.core.operators import operator_module
from onetrip.core.spec import OperatorSpec
from onetrip.core.units import bytes_text
from onetrip.core.workload import Workload
from onetrip.lab.problems.problem import Case, OutputSpec, Problem

_CALLS = {
    "destination": "`{name}(inputs, outputs)`: both are dictionaries of tensors by name. Write the "
    "results into `outputs`; return nothing.",
    "data": "`{name}(data)`: returns a tensor, or a tuple of them.",
    "model": "a class: `{name}(*init)(*inputs)`. Its parameters have the names and shapes of "
    "`Model`'s and are loaded from `Model`'s state dictionary.",
}


def brief_of(problem: Problem, definition: str, language: str = "python") -> str:
    """Definition, entry, outputs, sizes, floor and tolerance of any problem."""
    shown = [case for case in problem.cases if not case.hidden]
    entry = problem.entry
    lines = [
        f"# {problem.name}",
        "",
        "## Definition",
        "",
        f"```{language}" if language else "",
        definition.strip(),
        "```" if language else "",
        "",
        "## What to submit",
        "",
        "One Python file that defines " + _CALLS[entry.convention].format(name=entry.function),
        *_about_files(entry.files, entry.written),
        "",
        "## Sizes",
        "",
        *_sizes(problem, shown),
        *_hidden(problem.cases),
        "",
        "## Proof",
        "",
        *_tolerance(problem.tolerance),
    ]
    if problem.deterministic:
        lines.append("- Two runs on the same inputs must agree bit for bit.")
    return "\n".join(line for line in lines if line is not None) + "\n"


def operator_brief(problem: Problem, spec: OperatorSpec, workload: Workload) -> str:
    """Brief of an operator: its summary, its reference and the meaning of its axes."""
    reference = operator_module(spec.name, "reference")
    definition = inspect.getsource(getattr(reference, f"{spec.name}_reference"))
    options = dict(workload.options)
    axes = "".join(f"- {letter}: {meaning}\n" for letter, meaning in spec.axes.items())
    extra = (
        f"\n## Meaning\n\n{spec.summary}\n\n{axes}\n"
        f"Options of the call: `{options}`. Optional inputs: "
        f"{', '.join(workload.optional_inputs) or 'none'}. Why this workload: {workload.why}.\n\n"
        "`inputs` has the tensor arguments by name and, where gradients are asked for, "
        "`grad_<output>`, the incoming gradient; `outputs` has the outputs by name and "
        "`grad_<input>`.\n"
    )
    return brief_of(problem, definition) + extra


def _about_files(files: Mapping[str, str], written: Sequence[int]) -> list[str]:
    said = []
    if files:
        said.append(f"It may import {', '.join(f'`{name}`' for name in sorted(files))}.")
    if written:
        places = ", ".join(str(place) for place in written)
        said.append(f"It may write into and return the input tensors counted {places} (from 0).")
    return said


def _sizes(problem: Problem, cases: Sequence[Case]) -> list[str]:
    lines = ["| case | arguments | timed | outputs | operations | compulsory bytes |"]
    lines.append("|---|---|---|---|---|---|")
    for case in cases:
        cost = problem.cost(case)
        arguments = ", ".join(f"{name} = {value}" for name, value in case.arguments.items())
        outputs = ", ".join(_output(output) for output in problem.outputs(case))
        lines.append(
            f"| {case.name} | {arguments} | {'yes' if case.timed else 'no'} | {outputs} | "
            f"{'unknown' if cost is None else f'{cost.flops:.3g}'} | "
            f"{'unknown' if cost is None else bytes_text(cost.bytes)} |"
        )
    return lines


def _output(output: OutputSpec) -> str:
    return f"{output.name} {output.dtype}{list(output.shape)}"


def _hidden(cases: Sequence[Case]) -> list[str]:
    count = sum(case.hidden for case in cases)
    if not count:
        return []
    return ["", f"{count} more {'case' if count == 1 else 'cases'} of other sizes must be right."]


def _tolerance(tolerance: Mapping[str, object]) -> list[str]:
    return [f"- {name}: {value}" for name, value in tolerance.items()]
