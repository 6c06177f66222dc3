"""`onetrip lab export`: a campaign as one file to share."""

import typer


def register(lab: typer.Typer) -> None:
    """Add `export` to the lab."""
