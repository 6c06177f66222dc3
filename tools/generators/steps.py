"""A step's page, from the step's own declaration; the published filters, from their tables."""

import inspect
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, fields, replace

import pyarrow as pa
import yaml

from generators import results
from generators.markdown import table
from onetrip.bench.results import results_path
from onetrip.core.errors import DataError
from onetrip.data.recipe import load_recipe
from onetrip.data.registry import known
from onetrip.data.step import BatchStep, DatasetStep, ExchangeStep, LearnStep, Step
from onetrip.data.steps.antibody.published import PUBLISHED

_KINDS = (BatchStep, ExchangeStep, DatasetStep, LearnStep)
_HEADING = re.compile(r"^Parameters\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*) : (?P<text>.*(?:\n(?: .*)?)*)", re.MULTILINE)
# "int, default 20" says what the field says; what follows on the next line is the description.
_TYPE = re.compile(r"^(tuple of \w+|str|int|float|bool|\{[^}]*\})( or None)?(, .*)?\n")


def steps_table() -> str:
    """One row a step: its name with a link to its page, what it sees at once, what it does."""
    rows = (
        (f"[`{name}`](steps/{name}.md)", f"`{_kind(step).__name__}`", _sentence(step.summary))
        for name, step in known(Step).items()
    )
    return table(["step", "kind", "what it does"], rows)


def step_page(name: str) -> str:
    """Everything that a step says of itself, and what it does to the columns."""
    step = known(Step)[name]
    what, parameters = _docstring(step)
    kind = _kind(step)
    parts = [
        _sentence(step.summary),
        what,
        "## In a recipe",
        f"With every parameter at its default:\n\n```yaml\nsteps:\n  - {_recipe_line(step())}\n```",
    ]
    if parameters:
        defaults = asdict(step())
        types = {field.name: _type_text(field.type) for field in fields(step)}
        parts += [
            "## Parameters",
            table(
                ["parameter", "type", "default", "what"],
                (
                    (f"`{one}`", types[one], f"`{_yaml(defaults[one])}`", text)
                    for one, text in parameters
                ),
            ),
        ]
    parts += ["## Columns", _columns(step())]
    if step.wants:
        parts.append(f"It needs what an earlier step learned: {_code(step.wants)}.")
    parts.append(
        f"Version {step.version}. Kind `{kind.__name__}`: {_first_sentence(kind)} "
        f"Source: `{step.__module__}`."
    )
    return "\n\n".join(parts)


def presets_table() -> str:
    """The rules of every published filter, in the order in which they are tried."""
    parts = []
    for name, published in PUBLISHED.items():
        rows = (
            (f"`{rule}`", f"`{condition.keep}`", condition.reason)
            for rule, condition in published.rules.items()
        )
        parts += [f"### `{name}`", f"After {published.source}. {published.note}".strip()]
        parts.append(table(["rule", "keeps", "because"], rows))
    return "\n\n".join(parts)


def step_rates_table(device: str = "cpu-2-cores") -> str:
    """What each step does in a second of one core, and where that was measured."""
    path = results_path("data", device, results.FOLDER)
    lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    newest = {line["contender"]: line for line in lines if line.get("bar") == "steps"}
    if not newest:
        way_out = "Measure with: python tools/data_step_bars.py --save"
        raise DataError(f"No line of {path.name} is about steps. {way_out}")
    rows = ((name, f"{line['rows_per_cpu_s']:,}") for name, line in newest.items())
    last = list(newest.values())[-1]
    place = last["environment"]
    return (
        f"{table(['step', 'rows a second of one core'], rows)}\n\n"
        f"Measured with `{last['command']}` on {place['processor']}, {place['threads']} cores, "
        f"{place['time'][:10]}, in CPU seconds while other work ran beside it."
    )


def _kind(step: type[Step]) -> type[Step]:
    return next(kind for kind in _KINDS if issubclass(step, kind))


def _first_sentence(kind: type[Step]) -> str:
    text = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return text[0].lower() + text[1:]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].removesuffix(".") + "."


def _docstring(step: type[Step]) -> tuple[str, list[tuple[str, str]]]:
    """The text above the parameters, and each parameter with its description."""
    text = inspect.getdoc(step) or ""
    parts = _HEADING.split(text, maxsplit=1)
    if len(parts) == 1:
        return text, []
    entries = []
    for entry in _ENTRY.finditer(parts[1]):
        words = _TYPE.sub("", entry["text"]).replace("``", "`").split()
        entries += [(name, " ".join(words)) for name in entry["names"].split(", ")]
    return parts[0].strip(), entries


def _columns(step: Step) -> str:
    """What comes out where the step stands in the default recipe, or behind it."""
    upstream = _upstream(step)
    if hasattr(step, "program"):
        # A page must not depend on what is installed beside Python.
        step = replace(step, program=sys.executable)  # pyright: ignore[reportCallIssue]
    made = step.schema(upstream)
    before = {field.name: field.type for field in upstream}
    after = {field.name: field.type for field in made}
    rows = [
        (f"`{name}`", _arrow_text(kind)) for name, kind in after.items() if before.get(name) != kind
    ]
    gone = [name for name in before if name not in after]
    where = "Where it stands in the default recipe for unpaired chains"
    if not any(isinstance(step, type(one)) for one in load_recipe("oas").steps):
        where = "Behind the default recipe for unpaired chains"
    if not rows and not gone:
        return f"{where}, no column comes, goes or changes."
    parts = [f"{where}, these columns come or change:", table(["column", "type"], rows)]
    if gone:
        parts.append(f"These go: {_code(gone)}.")
    return "\n\n".join(parts if rows else parts[2:])


def _upstream(step: Step) -> pa.Schema:
    recipe = load_recipe("oas")
    schema = recipe.source.schema()
    for before in recipe.steps:
        if isinstance(step, type(before)):
            break
        schema = before.schema(schema)
    return schema


def _recipe_line(step: Step) -> str:
    parameters = asdict(step)
    return f"{step.name}: {_yaml(parameters)}" if parameters else step.name


def _yaml(value: object) -> str:
    plain = _plain(value)
    return (
        yaml.safe_dump(plain, default_flow_style=True, width=1000, sort_keys=False)
        .removesuffix("...\n")
        .strip()
    )


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _type_text(kind: object) -> str:
    if type(kind) is type:
        return kind.__name__
    words = str(kind).replace("typing.", "")
    words = re.sub(r"Literal\[(.*)\]", r"one of \1", words)
    return re.sub(r"tuple\[(\w+), \.\.\.\]", r"list of \1", words)


def _arrow_text(kind: pa.DataType) -> str:
    return f"dictionary of {kind.value_type}" if pa.types.is_dictionary(kind) else str(kind)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
