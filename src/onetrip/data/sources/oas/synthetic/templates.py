"""Chains laid out as the bytes of a row, many at once, and mutated without a loop over rows.

Every row of a block starts as a copy of a template. A mutation changes one base of one codon, and
with it every place of the row where the codon or its residue stands. Fields whose width differs
from row to row hold NUL bytes at their end, which are taken out of the finished block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onetrip.data.sources.oas.synthetic.chain import Cell, Chain
from onetrip.data.sources.oas.synthetic.genes import CODONS, RESIDUES

MAX_MUTATIONS = 12
BARCODE = 16
_IDENTITY_WIDTH, _REDUNDANCY_WIDTH = 6, 6
_MAX_REDUNDANCY = 99_999

_CODON_NUMBER = {codon: number for number, codon in enumerate(CODONS)}
_CODON_BYTES = np.frombuffer("".join(CODONS).encode(), np.uint8).reshape(64, 3)
_RESIDUE_BYTES = np.frombuffer(RESIDUES.encode(), np.uint8)


def _neighbours() -> np.ndarray:
    """Codons one base away from each codon, itself where that would stop: [64, 9]."""
    table = np.empty((64, 9), np.int64)
    for i, codon in enumerate(CODONS):
        others = [
            codon[:place] + base + codon[place + 1 :]
            for place in range(3)
            for base in "TCAG"
            if base != codon[place]
        ]
        reached = [_CODON_NUMBER[other] for other in others]
        table[i] = [i if RESIDUES[j] == "*" else j for j in reached]
    return table


_NEIGHBOURS = _neighbours()


@dataclass(frozen=True, slots=True)
class _Places:
    """Of one chain in each template: what may change and where that stands.

    `count` [T]: codons that may change; `codon`, `in_v` [T, R]; `letters` [T, R, A] and `bases`
    [T, R, B]: offsets in the row, of residues and of codons' first bases. Unused places point to
    the scratch at the end of the row. `identity` [T]: where v_identity stands; `v_bases` [T].
    """

    count: np.ndarray
    codon: np.ndarray
    in_v: np.ndarray
    letters: np.ndarray
    bases: np.ndarray
    identity: np.ndarray
    v_bases: np.ndarray


class Templates:
    """Rows before mutation, of one or two chains each.

    Parameters
    ----------
    columns : names in the order of the header.
    rows : of each template its chains by the suffix of their columns: {"": chain} for an unpaired
        row, {"_heavy": chain, "_light": chain} for a paired one.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[dict[str, Chain]]) -> None:
        laid_out = [_lay_out(columns, row) for row in rows]
        self.width = max(len(text) for text, _ in laid_out)
        # Behind the row, three bytes of scratch: what has no place is written there.
        self._bytes = np.zeros((len(rows), self.width + 3), np.uint8)
        for i, (text, _) in enumerate(laid_out):
            self._bytes[i, : len(text)] = np.frombuffer(text, np.uint8)
        starts = [places for _, places in laid_out]
        self._chains = [
            _places(columns, [row[suffix] for row in rows], starts, suffix, self.width)
            for suffix in rows[0]
        ]
        self._barcodes = _column_starts(columns, starts, "sequence_id")
        self._redundancy = _column_starts(columns, starts, "Redundancy")

    def block(self, redundancy: np.ndarray, rng: np.random.Generator) -> bytes:
        """Rows, one for each value of `redundancy`, as CSV."""
        which = rng.integers(len(self._bytes), size=len(redundancy))
        rows = self._bytes[which]
        for places in self._chains:
            _mutate(rows, which, places, rng)
        barcode = np.frombuffer(b"ACGT", np.uint8)[rng.integers(4, size=(len(rows), BARCODE))]
        for start in self._barcodes:
            _put(rows, start[which], barcode)
        for start in self._redundancy:
            _put(rows, start[which], _decimal(redundancy))
        rows[:, self.width :] = 0
        return rows.tobytes().translate(None, b"\0")


def draw_redundancy(rows: int, rng: np.random.Generator) -> np.ndarray:
    """Copies of each row: most stand alone, few are many."""
    return np.minimum(rng.zipf(2.2, size=rows), _MAX_REDUNDANCY)


def _lay_out(columns: Sequence[str], row: dict[str, Chain]) -> tuple[bytes, dict[str, int]]:
    text, starts = bytearray(), {}
    for column in columns:
        cell = _cell(column, row)
        quoted = "," in cell.text or '"' in cell.text
        if quoted:
            text += b'"'
        starts[column] = len(text)
        text += cell.text.encode()
        text += b'",' if quoted else b","
    text[-1:] = b"\n"
    return bytes(text), starts


def _cell(column: str, row: dict[str, Chain]) -> Cell:
    for suffix, chain in row.items():
        name = column.removesuffix(suffix) if column.endswith(suffix) else None
        if name == "sequence_id":
            return Cell("N" * BARCODE + "-1_contig_1")
        if name == "Redundancy":
            return Cell("\0" * _REDUNDANCY_WIDTH)
        if name == "v_identity":
            return Cell("\0" * _IDENTITY_WIDTH)
        if name is not None:
            return chain.cells.get(name, Cell(""))
    return Cell("")


def _column_starts(
    columns: Sequence[str], starts: Sequence[dict[str, int]], name: str
) -> list[np.ndarray]:
    wanted = [c for c in columns if c in {name, f"{name}_heavy", f"{name}_light"}]
    return [np.array([places[column] for places in starts]) for column in wanted]


def _places(
    columns: Sequence[str],
    chains: Sequence[Chain],
    starts: Sequence[dict[str, int]],
    suffix: str,
    scratch: int,
) -> _Places:
    most = max(len(chain.mutable) for chain in chains)
    shown = [c for c in columns if c.endswith(suffix)]
    letters = np.full((len(chains), most, 8), scratch, np.int64)
    bases = np.full((len(chains), most, 8), scratch, np.int64)
    codon, in_v = np.zeros((len(chains), most), np.int64), np.zeros((len(chains), most), bool)
    for t, (chain, places) in enumerate(zip(chains, starts, strict=True)):
        rank = {residue: k for k, residue in enumerate(chain.mutable)}
        codon[t, : len(rank)] = [_CODON_NUMBER[chain.codons[r]] for r in rank]
        in_v[t, : len(rank)] = [r < chain.v_length for r in rank]
        filled = {True: [0] * len(rank), False: [0] * len(rank)}
        for column in shown:
            cell = chain.cells.get(column.removesuffix(suffix))
            if cell is None:
                continue
            target = bases if cell.codons else letters
            for i, offset in enumerate(cell.offsets):
                k = rank.get(cell.first + i)
                if k is not None:
                    target[t, k, filled[cell.codons][k]] = places[column] + offset
                    filled[cell.codons][k] += 1
    identity = [places[f"v_identity{suffix}"] for places in starts]
    return _Places(
        count=np.array([len(chain.mutable) for chain in chains]),
        codon=codon,
        in_v=in_v,
        letters=_used(letters, scratch),
        bases=_used(bases, scratch),
        identity=np.array(identity),
        v_bases=np.array([3 * chain.v_length for chain in chains]),
    )


def _used(places: np.ndarray, scratch: int) -> np.ndarray:
    return places[:, :, (places != scratch).any((0, 1))]


def _mutate(rows: np.ndarray, which: np.ndarray, places: _Places, rng: np.random.Generator) -> None:
    every = np.arange(len(rows))
    wanted = np.minimum(rng.geometric(0.2, size=len(rows)), MAX_MUTATIONS)
    count = places.count[which]
    # Codons at equal distances around the chain: different ones, without a draw for each residue.
    first = rng.integers(count)
    stride = rng.integers(1, count // MAX_MUTATIONS)
    changed_in_v = np.zeros(len(rows), np.int64)
    for step in range(MAX_MUTATIONS):
        at = every[wanted > step]
        t = which[at]
        k = (first[at] + step * stride[at]) % count[at]
        old = places.codon[t, k]
        new = _NEIGHBOURS[old, rng.integers(9, size=len(at))]
        changed_in_v[at] += (new != old) & places.in_v[t, k]
        rows[at[:, None], places.letters[t, k]] = _RESIDUE_BYTES[new][:, None]
        for base in range(3):
            rows[at[:, None], places.bases[t, k] + base] = _CODON_BYTES[new, base][:, None]
    _put(rows, places.identity[which], _percent(1 - changed_in_v / places.v_bases[which]))


def _put(rows: np.ndarray, start: np.ndarray, text: np.ndarray) -> None:
    """Write `text` [N, W] into the rows [N, ·] from `start` [N] on."""
    rows[np.arange(len(rows))[:, None], start[:, None] + np.arange(text.shape[1])] = text


def _decimal(numbers: np.ndarray) -> np.ndarray:
    """Digits, NUL bytes behind them: [N, 6]."""
    different, inverse = np.unique(numbers, return_inverse=True)
    texts = np.array([str(n) for n in different], dtype=f"S{_REDUNDANCY_WIDTH}")
    return texts.view(np.uint8).reshape(-1, _REDUNDANCY_WIDTH)[inverse]


def _percent(share: np.ndarray) -> np.ndarray:
    """Three digits behind the point, "100.0" with a NUL byte: [N, 6]."""
    thousandths, inverse = np.unique(np.round(share * 100_000).astype(int), return_inverse=True)
    texts = [f"{n / 1000:.3f}" if n < 100_000 else "100.0" for n in thousandths]
    return np.array(texts, dtype="S6").view(np.uint8).reshape(-1, _IDENTITY_WIDTH)[inverse]
