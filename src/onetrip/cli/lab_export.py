"""`onetrip lab export`: a campaign as one page to share, or its rows for a notebook."""

from pathlib import Path
from typing import Annotated

import typer

from onetrip.cli.lab_options import AsJson, Database, lab_file, opened, print_json
from onetrip.core.errors import ArgumentError, complaint

FORMATS = ("html", "json", "csv", "parquet")
_FORMAT_OF_SUFFIX = {
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    "": "csv",
}


def register(lab: typer.Typer) -> None:
    """Add `export` to the lab."""
    lab.command("export")(_export)


def _export(
    target: Annotated[Path, typer.Argument(help="File to write; a folder for csv and parquet.")],
    format: Annotated[
        str | None, typer.Option(help="html, json, csv or parquet. Default: from the target.")
    ] = None,
    campaign: Annotated[
        int | None, typer.Option(help="Number. Default: of a page the newest, of rows all.")
    ] = None,
    problem: Annotated[
        str | None, typer.Option(help="Of a page: a problem, whoever worked on it.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Write a campaign as one HTML file that needs nothing else, or as CSV, JSON or Parquet."""
    found = format or format_of(target)
    if found not in FORMATS:
        raise ArgumentError(complaint("format", expected=f"one of {', '.join(FORMATS)}", got=found))
    if problem is not None and found != "html":
        way_out = "Rows are chosen by --campaign; `onetrip lab query` asks for others."
        expected = "left out with this format"
        raise ArgumentError(complaint("problem", expected=expected, got=problem, way_out=way_out))
    rows = (
        _page(database, target, campaign, problem)
        if found == "html"
        else _rows(database, target, campaign, found)
    )
    if as_json:
        print_json({"path": str(target), "format": found, "rows": rows})
    else:
        count = f": {sum(rows.values())} rows of {len(rows)} tables" if rows else ""
        typer.echo(f"{target}{count}")


def format_of(target: Path) -> str:
    """The format that a target's name asks for.

    Raises
    ------
    ArgumentError
        A suffix that no format has.

    >>> format_of(Path("night.html")), format_of(Path("night.parquet")), format_of(Path("rows"))
    ('html', 'parquet', 'csv')
    """
    if target.suffix not in _FORMAT_OF_SUFFIX:
        expected = f"a name that ends in {', '.join(filter(None, _FORMAT_OF_SUFFIX))} or in nothing"
        way_out = "Or say --format."
        raise ArgumentError(complaint("target", expected=expected, got=target, way_out=way_out))
    return _FORMAT_OF_SUFFIX[target.suffix]


def _page(
    database: Path | None, target: Path, campaign: int | None, problem: str | None
) -> dict[str, int]:
    from onetrip.lab.desk.desk import find_problem
    from onetrip.lab.web.static_export import write_campaign_page

    problem_id = None
    if problem is not None:
        with opened(database) as connection:
            problem_id = find_problem(connection, problem)
    write_campaign_page(lab_file(database), target, campaign_id=campaign, problem_id=problem_id)
    return {}


def _rows(database: Path | None, target: Path, campaign: int | None, format: str) -> dict[str, int]:
    from onetrip.lab.export.files import export

    with opened(database) as connection:
        exported = export(connection, target, campaign_id=campaign, format=format)
    return dict(exported.rows)
