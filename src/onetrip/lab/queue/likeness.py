"""How much a candidate looks like those that failed, more than like those that did not.

Configurations are alike in the share of parameters that agree, sources in the share of lines. A
line, or a parameter with its value, is a bit of one number, at a place that follows from its text:
a hundred thousand pairs take a fraction of a second.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onetrip.lab.queue.evidence import Result

# The newest of each kind: what failed long ago has been learned from.
_COMPARED = 40
# Of a hundred lines, two or three fall on a place that is taken.
_PLACES = 2048
_KEPT_SOURCES = 10_000
# Below this likeness two sources share little more than their imports.
_LEAST_SOURCE = 0.5


@dataclass(frozen=True, slots=True)
class Resemblance:
    """How alike, from 0 to 1, and the failed experiment that it is like."""

    amount: float
    experiment_id: int | None = None
    state: str = ""


NONE = Resemblance(0.0)


class Likeness:
    """Compares candidates of one problem with its results.

    Parameters
    ----------
    results : of the problem, the newest first.
    """

    def __init__(self, connection: sqlite3.Connection, results: Sequence[Result]) -> None:
        self._connection = connection
        self._results = {
            True: [result for result in results if result.failed][:_COMPARED],
            False: [result for result in results if result.state == "done"][:_COMPARED],
        }
        self.read(result.source_sha256 for group in self._results.values() for result in group)
        self._looks: dict[tuple[bool, str, str], list[tuple[int, int]]] = {}
        for failed, group in self._results.items():
            for result in group:
                bits = _bits(result.kind, result.config, result.source_sha256)
                key = (failed, result.kind, result.impl)
                self._looks.setdefault(key, []).append((bits, bits.bit_count()))

    def read(self, sha256s: Iterable[str | None]) -> None:
        """Read these sources in one query, before they are compared."""
        if len(_sources) > _KEPT_SOURCES:
            _sources.clear()
        wanted = sorted({name for name in sha256s if name is not None} - _sources.keys())
        rows = self._connection.execute(
            "SELECT sha256, data FROM blob WHERE sha256 IN (SELECT value FROM json_each(?))",
            (json.dumps(wanted),),
        )
        for sha256, data in rows:
            _sources[sha256] = _as_bits({line.strip() for line in data.split(b"\n")} - {b""})

    def to_failures(
        self, kind: str, impl: str, config: str, source_sha256: str | None
    ) -> Resemblance:
        """Likeness to the failure that is most alike, less what it is like those that are right."""
        bits = _bits(kind, config, source_sha256)
        least = _LEAST_SOURCE if kind == "source" else 0.0
        place, share = _closest(bits, self._looks.get((True, kind, impl), ()))
        if share <= least:
            return NONE
        _, good = _closest(bits, self._looks.get((False, kind, impl), ()))
        amount = (share - least) / (1.0 - least) * (1.0 - good)
        if amount <= 0.0:
            return NONE
        same = [one for one in self._results[True] if (one.kind, one.impl) == (kind, impl)]
        return Resemblance(amount, same[place].experiment_id, same[place].state)


# A text never changes under its hash, so what was read once is read for the life of the process.
_sources: dict[str, int] = {}


def _bits(kind: str, config: str, source_sha256: str | None) -> int:
    if kind == "config":
        return _as_bits(f"{name}={value}".encode() for name, value in json.loads(config).items())
    return _sources.get(source_sha256 or "", 0)


def _as_bits(parts: Iterable[bytes]) -> int:
    octets = bytearray(_PLACES // 8)
    for part in parts:
        place = zlib.crc32(part) % _PLACES
        octets[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(octets, "little")


def _closest(bits: int, others: Sequence[tuple[int, int]]) -> tuple[int, float]:
    """Place of the most alike, and the share of parts that the two have in common."""
    count = bits.bit_count()
    best, share = 0, 0.0
    for place, (other, size) in enumerate(others):
        shared = (bits & other).bit_count()
        either = count + size - shared
        if either and shared > share * either:
            best, share = place, shared / either
    return best, share
