"""`onetrip lab demo`: a campaign to look at, on any machine, within a minute."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

import onetrip
from onetrip.cli.interrupts import until_interrupted
from onetrip.cli.lab_follow import following
from onetrip.cli.lab_options import AsJson, Database, opened
from onetrip.core.errors import DataError, require

if TYPE_CHECKING:
    from onetrip.lab.work.campaign import CampaignEnd

NAME = "row_softmax"
# Of one trial: what a laptop needs many times over, and what a hung one costs at most.
_TRIAL_LIMIT_S = 60.0


def register(lab: typer.Typer) -> None:
    """Add `demo` to the lab."""
    lab.command("demo")(_demo)


def _demo(
    seconds: Annotated[float, typer.Option(help="The campaign ends after so long.")] = 300.0,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Show it in a browser.")] = True,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End with the campaign, not with Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(help="Of the page; 0 takes a free one.")] = 0,
    device: Annotated[
        str, typer.Option(help="cpu climbs in plain torch, cuda:0 in Triton.")
    ] = "cpu",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Watch a scripted agent improve a naive softmax: it predicts, the lab proves, it learns.

    Two of its ideas are wrong on purpose. Needs neither a GPU nor a model; the database is a new
    one in a temporary folder unless one is named.
    """
    lab = database or Path(tempfile.mkdtemp(prefix="onetrip-lab-")) / "lab.sqlite"
    with until_interrupted(), _page(lab, port, page) as address:
        end = _campaign(lab, device, seconds)
        _report(end, lab, address, as_json)
        if address and not until_done:
            typer.echo("The page stays until Ctrl-C.", err=True)
            threading.Event().wait()


@contextmanager
def _page(database: Path, port: int, wanted: bool) -> Iterator[str]:
    """The page's address while it is served; empty when it is not."""
    if not wanted:
        yield ""
        return
    require("uvicorn", extra="lab", purpose="The demo's page (`--no-page` does without)")
    from onetrip.lab.web.serve import serving

    with serving(database, port=port) as address:
        typer.echo(f"The page: {address.with_token}", err=True)
        yield address.with_token


def _campaign(database: Path, device: str, seconds: float) -> "CampaignEnd":
    from onetrip.cli import screen
    from onetrip.lab.agents.scripted import ScriptedAgent
    from onetrip.lab.problems.facts import facts_of
    from onetrip.lab.problems.problem import ProblemRef
    from onetrip.lab.queue.submit import add_problem
    from onetrip.lab.work.campaign import CampaignPlan, run_campaign

    with screen.working() as say, opened(database) as connection:
        say(f"loading {NAME}, and trying wrong answers on it")
        options = {} if device == "cpu" else {"task": "task_device.yml"}
        facts = facts_of(ProblemRef("folder", str(problem_folder()), options))
        problem_id = add_problem(connection, facts)
        deadline = time.monotonic() + seconds
        with following(database, say):
            return run_campaign(
                database,
                CampaignPlan(
                    problem_id, f"demo: {NAME} on {device}", limits={"seconds": _TRIAL_LIMIT_S}
                ),
                ScriptedAgent(device),
                devices=(device,),
                abort=lambda: time.monotonic() > deadline,
            )


def _report(end: "CampaignEnd", database: Path, address: str, as_json: bool) -> None:
    from onetrip.cli import lab_screen
    from onetrip.cli.lab_agent import print_end

    print_end(end, as_json)
    if as_json:
        return
    with opened(database) as connection:
        lab_screen.learnings(connection)
    port = urlsplit(address).port
    typer.echo(f"\nEverything is in {database}. To look at it again, serve it and open its page:")
    typer.echo(f"  onetrip lab serve --db {database}" + (f" --port {port}" if port else ""))
    if address:
        typer.echo(f"The page: {address}")


def problem_folder() -> Path:
    """The folder of the demo's problem: in a wheel inside the package, in a checkout beside it.

    Raises
    ------
    DataError
        It is in neither.
    """
    package = Path(onetrip.__file__).resolve().parent
    places = (
        package / "examples" / "problems" / NAME,
        package.parent.parent / "examples" / "problems" / NAME,
    )
    for place in places:
        if place.is_dir():
            return place
    raise DataError(
        f"The demo's problem is in none of {', '.join(map(str, places))}. Install onetrip again, "
        "or run the demo from a checkout."
    )
