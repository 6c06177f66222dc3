"""Contenders side by side on one problem: gate first, then interleaved times, memory, ratios."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from onetrip.bench.environment import command_line, environment
from onetrip.bench.gate import examine, worst_share
from onetrip.bench.outcome import Failure, catching
from onetrip.bench.peers import Peer, load_peer
from onetrip.bench.problems import BenchProblem
from onetrip.bench.roofline import measure_ceilings
from onetrip.bench.timing import Timing, TimingReport, interleaved, release_memory
from onetrip.bench.truths import find_truth
from onetrip.core.cost import count_cost
from onetrip.core.device import Device
from onetrip.core.units import short_bytes_text
from onetrip.testing.budget import BudgetReport
from onetrip.testing.contract import Case

FORWARD = "forward"
BOTH = "forward+backward"

Call = Callable[..., "Tensor | tuple[Tensor, dict[str, Tensor]]"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Contender:
    """One implementation on trial: ours (`impl` is set), or a peer's."""

    name: str
    impl: str
    version: str
    load: Callable[[], Call]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that one run on one problem found.

    `rows` hold one document for each contender and passes, as `bench.results` keeps them;
    `ceilings` are of the same run.
    """

    problem: str
    ceilings: Device
    rows: tuple[dict[str, Any], ...]


def ours(
    case: Case, impls: Sequence[str], memory_budgets_bytes: Sequence[int] = ()
) -> list[Contender]:
    """Our implementations, each once, or once for each memory budget.

    "auto" stands for what it would choose. Whether one can run here shows when it is called.
    """
    made = []
    for impl in impls:
        for budget_bytes in memory_budgets_bytes or (None,):
            suffix, workload = "", case.workload
            if budget_bytes is not None:
                suffix = f"@{short_bytes_text(budget_bytes)}"
                options = {**workload.options, "memory_budget": budget_bytes}
                workload = replace(workload, options=options)
            named = replace(case, impl=impl, workload=workload)
            if impl == "auto":
                named = replace(named, impl=case.operator.select.choose(named.problem).impl)
            load = functools.partial(getattr, named, "run")
            made.append(Contender(f"onetrip-{named.impl}{suffix}", named.impl, "", load))
    return made


def theirs(case: Case, peers: Sequence[Peer]) -> list[Contender]:
    """Peers as contenders."""
    return [
        Contender(peer.name, "", peer.version, functools.partial(load_peer, peer, case.workload))
        for peer in peers
    ]


def compare(
    case: Case,
    problem: BenchProblem,
    contenders: Sequence[Contender],
    *,
    passes: Sequence[str] = (FORWARD, BOTH),
    samples: int = 30,
    seconds_each: float = 10.0,
    seed: int = 0,
    say: Say = lambda what: None,
) -> Comparison:
    """Judge and time `contenders` on one problem, in this process.

    Parameters
    ----------
    case : operator, workload and device; its implementation does not matter.
    problem : supplies the values.
    passes : "forward" is timed without gradients, as inference runs; "forward+backward" with an
        incoming gradient of one, as ``loss.backward()`` runs. The gate's incoming gradient is
        random.
    samples, seconds_each : of `onetrip.bench.timing.interleaved`.
    seed : of the values and of the order.
    say : told what is being done.

    Returns
    -------
    Comparison
        A contender that cannot run, or fails, has a row with outcome and reason; one outside the
        error budget has its times under the outcome "incorrect".
    """
    device = case.device
    say("measuring this device's ceilings")
    ceilings = measure_ceilings(device, dtypes=(case.workload.dtype,), seconds_each=1.0)
    inputs = problem.inputs(seed, device, case.workload.dtype)
    wrt = case.differentiable(inputs)
    failures: dict[str, Failure] = {}
    calls: dict[str, Call] = {}
    for contender in contenders:
        with catching(failures, contender.name):
            calls[contender.name] = contender.load()
    reports = _gate(case, calls, inputs, wrt, failures, say)
    timed = {}
    for one in passes:
        say(f"timing {one}: {', '.join(name for name in calls if name not in failures)}")
        timed[one] = interleaved(
            {
                name: _timed_call(call, inputs, wrt, one)
                for name, call in calls.items()
                if name not in failures
            },
            device=device,
            samples=samples,
            seconds_each=seconds_each,
            seed=seed,
        )
    about = {
        "operator": case.operator.spec.name,
        "workload": case.workload.name,
        "axes": dict(case.workload.axes),
        "dtype": case.workload.dtype,
        "options": {name: _plain(value) for name, value in case.workload.options.items()},
        "seed": seed,
        "ceilings": ceilings.as_dict(),
        "environment": environment(device),
        "command": command_line(),
    }
    rows = []
    for one in passes:
        cost = count_cost(
            case.operator.estimate_cost,
            case.workload.axes,
            dtype=case.workload.dtype,
            backward=one == BOTH,
            options=case.workload.options,
        )
        floor_ms = cost.floor_ms(ceilings, case.workload.dtype)
        for contender in contenders:
            failed = failures.get(contender.name) or timed[one].failures.get(contender.name)
            row = {
                **about,
                "passes": one,
                "floor_ms": floor_ms,
                "bound": cost.bound(ceilings, case.workload.dtype),
                "contender": contender.name,
                "impl": contender.impl or None,
                "version": contender.version or None,
                **_accuracy(reports.get(contender.name, {})),
            }
            if failed is not None:
                rows.append({**row, "outcome": failed.outcome, "reason": failed.reason})
            else:
                rows.append({**row, **_times(timed[one], contender, row["within_budget"])})
    return Comparison(case.workload.name, ceilings, tuple(rows))


def _gate(
    case: Case,
    calls: Mapping[str, Call],
    inputs: dict[str, Tensor],
    wrt: Sequence[str],
    failures: dict[str, Failure],
    say: Say,
) -> dict[str, dict[str, BudgetReport]]:
    say("computing the truth in float64")
    true = find_truth(case, inputs, wrt)
    reports = {}
    for name, call in calls.items():
        say(f"holding {name} against it")
        with catching(failures, name):
            reports[name] = examine(case, call, inputs, wrt, true)
        release_memory(case.device)
    return reports


def _timed_call(
    call: Call, inputs: Mapping[str, Tensor], wrt: Sequence[str], passes: str
) -> Callable[[], object]:
    if passes == FORWARD or not wrt:

        def infer() -> object:
            with torch.no_grad():
                return call(**inputs)

        return infer
    leaves = {name: inputs[name].detach().requires_grad_() for name in wrt}
    arguments = {**inputs, **leaves}
    ones: dict[torch.Size, Tensor] = {}

    def train() -> object:
        result = call(**arguments)
        main = result[0] if isinstance(result, tuple) else result
        if main.shape not in ones:
            ones[main.shape] = torch.ones_like(main)
        return torch.autograd.grad(main, list(leaves.values()), ones[main.shape])

    return train


def _accuracy(reports: Mapping[str, BudgetReport]) -> dict[str, object]:
    if not reports:
        return {"within_budget": None, "worst_share": None, "errors": {}}
    return {
        "within_budget": all(report.within for report in reports.values()),
        "worst_share": _finite(worst_share(reports)),
        "errors": {
            name: {
                "max_error": _finite(report.max_error),
                "allowance": _finite(report.allowance),
                "eager_max_error": _finite(report.eager_max_error),
                "relative_error": _finite(report.relative_error),
                "eager_relative_error": _finite(report.eager_relative_error),
                "within": report.within,
                **({} if report.within else {"message": str(report)}),
            }
            for name, report in reports.items()
        },
    }


def _times(timed: TimingReport, contender: Contender, within: object) -> dict[str, object]:
    timing: Timing = timed.timings[contender.name]
    times: dict[str, object] = {
        "outcome": "done" if within else "incorrect",
        "reason": "" if within else "outside the error budget",
        "latency_ms": {
            "median": timing.median_ms,
            "low": timing.low_ms,
            "high": timing.high_ms,
            "samples": [round(sample_ms, 6) for sample_ms in timing.samples_ms],
        },
        "peak_bytes": timing.peak_bytes,
    }
    if contender.impl:
        speedups = {
            other: timed.speedup(contender.name, other)
            for other in timed.timings
            if other != contender.name
        }
        times["speedups"] = {
            other: {
                "median": speedup.median,
                "low": speedup.low,
                "high": speedup.high,
                "pairs": speedup.pairs,
            }
            for other, speedup in speedups.items()
        }
    return times


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
