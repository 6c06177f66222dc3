"""Which units a dataset was made of, and what is odd about them beside each other."""

import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from onetrip.data.reject import SCHEMA, Reject
from onetrip.data.sources.folder import content_of
from onetrip.data.sources.source import Kept, Source, Unit
from onetrip.data.store.aside import AsideFile, write_json

# In the quarantine, where what the tasks set aside has the names of their stages.
REMARKS = "listing.parquet"
_UNITS = "units.json"


class Listing:
    """The units of one run, compared with each other and with those of the run before.

    Parameters
    ----------
    dataset : folder of the dataset.
    units : all that the run reads.
    """

    def __init__(self, dataset: Path, units: Sequence[Unit]) -> None:
        self._dataset, self._units = dataset, units
        self._before: Mapping[str, Kept] = {}
        self.remarks: Sequence[Reject] = ()

    def compare(self, source: Source) -> None:
        """Put what the source says of the units beside what will be set aside of each."""
        self._before = _kept_before(self._dataset / _UNITS)
        self.remarks = source.compare(self._units, self._before)
        path = self._dataset / "quarantine" / REMARKS
        if not self.remarks:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {name: [getattr(one, name) for one in self.remarks] for name in SCHEMA.names}
        file = AsideFile(path)
        try:
            pq.write_table(pa.table(columns, schema=SCHEMA), file)
            file.publish()
        except BaseException:
            file.discard()
            raise

    def keep(self, read: Container[str]) -> None:
        """Say which units were read to their end; known ones are not looked into again."""
        known = {}
        for unit in self._units:
            if unit.unit_id not in read:
                continue
            old = self._before.get(unit.unit_id)
            content = old.content if old and old.stamp == unit.stamp else content_of(unit)
            known[unit.unit_id] = {"stamp": unit.stamp, "content": content}
        write_json(self._dataset / _UNITS, known)

    @property
    def files(self) -> list[str]:
        """Files of the quarantine that hold the remarks."""
        return [REMARKS] if self.remarks else []


def _kept_before(path: Path) -> dict[str, Kept]:
    try:
        known = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return {unit_id: Kept(**of_unit) for unit_id, of_unit in known.items()}
