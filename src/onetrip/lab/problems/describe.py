"""Look at a problem once, in a worker: facts for the store, which loads no torch."""

from collections.abc import Mapping
from dataclasses import asdict

from onetrip.lab.judge.failure import Stage
from onetrip.lab.problems.load import load_problem
from onetrip.lab.problems.problem import Problem, ProblemRef
from onetrip.lab.problems.screen import screen

# Screening goes on to larger cases until then.
_SCREENING_S = 60.0


def run(document: Mapping, stage: Stage) -> dict[str, object]:
    """Answer with the fields of `ProblemFacts`."""
    return describe_problem(ProblemRef(**document["problem"]), stage)


def describe_problem(ref: ProblemRef, stage: Stage | None = None) -> dict[str, object]:
    """Everything about a problem that can be said without judging anybody.

    >>> ref = ProblemRef("operator", "linear_cross_entropy", {"workload": "one-token"})
    >>> facts = describe_problem(ref)
    >>> facts["name"], facts["refused"]
    ('linear_cross_entropy/one-token', '')
    """
    say = stage or (lambda name: None)
    say("reading the problem")
    problem = load_problem(ref)
    say("screening the problem")
    found = screen(problem, seconds=_SCREENING_S)
    entry = problem.entry
    spec = {
        "location": ref.location,
        "options": dict(ref.options),
        "entry": asdict(entry) | {"files": dict(entry.files)},
        "cases": [
            {
                **asdict(case),
                "dtype": problem.dtype(case),
                "outputs": [asdict(output) for output in problem.outputs(case)],
                "cost": None if (cost := problem.cost(case)) is None else asdict(cost),
            }
            for case in problem.cases
        ],
        "peers": {name: peer.as_dict() for name, peer in problem.peers().items()},
        "deterministic": problem.deterministic,
        "screening": asdict(found),
    }
    return {
        "kind": ref.kind,
        "name": problem.name,
        "fingerprint": problem.fingerprint,
        "spec": spec,
        "brief": problem.brief + _noted(problem, found.warnings),
        "refused": found.refused,
        "tolerance": dict(problem.tolerance),
    }


def _noted(problem: Problem, warnings: tuple[str, ...]) -> str:
    """The warnings about cases that a proposer knows of."""
    hidden = tuple(f"{case.name}:" for case in problem.cases if case.hidden)
    told = [warning for warning in warnings if not warning.startswith(hidden)]
    if not told:
        return ""
    heading = "\n## Noted when this problem was screened\n\n"
    return heading + "".join(f"- {warning}\n" for warning in told)
