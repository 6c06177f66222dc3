"""Text put straight into memory is that of the file, and ends as reading block by block does."""

import gzip

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onetrip.data.sources.oas.inflate import MAGIC, Inflated, inflater
from onetrip.data.sources.source import UnitError

TEXT = b"".join(b"%d,%d\n" % (n * n, n % 7) for n in range(20_000))
MEMBERS = gzip.compress(TEXT, mtime=0), gzip.compress(b"more\n", mtime=0)


def ends(inflated, pieces):
    """All text, how it ended, and what is garbage."""
    found = []
    try:
        found.extend(pieces)
    except UnitError as error:
        return b"".join(found), error.code, str(error), inflated.garbage_bytes
    return b"".join(found), "", "", inflated.garbage_bytes


def filled(inflated, size):
    memory = bytearray(size)
    while count := inflated.fill(memoryview(memory)):
        yield bytes(memory[:count])


def spoilt(data, place, kind):
    if kind == "cut":
        return data[:place]
    if kind == "turned":
        return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
    return data + {"zeros": b"\0\0", "garbage": b"\0<html>", "magic": MAGIC}[kind]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(11, len(MEMBERS[0]) - 1),
    st.sampled_from(["cut", "turned", "zeros", "garbage", "magic"]),
    st.sampled_from([100, 65_536, 1 << 18]),
)
@example(place=421, kind="turned", size=100)
def test_filling_memory_ends_as_reading_block_by_block(tmp_path_factory, place, kind, size):
    path = tmp_path_factory.mktemp("gz") / "unit.csv.gz"
    path.write_bytes(spoilt(MEMBERS[0], place, kind))
    blocks, straight = Inflated(path), Inflated(path)
    text, *ending = ends(blocks, iter(blocks))
    again, *ending_again = ends(straight, filled(straight, size))
    assert ending_again == ending
    # A checksum is wrong only at its end: of what stands before, who asks for little has more.
    assert again.startswith(text)
    assert again == text or ending[0] == "U05"
    assert TEXT.startswith(text) or ending[0] == "U05"


@pytest.mark.parametrize("between", [b"", b"\0" * 512])
def test_members_and_padding_between_them_are_one_text(tmp_path, between):
    path = tmp_path / "unit.csv.gz"
    path.write_bytes(between.join(MEMBERS) + between)
    for inflated in (Inflated(path), Inflated(path, fine_from=5)):
        assert ends(inflated, iter(inflated)) == (TEXT + b"more\n", "", "", 0)
    inflated = Inflated(path)
    assert ends(inflated, filled(inflated, 1_000)) == (TEXT + b"more\n", "", "", 0)
    assert inflated.position == path.stat().st_size


def test_a_whole_file_goes_straight_into_memory_where_isal_can(tmp_path, monkeypatch):
    assert hasattr(inflater(), "_GzipReader")
    path = tmp_path / "unit.csv.gz"
    path.write_bytes(MEMBERS[0])
    # Block by block, nothing would come.
    monkeypatch.setattr(Inflated, "_blocks", lambda inflated: iter(()))
    inflated = Inflated(path)
    assert b"".join(filled(inflated, 4_096)) == TEXT
