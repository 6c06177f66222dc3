"""Which units there are: from OPIG's script of downloads, or from a folder of units."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from onetrip.core.errors import DataError, complaint
from onetrip.data.sources.folder import content_of, find_units
from onetrip.data.sources.oas.inflate import Inflated
from onetrip.data.sources.oas.lines import Lines
from onetrip.data.sources.oas.metadata import parse_metadata
from onetrip.data.sources.oas.twins import alike, contents_that_may_agree
from onetrip.data.sources.source import Unit, UnitError
from onetrip.data.store.aside import AsideFile, full_disk_explained
from onetrip.data.store.writable import folder_to_write

# In 2021 the addresses of paired units lacked a slash.
_ADDRESS = re.compile(
    r"(?P<head>https?://\S+?/ngsdb)/?(?P<subset>unpaired|paired)/?(?P<study>[^/\s]+)/csv/"
    r"(?P<file>[^/\s\"']+\.csv\.gz)"
)
# What may become part of a path: no slash, no blank, no leading dot.
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One unit: where it comes from, and where it lies below a folder.

    `path` is subset/study/file. Of a unit that is only known by its address, `bytes` is -1 and
    what line 1 says is "". `twin` names another unit of the same content, or of the same name.
    """

    path: str
    url: str = ""
    bytes: int = -1
    species: str = ""
    chain: str = ""
    isotype: str = ""
    rows: int = -1
    fault: str = ""
    twin: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Units in the order of their paths; `refused` are lines that are no address of a unit."""

    entries: tuple[Entry, ...]
    refused: tuple[str, ...] = ()


def read_script(path: Path) -> Manifest:
    """Units of `bulk_download.sh`: a line `wget URL` each.

    Paths come from the address, subset/study/file, and hold nothing that could lead elsewhere.
    """
    entries, refused = {}, []
    for line in path.read_text("utf-8", "replace").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _entry_of(line)
        if entry is None:
            refused.append(line.strip()[:200])
        else:
            entries[entry.path] = entry
    if not entries:
        expected = "a script with lines like `wget https://…/ngsdb/unpaired/STUDY/csv/UNIT.csv.gz`"
        raise DataError(complaint("script", expected=expected, got=repr(str(path))))
    return Manifest(_with_twins(entries.values()), tuple(refused))


def read_folder(folder: Path) -> Manifest:
    """Units below a folder, with what line 1 says of each, and the code of those without one."""
    units = find_units(folder, ("*.csv.gz", "*.csv.gz.[0-9]"))
    contents = contents_that_may_agree(units, content_of)
    return Manifest(_with_twins([_entry_of_unit(unit) for unit in units], contents))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the units as Parquet; raises DataError where that cannot be."""
    rows = [asdict(entry) for entry in manifest.entries]
    kinds = {str: pa.string(), int: pa.int64()}
    schema = pa.schema([(field.name, kinds[field.type]) for field in fields(Entry)])
    folder_to_write("output", path.parent)
    with full_disk_explained(path.parent):
        file = AsideFile(path)
        try:
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
            file.publish()
        except BaseException:
            file.discard()
            raise


def read_manifest(path: Path) -> Manifest:
    """Units of a manifest, of a script, or of a folder."""
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        expected = "a manifest (Parquet), a script of downloads or a folder"
        raise DataError(complaint("manifest", expected=expected, got=repr(str(path))))
    if path.suffix != ".parquet":
        return read_script(path)
    try:
        return Manifest(tuple(Entry(**row) for row in pq.read_table(path).to_pylist()))
    except (pa.ArrowInvalid, TypeError) as error:
        expected = "what `onetrip data oas manifest` writes"
        raise DataError(complaint("manifest", expected=expected, got=repr(str(path)))) from error


def _entry_of(line: str) -> Entry | None:
    found = _ADDRESS.search(line)
    if found is None:
        return None
    parts = [unquote(found[name]) for name in ("subset", "study", "file")]
    if not all(_SAFE.fullmatch(part) for part in parts):
        return None
    subset, study, file = (found[name] for name in ("subset", "study", "file"))
    return Entry("/".join(parts), f"{found['head']}/{subset}/{study}/csv/{file}")


def _entry_of_unit(unit: Unit) -> Entry:
    try:
        metadata = parse_metadata(Lines(iter(Inflated(unit.path))).readline())
    except UnitError as error:
        return Entry(unit.unit_id, bytes=unit.bytes, fault=error.code)
    said = {key: metadata.values[key] or "" for key in ("Species", "Chain", "Isotype")}
    return Entry(
        unit.unit_id,
        bytes=unit.bytes,
        species=said["Species"],
        chain=said["Chain"],
        isotype=said["Isotype"],
        rows=-1 if metadata.rows is None else metadata.rows,
    )


def _with_twins(
    entries: Iterable[Entry], contents: Mapping[str, str] | None = None
) -> tuple[Entry, ...]:
    entries = sorted(entries, key=lambda entry: entry.path)
    contents = contents or {}
    twins = alike((entry.path, contents.get(entry.path, "")) for entry in entries)
    return tuple(replace(entry, twin=twins.get(entry.path, [""])[0]) for entry in entries)


def summary(manifest: Manifest) -> dict[str, int]:
    """How many units there are, of each subset, in how many studies, and what is odd about them."""
    entries: Sequence[Entry] = manifest.entries
    subsets = Counter(entry.path.split("/")[0] for entry in entries if "/" in entry.path)
    studies = {entry.path.rpartition("/")[0] for entry in entries}
    return {
        "units": len(entries),
        **subsets,
        "studies": len(studies),
        "twins": sum(bool(entry.twin) for entry in entries),
        "faults": sum(bool(entry.fault) for entry in entries),
        "refused_lines": len(manifest.refused),
    }
