"""Which of a few sequences have a near relative among many: exact, and without all alignments.

Identity is 1 - (edits / length of the longer). One edit changes three of the words of three letters
at most, so a pair within e edits shares all but 3 e of them. Words are hashed to 512 bits; one
matrix product counts the bits that each query shares with each target, and whoever shares fewer
than (its bits - 3 e) is no neighbour. The edit distance decides on the rest. No pair is missed.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onetrip.data.text.flat_text import FlatText

_WORD = 3
_BITS = 512
# Targets compared at once: their bits take 8 MiB as float32.
_TARGETS = 4_096
# Pairs aligned at once: 2,048 rows of 130 numbers stay in a core's cache.
_PAIRS = 2_048


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pairs found: index of the query, index of the target, their identity."""

    query: np.ndarray  # [P] int64
    target: np.ndarray  # [P] int64
    identity: np.ndarray  # [P] float64


class Queries:
    """Sequences whose neighbours are looked for.

    Parameters
    ----------
    texts : Array [Q] of strings without null.
    identity : the least that makes a neighbour, above 0.5 up to 1.

    Examples
    --------
    >>> queries = Queries(pa.array(["EVQLVESGGGLVQPGG", "DIQMTQSPSSLSASVG"]), 0.9)
    >>> found = queries.search(pa.array(["EVQLVESGGGAVQPGG", "QSALTQPPSASGSPGQ"]))
    >>> found.query.tolist(), found.target.tolist(), found.identity.tolist()
    ([0], [0], [0.9375])
    """

    def __init__(self, texts: pa.Array, identity: float) -> None:
        self._identity = identity
        self._texts = FlatText.of(texts)
        self._bits = _word_bits(self._texts)
        # A longer target may have this many edits: (1 - i) * length / i of the query's length.
        edits = ((1 - identity) / identity * self._texts.lengths + 1e-9).astype(np.int64)
        self._needed = self._bits.sum(axis=1) - _WORD * edits

    def search(self, targets: pa.Array, among: np.ndarray | None = None) -> Neighbours:
        """Find the neighbours of all queries, or of those with these indices, in `targets`."""
        chosen = np.arange(len(self._needed)) if among is None else among
        texts = FlatText.of(targets)
        bits, needed = self._bits[chosen], self._needed[chosen]
        found = [
            self._decide(texts, chosen, bits, needed, start)
            for start in range(0, len(texts.lengths), _TARGETS)
        ]
        parts = [np.concatenate(part) for part in zip(*found, strict=True)] if found else []
        return Neighbours(*parts) if parts else Neighbours(*(np.empty(0, np.int64),) * 3)

    def _decide(
        self,
        texts: FlatText,
        chosen: np.ndarray,
        bits: np.ndarray,
        needed: np.ndarray,
        start: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        block = _rows(texts, start, start + _TARGETS)
        target, query = np.nonzero(_word_bits(block) @ bits.T >= needed)
        query = chosen[query]
        longer = np.maximum(self._texts.lengths[query], block.lengths[target])
        shorter = np.minimum(self._texts.lengths[query], block.lengths[target])
        possible = longer - shorter <= (1 - self._identity) * longer + 1e-9
        query, target, longer = query[possible], target[possible], longer[possible]
        edits = np.empty(query.size, np.int64)
        for at in range(0, query.size, _PAIRS):
            part = slice(at, at + _PAIRS)
            edits[part] = edit_distances(
                _matrix(self._texts, query[part]), _matrix(block, target[part])
            )
        share = 1 - edits / np.maximum(longer, 1)
        near = edits <= (1 - self._identity) * longer + 1e-9
        return query[near], target[near] + start, share[near]


def edit_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Levenshtein distance of each pair of rows: insertions, deletions, substitutions.

    Parameters
    ----------
    left, right : ndarray [P, L], [P, M], uint8; a text ends where zeros begin.

    Returns
    -------
    ndarray [P], int64.

    Notes
    -----
    One row of the table at a time for all pairs. Along a row, an insertion costs as many as the
    places it goes, so that the row is a running minimum.
    """
    pairs, width = right.shape
    place = np.arange(width + 1, dtype=np.int16)
    row = np.tile(place, (pairs, 1))
    lengths, ends = (left != 0).sum(axis=1), (right != 0).sum(axis=1)
    distance = ends.astype(np.int64)
    for index in range(left.shape[1]):
        changed = row[:, :-1] + (left[:, index, None] != right)
        new = np.empty_like(row)
        new[:, 0] = index + 1
        np.minimum(row[:, 1:] + 1, changed, out=new[:, 1:])
        row = np.minimum.accumulate(new - place, axis=1) + place
        ending = np.flatnonzero(lengths == index + 1)
        distance[ending] = row[ending, ends[ending]]
    return distance


def _word_bits(texts: FlatText) -> np.ndarray:
    """Which of 512 bits the words of each text [N] set: [N, 512] float32, for the product."""
    bits = np.zeros((len(texts.lengths), _BITS), np.float32)
    letters = texts.bytes.astype(np.uint32)
    if letters.size < _WORD:
        return bits
    words = (letters[:-2] << np.uint32(16)) | (letters[1:-1] << np.uint32(8)) | letters[2:]
    code = (words * np.uint32(0x9E3779B1)) >> np.uint32(32 - 9)
    row = np.repeat(np.arange(len(texts.lengths)), texts.lengths)[: words.size]
    # The last two letters of a text begin no word.
    begins = np.arange(words.size) + _WORD <= texts.offsets[1:][row]
    bits[row[begins], code[begins]] = 1
    return bits


def _rows(texts: FlatText, start: int, stop: int) -> FlatText:
    offsets = texts.offsets[start : stop + 1]
    return FlatText(texts.bytes[offsets[0] : offsets[-1]], offsets - offsets[0], None)


def _matrix(texts: FlatText, rows: np.ndarray) -> np.ndarray:
    """Some texts as rows of one width, zeros behind their ends."""
    lengths = texts.lengths[rows]
    inside = np.arange(lengths.max(initial=0)) < lengths[:, None]
    matrix = np.zeros(inside.shape, np.uint8)
    place = np.broadcast_to(texts.offsets[rows][:, None] + np.arange(inside.shape[1]), inside.shape)
    matrix[inside] = texts.bytes[place[inside]]
    return matrix
