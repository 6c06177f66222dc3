"""`onetrip lab serve` and `onetrip lab mcp`: the page, and the agent's way in."""

from typing import Annotated

import typer

from onetrip.cli.lab_options import Database, lab_file
from onetrip.core.errors import require

AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote", help="Listen beyond this machine; an SSH tunnel is the better way."
    ),
]


def register(lab: typer.Typer) -> None:
    """Add `serve` and `mcp` to the lab."""
    lab.command("serve")(_serve)
    lab.command("mcp")(_mcp)


def _serve(
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8421,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allow_remote: AllowRemote = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name that browsers may ask for; repeat it.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show, and take nothing.")] = False,
    database: Database = None,
) -> None:
    """Show the lab's page, and take agents at /mcp; prints the address with its token."""
    require("uvicorn", extra="lab", purpose="`onetrip lab serve`")
    from onetrip.lab.web.serve import serve

    serve(
        lab_file(database),
        port=port,
        host=host,
        allow_remote=allow_remote,
        allowed_hosts=allow_host or (),
        read_only=read_only,
    )


def _mcp(
    name: Annotated[
        str | None, typer.Option(help="Files everything under agent:NAME. Default: the client's.")
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Streamable HTTP, in place of standard input and output.")
    ] = False,
    port: Annotated[int, typer.Option(help="With --http; 0 takes a free one.")] = 8422,
    database: Database = None,
) -> None:
    """Let an agent in by the Model Context Protocol: twelve tools, over stdio or HTTP.

    An agent may propose candidates, hypotheses and learnings, and read everything. It can change
    no tolerance, verdict or measurement.
    """
    require("mcp", extra="lab", purpose="`onetrip lab mcp`")
    by = None if name is None else f"agent:{name}"
    if http:
        from onetrip.lab.mcp.http import serve_http

        serve_http(lab_file(database), port=port, by=by, say=typer.echo)
    else:
        from onetrip.lab.mcp.server import create_server

        create_server(lab_file(database), by=by).run("stdio")
