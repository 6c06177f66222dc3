"""One trial, conducted from a process without torch: who is asked what, in which order."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from onetrip.lab.judge.child import Babbled, Breached, Child, Deadline, Gone, Late
from onetrip.lab.judge.ruling import (
    LabAtFault,
    Ruling,
    ruling_on_end,
    ruling_on_reply,
    ruling_on_rule,
)
from onetrip.lab.judge.side import FailedReply, Sample, Side
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.verdict import Check, Outcome

_EMPTY_CALLS = 8
_RIVAL_SHARE = 0.3
Stage = Callable[[str, float | None], None]


@dataclass(slots=True)
class Trial:
    """What a trial knows while it goes on.

    Parameters
    ----------
    oracle : its process.
    sides : contenders by name, "candidate" first.
    deadline : of the whole trial.
    draw : order, counts and places, none of which a contender can foresee.
    """

    job: TrialJob
    oracle: Child
    sides: dict[str, Side]
    deadline: Deadline
    draw: random.Random
    stage: Stage
    facts: Mapping = field(default_factory=dict)
    checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    calls: int = 0
    verified: int = 0
    truth_s: float = 0.0
    longest_call_s: float = 0.0
    doing: str = "starting"

    def enter(self, name: str, share: float | None = None) -> None:
        """Say what goes on now."""
        self.doing = name
        self.stage(name, share)

    def ask_oracle(self, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> dict:
        """An answer of the oracle; its failure is the lab's."""
        try:
            self.oracle.tell(message, self.deadline, descriptors)
            answer = self.oracle.answer(self.deadline)
        except (Gone, Late) as end:
            what = "died" if isinstance(end, Gone) else "did not answer in time"
            raise LabAtFault(
                f"while {self.doing}: the oracle {what}", {"output": self.oracle.log()}
            ) from end
        if "error" in answer:
            raise LabAtFault(
                f"while {self.doing}: the oracle failed: {answer['error']}",
                {"traceback": answer["traceback"]},
            )
        return answer

    def attempt(self, side: Side, action: Callable[[], object]) -> bool:
        """Whether `action` went well; False when it put this rival out."""
        try:
            action()
        except RivalOut:
            return False
        return True

    def patience(self, side: Side) -> Deadline:
        """How long to wait for a contender: a rival that hangs must not use up the trial."""
        if side.name == "candidate":
            return self.deadline
        end_s = min(self.deadline.end_s, time.monotonic() + _RIVAL_SHARE * self.job.seconds)
        return Deadline(end_s, self.deadline.should_stop)

    def ask(self, side: Side, order: Mapping[str, object]) -> None:
        """Give a contender an order that yields nothing."""
        with self.ruling(side):
            side.ask(order, self.patience(side))

    def ruling(self, side: Side) -> "_Ruling":
        """What a contender does wrong within this block decides about it."""
        return _Ruling(self, side)

    def open(self) -> None:
        """Load the problem, size the memory, open every contender's process."""
        self.enter("reading the problem")
        job = self.job
        self.facts = self.ask_oracle(
            {
                "order": "open",
                "problem": job.problem.as_dict(),
                "device": job.device,
                "seed": str(job.seed),
                "cases": list(job.cases),
            }
        )
        sizes = {name: self.facts[name] for name in ("inbox_bytes", "outbox_bytes")}
        for side in self.sides.values():
            side.open_memory(**sizes)
            self.ask_oracle(
                {"order": "attach", "name": side.name, **sizes}, (side.inbox, side.outbox)
            )
        entry = self.facts["entry"]
        order = {
            "order": "open",
            **sizes,
            "device": job.device,
            "convention": entry["convention"],
            "written": entry["written"],
            "files": entry["files"],
        }
        self._all_at_once(lambda side: {**order, "trusted": not side.sandboxed})
        self.sides["candidate"].company.remember()

    def calibrate(self) -> None:
        """Learn what a call costs beside the call, before anything of a contender is loaded."""
        self.enter("calibrating")
        for name in self.timed_cases():
            self.make(name, "empty")
            for side in self.racing():
                self.attempt(side, lambda side=side, name=name: self._empty_calls(side, name))
        for side in self.sides.values():
            side.case = ""

    def load(self) -> None:
        """Import every contender; all at once, for a compiler takes its time."""
        self.enter("importing")
        entry = self.facts["entry"]
        order = {
            "order": "load",
            "problem": self.job.problem.as_dict(),
            "function": entry["function"],
            "convention": entry["convention"],
        }
        self._all_at_once(lambda side: {**order, "contender": side.contender.as_dict()})

    def change_case(self, side: Side, name: str, *, empty: bool = False) -> None:
        """Let a contender get ready for calls on another case."""
        if side.case == name and not empty:
            return
        setup = self.ask_oracle({"order": "setup", "name": side.name, "case": name})
        about = self.about(name)
        self.ask(
            side,
            {
                "order": "case",
                "arena": about["arena"],
                # Who wrote a source is not told of cases; the problem's own code has to be.
                "case": None if side.sandboxed else about["case"],
                "setup": setup["document"],
                "base": setup["base"],
                "empty": empty,
            },
        )
        side.case = name

    def make(self, case: str, call: object) -> None:
        """Let the oracle make data that nobody has seen."""
        self.ask_oracle({"order": "make", "case": case, "call": call})

    def call(
        self,
        side: Side,
        *,
        cold: bool,
        full: bool = True,
        empty: bool = False,
        memory: bool = False,
        block: int = -1,
    ) -> Sample:
        """One call on the oracle's data, from poisoned outputs to the oracle's word on them."""
        began_s = time.monotonic()
        case = side.case
        about = self.about(case)
        self.ask(side, {"order": "rest"})
        upper = self.draw.random() < 0.5
        filled = self.ask_oracle({"order": "fill", "name": side.name, "upper": upper})
        side.company.inputs_arrive()
        begun_ns = time.perf_counter_ns()
        self.ask(side, {"order": "inputs", "cold": cold, **filled})
        given_ns = time.perf_counter_ns() - begun_ns
        side.company.call_begins()
        order = {"order": "call", "empty": empty, "memory": memory}
        with self.ruling(side):
            reply, wall_ns = side.timed_call(order, self.patience(side))
        probes = [*reply.probes.items(), *side.probe(about["arena"], self.draw)]
        if not empty:
            self._hold_to_truth(side, case, probes, full=full)
            self.longest_call_s = max(self.longest_call_s, time.monotonic() - began_s)
        return Sample(
            case, "cold" if cold else "warm", block, reply.elapsed_ns, wall_ns, given_ns,
            reply.ahead_ns, reply.trailing_ns, reply.peak_bytes, reply.threads,
        )  # fmt: skip

    def same_again(self, side: Side) -> bool:
        """Whether one more call on the same data gives the same bytes."""
        for _ in range(2):
            self.call(side, cold=self.draw.random() < 0.5)
        return self._last_same

    def has_time_for(self, calls: int) -> bool:
        """Whether so many calls, each as long as the longest so far, end before the deadline."""
        return time.monotonic() + calls * self.longest_call_s < self.deadline.end_s

    def about(self, case: str) -> Mapping:
        """What the oracle said of a case."""
        return next(entry for entry in self.facts["cases"] if entry["case"]["name"] == case)

    def case_names(self) -> list[str]:
        """All cases of this trial."""
        return [entry["case"]["name"] for entry in self.facts["cases"]]

    def timed_cases(self) -> list[str]:
        """Those that are measured."""
        return [entry["case"]["name"] for entry in self.facts["cases"] if entry["case"]["timed"]]

    def racing(self) -> list[Side]:
        """Contenders that are not out."""
        return [side for side in self.sides.values() if not side.failure]

    _last_same: bool = False

    def _empty_calls(self, side: Side, case: str) -> None:
        self.change_case(side, case, empty=True)
        for turn in range(_EMPTY_CALLS):
            side.empty.append(self.call(side, cold=turn % 2 == 0, empty=True))

    def _all_at_once(self, order: Callable[[Side], Mapping[str, object]]) -> None:
        """Give every contender an order before any has answered."""

        def give(side: Side) -> None:
            with self.ruling(side):
                side.child.order(order(side), self.patience(side))

        def take(side: Side) -> None:
            with self.ruling(side):
                side.take(self.patience(side))

        for action in (give, take):
            for side in self.racing():
                self.attempt(side, lambda side=side, action=action: action(side))

    def _hold_to_truth(
        self, side: Side, case: str, probes: list[tuple[int, int]], *, full: bool
    ) -> None:
        found = self.ask_oracle(
            {"order": "verify", "name": side.name, "probes": probes, "full": full}
        )
        self._last_same = found["same"]
        self.calls += 1
        self.verified += full
        if full:
            self.truth_s = found["seconds"]
        checks = [Check(**check) for check in found["checks"]]
        if side.name == "candidate":
            self._keep(case, checks)
        evidence = {"case": case, "call": self.calls, "stage": self.doing}
        with self.ruling(side):
            for rule, seen in found["broken"]:
                raise ruling_on_rule(rule, seen, self.doing, evidence)
            for check in checks:
                if not check.passed:
                    raise Ruling(
                        Outcome.INCORRECT,
                        f"case {case}: {check.message}",
                        {**evidence, "tensor": check.tensor, "message": check.message},
                    )

    def _keep(self, case: str, checks: Sequence[Check]) -> None:
        """The worst of each output's checks on each case."""
        for check in checks:
            known = self.checks.get((case, check.tensor))
            worse = known is None or (known.passed and not check.passed)
            if known is not None and known.passed and check.passed:
                worse = (check.max_error or 0.0) > (known.max_error or 0.0)
            if worse:
                self.checks[case, check.tensor] = check


class _Ruling:
    """Turns a contender's misfortune into a ruling; a rival's only puts the rival out."""

    def __init__(self, trial: Trial, side: Side) -> None:
        self._trial = trial
        self._side = side

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        trial, side = self._trial, self._side
        if isinstance(error, Gone | Late | Breached | Babbled):
            limit_s = trial.job.seconds
            ruling = ruling_on_end(error, side.child, trial.doing, limit_s)
        elif isinstance(error, FailedReply):
            ruling = ruling_on_reply(error.reply, trial.doing)
        elif isinstance(error, Ruling):
            ruling = error
        else:
            return
        if side.name == "candidate":
            raise ruling from error
        side.failure = f"{ruling.outcome.value}: {ruling.reason}"
        raise RivalOut(side.name) from error


class RivalOut(Exception):
    """A rival can run no more; the trial goes on without it."""
