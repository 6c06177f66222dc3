"""Read the file that defines a run: what to start, parameters, objective, bounds."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onetrip.core.errors import ArgumentError, DataError, complaint, require
from onetrip.lab.problems.bounds import Bound, read_bound
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.problems.run_space import Parameter, as_source, check_config, read_space
from onetrip.lab.problems.sources import read_source
from onetrip.lab.queue.submit import ProblemFacts
from onetrip.lab.store.study import fingerprint

FILE = "run.toml"
MAXIMIZE, MINIMIZE = "maximize", "minimize"
_NEEDED = frozenset({"name", "objective", "direction", "parameters"})
_KNOWN = _NEEDED | {
    "summary", "command", "function", "bounds", "repeats", "warmup", "seconds", "baseline",
    "units",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a file says of a run.

    Parameters
    ----------
    folder : where the file lies, and where the run is started.
    command : what to start for one run; or
    function : "module:function" of the folder, called as ``function(parameters, seed)``.
    objective, direction : the metric that counts, and whether more of it is better.
    bounds : what every run must keep.
    units : metric -> unit.
    space : parameter -> its values.
    baseline : the parameters that a run is compared with where there is no champion.
    fixed : parameters that this problem does not vary.
    repeats : runs of each side, in pairs; twice as many to confirm.
    warmup : runs of each side before those, which do not count.
    seconds : limit of one run.
    """

    name: str
    summary: str
    folder: Path
    command: tuple[str, ...]
    function: str
    objective: str
    direction: str
    bounds: tuple[Bound, ...]
    units: Mapping[str, str]
    space: Mapping[str, Parameter]
    baseline: Mapping[str, Any]
    fixed: Mapping[str, Any]
    repeats: int
    warmup: int
    seconds: float

    def config(self, given: Mapping[str, object]) -> dict[str, object]:
        """All parameters of one side; raises `ArgumentError` for values that are not allowed."""
        check_config(self.space, given)
        return {**self.baseline, **given, **self.fixed}


def read_run(ref: ProblemRef) -> RunSpec:
    """Read the file at `ref.location`, or ``run.toml`` in that folder; TOML or YAML.

    `ref.options` fixes some of the parameters.

    Raises
    ------
    DataError
        The file is not what it should be.
    ArgumentError
        An option that is no parameter, or a value that it may not take.
    """
    path = Path(ref.location)
    path = path / FILE if path.is_dir() else path
    given = _parsed(path)
    where = str(path)
    _require(where, given)
    space = read_space(where, given["parameters"])
    check_config(space, ref.options)
    baseline = dict(given.get("baseline", {}))
    check_config(space, baseline)
    missing = sorted(space.keys() - baseline.keys() - ref.options.keys())
    if missing:
        raise DataError(f"{where}: `baseline` says nothing of {', '.join(missing)}.")
    fixed = dict(ref.options)
    suffix = "".join(f"/{name}={value}" for name, value in sorted(fixed.items()))
    function = str(given.get("function", ""))
    return RunSpec(
        name=f"{given['name']}{suffix}",
        summary=str(given.get("summary", "")).strip(),
        folder=path.resolve().parent,
        command=tuple(map(str, given.get("command", ()))),
        function=function,
        objective=str(given["objective"]),
        direction=given["direction"],
        bounds=tuple(read_bound(str(text)) for text in given.get("bounds", ())),
        units={str(name): str(unit) for name, unit in given.get("units", {}).items()},
        space={name: one for name, one in space.items() if name not in fixed},
        baseline={**baseline, **fixed},
        fixed=fixed,
        repeats=_count(where, given, "repeats", 5),
        warmup=_count(where, given, "warmup", 1 if function else 0, least=0),
        seconds=float(given.get("seconds", 120.0)),
    )


def run_facts(ref: ProblemRef, *, weight: float = 1.0) -> ProblemFacts:
    """Facts about a run for the store; its file says all of them."""
    spec = read_run(ref)
    tolerance = {"bounds": [bound.text for bound in spec.bounds]}
    space = {name: parameter.as_dict() for name, parameter in spec.space.items()}
    sources = {path.name: read_source(path) for path in sorted(spec.folder.glob("*.py"))}
    whole = asdict(spec) | {"folder": "", "space": space, "sources": sources}
    return ProblemFacts(
        kind="run",
        name=spec.name,
        fingerprint=fingerprint(["run", whole]),
        spec={
            "location": ref.location,
            "options": dict(ref.options),
            "objective": spec.objective,
            "direction": spec.direction,
            "units": dict(spec.units),
            "parameters": space,
            "baseline": dict(spec.baseline),
            "repeats": spec.repeats,
            "source": as_source(spec.space, spec.baseline),
            "peers": {},
        },
        brief=_brief(spec),
        weight=weight,
        tolerance=tolerance,
    )


def _parsed(path: Path) -> dict[str, Any]:
    text = read_source(path)
    if path.suffix in (".yml", ".yaml"):
        yaml = require("yaml", extra="lab", purpose="reading a run's YAML file")
        try:
            given = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise DataError(f"{path} is not YAML: {error}.") from error
    else:
        try:
            given = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise DataError(f"{path} is not TOML: {error}.") from error
    if not isinstance(given, dict):
        raise DataError(f"{path} must be a mapping, got {type(given).__name__}.")
    return given


def _require(where: str, given: Mapping[str, Any]) -> None:
    missing, unknown = sorted(_NEEDED - given.keys()), sorted(given.keys() - _KNOWN)
    if missing or unknown:
        raise DataError(
            f"{where}: missing {missing}, unknown {unknown}. A run has {sorted(_NEEDED)}, and "
            f"maybe {sorted(_KNOWN - _NEEDED)}."
        )
    if ("command" in given) == ("function" in given):
        raise DataError(
            f"{where} has either `command`, a list, or `function`, as in 'module:function'."
        )
    if not isinstance(given.get("command", []), list):
        raise DataError(f"{where}: `command` is a list of words, got {given['command']!r}.")
    if given["direction"] not in (MAXIMIZE, MINIMIZE):
        expected = f"{MAXIMIZE!r} or {MINIMIZE!r}"
        raise ArgumentError(complaint("direction", expected=expected, got=given["direction"]))


def _count(where: str, given: Mapping[str, Any], name: str, default: int, least: int = 1) -> int:
    count = given.get(name, default)
    if not isinstance(count, int) or count < least:
        raise DataError(f"{where}: `{name}` must be a whole number of {least} at least.")
    return count


def _brief(spec: RunSpec) -> str:
    said = [
        f"# {spec.name}",
        "",
        spec.summary,
        "",
        "## What to submit",
        "",
        "A configuration: values of some of the parameters; the others are the baseline's. Or the",
        "same as a Python file of constants, whose KNOBS a search may vary:",
        "",
        "```python",
        as_source(spec.space, spec.baseline).rstrip(),
        "```",
        "",
        "| parameter | may be | baseline | what it does |",
        "|---|---|---|---|",
        *(
            f"| {name} | {parameter.allowed} | {spec.baseline[name]} | {parameter.why} |"
            for name, parameter in spec.space.items()
        ),
        "",
        "## Objective",
        "",
        f"{spec.direction.capitalize()} `{spec.objective}` "
        f"({spec.units.get(spec.objective, 'no unit')}), in {spec.repeats} runs of each side that "
        "take turns with the baseline's.",
        "",
        "## Bounds that every run must keep",
        "",
        *([f"- `{bound.text}`" for bound in spec.bounds] or ["None."]),
    ]
    return "\n".join(said) + "\n"
