"""What the lab asks of the isolated judge, as plain values that travel as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from onetrip.lab.problems.problem import Contender, ProblemRef


@dataclass(frozen=True, slots=True)
class TrialJob:
    """Verify one candidate in a sandbox, then time it beside `rivals`.

    Parameters
    ----------
    problem : which problem.
    candidate : what is on trial.
    rivals : name -> contender: "baseline" (the champion, or what the hypothesis names) and peers.
    device : "cpu" or "cuda:0".
    seed : secret, drawn after the candidate was fixed; every value and order follows from it.
    purpose : "search" compares with few samples, "confirm" with many.
    seconds : limit of the whole trial.
    memory_bytes : what the candidate may take; None for the sandbox's default.
    cases : names of the cases to verify and time; empty for all.
    """

    problem: ProblemRef
    candidate: Contender
    rivals: Mapping[str, Contender] = field(default_factory=dict)
    device: str = "cpu"
    seed: int = 0
    purpose: str = "search"
    seconds: float = 300.0
    memory_bytes: int | None = None
    cases: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def trial_job_from(document: Mapping) -> TrialJob:
    """Read what `TrialJob.as_dict` wrote.

    >>> job = TrialJob(ProblemRef("folder", "problems/vectoradd"), Contender("definition"))
    >>> trial_job_from(job.as_dict()) == job
    True
    """
    values = {name: document[name] for name in TrialJob.__slots__}
    values["problem"] = ProblemRef(**values["problem"])
    values["candidate"] = Contender(**values["candidate"])
    values["rivals"] = {name: Contender(**rival) for name, rival in values["rivals"].items()}
    values["cases"] = tuple(values["cases"])
    return TrialJob(**values)
