"""Values of plain CSV, a chunk at a time: no row is looked at alone, and none is guessed.

The chunk is turned into bits, one for each byte. Commas and line ends outside quotes separate
values; where all rows have F values, every F-th separator is a line end, and no other one is. That
comparison proves that no row has a value too few or too many. Then the places of wanted values are
worked out, and Arrow copies these values from the text, and nothing else.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from onetrip.data.sources.oas.marks import Quoted, Ranked, count

_QUOTE, _NEWLINE, _ASCII_END = ord('"'), ord("\n"), 128


def plain_values(
    text: np.ndarray, marks: Sequence[np.ndarray], fields: int, wanted: Sequence[int]
) -> list[pa.Array] | None:
    r"""Values of some columns, as strings; None where the text is not plain.

    Plain text has `fields` values in every row, quotes only in pairs around whole values, no
    control character but line ends behind rows, and UTF-8 in all values that are wanted.

    Parameters
    ----------
    text : whole lines [N], uint8, fewer than 2³¹ bytes; the last one has its end.
    marks : words [N / 64] of its quotes, commas and control characters.
    fields : values of a row.
    wanted : their places, from 0.

    >>> from onetrip.data.sources.oas.lines import Lines
    >>> (chunk,) = Lines(iter([b'a,"b,c"\nd,e\n'])).chunks()
    >>> [values.to_pylist() for values in plain_values(*chunk.marked(), 2, [1])]
    [['b,c', 'e']]
    """
    quotes, commas, controls = marks
    quoted = Quoted(quotes)
    if not quoted.closed:
        return None
    separators = commas | controls
    # A control character between quotes is gone from these, and is missed where line ends are held
    # against their number.
    quoted.clear(separators)
    rows, ranked = count(controls), Ranked(separators)
    # With one field, an empty line would look like a row.
    if ranked.count != rows * fields or fields == 1 or not quoted.fit(separators):
        return None
    needed = sorted({*wanted, *(place - 1 for place in wanted if place), fields - 1})
    ranks = np.array(needed, np.int32)[:, None] + np.arange(rows, dtype=np.int32) * fields
    found = dict(zip(needed, ranked.places(ranks), strict=True))
    line_ends = found[fields - 1]
    if not np.all(text[line_ends] == _NEWLINE):
        return None
    found[-1] = np.concatenate([np.array([-1], np.int32), line_ends[:-1]])
    starts = np.stack([found[place - 1] for place in wanted]) + 1
    stops = np.stack([found[place] for place in wanted])
    is_quoted = text[starts] == _QUOTE
    return _copied(text, starts + is_quoted, stops - is_quoted)


def _copied(text: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> list[pa.Array] | None:
    """Values between places [W, N], int32, as W arrays; None where they are no UTF-8."""
    # To Arrow the text is one array of values and of what lies between them, in ascending order.
    order = np.argsort(starts[:, 0])
    width, rows = starts.shape
    bounds = np.empty((rows, width, 2), np.int32)
    bounds[:, :, 0], bounds[:, :, 1] = starts[order].T, stops[order].T
    offsets = np.append(bounds, np.int32(len(text)))
    everything = pa.Array.from_buffers(
        pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    )
    of_row = np.arange(rows, dtype=np.int32) * np.int32(2 * width)
    chosen = (2 * np.argsort(order).astype(np.int32))[:, None] + of_row
    values = everything.take(
        pa.Array.from_buffers(pa.int32(), chosen.size, [None, pa.py_buffer(chosen)])
    )
    if np.frombuffer(values.buffers()[2], np.uint8).max(initial=0) >= _ASCII_END:
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            return None
    return [values.slice(at * rows, rows) for at in range(width)]
