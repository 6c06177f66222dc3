"""Where a trial takes place: the study that its results belong to, and compare within."""

import sqlite3

import onetrip
from onetrip.lab import sources
from onetrip.lab.judge.machine import Machine
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.store.study import Sources, place_study

# A candidate with source code brings its own subject; the study's is nobody's.
_OWN_SOURCE = Sources("subject", {}, onetrip.__version__)


def study_of(
    connection: sqlite3.Connection,
    problem_id: int,
    problem: ProblemRef,
    contender: Contender,
    machine: Machine,
) -> int:
    """Id of the study of this problem on this machine under the present judge."""
    operator = problem.location if problem.kind == "operator" else None
    subject = _OWN_SOURCE
    if contender.kind == "config" and operator is not None:
        subject = sources.subject(operator)
    return place_study(
        connection,
        problem_id,
        machine.device,
        machine.environment,
        sources.harness(operator),
        subject,
    )
