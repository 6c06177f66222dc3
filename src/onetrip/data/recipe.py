"""A recipe: a source and the steps behind it, as YAML says them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from onetrip.core.errors import ArgumentError, DataError, complaint, require
from onetrip.data.registry import make
from onetrip.data.sources.source import Source
from onetrip.data.step import LearnStep, Step

_SHIPPED = Path(__file__).parent / "recipes"
_EXAMPLE = "As in `- filter: {where: [length > 20]}`."


@dataclass(frozen=True, slots=True)
class Recipe:
    """A source, and steps with whether what each makes is written to disk.

    A step that is not `cached` runs fused with the next.
    """

    source: Source
    steps: tuple[Step, ...]
    cached: tuple[bool, ...]
    source_cached: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The recipe with every parameter spelled out, as YAML and JSON hold it."""
        steps = [
            _entry(step.name, asdict(step), cached)
            for step, cached in zip(self.steps, self.cached, strict=True)
        ]
        source = _entry(self.source.name, asdict(self.source), self.source_cached)
        return {"source": source, "steps": steps}


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the library.

    >>> "oas" in shipped_recipes()
    True
    """
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.yaml")))


def load_recipe(recipe: str | Path | Mapping[str, Any]) -> Recipe:
    """Read a recipe from a YAML file, by the name of a shipped one, or from a mapping.

    Parameters
    ----------
    recipe : path of a YAML file, name of a shipped recipe, or what the YAML would hold.

    Raises
    ------
    ArgumentError
        A step, a source or a parameter is not known; the message lists the known ones.
    DataError
        The file cannot be read, or is not a recipe.

    Examples
    --------
    >>> recipe = load_recipe({"source": "csv", "steps": [{"filter": {"where": ["n > 1"]}}]})
    >>> [step.name for step in recipe.steps]
    ['filter']
    """
    written = recipe if isinstance(recipe, Mapping) else _read(str(recipe))
    unknown = set(written) - {"source", "steps"}
    if unknown or "source" not in written:
        expected = "a mapping with `source` and `steps`"
        raise DataError(complaint("recipe", expected=expected, got=f"keys {list(written)}"))
    name, parameters, source_cached = _split("source", written["source"])
    source = make(Source, name, parameters)
    listed = written.get("steps") or ()
    if not isinstance(listed, list | tuple):
        expected = "a list: each step behind a dash"
        raise DataError(complaint("steps", expected=expected, got=repr(listed), way_out=_EXAMPLE))
    entries = [_split("steps", entry) for entry in listed]
    steps = tuple(make(Step, name, parameters) for name, parameters, _ in entries)
    for step, (_, _, cached) in zip(steps, entries, strict=True):
        if isinstance(step, LearnStep) and not cached:
            way_out = "It learns, and changes no row: there is nothing to fuse."
            raise ArgumentError(
                complaint(f"{step.name}: cache", expected="left out", got="false", way_out=way_out)
            )
    return Recipe(source, steps, tuple(cached for _, _, cached in entries), source_cached)


def _read(recipe: str) -> Mapping[str, Any]:
    yaml = require("yaml", extra="data", purpose="Reading a recipe")
    path = _SHIPPED / f"{recipe}.yaml" if recipe in shipped_recipes() else Path(recipe)
    try:
        text = path.read_text("utf-8")
        written = yaml.safe_load(text)
        _refuse_twice(recipe, yaml.compose(text, Loader=yaml.SafeLoader))
    except OSError as error:
        expected = f"a YAML file or one of {', '.join(shipped_recipes())}"
        raise DataError(complaint("recipe", expected=expected, got=repr(recipe))) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{recipe} is no YAML: {error}") from error
    if not isinstance(written, dict):
        expected = "a mapping with `source` and `steps`"
        raise DataError(complaint("recipe", expected=expected, got=type(written).__name__))
    return written


def _refuse_twice(recipe: str, top: Any) -> None:
    """Raise DataError where a mapping has a key twice: YAML would take the last without a word."""
    waiting, seen = [top], set()
    while waiting:
        node = waiting.pop()
        # An anchor can stand in many places, its own among them.
        if not isinstance(getattr(node, "value", None), list) or id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "sequence":
            waiting += node.value
            continue
        names = [key.value for key, _ in node.value if isinstance(key.value, str)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            line = node.start_mark.line + 1
            got = f"{', '.join(twice)} twice in the mapping of line {line}"
            raise DataError(complaint(recipe, expected="a recipe with each key once", got=got))
        waiting += [value for _, value in node.value]


def _split(place: str, entry: object) -> tuple[str, Mapping[str, object], bool]:
    """Name, parameters and whether to cache, of ``name`` or of ``{name: {...}, cache: bool}``."""
    if isinstance(entry, str):
        return entry, {}, True
    if isinstance(entry, dict):
        names = [key for key in entry if key != "cache"]
        cached = entry.get("cache", True)
        if len(names) == 1 and isinstance(cached, bool):
            name, parameters = names[0], entry[names[0]]
            parameters = {} if parameters is None else parameters
            if isinstance(name, str) and isinstance(parameters, dict):
                return name, cast("dict[str, object]", parameters), cached
    expected = "a name, or a mapping of one name to its parameters (and `cache: false`)"
    raise DataError(complaint(place, expected=expected, got=repr(entry), way_out=_EXAMPLE))


def _entry(name: str, parameters: Mapping[str, Any], cached: bool) -> dict[str, Any]:
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()}
    return {name: listed} | ({} if cached else {"cache": False})
