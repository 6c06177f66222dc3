"""`onetrip lab submit` and `onetrip lab learn`: put something into the lab."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from onetrip.cli.lab_options import (
    AsJson,
    By,
    Database,
    ProblemName,
    json_object,
    opened,
    print_json,
)
from onetrip.core.errors import ArgumentError, DataError, complaint


def register(lab: typer.Typer) -> None:
    """Add `submit` and `learn` to the lab."""
    lab.command("submit")(_submit)
    lab.command("learn")(_learn)


def _submit(
    problem: ProblemName,
    why: Annotated[str, typer.Option(help="The reason, in a sentence; it stays with the result.")],
    file: Annotated[
        Path | None, typer.Argument(help="Python file of the candidate; - reads standard input.")
    ] = None,
    impl: Annotated[str, typer.Option(help="Of an operator: an implementation, not a file.")] = "",
    config: Annotated[str, typer.Option(help="Its configuration, as JSON.")] = "{}",
    title: Annotated[str, typer.Option(help="A short name. Default: the file's.")] = "",
    hypothesis: Annotated[
        int | None, typer.Option(help="Which hypothesis the result decides.")
    ] = None,
    parent: Annotated[int | None, typer.Option(help="The experiment it was made from.")] = None,
    baseline: Annotated[
        int | None, typer.Option(help="The experiment it is timed beside. Default: the champion.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Limit of one attempt.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The same key gives the same experiment: safe to repeat.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the verdict.")] = False,
    by: By = "person",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Queue one candidate: a Python file, or an operator's configuration.

    Prints the experiment's number at once. With --wait, ends with 1 when the verdict is not done.
    """
    from onetrip.cli.lab_look import print_progress, wait_until_final
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        submitted = desk.submit_candidate(
            connection,
            problem,
            why=why,
            by=by,
            source="" if file is None else _read(file),
            impl=impl,
            config=json_object("config", config),
            title=title or ("" if file is None or str(file) == "-" else file.stem),
            hypothesis=hypothesis,
            parent=parent,
            baseline=baseline,
            seconds=seconds,
            idempotency_key=key,
        )
        if wait:
            print_progress(wait_until_final(connection, submitted.experiment), as_json)
            return
    if as_json:
        print_json(submitted)
    else:
        note = "" if submitted.created else " (it was there before)"
        typer.echo(f"Experiment {submitted.experiment}: {submitted.state}{note}")


def _learn(
    text: Annotated[str, typer.Argument(help="What is now known, in a sentence or two.")],
    about: Annotated[
        list[str] | None, typer.Option(help="What it rests on, experiment:12; may be repeated.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Between 0 and 1.")] = 0.7,
    by: By = "person",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Keep what an experiment taught, above all when it failed."""
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        found = desk.add_learning(
            connection, text=text, by=by, confidence=confidence, about=about or ()
        )
    if as_json:
        print_json(found)
    else:
        typer.echo(f"Learning {found['learning']}")


def _read(file: Path) -> str:
    expected = "the path of a Python file that can be read"
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ArgumentError(
            complaint("file", expected=expected, got=f"{file} ({error.strerror})")
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"The file {file} is not UTF-8 text ({error.reason}).") from error
    if not text.strip():
        raise ArgumentError(complaint("file", expected=expected, got=f"{file} (it is empty)"))
    return text
