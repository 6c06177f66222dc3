"""`onetrip lab work` and `onetrip lab worker`: who answers experiments, here and elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from onetrip.cli import screen
from onetrip.cli.interrupts import until_interrupted
from onetrip.cli.lab_follow import following
from onetrip.cli.lab_options import AsJson, Database, lab_file, opened, print_json
from onetrip.core.errors import ArgumentError, DataError, complaint

Devices = Annotated[
    list[str] | None,
    typer.Option("--device", help="cpu, cuda:0; may be repeated. Default: cpu."),
]


def register(lab: typer.Typer) -> None:
    """Add `work` and the group `worker` to the lab."""
    lab.command("work")(_work)
    group = typer.Typer(help="Workers on other machines.", invoke_without_command=True)
    group.callback()(_worker)
    group.command("add")(_add)
    lab.add_typer(group, name="worker")


def _work(
    device: Devices = None,
    executor: Annotated[str, typer.Option(help="local, or ray: attempts as Ray tasks.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster. Default: one of its own.")
    ] = None,
    parallel: Annotated[int, typer.Option(help="With Ray: tasks in flight.")] = 1,
    database: Database = None,
) -> None:
    """Answer the experiments that wait, until Ctrl-C; what runs then goes back to the queue."""
    devices = tuple(device or ("cpu",))
    if executor not in ("local", "ray"):
        raise ArgumentError(complaint("executor", expected="local or ray", got=repr(executor)))
    with until_interrupted(), screen.working() as say:
        typer.echo(f"Working on {', '.join(devices)}; Ctrl-C ends it.", err=True)
        if executor == "ray":
            from onetrip.lab.work.ray_fleet import work_on_ray

            work_on_ray(
                lab_file(database), address=ray_address, device=devices[0], parallel=parallel
            )
        else:
            from onetrip.lab.work.loop import work

            with following(lab_file(database), say):
                work(lab_file(database), devices=devices)


def _worker(
    context: typer.Context,
    server: Annotated[
        str | None, typer.Option(help="Address of `onetrip lab serve`, or of a tunnel to it.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that `worker add` printed.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where files of problems are kept.")] = Path(
        "onetrip-problems"
    ),
    device: Devices = None,
) -> None:
    """Answer experiments of a lab elsewhere, until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    if server is None or token_file is None:
        expected = "given, and `--token-file` with it"
        way_out = "`onetrip lab worker add NAME` on the lab's machine prints a token."
        raise ArgumentError(complaint("server", expected=expected, got=server, way_out=way_out))
    from onetrip.lab.work.remote import work_remotely

    def say(text: str) -> None:
        typer.echo(text, err=True)

    with until_interrupted():
        devices = tuple(device or ("cpu",))
        work_remotely(server, _token(token_file), devices=devices, folder=folder, say=say)


def _add(
    name: Annotated[str, typer.Argument(help="Of the worker: its host's, say.")],
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Give a worker elsewhere a token of its own; it is printed once and kept as a hash."""
    import hashlib
    import secrets

    from onetrip.lab.queue.workers import register_worker

    token = secrets.token_urlsafe(24)
    with opened(database) as connection:
        worker_id = register_worker(
            connection, name, "http", {}, token_sha256=hashlib.sha256(token.encode()).hexdigest()
        )
    if as_json:
        print_json({"worker": worker_id, "name": name, "token": token})
    else:
        typer.echo(f"Worker {worker_id}, {name}. Its token, shown this once:\n{token}")


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The token file {path} cannot be read ({error}).") from error
