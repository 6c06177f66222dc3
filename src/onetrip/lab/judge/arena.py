"""Output buffers that the judge owns: poisoned before each call, with guard bands on both sides."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from onetrip.lab.judge.tree import ALIGNMENT
from onetrip.lab.problems.problem import OutputSpec

# All bits set is NaN in every floating dtype, -1 in integers and no value of a bool.
POISON = 0xFF
# No kernel writes these by accident, and they are not the poison.
GUARD = 0xA5
_GUARD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """Where one output lies in the arena."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    size_bytes: int

    def view(self, arena: Tensor) -> Tensor:
        """The output as a tensor over the arena's bytes."""
        whole = arena[self.offset : self.offset + self.size_bytes]
        return whole.view(getattr(torch, self.dtype)).view(self.shape)

    def bytes_of(self, arena: Tensor) -> Tensor:
        """The output's bytes."""
        return arena[self.offset : self.offset + self.size_bytes]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Arena:
    """The layout of one case's outputs: guard, output, guard, output, …, guard."""

    places: tuple[Place, ...]
    total_bytes: int

    def views(self, memory: Tensor) -> dict[str, Tensor]:
        """Outputs by name, in `memory`."""
        return {place.name: place.view(memory) for place in self.places}

    def poison(self, memory: Tensor) -> None:
        """Make `memory` ready for a call: no result of another call is left in it."""
        memory[: self.total_bytes].fill_(GUARD)
        for place in self.places:
            place.bytes_of(memory).fill_(POISON)

    def overwritten_guards(self, memory: Tensor) -> list[int]:
        """Where guard bands are not what they were: the first place of each band."""
        found = []
        begin = 0
        for place in (*self.places, None):
            end = self.total_bytes if place is None else place.offset
            band = memory[begin:end] != GUARD
            if bool(band.any()):
                found.append(begin + int(band.nonzero()[0]))
            if place is not None:
                begin = place.offset + place.size_bytes
        return found

    def unwritten(self, memory: Tensor) -> list[str]:
        """Outputs that still hold nothing but poison."""
        return [
            place.name
            for place in self.places
            if place.size_bytes and bool((place.bytes_of(memory) == POISON).all())
        ]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"places": [place.as_dict() for place in self.places], "bytes": self.total_bytes}


def lay_out(specs: Sequence[OutputSpec]) -> Arena:
    """Give every output its place.

    >>> arena = lay_out([OutputSpec("y", (3,), "float32")])
    >>> arena.places[0].offset, arena.total_bytes
    (4096, 8448)
    """
    places = []
    end = 0
    for spec in specs:
        begin = end + _GUARD_BYTES
        elements = 1
        for size in spec.shape:
            elements *= size
        size_bytes = elements * getattr(torch, spec.dtype).itemsize
        places.append(Place(spec.name, tuple(spec.shape), spec.dtype, begin, size_bytes))
        end = -(-(begin + size_bytes) // ALIGNMENT) * ALIGNMENT
    return Arena(tuple(places), end + _GUARD_BYTES)


def arena_from(document: Mapping) -> Arena:
    """Read what `Arena.as_dict` wrote."""
    places = tuple(
        Place(**place | {"shape": tuple(place["shape"])}) for place in document["places"]
    )
    return Arena(places, int(document["bytes"]))
