"""`onetrip lab search`: a campaign over the constants that a source names in KNOBS."""

from pathlib import Path
from typing import Annotated

import typer

from onetrip.cli import screen
from onetrip.cli.interrupts import until_interrupted
from onetrip.cli.lab_agent import print_end
from onetrip.cli.lab_follow import following
from onetrip.cli.lab_options import AsJson, Database, lab_file, opened
from onetrip.core.errors import DataError


def register(lab: typer.Typer) -> None:
    """Add `search` to the lab."""
    lab.command("search")(_search)


def _search(
    source: Annotated[
        Path, typer.Argument(help='A candidate with KNOBS = {"BLOCK": (256, 512)} and BLOCK = 256.')
    ],
    problem: Annotated[str, typer.Option(help="Number or name of a problem.")],
    proposer: Annotated[
        str, typer.Option(help="grid, evolution, TPE or CMA-ES; the last two need Optuna.")
    ] = "TPE",
    experiments: Annotated[int, typer.Option(help="At most so many.")] = 50,
    seconds: Annotated[float, typer.Option(help="At most so long.")] = 3600.0,
    seed: Annotated[int, typer.Option(help="Of the proposer; inputs are always new.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda:0.")] = "cpu",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Vary the constants of one source; every point is judged, the best is confirmed."""
    from onetrip.lab.desk.desk import find_problem
    from onetrip.lab.search.knob_search import KnobSearch
    from onetrip.lab.work.campaign import CampaignPlan, run_campaign

    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The source {source} cannot be read: {error}.") from error
    agent = KnobSearch(text, proposer, seed)
    with opened(database) as connection:
        problem_id = find_problem(connection, problem)
    plan = CampaignPlan(
        problem_id,
        f"{proposer} over {source.name} on {problem}",
        budget={"experiments": float(experiments), "wall_s": seconds},
        ahead=2,
    )
    with until_interrupted(), screen.working() as say, following(lab_file(database), say):
        end = run_campaign(lab_file(database), plan, agent, devices=(device,))
    print_end(end, as_json)
