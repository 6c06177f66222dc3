"""Bytes of one kind in a text, as bits: one for each byte, 64 in a word, the first byte lowest.

What is done to words costs a hundredth of what is done to bytes.
"""

from collections.abc import Sequence

import numpy as np

# Compared at once: what stays in the second level of a cache, a multiple of what a word covers.
_BLOCK_BYTES = 1 << 18
_COVERED = 64
_WORD = "<u8"
_ALL = np.uint64(2**64 - 1)
_ONE, _TOP = np.uint64(1), np.uint64(63)
_NO_BITS = np.zeros(1, _WORD)


class MarkedText:
    r"""Text that comes in blocks, each marked while it is near. Made to be used again and again.

    A kind of bytes is a comparison, and a byte to compare with.

    >>> text = MarkedText(((np.equal, ord('"')), (np.greater, 99)))
    >>> text.append(b'x"y"')
    >>> [f"{int(words[0]):b}" for words in text.marks(4)]
    ['1010', '101']
    """

    def __init__(self, kinds: Sequence[tuple[np.ufunc, int]]) -> None:
        self._kinds = kinds
        self._data = bytearray()
        self._marks = [np.zeros(0, _WORD) for _ in kinds]
        self._holds = np.empty(_BLOCK_BYTES, bool)
        self.size = self._marked = 0

    def clear(self) -> None:
        """Have no text."""
        self.size = self._marked = 0

    def append(self, block: bytes) -> None:
        """Take a block."""
        self.room(len(block))[:] = block
        self.take(len(block))

    def room(self, size: int) -> memoryview:
        """Memory for so many bytes behind the text; `take` says how many came."""
        stop = self.size + size
        if stop > len(self._data):
            self._grow(stop + stop // 2)
        return memoryview(self._data)[self.size : stop]

    def take(self, count: int) -> None:
        """Have these first bytes of the room as text."""
        stop = self.size = self.size + count
        whole = stop - stop % _COVERED
        self._mark(self._marked, whole)
        self._marked = whole

    def copy(self, start: int, stop: int) -> bytes:
        """A part of the text."""
        return bytes(memoryview(self._data)[start:stop])

    def view(self, stop: int) -> np.ndarray:
        """The first bytes [N], uint8, as long as the text is neither cleared nor longer."""
        return np.frombuffer(self._data, np.uint8, stop)

    def end_of(self, byte: bytes) -> int:
        """Where the last such byte ends; 0 where there is none."""
        return self._data.rfind(byte, 0, self.size) + 1

    def marks(self, stop: int) -> list[np.ndarray]:
        """Which of the first bytes are of each kind: words [N / 64], uint64."""
        self._mark(self._marked, stop)
        whole, rest = divmod(stop, _COVERED)
        for words in self._marks if rest else ():
            words[whole] &= _ALL >> np.uint64(_COVERED - rest)
        return [words[: whole + bool(rest)] for words in self._marks]

    def _mark(self, start: int, stop: int) -> None:
        text = self.view(self.size)
        for at in range(start, stop, _BLOCK_BYTES):
            block = text[at : min(at + _BLOCK_BYTES, stop)]
            holds = self._holds[: len(block)]
            for (compare, byte), words in zip(self._kinds, self._marks, strict=True):
                compare(block, byte, out=holds)
                bits = np.packbits(holds, bitorder="little")
                words.view(np.uint8)[at // 8 : at // 8 + len(bits)] = bits

    def _grow(self, size: int) -> None:
        longer = bytearray(size)
        memoryview(longer)[: self.size] = memoryview(self._data)[: self.size]
        self._data = longer
        for kind, words in enumerate(self._marks):
            self._marks[kind] = np.zeros(-(-size // _COVERED), _WORD)
            self._marks[kind][: len(words)] = words


def count(words: np.ndarray) -> int:
    """How many bytes are marked."""
    return int(np.bitwise_count(words).sum(dtype=np.int64))


class Quoted:
    """What stands between quotes, whose marks are words [N].

    Attributes
    ----------
    closed : whether no quote stays open.
    """

    def __init__(self, quotes: np.ndarray) -> None:
        # Found in truth values sixty times as fast as in words.
        self._busy = np.flatnonzero(quotes != 0)
        self._quotes = quotes[self._busy]
        # Within a word: a byte is inside where an odd number of quotes stands at or below it.
        within = self._quotes.copy()
        for distance in (1, 2, 4, 8, 16, 32):
            within ^= within << np.uint64(distance)
        # What is open at the end of a word is open in all words up to the next one with quotes.
        is_open = np.bitwise_xor.accumulate(np.bitwise_count(self._quotes) & 1)
        self._filled = is_open * _ALL
        within[1:] ^= self._filled[:-1]
        self._within = within
        self.closed = not is_open[-1:].any()

    def clear(self, marks: np.ndarray) -> None:
        """Unmark [N], in place, each byte from an opening quote up to its closing one.

        That one itself is left as it is. Behind a quote that stays open, nothing is marked.
        """
        if len(self._busy):
            here = marks[self._busy] & ~self._within
            spans = np.diff(self._busy, append=len(marks))
            marks[self._busy[0] :] &= np.repeat(~self._filled, spans)
            marks[self._busy] = here

    def fit(self, separators: np.ndarray) -> bool:
        """Whether each quote has a separator on its outer side, so that whole values are quoted.

        `separators` are marks [N]; the text begins behind one.
        """
        padded = np.concatenate([_NO_BITS, separators, _NO_BITS])
        before, here, behind = (padded[self._busy + shift] for shift in (0, 1, 2))
        follows_one = here << _ONE | before >> _TOP
        follows_one[self._busy == 0] |= _ONE
        precedes_one = here >> _ONE | behind << _TOP
        wrong = self._within & ~follows_one | ~self._within & ~precedes_one
        return not np.any(self._quotes & wrong)


class Ranked:
    """Places of marked bytes by their rank: the first one has rank 0.

    Attributes
    ----------
    count : how many there are.
    """

    def __init__(self, words: np.ndarray) -> None:
        counts = np.bitwise_count(words)
        self._words = words
        self._before = np.cumsum(counts, dtype=np.int32) - counts
        self._word_of = np.repeat(np.arange(len(words), dtype=np.int32), counts)
        self.count = len(self._word_of)

    def places(self, ranks: np.ndarray) -> np.ndarray:
        """Where the bytes of these ranks stand, int32, in the form of `ranks`.

        >>> Ranked(np.array([0b1010, 1], np.uint64)).places(np.array([0, 2])).tolist()
        [1, 64]
        """
        words = self._word_of[ranks]
        within = place_in_word(self._words[words], ranks - self._before[words])
        return words * np.int32(_COVERED) + within


_EACH_BYTE = np.uint64(0x0101010101010101)
_TOP_OF_EACH = np.uint64(0x8080808080808080)
_PAIRS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_EIGHTS = np.uint64(0x0F0F0F0F0F0F0F0F)
# Row: a byte; column: rank of a bit; value: its place.
_PLACES = np.array(
    [([at for at in range(8) if byte >> at & 1] + [0] * 8)[:8] for byte in range(256)], np.uint8
)


def place_in_word(words: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Which bit of each word is its set bit of that rank: Vigna's selection by counts of bytes.

    >>> place_in_word(np.array([0b1010, 1 << 63], np.uint64), np.array([1, 0])).tolist()
    [3, 63]
    """
    ranks = ranks.astype(np.uint64)
    sums = words - (words >> _ONE & _PAIRS)
    sums = (sums & _FOURS) + (sums >> np.uint64(2) & _FOURS)
    # Each byte: bits that are set in it and in those below it.
    sums = (sums + (sums >> np.uint64(4)) & _EIGHTS) * _EACH_BYTE
    # Bytes whose sum is at most the rank lie wholly below the bit that is looked for.
    below = np.bitwise_count((ranks * _EACH_BYTE | _TOP_OF_EACH) - sums & _TOP_OF_EACH)
    shift = below.astype(np.uint64) * np.uint64(8)
    of_byte = ranks - (sums << np.uint64(8) >> shift & np.uint64(0xFF))
    return _PLACES[words >> shift & np.uint64(0xFF), of_byte] + shift.astype(np.int32)
