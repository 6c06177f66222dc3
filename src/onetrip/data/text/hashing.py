"""64-bit hashes of Arrow strings, a column at a time: MurmurHash64A on eight bytes of each row.

They choose buckets, samples and names of clusters. They depend on the text alone: not on the
batch, the machine or the run. Nobody is kept out by them; a hash that a stranger must not foresee
is `onetrip.data.steps.split`'s keyed one.
"""

import numpy as np
import pyarrow as pa

_MULTIPLIER = np.uint64(0xC6A4A7935BD1E995)
_SHIFT = np.uint64(47)
# Rows at once: what is worked on stays in a core's cache.
_ROWS = 16384


def hash_strings(values: pa.Array | pa.ChunkedArray, seed: int = 0) -> np.ndarray:
    """Hash each text of a column.

    Parameters
    ----------
    values : Array [N], string, binary, or a dictionary of them. Null hashes like "".
    seed : int below 2⁶⁴; another seed, another independent hash.

    Returns
    -------
    ndarray [N], uint64.

    References
    ----------
    MurmurHash64A, Austin Appleby, public domain.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from onetrip.data.text.hashing import hash_strings
    >>> a, b, c = hash_strings(pa.array(["CARW", "CARY", "CARW"]))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    if isinstance(values, pa.ChunkedArray):
        parts = [hash_strings(chunk, seed) for chunk in values.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    values = values.cast(pa.large_binary())
    rows = len(values)
    _, offsets_buffer, data = values.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64, rows + 1, values.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    text = np.zeros(last - first + 8, np.uint8)
    if last > first:
        text[:-8] = np.frombuffer(data, np.uint8, last - first, first)
    # The eight bytes from each byte on.
    words = np.ndarray(last - first + 1, "<u8", text, strides=(1,))
    starts = offsets[:-1] - first
    lengths = np.diff(offsets)
    hashes = np.empty(rows, np.uint64)
    for at in range(0, rows, _ROWS):
        part = slice(at, at + _ROWS)
        hashes[part] = _murmur(words, starts[part], lengths[part], np.uint64(seed))
    return hashes


def combine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hash of pairs of hashes; the order within a pair matters.

    >>> one, two = np.array([1], np.uint64), np.array([2], np.uint64)
    >>> bool((combine(one, two) == combine(two, one)).any())
    False
    """
    return _finish(_absorb(_finish(first), second))


def hash_places(unit_id: pa.Array, row_in_unit: pa.Array, seed: int = 0) -> np.ndarray:
    """Hash of where rows come from: a fixed random number for each row of the source.

    >>> import pyarrow as pa
    >>> len(set(hash_places(pa.array(["a", "a", "b"]), pa.array([1, 2, 1]))))
    3
    """
    rows = row_in_unit.to_numpy(zero_copy_only=False).astype(np.uint64)
    return combine(hash_strings(unit_id, seed), rows)


def _murmur(
    words: np.ndarray, starts: np.ndarray, lengths: np.ndarray, seed: np.uint64
) -> np.ndarray:
    hashes = seed ^ (lengths.astype(np.uint64) * _MULTIPLIER)
    whole = lengths >> 3
    longest, shortest = int(whole.max(initial=0)), int(whole.min(initial=0))
    for index in range(longest):
        if index < shortest:
            hashes = _absorb(hashes, words[starts + 8 * index])
        else:
            active = np.flatnonzero(whole > index)
            hashes[active] = _absorb(hashes[active], words[starts[active] + 8 * index])
    left = (lengths & 7).astype(np.uint64)
    tail = words[starts + 8 * whole] & ((np.uint64(1) << (left << np.uint64(3))) - np.uint64(1))
    return _finish(np.where(left > 0, (hashes ^ tail) * _MULTIPLIER, hashes))


def _absorb(hashes: np.ndarray, word: np.ndarray) -> np.ndarray:
    word = word * _MULTIPLIER
    word ^= word >> _SHIFT
    word *= _MULTIPLIER
    word ^= hashes
    word *= _MULTIPLIER
    return word


def _finish(hashes: np.ndarray) -> np.ndarray:
    hashes = hashes ^ (hashes >> _SHIFT)
    hashes = hashes * _MULTIPLIER
    return hashes ^ (hashes >> _SHIFT)
