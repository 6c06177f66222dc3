"""`onetrip data oas`: units of the Observed Antibody Space, found, fetched, made and read."""

import json
import shlex
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onetrip.cli.data_run import GOES_ON, progress_named
from onetrip.cli.interrupts import until_interrupted
from onetrip.core.errors import DataError

if TYPE_CHECKING:
    from onetrip.data.sources.oas.fetch import Fetched

_Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="OPIG's bulk_download.sh, a folder, a manifest.")
]
_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder; made where it is missing.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

# What the demo makes: small enough for a minute on a laptop, with a bit of everything.
_DEMO = {"rows": 20_000, "units": 12}
_DEMO_DEFECTS = ("short_row", "open_quote", "bad_utf8", "truncated_gzip", "html_page")


_REAL = (
    "pyalakazam where it is installed, abnativ's wheel, or a TSV of AIRR: real chains in place of "
    "made ones."
)


def register(data: typer.Typer) -> None:
    """Add `oas` and its commands to the group."""
    oas = typer.Typer(
        help="Observed Antibody Space: find, fetch, make and read its units.", no_args_is_help=True
    )
    oas.command("manifest")(_manifest)
    oas.command("fetch")(_fetch)
    oas.command("make-fixture")(_make_fixture)
    oas.command("ingest")(_ingest)
    oas.command("demo")(_demo)
    data.add_typer(oas, name="oas")


def _manifest(
    source: _Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    as_json: _AsJson = False,
) -> None:
    """List units as subset/study/file: of a script of downloads, or of a folder with line 1.

    Addresses without a slash between subset and study are mended; nothing else becomes a path.
    Units of the same name or content are told.
    """
    from onetrip.data.sources.oas.manifest import read_manifest, summary, write_manifest

    manifest = read_manifest(source)
    write_manifest(manifest, output)
    facts = summary(manifest)
    _say(facts | {"manifest": str(output)}, as_json)
    for line in manifest.refused:
        typer.echo(f"refused: {line}", err=True)


def _fetch(
    manifest: _Source,
    folder: _Folder,
    study: Annotated[str | None, typer.Option(help="Only this study.")] = None,
    species: Annotated[str | None, typer.Option(help="Only this species, by line 1.")] = None,
    chain: Annotated[str | None, typer.Option(help="Heavy, Light or Paired, by line 1.")] = None,
    max_size: Annotated[
        str | None, typer.Option(help='Only units of so many bytes at most: "200MB".')
    ] = None,
    connections: Annotated[int, typer.Option(help="Downloads at once.")] = 4,
    attempts: Annotated[int, typer.Option(help="Requests without progress for one unit.")] = 6,
    wait: Annotated[float, typer.Option(help="Seconds before the second; then doubled.")] = 1.0,
    as_json: _AsJson = False,
) -> None:
    """Fetch units; what is there stays, and what broke off goes on where it ended.

    A unit is there when it has the length that the server says and inflates to its checksum.
    Exit code 0: all are there. 3: some could not be had; the same command tries again.
    """
    from onetrip.data.engine.memory import read_memory
    from onetrip.data.sources.oas.fetch import Wanted, fetch
    from onetrip.data.sources.oas.manifest import read_manifest

    entries = [entry for entry in read_manifest(manifest).entries if entry.url]
    if not entries:
        raise DataError(f"{manifest} has no addresses: fetch needs OPIG's script, or its manifest.")
    limit = None if max_size is None else read_memory(max_size, "max-size")
    with until_interrupted(GOES_ON):
        results = fetch(
            entries,
            folder,
            Wanted(study, species, chain, limit),
            connections=connections,
            attempts=attempts,
            wait_s=wait,
            told=_tell,
        )
    states = Counter(result.state for result in results)
    _say({state: states[state] for state in ("fetched", "there", "skipped", "failed")}, as_json)
    raise typer.Exit(3 if states["failed"] else 0)


def _make_fixture(
    folder: _Folder,
    rows: Annotated[int, typer.Option(help="Of all whole unpaired units together.")] = 20_000,
    units: Annotated[int, typer.Option(help="Whole unpaired units.")] = 24,
    paired_units: Annotated[int, typer.Option(help="More units of 200 pairs each.")] = 0,
    defects: Annotated[
        list[str] | None, typer.Option(help="One more unit with this defect; all for every one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    real: Annotated[
        Path | None,
        typer.Option(help=_REAL),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Write units of the shape of the real ones; their sequences are synthetic.

    Sizes are spread as those of the 15,550 real unpaired units. `fixture.json` says which unit
    has which defect.
    """
    if real is not None:
        from onetrip.data.sources.oas.real_units import make_real_fixture

        made = make_real_fixture(folder, real, rows=rows, units=units, seed=seed)
    else:
        from onetrip.data.sources.oas.synthetic.folder import make_fixture

        made = make_fixture(
            folder,
            rows=rows,
            units=units,
            paired_units=paired_units,
            defects=defects or (),
            seed=seed,
        )
    broken = [one for one in made if one.defect]
    _say(
        {
            "units": len(made),
            "rows": sum(one.rows for one in made),
            "bytes": sum((folder / one.path).stat().st_size for one in made),
            "broken_units": len(broken),
            "folder": str(folder),
        },
        as_json,
    )


def _ingest(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of units, or one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the dataset.")],
    columns: Annotated[
        str, typer.Option(help="default, all, or names of the header with commas between.")
    ] = "default",
    layout: Annotated[str, typer.Option(help="unpaired, paired, or auto.")] = "auto",
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Keep the rows before a damage; the unit is partial.")
    ] = False,
    assume_meta: Annotated[
        list[str] | None, typer.Option(help="For units without line 1: Species=human.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
    memory: Annotated[str, typer.Option(help="Bound on all processes together.")] = "2GB",
    executor: Annotated[str, typer.Option(help="local, ray or inline.")] = "local",
    max_bad_rows: Annotated[str, typer.Option(help="Share or number that a run bears.")] = "1%",
    max_bad_units: Annotated[str, typer.Option(help="Share or number that a run bears.")] = "5%",
    progress: Annotated[str | None, typer.Option(help="rich, plain, json or none.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Read units into Parquet shards as they are: no step but the source.

    Exit code 0: nothing was set aside. 3: something was. 4: more than the limits bear.
    """
    from onetrip.cli.dataset_screen import print_result
    from onetrip.data.engine.run import run

    names: Any = columns if columns in ("default", "all") else columns.split(",")
    options = {
        "columns": names,
        "layout": layout,
        "salvage": salvage,
        "assume_metadata": assume_meta or [],
    }
    with until_interrupted(GOES_ON):
        result = run(
            {"source": {"oas": options}},
            source,
            output,
            workers=workers,
            memory=memory,
            executor=executor,
            max_bad_rows=max_bad_rows,
            max_bad_units=max_bad_units,
            progress=progress_named(progress),
        )
    print_result(result, as_json)
    raise typer.Exit(result.exit_code)


def _demo(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to; else a temporary folder.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of the whole units.")] = _DEMO["rows"],
    real: Annotated[
        Path | None,
        typer.Option(help=_REAL),
    ] = None,
    progress: Annotated[str | None, typer.Option(help="rich, plain, json or none.")] = None,
    as_json: _AsJson = False,
) -> None:
    """From twelve units, and five broken ones, to tokenised Parquet, with every count."""
    from onetrip.cli.dataset_screen import print_result
    from onetrip.data.engine.limits import LIMITS_EXCEEDED
    from onetrip.data.engine.run import run
    from onetrip.data.sources.oas.real_units import make_real_fixture
    from onetrip.data.sources.oas.synthetic.folder import make_broken, make_fixture

    place = folder or Path(tempfile.mkdtemp(prefix="onetrip-oas-"))
    units, dataset = place / "units", place / "dataset"
    if real is None:
        make_fixture(units, rows=rows, units=_DEMO["units"])
    else:
        make_real_fixture(units, real, rows=rows, units=_DEMO["units"])
    make_broken(units, _DEMO_DEFECTS)
    with until_interrupted():
        result = run(
            "oas",
            units,
            dataset,
            max_bad_rows="5%",
            max_bad_units="50%",
            progress=progress_named(progress),
        )
    print_result(result, as_json)
    if not as_json:
        typer.echo(f"\nUnits: {units}\nTo look at it:")
        for command in ("stats", "quarantine list"):
            typer.echo(f"  onetrip data {command} {shlex.quote(str(dataset))}")
    # Broken units are what it shows: they are no failure of the demo.
    raise typer.Exit(result.exit_code if result.exit_code >= LIMITS_EXCEEDED else 0)


def _tell(fetched: "Fetched") -> None:
    why = f": {fetched.why}" if fetched.why else ""
    typer.echo(f"{fetched.state} {fetched.path} ({fetched.bytes:,} bytes){why}", err=True)


def _say(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        typer.echo(f"{name.replace('_', ' ')}: {shown}")
