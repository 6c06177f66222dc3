"""Fetch units over a network that breaks off, from servers that say untrue things."""

import http.client
import re
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Event
from typing import Literal

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.sources.oas.downloads import side_by_side
from onetrip.data.sources.oas.inflate import MAGIC, Inflated, is_web_page
from onetrip.data.sources.oas.manifest import Entry
from onetrip.data.sources.oas.metadata import Metadata, parse_metadata
from onetrip.data.sources.source import UnitError
from onetrip.data.store.aside import full_disk_explained, is_full_disk
from onetrip.data.store.writable import folder_to_write

_PIECE_BYTES = 1 << 18
# Enough for line 1 of any unit, compressed.
_HEAD_BYTES = 1 << 12
_RANGE = re.compile(r"bytes (?:(?P<start>\d+)-\d+|\*)/(?P<total>\d+|\*)")
_STUDIES_TOLD = 12
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

State = Literal["fetched", "there", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which units to fetch; None asks for nothing. What line 1 says is known once it is here."""

    study: str | None = None
    species: str | None = None
    chain: str | None = None
    max_bytes: int | None = None

    def unwanted(self, metadata: Metadata) -> str:
        """Why line 1 rules the unit out; "" where it does not."""
        for key, wish in (("Species", self.species), ("Chain", self.chain)):
            said = (metadata.values[key] or "").strip()
            if wish is not None and said.casefold() != wish.casefold():
                return f"{key} is {said or 'not said'}"
        return ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of one unit: state, bytes on disk, requests made, and why."""

    path: str
    state: State
    bytes: int
    requests: int
    why: str = ""


class _Broken(Exception):
    """This attempt failed; what is here may be gone on with."""


class _Ended(Exception):
    """Nobody waits for the unit any more; what is here stays."""


class _Skip(Exception):
    """The unit is not wanted."""


def fetch(
    entries: Sequence[Entry],
    folder: Path,
    wanted: Wanted | None = None,
    *,
    connections: int = 4,
    attempts: int = 6,
    wait_s: float = 1.0,
    timeout_s: float = 60.0,
    told: Callable[[Fetched], None] = lambda fetched: None,
) -> list[Fetched]:
    """Fetch units into subset/study/file below a folder; what is there and whole stays.

    A connection that breaks off is taken up again where it ended (HTTP Range), after a pause that
    doubles. A unit counts as fetched when it has the length that the server says and inflates to
    its checksum; until then it is called `.part`.

    Parameters
    ----------
    entries : units with their addresses.
    folder : where to.
    wanted : which of them.
    connections : at once.
    attempts : requests for one unit without any progress before it counts as failed.
    wait_s : pause before the second of them.
    timeout_s : silence that ends a request.
    told : called with what came of each unit, from the threads that fetch.

    Raises
    ------
    ArgumentError
        No unit is of the study; a number of connections or attempts that is below one.
    DataError
        The folder cannot be written to, or its disk is full.
    """
    wanted = wanted or Wanted()
    for name, number in (("connections", connections), ("attempts", attempts)):
        if number < 1:
            raise ArgumentError(complaint(name, expected="at least 1", got=number))
    if wait_s < 0:
        raise ArgumentError(complaint("wait", expected="no negative number of seconds", got=wait_s))
    chosen = _of_study(entries, wanted.study)
    folder_to_write("folder", folder)
    ended = Event()

    def one(entry: Entry) -> Fetched:
        result = _Fetch(entry, folder, wanted, attempts, wait_s, timeout_s, ended).run()
        told(result)
        return result

    with full_disk_explained(folder):
        return side_by_side(one, chosen, connections, ended)


def _of_study(entries: Sequence[Entry], study: str | None) -> Sequence[Entry]:
    if study is None:
        return entries
    chosen = [entry for entry in entries if entry.path.split("/")[1] == study]
    if not chosen:
        there = sorted({entry.path.split("/")[1] for entry in entries})
        close = get_close_matches(study, there, n=1)
        expected = f"one of {len(there)} studies: {', '.join(there[:_STUDIES_TOLD])}"
        raise ArgumentError(
            complaint(
                "study",
                expected=f"{expected}{', …' if len(there) > _STUDIES_TOLD else ''}",
                got=repr(study),
                way_out=f"Did you mean {close[0]!r}?" if close else "",
            )
        )
    return chosen


class _Fetch:
    """One unit."""

    def __init__(
        self,
        entry: Entry,
        folder: Path,
        wanted: Wanted,
        attempts: int,
        wait_s: float,
        timeout_s: float,
        ended: Event,
    ) -> None:
        self._ended = ended
        self._entry, self._wanted = entry, wanted
        self._attempts, self._wait_s, self._timeout_s = attempts, wait_s, timeout_s
        self._target = folder / entry.path
        self._part = self._target.with_name(f"{self._target.name}.part")
        self._requests = 0

    def run(self) -> Fetched:
        if self._target.is_file():
            return self._end("there", self._target.stat().st_size)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        failures, most, why = 0, self._have(), ""
        while failures < self._attempts:
            if failures:
                self._ended.wait(self._wait_s * 2 ** (failures - 1))
            try:
                self._requests += 1
                total = self._request(self._have())
                self._check(total)
            except _Skip as skip:
                self._part.unlink(missing_ok=True)
                return self._end("skipped", 0, str(skip))
            except (_Broken, OSError, http.client.HTTPException) as error:
                if is_full_disk(error):
                    raise
                why = str(error) or type(error).__name__
                if isinstance(error, urllib.error.HTTPError) and error.code not in _PASSING:
                    break
                # A unit that comes again and again from its beginning makes no progress.
                failures = 1 if self._have() > most else failures + 1
                most = max(most, self._have())
            else:
                size = self._have()
                self._part.replace(self._target)
                return self._end("fetched", size)
        return self._end("failed", self._have(), why)

    def _have(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _end(self, state: State, size: int, why: str = "") -> Fetched:
        return Fetched(self._entry.path, state, size, self._requests, why)

    def _request(self, have: int) -> int | None:
        """Go on behind `have` bytes; the length that the server says the unit has."""
        headers = {"Range": f"bytes={have}-"} if have else {}
        request = urllib.request.Request(self._entry.url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:
                start, total = _extent(response)
                if start != have:
                    # It sends everything, or something else: from the beginning, then.
                    have = 0
                    if start != 0:
                        self._part.unlink(missing_ok=True)
                        raise _Broken(f"the server sent bytes from {start} on, unasked")
                limit = self._wanted.max_bytes
                if limit is not None and total is not None and total > limit:
                    raise _Skip(f"it has {total} bytes")
                self._take(response, have)
                return total
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            # Nothing behind what is here: whole, or longer than the unit is now.
            _, total = _extent(error)
            if total != have:
                self._part.unlink(missing_ok=True)
                raise _Broken(f"{have} bytes are here, the server has {total}") from error
            return total

    def _take(self, response: http.client.HTTPResponse, have: int) -> None:
        asked = have >= _HEAD_BYTES
        with self._part.open("ab" if have else "wb") as file:
            while piece := response.read1(_PIECE_BYTES):
                if self._ended.is_set():
                    raise _Ended
                file.write(piece)
                have += len(piece)
                if not asked and have >= _HEAD_BYTES:
                    file.flush()
                    self._ask_line_1()
                    asked = True

    def _ask_line_1(self) -> None:
        """Break off as soon as it is known that the unit is a web page, or not wanted."""
        with self._part.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if not head.startswith(MAGIC):
            self._part.unlink()
            what = "a web page" if is_web_page(head) else "no gzip"
            raise _Broken(f"the server sent {what}: {head[:40]!r}")
        try:
            line, newline, _ = zlib.decompressobj(31).decompress(head).partition(b"\n")
            unwanted = self._wanted.unwanted(parse_metadata(line)) if newline else ""
        except (zlib.error, UnitError):
            # Reading it will say what is wrong.
            return
        if unwanted:
            raise _Skip(unwanted)

    def _check(self, total: int | None) -> None:
        """Whether the unit is whole: its length, its first bytes, its checksum."""
        have = self._have()
        if total is not None and have < total:
            raise _Broken(f"{have} of {total} bytes came")
        self._ask_line_1()
        try:
            for _ in Inflated(self._part):
                pass
        except UnitError as error:
            self._part.unlink()
            raise _Broken(str(error)) from error


def _extent(response: http.client.HTTPResponse | urllib.error.HTTPError) -> tuple[int, int | None]:
    """First byte that comes, and the length of the whole where the server says it."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found:
        total = found["total"]
        return int(found["start"] or 0), None if total == "*" else int(total)
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None
