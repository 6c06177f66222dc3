"""Bytes as bits, against the plain loops that they replace."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onetrip.data.sources.oas import marks, rows
from onetrip.data.sources.oas.fields import plain_values
from onetrip.data.sources.oas.lines import Lines
from onetrip.data.sources.oas.marks import MarkedText, Quoted, Ranked, place_in_word
from onetrip.data.sources.oas.rows import RowParser

FEW = settings(max_examples=60, deadline=None)
WORDS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5)
KINDS = ((np.equal, ord('"')), (np.less, ord(" ")))


def places(words):
    """Places of all bits that are set, one by one."""
    return [64 * at + bit for at, word in enumerate(words) for bit in range(64) if word >> bit & 1]


def as_words(found, size):
    """Places as words."""
    made = np.zeros(-(-size // 64), np.uint64)
    for place in found:
        made[place // 64] |= np.uint64(1) << np.uint64(place % 64)
    return made


@FEW
@given(WORDS)
def test_a_rank_has_its_place(words):
    truth = places(words)
    ranked = Ranked(np.array(words, np.uint64))
    assert ranked.count == len(truth)
    assert ranked.places(np.arange(len(truth))).tolist() == truth


def test_every_bit_of_a_full_word_is_found():
    ranks = np.arange(64)
    assert place_in_word(np.full(64, 2**64 - 1, np.uint64), ranks).tolist() == ranks.tolist()


@FEW
@given(
    st.lists(st.sampled_from([b'"', b"\n", b"xyz" * 30, b'a"\n' * 40]), max_size=8),
    st.lists(st.sampled_from([b'"', b"\n", b"x" * 70]), max_size=6),
    st.integers(0, 300),
    st.sampled_from([64, 128, 1 << 18]),
)
def test_marks_are_those_of_the_text_however_it_came(blocks, earlier, cut, at_once):
    text = MarkedText(KINDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marks, "_BLOCK_BYTES", at_once)
        for block in earlier:
            text.append(block)
        text.marks(text.size)
        text.clear()
        for block in blocks:
            text.append(block)
        whole = b"".join(blocks)
        stop = min(cut, len(whole))
        quotes, controls = text.marks(stop)
    assert text.copy(0, text.size) == whole
    assert places(quotes.tolist()) == [at for at in range(stop) if whole[at] == ord('"')]
    assert places(controls.tolist()) == [at for at in range(stop) if whole[at] < 32]


@FEW
@given(st.lists(st.integers(0, 400), unique=True, max_size=9).map(sorted), st.integers(401, 500))
def test_what_stands_between_quotes(quotes, size):
    quoted = Quoted(as_words(quotes, size))
    assert quoted.closed == (len(quotes) % 2 == 0)
    if quoted.closed:
        pairs = zip(quotes[::2], quotes[1::2], strict=True)
        inside = {place for start, stop in pairs for place in range(start, stop)}
        marked = as_words(range(size), size)
        quoted.clear(marked)
        assert places(marked.tolist()) == [at for at in range(size) if at not in inside]


VALUE = st.text("ACGT-.*é∂ ,", max_size=90)


@FEW
@given(
    st.lists(st.tuples(VALUE, VALUE, VALUE, VALUE), min_size=1, max_size=9),
    st.permutations([0, 1, 2, 3]),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_plain_tables_are_read_as_csv_writes_them(table, order, width, all_quoted, end):
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=end, quoting=quoting).writerows(table)
    names, wanted = "abcd", [("abcd")[place] for place in order[:width]]
    parser = RowParser("unit", names, wanted)
    (chunk,) = Lines(iter([text.getvalue().encode()])).chunks()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "read_carefully", None)
        parsed = parser.parse(chunk, parser.plain(chunk), 3)
    assert [column.to_pylist() for column in parsed.columns] == [
        [row[place] for row in table] for place in order[:width]
    ]
    assert parsed.lines.tolist() == list(range(3, 3 + len(table)))
    for column in parsed.columns:
        column.validate(full=True)


@pytest.mark.parametrize(
    "text",
    [
        b"a,b\nc\n",
        b"a,b\nc,d,e\n",
        # As many separators as rows times fields, and no row right.
        b"a,b,c\nd\n",
        b"a\nb,c,d\n",
        b'a,"b\nc,d\n',
        b'a,b"\nc,"d\n',
        b'a,x"b"\nc,d\n',
        b'a,"b"x\nc,d\n',
        b'a,"b""c"\nd,e\n',
        b'a,"b\nc"\nd,e\n',
        b'a,"b\rc"\nd,e\n',
        # Taken apart at the line break, both halves would have two values.
        b'a,"b\nc",d\n',
        b"a,b\n\nc,d\n",
        b"a,b\rc,d\n",
        b"a,\0\nc,d\n",
        b"a,\xff\nc,d\n",
        b"\n\n",
    ],
)
def test_what_is_not_plain_is_not_guessed(text):
    (chunk,) = Lines(iter([text])).chunks()
    assert plain_values(*chunk.marked(), 2, [0, 1]) is None


def test_the_first_byte_may_open_a_quote_and_the_last_close_one():
    (chunk,) = Lines(iter([b'"a,b","c"\n"","d\xc3\xa9"\n'])).chunks()
    values = plain_values(*chunk.marked(), 2, [1, 0])
    assert values is not None
    assert [column.to_pylist() for column in values] == [["c", "dé"], ["a,b", ""]]
