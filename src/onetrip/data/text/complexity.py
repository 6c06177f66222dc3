"""How complex a text is: compressed bits a letter, and how that compares with its letters shuffled.

Both come from the number of Lempel-Ziv phrases. The phrases of a shuffled text depend on little
but its length and the entropy of its letters: those of a protein are, to within 3 %, those of any
other text of the same two (of two or four letters, to within 8 %). Short texts are therefore
compared with a table, made at first use from texts that are drawn and counted. It says what many
shuffles give in the mean, for less than the cost of one. Longer texts are shuffled.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onetrip.data.text.flat_text import FlatText
from onetrip.data.text.lempel_ziv import SHORT, count_phrases, phrases_of

# Lengths and entropies for which the table was counted; between them it is interpolated.
_LENGTHS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512)
_ENTROPY_STEP = 0.125
_HIGHEST_ENTROPY = 6.0
_DRAWN = 256
_ALPHABET = 80
_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Complexity:
    """How complex each text of a column is.

    Attributes
    ----------
    bits : ndarray [N], float32
        Compressed bits a letter, ``phrases · log₂(n) / n`` of a text of n letters; NaN of an
        empty or a null text.
    ratio : ndarray [N], float32
        Phrases over those of the same letters shuffled: about 1 where order says nothing, less
        where something is repeated. NaN of an empty or a null text.
    """

    bits: np.ndarray
    ratio: np.ndarray


def complexity(texts: pa.Array | pa.ChunkedArray) -> Complexity:
    """Compressed bits a letter of each text, and against its letters shuffled.

    Parameters
    ----------
    texts : Array [N], string
        Letters of one byte: amino acids, nucleotides, the levels of a picture.

    Returns
    -------
    Complexity

    Notes
    -----
    A text's numbers depend on that text alone. A text of one letter over and over has few bits and
    the ratio 1, since shuffling does not change it; one that repeats a unit has a low ratio.

    References
    ----------
    Lempel and Ziv, On the complexity of finite sequences, IEEE Trans. Inf. Theory 22, 1976.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from onetrip.data import complexity
    >>> chain = "QVQLVQSGAEVKKPGASVKVSCKASGYTFTGYYMHWVRQAPGQGLEWMGWINPNSGGTNYAQKFQG"
    >>> of = complexity(pa.array([chain, "GGGGS" * 13, "A" * 65]))
    >>> [f"{bits:.1f}" for bits in of.bits]
    ['3.3', '0.3', '0.2']
    >>> [f"{ratio:.1f}" for ratio in of.ratio]
    ['0.9', '0.3', '1.0']
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
    flat = FlatText.of(texts)
    lengths = flat.lengths
    phrases = phrases_of(flat)
    shuffled = np.ones(lengths.size)
    short = (lengths > 0) & (lengths <= SHORT)
    shuffled[short] = _expected(lengths, _entropies(texts))[short]
    for row in np.flatnonzero(lengths > SHORT):
        text = flat.bytes[slice(*flat.offsets[row : row + 2])]
        order = np.random.default_rng(text.size).permutation(text.size)
        shuffled[row] = count_phrases(text[order].tobytes())
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = phrases * np.log2(lengths) / lengths
        ratio = np.where(lengths > 0, phrases / shuffled, np.nan)
    return Complexity(bits.astype(np.float32), ratio.astype(np.float32))


def _entropies(texts: pa.Array) -> np.ndarray:
    """Entropy of the letters of each text in bits [N]."""
    parts = [
        _entropies_of(FlatText.of(texts.slice(at, _ROWS)))
        for at in range(0, max(len(texts), 1), _ROWS)
    ]
    return np.concatenate(parts)


def _entropies_of(flat: FlatText) -> np.ndarray:
    present = np.flatnonzero(np.bincount(flat.bytes, minlength=256))
    code = np.zeros(256, np.int64)
    code[present] = np.arange(present.size)
    rows, letters = flat.lengths.size, max(present.size, 1)
    index = code[flat.bytes] + np.repeat(np.arange(rows) * letters, flat.lengths)
    times = np.bincount(index, minlength=rows * letters).reshape(rows, letters)
    sizes = np.maximum(flat.lengths, 1)
    logs = np.log2(np.maximum(np.arange(times.max(initial=0) + 1), 1))
    return np.log2(sizes) - (times * logs[times]).sum(1) / sizes


def _expected(lengths: np.ndarray, entropies: np.ndarray) -> np.ndarray:
    """Phrases of shuffled texts of these lengths, at most `SHORT`, and entropies [N]."""
    table = _table()
    place = np.clip(entropies / _ENTROPY_STEP, 0, table.shape[1] - 1.001)
    below = place.astype(np.int64)
    share = place - below
    of_length = table[np.minimum(lengths, SHORT)]
    rows = np.arange(lengths.size)
    return of_length[rows, below] * (1 - share) + of_length[rows, below + 1] * share


@functools.cache
def _table() -> np.ndarray:
    """Phrases of shuffled texts by length [0..SHORT] and by entropy, in steps."""
    entropies = np.arange(0, _HIGHEST_ENTROPY + _ENTROPY_STEP, _ENTROPY_STEP)
    counted = np.stack([_counted(length, entropies) for length in _LENGTHS])
    lengths = np.arange(1, SHORT + 1)
    shares = counted / np.array(_LENGTHS)[:, None]
    between = [np.interp(np.log2(lengths), np.log2(_LENGTHS), column) for column in shares.T]
    return np.concatenate([np.ones((1, entropies.size)), np.stack(between, 1) * lengths[:, None]])


def _counted(length: int, entropies: np.ndarray) -> np.ndarray:
    """Phrases of drawn texts of one length, as a smooth function of their entropy.

    The letters are drawn more and less evenly, from one letter alone to all of the alphabet.
    """
    rng = np.random.default_rng(length)
    evenness = np.repeat(np.geomspace(0.005, 8.0, _DRAWN // 8), 8)
    weights = rng.gamma(np.broadcast_to(evenness[:, None], (_DRAWN, _ALPHABET))) + 1e-300
    shares = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
    drawn = (rng.random((_DRAWN, length, 1)) > shares[:, None, :-1]).sum(2) + ord("!")
    texts = pa.array([row.astype(np.uint8).tobytes().decode() for row in drawn])
    phrases = phrases_of(FlatText.of(texts))
    found = _entropies(texts)
    # One letter alone makes two phrases, known exactly; that end of the curve is held.
    found = np.append(found, np.zeros(_DRAWN // 4))
    phrases = np.append(phrases, np.full(_DRAWN // 4, min(length, 2)))
    degree = min(5, np.unique(found.round(6)).size - 1)
    curve = np.polynomial.Polynomial.fit(found, phrases, degree, domain=[0, _HIGHEST_ENTROPY])
    return np.clip(curve(np.minimum(entropies, found.max())), min(length, 2), length)
