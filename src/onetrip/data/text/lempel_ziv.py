"""Lempel-Ziv phrases of a text: how many pieces it takes to say it, for a whole column at once.

A phrase is the shortest piece that has not occurred before, overlaps allowed (Lempel and Ziv
1976): "aaaa" is a·aaa, "ababab" a·b·abab. A text of any period takes few, one without order many.

Of many short texts, the phrases grow side by side. Where the phrase so far has occurred before is
a set of places, a bit each; the places of every letter are another. One letter on, the set moves
by one bit and meets the places of the new letter: what is left are the places of the longer
phrase, and where nothing is left the phrase ends.
"""

import math

import numpy as np

from onetrip.data.text.flat_text import FlatText

# Texts at once: their sets stay in a core's cache.
_TEXTS = 2048
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE, _TOP = np.uint64(1), np.uint64(63)

# Of longer texts each is counted on its own; their sets would not be small.
SHORT = 512


def phrases_of(texts: FlatText) -> np.ndarray:
    """Count the phrases of each text [N]; 0 of an empty one.

    >>> import pyarrow as pa
    >>> phrases_of(FlatText.of(pa.array(["aaaa", "ababab", ""]))).tolist()
    [2, 3, 0]
    """
    lengths = texts.lengths
    counted = np.zeros(lengths.size, np.int64)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    long = np.count_nonzero(lengths[order] > SHORT)
    for row in order[:long]:
        counted[row] = count_phrases(texts.bytes[slice(*texts.offsets[row : row + 2])].tobytes())
    for at in range(long, order.size, _TEXTS):
        rows = order[at : at + _TEXTS]
        counted[rows] = _count(_padded(texts, rows), lengths[rows])
    return counted


def count_phrases(text: bytes) -> int:
    """Count the phrases of one text, of any length.

    The longer phrase occurs first where the shorter one does, or behind: each phrase costs one
    search along the text.

    >>> count_phrases(b"aaaa"), count_phrases(b"ababab"), count_phrases(b"")
    (2, 3, 0)
    """
    phrases = start = 0
    while start < len(text):
        end, found = start + 1, 0
        # It may occur so that it ends one letter earlier: overlaps are allowed.
        while end <= len(text) and (found := text.find(text[start:end], found, end - 1)) >= 0:
            end += 1
        phrases += 1
        start = end
    return phrases


def compressed_bits(text: bytes) -> float:
    """Bits that a text takes when each phrase is written as a pointer to an earlier place.

    >>> compressed_bits(b"abababab"), compressed_bits(b"")
    (9.0, 0.0)
    """
    return count_phrases(text) * math.log2(len(text)) if text else 0.0


def _padded(texts: FlatText, rows: np.ndarray) -> np.ndarray:
    """Letters of these rows [B, T]; behind a row's end stand letters of another."""
    longest = int(texts.lengths[rows[0]])
    places = texts.offsets[rows][:, None] + np.arange(longest, dtype=np.int32)
    return texts.bytes[np.minimum(places, texts.bytes.size - 1)]


def _count(letters: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Phrases of each row of `letters` [B, T], of which the first `sizes` [B] count.

    Rows are ordered by falling size. Bit ``i + 1`` of a set stands for place ``i``, so that the set
    of all bits moves to the set of all places, and no other set has bit 0.
    """
    count, longest = letters.shape
    present = np.flatnonzero(np.bincount(letters.ravel(), minlength=256))
    code = np.zeros(256, np.int64)
    code[present] = np.arange(present.size)
    index = (code[letters] + np.arange(count)[:, None] * present.size).T.copy()  # [T, B]
    places = np.zeros((longest // 64 + 1, count * present.size), np.uint64)
    phrase = np.full((len(places), count), _ALL)
    phrases = np.zeros(count, np.uint16)
    active = np.searchsorted(-sizes, -np.arange(longest), side="left")
    for place in range(longest):
        rows = active[place]
        letter = index[place, :rows]
        word, bit = divmod(place + 1, 64)
        left = None
        for part in range(word, -1, -1):
            before = places[part].take(letter)
            here = phrase[part, :rows]
            here <<= _ONE
            if part:
                here |= phrase[part - 1, :rows] >> _TOP
            here &= before
            left = here if left is None else left | here
            if part == word:
                before |= _ONE << np.uint64(bit)
                places[part][letter] = before
        ended = left == 0
        phrases[:rows] += ended
        phrase[: word + 1, :rows] |= np.negative(ended.astype(np.int64)).view(np.uint64)
    return phrases + (phrase[0] & _ONE == 0)
