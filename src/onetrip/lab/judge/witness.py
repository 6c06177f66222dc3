"""What the oracle knows of one trial: pristine inputs, the truth, and what each contender wrote."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from onetrip.core.errors import DataError
from onetrip.lab.judge.arena import Arena, lay_out
from onetrip.lab.judge.shared import release, shared_bytes
from onetrip.lab.judge.tree import ALIGNMENT, Packed, pack, write
from onetrip.lab.problems.problem import Case, Problem, ProblemRef
from onetrip.lab.verdict import Check

_SPARE_SHARE = 1.25
_SAMPLE_BYTES = 4099


@dataclass(slots=True)
class Current:
    """The data of the calls that are being judged now."""

    case: Case
    inputs: Any
    packed: Packed
    pristine: Tensor | None
    eager: Mapping[str, Tensor] | None = None
    truth: Mapping[str, Tensor] | None = None


@dataclass(slots=True)
class Side:
    """One contender's memory, what stood in it after its last call on each case, and ever."""

    inbox: Tensor
    outbox: Tensor
    base: int = 0
    last: dict[str, Tensor] = field(default_factory=dict)
    seen: dict[str, set[bytes]] = field(default_factory=dict)


class Witness:
    """The oracle's answers, one method for each order."""

    def __init__(self) -> None:
        self._problem: Problem | None = None
        self._opened: tuple[object, str] | None = None
        self._setups: dict[str, object] = {}
        self._sides: dict[str, Side] = {}
        self._device = "cpu"
        self._now: Current | None = None

    def open(self, order: Mapping) -> dict[str, object]:
        """Load the problem, unless it is the one of the trial before; say what it is."""
        from onetrip.lab.problems.load import load_problem

        asked = (order["problem"], str(order["device"]))
        if self._opened != asked:
            self._problem = load_problem(ProblemRef(**order["problem"]))
            self._opened = asked
            self._sizes: dict[str, int] = {}
            self._arenas: dict[str, Arena] = {}
        for side in self._sides.values():
            release(side.inbox, self._device)
            release(side.outbox, self._device)
        self._device = str(order["device"])
        self._secret = str(order["seed"])
        self._sides = {}
        self._setups = {}
        problem = self._loaded
        wanted = set(order["cases"])
        cases = [case for case in problem.cases if not wanted or case.name in wanted]
        unknown = wanted - {case.name for case in cases}
        if unknown or not cases:
            raise DataError(f"{problem.name} has no case named {', '.join(sorted(unknown))}.")
        self._cases = {case.name: case for case in cases}
        entry = problem.entry
        self._written = entry.written
        return {
            "name": problem.name,
            "deterministic": problem.deterministic,
            "tolerance": dict(problem.tolerance),
            "fingerprint": problem.fingerprint,
            "entry": asdict(entry),
            "cases": [self._about(case) for case in cases],
            "inbox_bytes": 2 * max(self._sizes[case.name] for case in cases),
            "outbox_bytes": max(self._arenas[case.name].total_bytes for case in cases),
        }

    def attach(self, order: Mapping, descriptors: Sequence[int]) -> dict[str, object]:
        """Map one contender's memory."""
        sizes = (order["inbox_bytes"], order["outbox_bytes"])
        inbox, outbox = (
            shared_bytes(descriptor, size, self._device)
            for descriptor, size in zip(descriptors, sizes, strict=True)
        )
        for descriptor in descriptors:
            os.close(descriptor)
        self._sides[order["name"]] = Side(inbox, outbox)
        return {}

    def setup(self, order: Mapping) -> dict[str, object]:
        """Write what a case's model is made from; the document is None where there is none."""
        case = self._cases[order["case"]]
        setup = self._setup(case)
        if setup is None:
            return {"document": None, "base": 0}
        packed = pack(setup)
        side = self._sides[order["name"]]
        self._fits(packed, side)
        write(packed, side.inbox[: packed.total_bytes])
        return {"document": packed.document, "base": 0}

    def make(self, order: Mapping) -> dict[str, object]:
        """Make inputs that nobody has seen."""
        self._now = None
        began = time.perf_counter()
        case = self._cases[order["case"]]
        inputs = self._loaded.inputs(case, self._seed(case, order["call"]), self._device)
        packed = pack(inputs)
        # On a device the contender's process holds sums of its inputs against each other instead.
        pristine = None
        if self._device == "cpu":
            pristine = torch.zeros(packed.total_bytes, dtype=torch.uint8)
            write(packed, pristine)
        self._now = Current(case, inputs, packed, pristine)
        return {"seconds": time.perf_counter() - began}

    def fill(self, order: Mapping) -> dict[str, object]:
        """Give the inputs to one contender, in one of two places."""
        current, side = self._current, self._sides[order["name"]]
        self._fits(current.packed, side)
        half = side.inbox.numel() // 2 // ALIGNMENT * ALIGNMENT
        side.base = half if order["upper"] else 0
        if current.pristine is None:
            write(current.packed, side.inbox[side.base :])
        else:
            side.inbox[side.base : side.base + current.pristine.numel()].copy_(current.pristine)
        return {"document": current.packed.document, "base": side.base}

    def verify(self, order: Mapping) -> dict[str, object]:
        """Hold what one contender wrote against the truth; always against the rules."""
        began = time.perf_counter()
        current, side = self._current, self._sides[order["name"]]
        arena = self._arenas[current.case.name]
        actual = side.outbox[: arena.total_bytes].clone()
        broken = self._broken_rules(order, arena, side, actual)
        last = side.last.get(current.case.name)
        same = last is not None and torch.equal(last, actual)
        side.last[current.case.name] = actual
        seen, sample = side.seen.setdefault(current.case.name, set()), _sample(actual)
        checks: list[Check] = []
        if order["full"]:
            checks = self._checks(current, arena, actual)
            unwritten = arena.unwritten(actual)
            if any(not check.passed for check in checks):
                if unwritten:
                    broken.append(["unwritten output", f"nothing was written to {unwritten}"])
                elif sample in seen:
                    broken.append(["stale output", "the bytes of an earlier call, on other data"])
        seen.add(sample)
        return {
            "checks": [asdict(check) for check in checks],
            "broken": broken,
            "same": same,
            "seconds": time.perf_counter() - began,
        }

    def _checks(self, current: Current, arena: Arena, actual: Tensor) -> list[Check]:
        problem, setup = self._loaded, self._setup(current.case)
        if current.eager is None:
            current.eager = problem.eager(current.case, setup, current.inputs)
            current.truth = problem.truth(current.case, setup, current.inputs)
        strange = _strange_truths(arena, actual)
        if strange:
            message = f"`{strange[0]}` holds bytes that are neither true nor false"
            return [Check(strange[0], False, None, None, message, current.case.name)]
        outputs = {name: view.to(self._device) for name, view in arena.views(actual).items()}
        truth = current.truth if current.truth is not None else {}
        checks = problem.check(current.case, current.inputs, outputs, current.eager, truth)
        missing = {place.name for place in arena.places} - {check.tensor for check in checks}
        if not checks or missing == {place.name for place in arena.places}:
            raise DataError(f"{problem.name} checks none of its outputs.")
        if self._device != "cpu":
            torch.cuda.empty_cache()
        return checks

    def _broken_rules(
        self, order: Mapping, arena: Arena, side: Side, actual: Tensor
    ) -> list[list[str]]:
        broken = []
        guards = arena.overwritten_guards(actual)
        if guards:
            broken.append(["guard band", f"written at byte {guards[0]} of the output memory"])
        changed = self._changed_inputs(side)
        if changed:
            broken.append(["changed input", f"input tensor {changed[0]} is not what it was"])
        late = [
            place
            for place, value in order["probes"]
            if 0 <= place < actual.numel() and int(actual[place]) != value
        ]
        if late:
            broken.append(
                ["late write", f"{len(late)} of {len(order['probes'])} probed bytes were written "
                 "after the call had returned"]
            )  # fmt: skip
        return broken

    def _changed_inputs(self, side: Side) -> list[int]:
        current = self._current
        if current.pristine is None:
            return []
        given = side.inbox[side.base : side.base + current.pristine.numel()]
        if torch.equal(given, current.pristine):
            return []
        changed = []
        for index, place in enumerate(current.packed.document["tensors"]):
            part = slice(place["offset"], place["offset"] + place["bytes"])
            if index not in self._written and not torch.equal(given[part], current.pristine[part]):
                changed.append(index)
        return changed

    def _about(self, case: Case) -> dict[str, object]:
        problem = self._loaded
        if case.name not in self._sizes:
            inputs = pack(problem.inputs(case, self._seed(case, "size"), self._device))
            setup = self._setup(case)
            larger = max(inputs.total_bytes, pack(setup).total_bytes if setup is not None else 0)
            spare = int(larger * _SPARE_SHARE) + 2 * ALIGNMENT
            self._sizes[case.name] = -(-spare // 4096) * 4096
            self._arenas[case.name] = lay_out(problem.outputs(case))
        cost = problem.cost(case)
        return {
            "case": asdict(case),
            "arena": self._arenas[case.name].as_dict(),
            "cost": None if cost is None else asdict(cost),
            "dtype": problem.dtype(case),
        }

    def _setup(self, case: Case) -> Any:
        if case.name not in self._setups:
            seed = self._seed(case, "setup")
            self._setups[case.name] = self._loaded.setup(case, seed, self._device)
        return self._setups[case.name]

    def _seed(self, case: Case, call: object) -> int:
        text = f"{self._secret}/{case.name}/{call}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 2

    def _fits(self, packed: Packed, side: Side) -> None:
        if packed.total_bytes > side.inbox.numel() // 2:
            raise DataError(
                f"Inputs of {packed.total_bytes} bytes are more than a quarter larger than those "
                "of another seed."
            )

    @property
    def _loaded(self) -> Problem:
        if self._problem is None:
            raise DataError("The oracle was asked before it was opened.")
        return self._problem

    @property
    def _current(self) -> Current:
        if self._now is None:
            raise DataError("The oracle was asked about inputs before it made any.")
        return self._now


def _sample(actual: Tensor) -> bytes:
    """Enough bytes to tell the results of two calls apart."""
    return actual[:: max(1, actual.numel() // _SAMPLE_BYTES)].numpy().tobytes()


def _strange_truths(arena: Arena, actual: Tensor) -> list[str]:
    """Boolean outputs with bytes other than 0 and 1, which torch would read as it likes."""
    return [
        place.name
        for place in arena.places
        if place.dtype == "bool" and bool((place.bytes_of(actual) > 1).any())
    ]
