"""Units put together to tasks: a large one alone, small ones in bundles that seldom change."""

import hashlib
from collections.abc import Iterator, Sequence

from onetrip.data.sources.source import Unit

BUNDLE_BYTES = 16 << 20

# The rows of a bundled unit are held until it is known that it can be read to its end: it may
# take this share of a bundle at most.
_SMALL = 4

# A bundle also ends behind one unit in so many, chosen by its name: another unit in the folder
# changes the bundle that it falls into and not all behind it.
_ONE_IN = 64


def bundles(units: Sequence[Unit], bundle_bytes: int) -> Iterator[tuple[Unit, ...]]:
    """Bundles of so many bytes in the order of the units; a large unit is one of its own."""
    waiting: list[Unit] = []
    for unit in units:
        if unit.bytes * _SMALL > bundle_bytes:
            yield (unit,)
            continue
        waiting.append(unit)
        if sum(other.bytes for other in waiting) >= bundle_bytes or _ends_bundle(unit):
            yield tuple(waiting)
            waiting = []
    if waiting:
        yield tuple(waiting)


def _ends_bundle(unit: Unit) -> bool:
    digest = hashlib.blake2b(unit.unit_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _ONE_IN == 0
