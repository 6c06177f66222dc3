"""One file that shows a campaign to whoever opens it: no server, no network, charts included."""

import base64
import hashlib
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.lab.knowledge.hypotheses import prediction_text
from onetrip.lab.store.database import connect
from onetrip.lab.views.experiments import experiment, list_experiments
from onetrip.lab.views.hypotheses import hypothesis, list_hypotheses
from onetrip.lab.views.problems import brief
from onetrip.lab.views.read import one
from onetrip.lab.web.attempt_charts import timing_charts
from onetrip.lab.web.charts.figure import Figure
from onetrip.lab.web.effect_chart import effect_chart
from onetrip.lab.web.frame import STATIC_DIR
from onetrip.lab.web.links import Href
from onetrip.lab.web.markup import plain
from onetrip.lab.web.render import templates
from onetrip.lab.web.result_charts import StudyCharts, importance_charts, result_charts
from onetrip.lab.web.sentences import verdict_sentence
from onetrip.lab.web.source_code import code, diff

_STYLES = ("tokens.css", "app.css", "charts.css", "code.css", "views.css", "export.css")
_SCRIPT = "export.js"
# Experiments shown with their code; the table has all of them up to `_MOST_ROWS`.
_MOST_DETAILS = 200
_MOST_ROWS = 2000
_LOG_LINES = 40
# Facts of the machine that decide a time; a host's name or a folder is nobody's business.
_SHARED_FACTS = ("device", "driver", "processor", "threads", "python", "torch", "triton", "cuda")


@dataclass(frozen=True, slots=True)
class Detail:
    """One experiment as the file shows it."""

    found: Mapping
    sentence: str
    diff: Markup | None
    code: Markup | None
    log: str
    timings: tuple[Figure, ...]


def write_campaign_page(
    database: Path,
    target: Path,
    *,
    campaign_id: int | None = None,
    problem_id: int | None = None,
) -> Path:
    """Write the file, aside first and then in one step; return `target`.

    Parameters
    ----------
    database : the lab's SQLite file.
    target : where the HTML goes.
    campaign_id : which campaign; without it and without `problem_id`, the newest one.
    problem_id : show a problem instead, whoever worked on it.

    Raises
    ------
    ArgumentError
        There is no such campaign or problem.
    DataError
        The lab has no campaign yet.
    """
    with closing(connect(database)) as connection:
        page = campaign_page(connection, campaign_id=campaign_id, problem_id=problem_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Made with the rights of any new file: it is there to be shared.
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    aside.write_text(page, encoding="utf-8")
    os.replace(aside, target)
    return target


def campaign_page(
    connection: sqlite3.Connection,
    *,
    campaign_id: int | None = None,
    problem_id: int | None = None,
) -> str:
    """The HTML of `write_campaign_page`."""
    campaign = None
    if problem_id is None:
        campaign = _campaign(connection, campaign_id)
        problem_id = int(campaign["problem_id"])
    listing = list_experiments(connection, f"problem:{problem_id}", limit=_MOST_ROWS, order="id")
    # A name may be a number: only this problem's own.
    rows = [row for row in listing.rows if row["problem_id"] == problem_id]
    told = brief(connection, problem_id)
    details = _details(connection, rows)
    shown = {detail.found["id"] for detail in details}

    def href(id: int) -> str:
        return f"#experiment-{id}" if id in shown else f"#row-{id}"

    script = (STATIC_DIR / _SCRIPT).read_text(encoding="utf-8")
    return (
        templates()
        .get_template("export.html")
        .render(
            title=campaign["title"] if campaign else told["problem"]["name"],
            campaign=campaign,
            facts=_facts(campaign),
            brief=told,
            rows=rows,
            total=listing.total,
            own=sum(row["campaign_id"] == campaign["id"] for row in rows) if campaign else 0,
            counts=listing.counts_by_state,
            studies=_studies(connection, problem_id, href),
            hypotheses=_hypotheses(connection, problem_id, href),
            details=details,
            shown=shown,
            written_at=time.time(),
            style=Markup("\n".join(_style(name) for name in _STYLES)),
            script=Markup(script),
            script_hash=_policy_hash(script),
        )
    )


def _campaign(connection: sqlite3.Connection, number: int | None) -> dict:
    found = one(
        connection,
        "SELECT * FROM campaign WHERE id = coalesce(?, (SELECT max(id) FROM campaign))",
        number,
    )
    if found is None and number is None:
        raise DataError(
            "The lab has no campaign yet. Start one with `onetrip lab demo`, or name a problem."
        )
    if found is None:
        expected = "the number of a campaign"
        raise ArgumentError(complaint("campaign_id", expected=expected, got=number))
    return found


def _facts(campaign: Mapping | None) -> dict[str, object]:
    environment = campaign["environment"] if campaign else {}
    return {name: environment[name] for name in _SHARED_FACTS if name in environment}


def _studies(
    connection: sqlite3.Connection, problem_id: int, href: Href
) -> list[tuple[StudyCharts, list[Figure]]]:
    return [
        (study, importance_charts(connection, problem_id, study.study_id))
        for study in result_charts(connection, problem_id, href)
    ]


def _hypotheses(
    connection: sqlite3.Connection, problem_id: int, href: Href
) -> list[tuple[Mapping, str, Figure]]:
    shown = []
    for row in list_hypotheses(connection, problem_id=problem_id):
        found = hypothesis(connection, row["id"])
        if found is not None:
            chart = effect_chart(
                "Observed, against what was predicted", found["effects"], found, href
            )
            shown.append((found, prediction_text(found), chart))
    return shown


def _details(connection: sqlite3.Connection, rows: list[dict]) -> list[Detail]:
    """Champions first, then what was judged last: a file of ten thousand sources opens nowhere."""
    judged = [row for row in rows if row["state"] not in ("queued", "paused", "running")]
    judged.sort(key=lambda row: (not row["champion"], -row["id"]))
    chosen = sorted(row["id"] for row in judged[:_MOST_DETAILS])
    return [_detail(found) for id in chosen if (found := experiment(connection, id)) is not None]


def _detail(found: dict) -> Detail:
    candidate, parent = found["candidate"], found["parent"]
    last = found["attempts"][-1] if found["attempts"] else None
    log = "" if last is None else plain(last["log"])
    source = candidate["source"]
    changed = diff(found["diff"], parent and parent["source"], source) if found["diff"] else None
    # What changed from a parent in the same file tells the source; the rest would be said twice.
    shown = source if changed is None or found["champion"] else None
    charts = timing_charts(last) if found["champion"] else []
    return Detail(
        found,
        verdict_sentence(found),
        changed,
        None if shown is None else code(shown),
        "\n".join(log.splitlines()[-_LOG_LINES:]),
        tuple(chart.figure for chart in charts),
    )


def _style(name: str) -> str:
    text = (STATIC_DIR / name).read_text(encoding="utf-8")
    # The style sheets are the project's own; this is what would end the element all the same.
    return text.replace("</", "<\\/")


def _policy_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
