"""Where a rare byte stands in a long text, found 64 bytes at a time."""

import numpy as np

# Compared at once: what fits into the second level of a cache. A multiple of what a word covers.
_BLOCK_BYTES = 1 << 18
# One bit for each byte, in words of 64.
_COVERED = 64


def count_byte(text: np.ndarray, byte: int) -> int:
    r"""How often `byte` stands in `text` [N], uint8.

    >>> count_byte(np.frombuffer(b"a\nb\n", np.uint8), ord("\n"))
    2
    """
    return sum(
        int(np.count_nonzero(text[at : at + _BLOCK_BYTES] == byte))
        for at in range(0, len(text), _BLOCK_BYTES)
    )


def places_of(text: np.ndarray, byte: int) -> np.ndarray:
    """Where `byte` stands in `text` [N], uint8: int64, ascending.

    >>> places_of(np.frombuffer(b'x"yz,0123"', np.uint8), ord('"')).tolist()
    [1, 9]
    """
    found = []
    size = min(_BLOCK_BYTES, -(-len(text) // _COVERED) * _COVERED)
    same = np.zeros(size, bool)
    for at in range(0, len(text), _BLOCK_BYTES):
        block = text[at : at + _BLOCK_BYTES]
        same[len(block) :] = False
        np.equal(block, byte, out=same[: len(block)])
        bits = np.packbits(same)
        # Most words are empty: only the others are unpacked.
        words = np.flatnonzero(bits.view(np.uint64))
        of_words = bits.reshape(-1, _COVERED // 8)[words]
        places = np.flatnonzero(np.unpackbits(of_words))
        found.append(words[places // _COVERED] * _COVERED + places % _COVERED + at)
    return np.concatenate(found) if found else np.zeros(0, np.int64)
