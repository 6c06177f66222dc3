"""Units put together to tasks: a large one alone, small ones in bundles that seldom change."""

import hashlib
from collections.abc import Iterator, Sequence

from onetrip.data.sources.source import Unit

# Up to here the rows of a unit are held until it is known that it can be read to its end.
SMALL_BYTES = 4 << 20
BUNDLE_BYTES = 16 << 20

# A bundle also ends behind one unit in so many, chosen by its name: another unit in the folder
# changes the bundle that it falls into and not all behind it.
_ONE_IN = 64


def bundles(units: Sequence[Unit]) -> Iterator[tuple[Unit, ...]]:
    """Bundles in the order of the units; a unit above `SMALL_BYTES` is one of its own."""
    waiting: list[Unit] = []
    for unit in units:
        if unit.bytes > SMALL_BYTES:
            yield (unit,)
            continue
        waiting.append(unit)
        if sum(other.bytes for other in waiting) >= BUNDLE_BYTES or _ends_bundle(unit):
            yield tuple(waiting)
            waiting = []
    if waiting:
        yield tuple(waiting)


def _ends_bundle(unit: Unit) -> bool:
    digest = hashlib.blake2b(unit.unit_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _ONE_IN == 0
