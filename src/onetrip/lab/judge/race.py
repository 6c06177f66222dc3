"""Timing: blocks in which everybody runs twice, each call on data of its own, and checked."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from onetrip.lab.judge.schedule import block_order, blocks_wanted
from onetrip.lab.judge.side import Side
from onetrip.lab.judge.telemetry import Telemetry
from onetrip.lab.judge.trial import Trial

REGIMES = ("cold", "warm")
# Of the time that is left when the timing begins; the rest is for what comes after.
_TIME_SHARE = 0.75
# A search asks many questions: none may take all of its time on one answer.
_LONGEST_SEARCH_S = 20.0
# Where the truth takes longer than this a call, a part of the timed results is held to it.
_EXPENSIVE_TRUTH_S = 1.0
_VERIFIED_SHARE = 0.34
# The last verification and the measurement of memory.
_CALLS_AFTERWARDS = 4


@dataclass(slots=True)
class Race:
    """What the timing left: for each case and regime, the blocks with their order and device."""

    blocks: dict[tuple[str, str], list[Mapping[str, object]]] = field(default_factory=dict)
    cut_short: list[str] = field(default_factory=list)


def race(trial: Trial, telemetry: Telemetry) -> Race:
    """Time every contender on every timed case, cold and warm."""
    found = Race()
    left_s = max(0.0, trial.deadline.end_s - time.monotonic()) * _TIME_SHARE
    if trial.job.purpose != "confirm":
        left_s = min(left_s, _LONGEST_SEARCH_S)
    legs = [(case, regime) for case in trial.timed_cases() for regime in REGIMES]
    trial.draw.shuffle(legs)
    for done, (case, regime) in enumerate(legs):
        end_s = time.monotonic() + left_s / (len(legs) - done)
        before_s = time.monotonic()
        _leg(trial, telemetry, case, regime, end_s, found, done / len(legs))
        left_s -= time.monotonic() - before_s
    return found


def _leg(
    trial: Trial,
    telemetry: Telemetry,
    case: str,
    regime: str,
    end_s: float,
    found: Race,
    share: float,
) -> None:
    wanted = blocks_wanted(trial.job.purpose)
    blocks = found.blocks.setdefault((case, regime), [])
    longest_s = 0.0
    for block in range(wanted):
        trial.enter(f"timing {case}, {regime}", share)
        began_s = time.monotonic()
        calls = (4 if regime == "warm" else 2) * len(trial.racing())
        late = blocks and began_s + longest_s > end_s
        if late or not trial.has_time_for(calls + _CALLS_AFTERWARDS):
            found.cut_short.append(f"{case}, {regime}: {block} of {wanted} blocks")
            return
        order = block_order([side.name for side in trial.racing()], trial.draw)
        trial.sides["candidate"].company.look()
        before = telemetry.sample()
        for turn, name in enumerate(order):
            # The two halves of a block have data of their own, the same for everybody.
            if turn % (len(order) // 2) == 0 and regime == "cold":
                trial.make(case, f"{regime} {block} {turn}")
            side = trial.sides[name]
            if not side.failure:
                call = partial(_turn, trial, side, case, regime, block, turn)
                trial.attempt(side, call)
        blocks.append({"block": block, "order": order, **telemetry.since(before)})
        longest_s = max(longest_s, time.monotonic() - began_s)


def _turn(trial: Trial, side: Side, case: str, regime: str, block: int, turn: int) -> None:
    trial.change_case(side, case)
    if regime == "warm":
        # A call on other data just before: what it leaves in the cache is not this call's.
        trial.make(case, f"warmer {block} {turn}")
        trial.call(side, cold=False, full=_to_be_verified(trial))
        trial.make(case, f"{regime} {block} {turn}")
    full = side.name == "candidate" and _to_be_verified(trial)
    side.samples.append(trial.call(side, cold=regime == "cold", full=full, block=block))


def _to_be_verified(trial: Trial) -> bool:
    """Every timed result where the truth is cheap; else some, drawn without anybody's foresight."""
    return trial.truth_s < _EXPENSIVE_TRUTH_S or trial.draw.random() < _VERIFIED_SHARE
