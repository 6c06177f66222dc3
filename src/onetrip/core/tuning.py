"""Tuning tables: the fastest verified configuration of each recorded problem of a device.

A table is one JSON file per device: shipped tables lie in ``ops/<operator>/tuned/``, the user's
in ``<cache_dir>/tuning/<operator>/``. A user's entry wins over a shipped one at equal distance.
"""

import functools
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from onetrip.core import settings
from onetrip.core.device import file_key
from onetrip.core.errors import DataError
from onetrip.core.operators import _OPS_DIR
from onetrip.core.selection import Choice, Config, Problem, unmeasured

FORMAT = 1
# A recorded problem speaks for another when no axis differs by more than this factor.
NEAREST_FACTOR = 2.0

_overrides: ContextVar[Mapping[tuple[str, str], Config]] = ContextVar(
    "onetrip_overrides", default=MappingProxyType({})
)
_tables_ignored: ContextVar[bool] = ContextVar("onetrip_tables_ignored", default=False)


@dataclass(frozen=True, slots=True)
class TunedEntry:
    """One verified winner: where, for what, which configuration, how much faster, on what proof."""

    operator: str
    device: str
    impl: str
    dtype: str
    axes: Mapping[str, int]
    config: Config
    latency_ms: float
    baseline_ms: float
    evidence: str


def user_table(operator: str, device_name: str) -> Path:
    """Where `onetrip tune` writes the winners of this device."""
    return settings.cache_dir() / "tuning" / operator / f"{file_key(device_name)}.json"


def shipped_table(operator: str, device_name: str) -> Path:
    """Where a maintainer commits the winners of this device."""
    return _OPS_DIR / operator / "tuned" / f"{file_key(device_name)}.json"


def read_table(path: Path) -> tuple[TunedEntry, ...]:
    """Entries of one table; none when the file does not exist."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise DataError(
                f"Tuning table {path} has format {document['format']}, expected {FORMAT}. "
                "Delete it and run `onetrip tune` again."
            )
        return tuple(TunedEntry(**entry) for entry in document["entries"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"Tuning table {path} is not readable ({error}). "
            "Delete it and run `onetrip tune` again."
        ) from error


def write_table(path: Path, entries: tuple[TunedEntry, ...]) -> None:
    """Write a table aside and rename it, so that no reader ever sees half a file."""
    settings.make_folder(path.parent)
    document = {"format": FORMAT, "entries": [asdict(entry) for entry in entries]}
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, sort_keys=True)
            file.write("\n")
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    forget_tables()


def record_winner(path: Path, entry: TunedEntry) -> None:
    """Put `entry` into the table in place of what it had for the same problem."""
    kept = tuple(
        old
        for old in read_table(path)
        if (old.impl, old.dtype, dict(old.axes)) != (entry.impl, entry.dtype, dict(entry.axes))
    )
    write_table(path, (*kept, entry))


@functools.lru_cache(maxsize=64)
def _entries(operator: str, device_name: str) -> tuple[TunedEntry, ...]:
    user = read_table(user_table(operator, device_name))
    return (*user, *read_table(shipped_table(operator, device_name)))


def forget_tables() -> None:
    """Read the tables again at the next look-up."""
    _entries.cache_clear()


def distance(axes: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Largest factor, as a logarithm, by which one axis differs from the other's.

    >>> distance({"N": 8}, {"N": 16}) == math.log(2)
    True
    """
    if axes.keys() != other.keys() or min(*axes.values(), *other.values()) < 1:
        return math.inf
    return max(abs(math.log(axes[letter] / other[letter])) for letter in axes)


def nearest(operator: str, problem: Problem, impl: str | None = None) -> TunedEntry | None:
    """The recorded winner nearest to `problem`, or None when none is within a factor of two.

    Without `impl`, the fastest implementation of the nearest recorded problem.
    """
    if _tables_ignored.get():
        return None
    best: TunedEntry | None = None
    best_rank = (math.log(NEAREST_FACTOR) + 1e-9, math.inf)
    for entry in _entries(operator, problem.device_name):
        if entry.dtype != problem.dtype or impl not in (None, entry.impl):
            continue
        rank = (distance(problem.axes, entry.axes), entry.latency_ms)
        if rank < best_rank:
            best, best_rank = entry, rank
    return best


@contextmanager
def override(operator: str, impl: str, config: Config) -> Iterator[None]:
    """Run `impl` of `operator` with `config` inside this block, whatever any table says.

    An operator reads its configuration once, in the forward pass, and keeps it for the backward
    pass: autograd may run that in a thread of its own, which does not see this block.

    >>> with override("linear_cross_entropy", "torch", {"chunk": 64}):
    ...     overridden("linear_cross_entropy", "torch")
    {'chunk': 64}
    >>> overridden("linear_cross_entropy", "torch") is None
    True
    """
    token = _overrides.set({**_overrides.get(), (operator, impl): dict(config)})
    try:
        yield
    finally:
        _overrides.reset(token)


def overridden(operator: str, impl: str) -> Config | None:
    """The configuration that `override` asks for here, or None."""
    return _overrides.get().get((operator, impl))


@contextmanager
def ignore_tables() -> Iterator[None]:
    """Let no tuning table speak inside this block: the choice and the defaults are the code's own.

    The lab measures its candidates against these, so that its baseline does not move when it
    finds a winner.
    """
    token = _tables_ignored.set(True)
    try:
        yield
    finally:
        _tables_ignored.reset(token)


def known_config(operator: str, impl: str, problem: Problem) -> Config | None:
    """What an override or the tuning table says `impl` runs; None leaves it to the default."""
    asked = overridden(operator, impl)
    if asked is not None:
        return asked
    tuned = nearest(operator, problem, impl)
    return None if tuned is None else tuned.config


def known_choice(
    operator: str,
    problem: Problem,
    unsupported_reason: Callable[[str, Problem, Config], str | None],
    default_config: Callable[[str, Problem], Config],
) -> Choice | None:
    """What the tuning table lets ``impl="auto"`` run; None leaves it to the operator's own rows.

    `default_config` completes what an entry leaves open, and hears an override first.
    """
    tuned = nearest(operator, problem)
    if tuned is None or unsupported_reason(tuned.impl, problem, tuned.config) is not None:
        return None
    why = f"tuned on this device for the nearest recorded problem {dict(tuned.axes)}"
    return Choice(tuned.impl, default_config(tuned.impl, problem), why, tuned.evidence)


def kernel_or_torch(
    operator: str,
    problem: Problem,
    unsupported_reason: Callable[[str, Problem, Config | None], str | None],
    default_config: Callable[[str, Problem], Config],
    *,
    kernel: str,
    torch: str,
) -> Choice:
    """What the tuning table says, else the Triton kernels on a GPU that can run them, else torch.

    For operators whose kernels were measured on an H100 alone, and torch on a CPU alone.

    Parameters
    ----------
    kernel, torch : why each is the fastest where it runs.
    """
    known = known_choice(operator, problem, unsupported_reason, default_config)
    if known is not None:
        return known
    if problem.device_kind == "cuda" and unsupported_reason("triton", problem, None) is None:
        why = kernel + unmeasured(problem, "h100")
        return Choice("triton", default_config("triton", problem), why)
    return Choice("torch", default_config("torch", problem), torch + unmeasured(problem))
