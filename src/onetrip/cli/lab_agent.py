"""`onetrip lab agent`: a campaign that a language model, or the scripted agent, proposes for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onetrip.cli import screen
from onetrip.cli.interrupts import until_interrupted
from onetrip.cli.lab_follow import following
from onetrip.cli.lab_options import AsJson, Database, lab_file, opened, print_json
from onetrip.core.errors import ArgumentError, complaint

if TYPE_CHECKING:
    from onetrip.lab.agents.agent import Agent
    from onetrip.lab.work.campaign import CampaignEnd


def register(lab: typer.Typer) -> None:
    """Add `agent` to the lab."""
    lab.command("agent")(_agent)


def _agent(
    problem: Annotated[str, typer.Argument(help="Number or name of a problem.")],
    base_url: Annotated[
        str | None,
        typer.Option(help="Of a chat endpoint, up to /v1. Default: the scripted agent."),
    ] = None,
    model: Annotated[str, typer.Option(help="The endpoint's name of the model.")] = "",
    key_file: Annotated[
        Path | None, typer.Option(help="File with the endpoint's key, readable by you alone.")
    ] = None,
    experiments: Annotated[int, typer.Option(help="At most so many.")] = 20,
    seconds: Annotated[float, typer.Option(help="At most so long.")] = 3600.0,
    tokens: Annotated[int | None, typer.Option(help="At most so many tokens.")] = None,
    usd: Annotated[float | None, typer.Option(help="At most so many US dollars.")] = None,
    usd_in: Annotated[float, typer.Option(help="Price of a million tokens sent.")] = 0.0,
    usd_out: Annotated[float, typer.Option(help="Price of a million tokens received.")] = 0.0,
    device: Annotated[str, typer.Option(help="cpu or cuda:0.")] = "cpu",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Let an agent propose and a worker here answer, until the agent or its budget is done."""
    from onetrip.lab.desk.desk import find_problem
    from onetrip.lab.work.campaign import CampaignPlan, run_campaign

    if base_url is None:
        agent = _scripted(device)
    else:
        agent = _chat(base_url, model, key_file, tokens, usd, usd_in, usd_out)
    with opened(database) as connection:
        problem_id = find_problem(connection, problem)
    budget = {"experiments": float(experiments), "wall_s": seconds}
    budget |= {} if usd is None else {"usd": usd}
    budget |= {} if tokens is None else {"tokens": float(tokens)}
    plan = CampaignPlan(problem_id, f"{agent.name} on {problem}", budget=budget)
    with until_interrupted(), screen.working() as say, following(lab_file(database), say):
        end = run_campaign(lab_file(database), plan, agent, devices=(device,))
    print_end(end, as_json)


def print_end(end: "CampaignEnd", as_json: bool) -> None:
    """Print what a campaign tried, and why it ended."""
    from onetrip.cli import lab_screen

    if as_json:
        print_json(end)
    else:
        lab_screen.campaign(end)


def _scripted(device: str) -> "Agent":
    from onetrip.lab.agents.scripted import ScriptedAgent

    return ScriptedAgent(device)


def _chat(
    base_url: str,
    model: str,
    key_file: Path | None,
    tokens: int | None,
    usd: float | None,
    usd_in: float,
    usd_out: float,
) -> "Agent":
    from onetrip.lab.agents.chat_endpoint import ChatEndpoint
    from onetrip.lab.agents.openai_compatible import Budget, ChatAgent, Prices, read_key

    if not model:
        raise ArgumentError(complaint("model", expected="a model's name", got="nothing"))
    if tokens is None and usd is None:
        way_out = "Both may be given; the first that is reached ends the campaign."
        expected = "given, or `usd`"
        raise ArgumentError(complaint("tokens", expected=expected, got="neither", way_out=way_out))
    if usd is not None and not (usd_in or usd_out):
        way_out = "`--usd-in` and `--usd-out` are for a million tokens."
        expected = "given together with prices"
        raise ArgumentError(complaint("usd", expected=expected, got=usd, way_out=way_out))
    key = "" if key_file is None else read_key(key_file)
    return ChatAgent(
        ChatEndpoint(base_url, model, key),
        budget=Budget(tokens, usd),
        prices=Prices(usd_in, usd_out),
    )
