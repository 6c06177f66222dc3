"""`onetrip data export`: a finished dataset as files for others."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from onetrip.cli.interrupts import until_interrupted


def register(data: typer.Typer) -> None:
    """Add `export` to the commands of datasets."""
    data.command("export")(_export)


def _export(
    dataset: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    target: Annotated[
        Path | None, typer.Argument(help="Folder to write. Default: DATASET/export.")
    ] = None,
    format: Annotated[str, typer.Option(help="parquet or fasta.")] = "parquet",
    columns: Annotated[
        str | None, typer.Option(help="Columns to write, with commas between. Default: all.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the dataset card.")] = "",
    license: Annotated[str, typer.Option(help="Licence for the card, as in cc-by-4.0.")] = "",
) -> None:
    """Write Parquet by split or FASTA, with a dataset card and every count.

    The folder opens in Hugging Face Datasets, Polars, DuckDB and `onetrip.data.stream`.
    """
    from onetrip.data.export.write import export

    with until_interrupted("interrupted. The same command begins the export again."):
        exported = export(
            dataset,
            target,
            format=cast('Literal["parquet", "fasta"]', format),
            columns=None if columns is None else [name.strip() for name in columns.split(",")],
            title=title,
            license=license,
        )
    rows = ", ".join(f"{split} {count:,}" for split, count in exported.rows.items())
    typer.echo(f"{exported.folder}: {len(exported.files)} files, {rows}")
