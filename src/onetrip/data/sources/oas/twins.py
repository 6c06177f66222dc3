"""Units that may be the same twice: of one file name in two studies, or of one content."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from onetrip.data.codes import explained
from onetrip.data.reject import Reject
from onetrip.data.sources.source import Kept, Unit


def alike(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Others that share a unit's file name or content, by the path of the unit.

    `names` are paths with what stands for their content, "" where nothing does.

    >>> alike([("A/x.gz", "1"), ("B/x.gz", "2"), ("B/y.gz", "1"), ("B/z.gz", "")])
    {'A/x.gz': ['B/x.gz', 'B/y.gz'], 'B/x.gz': ['A/x.gz'], 'B/y.gz': ['A/x.gz']}
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, content in names:
        groups["name", _file_name(path)].append(path)
        if content:
            groups["content", content].append(path)
    found: dict[str, set[str]] = defaultdict(set)
    for paths in groups.values():
        for path in paths if len(paths) > 1 else ():
            found[path].update(other for other in paths if other != path)
    return {path: sorted(others) for path, others in sorted(found.items())}


def contents_that_may_agree(units: Sequence[Unit], digest: Callable[[Unit], str]) -> dict[str, str]:
    """What stands for the content of each unit, "" where no other has as many bytes.

    So a folder without twins costs no look into its files.
    """
    of_size: dict[int, int] = defaultdict(int)
    for unit in units:
        of_size[unit.bytes] += 1
    return {
        unit.unit_id: digest(unit) if unit.bytes and of_size[unit.bytes] > 1 else ""
        for unit in units
    }


def twin_remarks(
    units: Sequence[Unit], before: Mapping[str, Kept], digest: Callable[[Unit], str]
) -> list[Reject]:
    """U15 for every unit that has a twin in the input, or took the place of another file.

    Parameters
    ----------
    units : all that a run reads.
    before : those that the run before kept, by `unit_id`.
    digest : stands for the content of a unit.
    """
    contents = contents_that_may_agree(units, digest)
    twins = alike(contents.items())
    here = {unit.unit_id for unit in units}
    had: dict[str, list[str]] = defaultdict(list)
    for unit_id in before:
        had[_file_name(unit_id)].append(unit_id)
    remarks = []
    for unit in units:
        if unit.unit_id in twins:
            also = f"Also: {', '.join(twins[unit.unit_id])}."
            remarks.append(_remark(unit, also))
        if (known := before.get(unit.unit_id)) and known.stamp == unit.stamp:
            continue
        for old in had[_file_name(unit.unit_id)]:
            gone = old == unit.unit_id or old not in here
            if gone and _differs(unit, before[old], digest):
                told = f"Before, the dataset had another file as {old}: its rows are replaced."
                remarks.append(_remark(unit, told))
    return remarks


def _differs(unit: Unit, old: Kept, digest: Callable[[Unit], str]) -> bool:
    """A copy of a file has another time of change, and is no other file."""
    return unit.stamp != old.stamp and digest(unit) != old.content


def _remark(unit: Unit, particulars: str) -> Reject:
    return Reject(unit.unit_id, 0, "U15", "", explained("U15", particulars), "")


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
