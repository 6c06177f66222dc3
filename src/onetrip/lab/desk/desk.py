"""The lab's twelve operations for who proposes: one place behind MCP, command line and REST.

None of them can touch a tolerance, a verdict or a measurement: what is not here cannot be asked
for. Experiments are named by their numbers throughout, problems by number or name.
"""

import base64
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.units import bytes_text
from onetrip.lab.desk.answers import Artifact, Document, Page, Progress, Submission
from onetrip.lab.desk.names import (
    candidate_of,
    find_experiment,
    find_hypothesis,
    find_problem,
    node,
)
from onetrip.lab.knowledge import graph, hypotheses, learnings, sql
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue import submit as queue
from onetrip.lab.store.blobs import get_blob
from onetrip.lab.views import compare as compare_view
from onetrip.lab.views import experiments as experiments_view
from onetrip.lab.views import problems as problems_view

# Clients give up on a call after a minute or less.
LONGEST_WAIT_S = 50.0
LARGEST_PAGE = 50
LARGEST_SOURCE = 256 << 10
LARGEST_RANGE = 64 << 10
LARGEST_TABLE = 200
MOST_COMPARED = 10
_LONGEST_TEXT = 20_000
_POLL_S = 0.2
_BULKY = frozenset({"samples_ms", "blocks", "events", "priority_changes"})
_UNFINISHED = ("queued", "paused", "running", "infra_lost")
# The others follow from verdicts and declarations: the lab writes them itself.
LINKS = ("about", "contradicts", "supersedes")


def list_problems(connection: sqlite3.Connection) -> list[Document]:
    """All problems with their best so far, and why a refused one may not be judged."""
    return [_plain(problem) for problem in problems_view.list_problems(connection)]


def get_brief(connection: sqlite3.Connection, problem: int | str) -> Document:
    """All that a proposer should know first: definition, floor, best, failures, learnings."""
    return _plain(problems_view.brief(connection, find_problem(connection, problem)))


def submit_candidate(
    connection: sqlite3.Connection,
    problem: int | str,
    *,
    why: str,
    by: str,
    source: str = "",
    impl: str = "",
    config: Mapping[str, object] | None = None,
    title: str = "",
    hypothesis: int | None = None,
    parent: int | None = None,
    baseline: int | None = None,
    campaign_id: int | None = None,
    seconds: float | None = None,
    idempotency_key: str | None = None,
) -> Submission:
    """Put one candidate into the queue: the text of a Python file, or an operator's configuration.

    Parameters
    ----------
    why : the reason, in a sentence; it is shown beside the result for ever.
    by : who proposes: "person", "agent:NAME".
    hypothesis : which hypothesis the result shall decide; declared before, of the same problem.
    parent : the experiment that the candidate was made from; its diff is shown against that one.
    baseline : the experiment whose candidate it is timed beside; the champion when left out.
    seconds : limit of one attempt.
    idempotency_key : the same key gives the same experiment; a retry after a lost answer is safe.
    """
    problem_id = find_problem(connection, problem)
    _words("why", why)
    if bool(source) == bool(impl):
        expected = "given, or `impl` with `config`, and not both"
        raise ArgumentError(complaint("source", expected=expected, got="neither or both"))
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > LARGEST_SOURCE:
        expected = f"at most {bytes_text(LARGEST_SOURCE)}"
        way_out = "Send one Python file without data; make tables when the module is loaded."
        raise ArgumentError(
            complaint("source", expected=expected, got=bytes_text(size), way_out=way_out)
        )
    if hypothesis is not None:
        find_hypothesis(connection, hypothesis, problem_id)
    contender = (
        Contender("source", source=source)
        if source
        else Contender("config", impl=impl, config=config or {})
    )
    submitted = queue.submit(
        connection,
        problem_id,
        contender,
        proposer=by,
        why=why,
        title=title,
        parent_candidate_id=_candidate(connection, "parent", parent, problem_id),
        hypothesis_id=hypothesis,
        baseline_id=_candidate(connection, "baseline", baseline, problem_id),
        campaign_id=campaign_id,
        parent_id=parent,
        idempotency_key=idempotency_key,
        limits=None if seconds is None else {"seconds": seconds},
    )
    state = _row(connection, submitted.experiment_id)["state"]
    return Submission(submitted.experiment_id, submitted.candidate_id, submitted.created, state)


def get_experiment(
    connection: sqlite3.Connection, experiment: int, *, raw: bool = False
) -> Document:
    """Everything about one experiment: candidate, diff, prediction, verdict, evidence, costs.

    `raw` adds every sample and block of its times, and every event.
    """
    find_experiment(connection, experiment)
    found = _plain(experiments_view.experiment(connection, experiment))
    return found if raw else _without(_BULKY, found)


def progress(connection: sqlite3.Connection, experiment: int, *, since: float = 0.0) -> Progress:
    """How far an experiment is now; `since` is the time from which `waited_s` counts."""
    row = _row(connection, find_experiment(connection, experiment))
    state, confirmation = row["state"], row["confirmation"]
    final = state not in _UNFINISHED
    if final and confirmation is not None:
        next_step = f"Its confirmation decides: wait_experiment({confirmation})."
    elif final:
        next_step = f"get_experiment({experiment}) shows checks, times and evidence."
    elif state == "paused":
        next_step = "A person paused it; go on with something else."
    else:
        next_step = f"Call wait_experiment({experiment}) again, or prepare the next candidate."
    waited_s = round(time.time() - since, 3) if since else 0.0
    return Progress(
        experiment, state, final, confirmation, row["stage"], row["reason"], waited_s, next_step
    )


def wait_experiment(
    connection: sqlite3.Connection, experiment: int, seconds: float = LONGEST_WAIT_S
) -> Progress:
    """Wait until an experiment has its verdict, at most 50 s; then say how far it is."""
    if not 0 <= seconds <= LONGEST_WAIT_S:
        expected = f"between 0 and {LONGEST_WAIT_S:g}"
        way_out = "Call again for longer waits."
        raise ArgumentError(complaint("seconds", expected=expected, got=seconds, way_out=way_out))
    began = time.time()
    deadline = time.monotonic() + seconds
    while True:
        found = progress(connection, experiment, since=began)
        left_s = deadline - time.monotonic()
        if found.final or left_s <= 0:
            return found
        time.sleep(min(_POLL_S, left_s))


def list_experiments(
    connection: sqlite3.Connection,
    query: str = "",
    *,
    limit: int = 20,
    cursor: int = 0,
    order: str = "-updated",
) -> Page:
    """One page of experiments; `query` is words and ``field:value``, "state:done ratio:>1.1"."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise ArgumentError(complaint("limit", expected=f"1 to {LARGEST_PAGE}", got=limit))
    if cursor < 0:
        raise ArgumentError(complaint("cursor", expected="a page's `next_cursor`", got=cursor))
    listing = experiments_view.list_experiments(
        connection, query, limit=limit, offset=cursor, order=order
    )
    end = cursor + len(listing.rows)
    return Page(
        [_plain(row) for row in listing.rows],
        listing.total,
        dict(listing.counts_by_state),
        end if listing.rows and end < listing.total else None,
    )


def compare(connection: sqlite3.Connection, experiments: Sequence[int]) -> Document:
    """Several experiments side by side: what differs, and times that may be compared."""
    if not 2 <= len(set(experiments)) <= MOST_COMPARED:
        expected = f"2 to {MOST_COMPARED} different experiments"
        raise ArgumentError(complaint("experiments", expected=expected, got=list(experiments)))
    for experiment in experiments:
        find_experiment(connection, experiment)
    return _plain(compare_view.compare(connection, list(experiments)))


def propose_hypothesis(
    connection: sqlite3.Connection,
    problem: int | str,
    *,
    title: str,
    rationale: str,
    by: str,
    metric: str = "latency_ms",
    direction: str = "decrease",
    least_effect: float = 0.05,
    workloads: Sequence[str] = (),
    prior: float = 0.5,
    parent: int | None = None,
) -> Document:
    """Declare what you expect before you measure it; it is frozen and its status is computed.

    `least_effect` is relative: 0.2 says that the metric moves by a fifth at least.
    """
    problem_id = find_problem(connection, problem)
    _words("title", title)
    _words("rationale", rationale)
    hypothesis_id = hypotheses.declare(
        connection,
        title=title,
        rationale=rationale,
        problem_id=problem_id,
        metric=metric,
        direction=direction,
        least_effect=least_effect,
        workloads=tuple(workloads),
        prior=prior,
        parent_id=parent,
        by=by,
    )
    return {"hypothesis": hypothesis_id, "status": "open"}


def add_learning(
    connection: sqlite3.Connection,
    *,
    text: str,
    by: str,
    confidence: float = 0.7,
    about: Sequence[str] = (),
    scope: Mapping[str, object] | None = None,
) -> Document:
    """Keep what was learned, with the experiments it rests on: ``about=["experiment:12"]``."""
    _words("text", text)
    learning_id = learnings.add(
        connection,
        text=text,
        scope=scope or {},
        confidence=confidence,
        by=by,
        about=tuple(node(connection, "about", name) for name in about),
    )
    return {"learning": learning_id}


def link(
    connection: sqlite3.Connection, source: str, relation: str, target: str, *, by: str
) -> Document:
    """Draw one edge of the knowledge graph: ``link("learning:3", "contradicts", "learning:1")``.

    What tests, supports, refutes or derives follows from verdicts; the lab writes it itself.
    """
    if relation not in LINKS:
        way_out = "The lab draws the other edges itself, from declarations and verdicts."
        expected = f"one of {', '.join(LINKS)}"
        raise ArgumentError(
            complaint("relation", expected=expected, got=repr(relation), way_out=way_out)
        )
    ends = node(connection, "source", source), node(connection, "target", target)
    graph.link(connection, ends[0], relation, ends[1], by)
    return {"source": source, "relation": relation, "target": target}


def query_sql(database: Path, statement: str, *, max_rows: int = 100) -> Document:
    """Read anything in the lab with one SELECT; every write is refused."""
    if not 1 <= max_rows <= LARGEST_TABLE:
        raise ArgumentError(complaint("max_rows", expected=f"1 to {LARGEST_TABLE}", got=max_rows))
    return _plain(sql.query(database, statement, max_rows=max_rows))


def get_artifact(
    connection: sqlite3.Connection, sha256: str, *, offset: int = 0, length: int = 16 << 10
) -> Artifact:
    """A range of a source, a log or a piece of evidence, named by its SHA-256."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        expected = "64 hexadecimal digits, as in an experiment's `source_sha256`"
        raise ArgumentError(complaint("sha256", expected=expected, got=repr(sha256[:80])))
    if offset < 0:
        raise ArgumentError(complaint("offset", expected="0 or more", got=offset))
    if not 1 <= length <= LARGEST_RANGE:
        raise ArgumentError(complaint("length", expected=f"1 to {LARGEST_RANGE}", got=length))
    row = connection.execute("SELECT mime FROM blob WHERE sha256 = ?", (sha256,)).fetchone()
    data = get_blob(connection, sha256)
    if row is None or data is None:
        expected = "the SHA-256 of something that the lab keeps"
        raise ArgumentError(complaint("sha256", expected=expected, got=sha256))
    piece = data[offset : offset + length]
    end = offset + len(piece)
    is_text = row["mime"].startswith("text/") or row["mime"] == "application/json"
    return Artifact(
        sha256=sha256,
        mime=row["mime"],
        size_bytes=len(data),
        offset=offset,
        next_offset=end if end < len(data) else None,
        # A range may cut a character in two.
        text=piece.decode("utf-8", "replace") if is_text else "",
        data_base64="" if is_text else base64.b64encode(piece).decode("ascii"),
    )


def _candidate(
    connection: sqlite3.Connection, argument: str, experiment: int | None, problem_id: int
) -> int | None:
    if experiment is None:
        return None
    return candidate_of(connection, argument, experiment, problem_id)


def _row(connection: sqlite3.Connection, experiment: int) -> sqlite3.Row:
    return connection.execute(
        "SELECT experiment.state, experiment.reason,"
        " coalesce((SELECT stage FROM attempt WHERE experiment_id = experiment.id"
        " ORDER BY n DESC LIMIT 1), '') AS stage,"
        " (SELECT max(id) FROM experiment AS again WHERE again.parent_id = experiment.id"
        " AND again.purpose = 'confirm') AS confirmation FROM experiment WHERE id = ?",
        (experiment,),
    ).fetchone()


def _words(argument: str, text: str) -> None:
    if not text.strip() or len(text) > _LONGEST_TEXT:
        expected = f"words, at most {_LONGEST_TEXT} characters"
        raise ArgumentError(complaint(argument, expected=expected, got=f"{len(text)} characters"))


def _without(names: frozenset[str], value: object) -> Any:
    """`value` with these keys left out, however deep."""
    if isinstance(value, Mapping):
        return {key: _without(names, inner) for key, inner in value.items() if key not in names}
    if isinstance(value, list):
        return [_without(names, inner) for inner in value]
    return value


def _plain(value: object) -> Document:
    """A view's dataclass or dictionary as a dictionary."""
    if isinstance(value, Mapping):
        return dict(value)
    return asdict(value)  # pyright: ignore[reportArgumentType]
