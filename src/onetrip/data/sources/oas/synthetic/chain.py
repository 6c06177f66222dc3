"""One rearranged chain: all values of its row, and where in them each residue stands."""

from dataclasses import dataclass

import numpy as np

from onetrip.data.sources.oas.synthetic.genes import (
    POSITIONS,
    V_REGIONS,
    Gene,
    genes,
    to_codons,
    to_residues,
)

_CDR3_MIDDLE = tuple("AGSDYRTPVLNWFEQHIKM")
# Tyrosine, glycine, serine and aspartate make up half of a CDR3's middle.
_CDR3_WEIGHTS = (6, 12, 10, 8, 14, 6, 5, 4, 4, 4, 3, 3, 3, 3, 3, 2, 2, 2, 1)
_CDR3_BOUNDS = np.cumsum(_CDR3_WEIGHTS) / sum(_CDR3_WEIGHTS)
_CDR3_LENGTHS = {"H": (15, 3.5, 6, 28), "K": (9, 0.7, 7, 11), "L": (11, 1.0, 8, 13)}
_BASES = "ACGT"
_REGION_KEYS = {"fwr1": "fw{}1", "cdr1": "cdr{}1", "fwr2": "fw{}2", "cdr2": "cdr{}2",
                "fwr3": "fw{}3", "cdr3": "cdr{}3", "fwr4": "fw{}4"}  # fmt: skip
# Share of chains that have each peculiarity; the rest are whole and in order.
KINDS = {
    "plain": 0.70,
    "short": 0.12,
    "very_short": 0.08,
    "stop": 0.03,
    "out_of_frame": 0.02,
    "no_cysteine": 0.03,
    "unusual": 0.02,
}
_KIND_NAMES, _KIND_BOUNDS = tuple(KINDS), np.cumsum(list(KINDS.values()))


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of one value; `offsets[i]` is where residue `first + i` stands, a codon or a letter.

    `offsets` is empty where the value says nothing of single residues.
    """

    text: str
    first: int = 0
    offsets: tuple[int, ...] = ()
    codons: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain before mutation: cells by column, its codons, which may change, which lie in V."""

    cells: dict[str, Cell]
    codons: tuple[str, ...]
    mutable: tuple[int, ...]
    v_length: int


def draw_chain(locus: str, rng: np.random.Generator, isotype: str = "") -> Chain:
    """Join a V gene, a CDR3 and a J gene, with the peculiarity of a kind drawn by `KINDS`."""
    gene = genes()[locus][rng.integers(len(genes()[locus]))]
    kind = _drawn(_KIND_NAMES, _KIND_BOUNDS, 1, rng)[0]
    mean, spread, low, high = _CDR3_LENGTHS[locus]
    length = int(np.clip(round(rng.normal(mean, spread)), low, high))
    middle = "".join(_drawn(_CDR3_MIDDLE, _CDR3_BOUNDS, length - 2, rng))
    if kind == "stop":
        middle = middle[:2] + "*" + middle[3:]
    cdr3 = to_codons("A" + middle + "Y", rng)
    if kind == "no_cysteine":
        regions = list(gene.v_codons)
        regions[0] = (*regions[0][:-4], "TAT", *regions[0][-3:])
        gene = Gene(gene.v_call, gene.j_call, tuple(regions), gene.j_codons)
    missing = {"short": int(rng.integers(1, 6)), "very_short": int(rng.integers(8, 20))}
    return _laid_out(locus, gene, cdr3, kind, missing.get(kind, 0), rng, isotype)


def _drawn(
    choices: tuple[str, ...], bounds: np.ndarray, size: int, rng: np.random.Generator
) -> list[str]:
    """So many of `choices`, each with the share that ends at its bound."""
    places = np.searchsorted(bounds, rng.random(size), side="right")
    return [choices[min(i, len(choices) - 1)] for i in places]


def _laid_out(
    locus: str,
    gene: Gene,
    cdr3: tuple[str, ...],
    kind: str,
    missing: int,
    rng: np.random.Generator,
    isotype: str,
) -> Chain:
    fwr1 = gene.v_codons[0][missing:]
    parts = {
        **dict(zip(V_REGIONS, (fwr1, *gene.v_codons[1:]), strict=True)),
        "cdr3": cdr3,
        "fwr4": gene.j_codons,
    }
    codons = tuple(codon for part in parts.values() for codon in part)
    starts, at = {}, 0
    for region, part in parts.items():
        starts[region] = at
        at += len(part)
    v_length = starts["cdr3"]
    leader = "".join(_BASES[i] for i in rng.integers(4, size=24))
    nt, aa = "".join(codons), to_residues(codons)
    cells: dict[str, Cell] = {
        "sequence": _nt_cell(leader + nt + "GC", 0, len(codons), len(leader)),
        "sequence_alignment": _nt_cell(nt, 0, len(codons)),
        "sequence_alignment_aa": _aa_cell(aa, 0),
        "germline_alignment": Cell(nt[: 3 * v_length] + "N" * 3 * len(cdr3) + nt[-33:]),
        "germline_alignment_aa": Cell(aa[:v_length] + "X" * len(cdr3) + aa[starts["fwr4"] :]),
        "v_sequence_alignment": _nt_cell(nt[: 3 * v_length], 0, v_length),
        "v_sequence_alignment_aa": _aa_cell(aa[:v_length], 0),
        "v_germline_alignment": Cell(nt[: 3 * v_length]),
        "v_germline_alignment_aa": Cell(aa[:v_length]),
        "j_sequence_alignment": Cell("".join(gene.j_codons)),
        "j_sequence_alignment_aa": Cell(to_residues(gene.j_codons)),
        "j_germline_alignment": Cell("".join(gene.j_codons)),
        "j_germline_alignment_aa": Cell(to_residues(gene.j_codons)),
        "junction": _nt_cell(
            nt[3 * (v_length - 1) : 3 * (starts["fwr4"] + 1)], v_length - 1, len(cdr3) + 2
        ),
        "junction_aa": _aa_cell(aa[v_length - 1 : starts["fwr4"] + 1], v_length - 1),
    }
    for region, part in parts.items():
        first = starts[region]
        cells[region] = _nt_cell("".join(part), first, len(part))
        cells[f"{region}_aa"] = _aa_cell(to_residues(part), first)
        # The way of OAS: integers became floats where a null stood in the column.
        cells[f"{region}_start"] = Cell(f"{3 * first + 1}.0")
        cells[f"{region}_end"] = Cell(f"{3 * (first + len(part))}.0")
    cells |= {name: Cell(text) for name, text in _facts(locus, gene, kind, len(cdr3)).items()}
    cells |= {name: Cell(text) for name, text in _places(len(codons), v_length, 24).items()}
    cells["ANARCI_numbering"] = _numbering(locus, missing, aa, starts, len(cdr3))
    cells["ANARCI_status"] = Cell(_status(locus, kind, missing))
    if isotype:
        cells["Isotype"] = Cell(isotype)
    anchors = {starts["cdr1"] - 4, starts["fwr2"] + 2, v_length - 1}
    mutable = tuple(i for i in range(starts["fwr4"]) if i not in anchors and aa[i] != "*")
    return Chain(cells, codons, mutable, v_length)


def _nt_cell(text: str, first: int, residues: int, start: int = 0) -> Cell:
    return Cell(text, first, tuple(range(start, start + 3 * residues, 3)), codons=True)


def _aa_cell(text: str, first: int) -> Cell:
    return Cell(text, first, tuple(range(len(text))))


def _facts(locus: str, gene: Gene, kind: str, cdr3_length: int) -> dict[str, str]:
    in_frame = kind != "out_of_frame"
    flag = {True: "T", False: "F"}
    d_call = f"IGHD{cdr3_length % 7 + 1}-{cdr3_length}*01" if locus == "H" else ""
    facts = {
        "locus": locus,
        "stop_codon": flag[kind == "stop"],
        "vj_in_frame": flag[in_frame],
        "v_frameshift": "F",
        "productive": flag[in_frame and kind != "stop"],
        "rev_comp": "F",
        "complete_vdj": flag[kind not in {"short", "very_short"}],
        "v_call": gene.v_call,
        "d_call": d_call,
        "j_call": gene.j_call,
        "junction_length": f"{3 * (cdr3_length + 2)}.0",
        "junction_aa_length": f"{cdr3_length + 2}.0",
        "v_score": "440.123",
        "j_score": "81.2",
        "v_support": "4.94e-128",
        "j_support": "2.1e-20",
        "j_identity": "100.0",
        "np1": "",
        "c_region": "",
    }
    if locus == "H":
        facts |= {"d_score": "20.4", "d_support": "0.0021", "d_identity": "100.0"}
    return facts


def _places(residues: int, v_length: int, leader: int) -> dict[str, str]:
    v_end, end = 3 * v_length, 3 * residues
    return {
        "v_alignment_start": "1.0",
        "v_alignment_end": f"{v_end}.0",
        "j_alignment_start": f"{end - 32}.0",
        "j_alignment_end": f"{end}.0",
        "v_sequence_start": f"{leader + 1}.0",
        "v_sequence_end": f"{leader + v_end}.0",
        "v_germline_start": "1.0",
        "v_germline_end": f"{v_end}.0",
        "j_sequence_start": f"{leader + end - 32}.0",
        "j_sequence_end": f"{leader + end}.0",
        "v_cigar": f"{leader}S{v_end}=",
        "j_cigar": f"{leader + end - 33}S33=",
    }


def cdr3_positions(length: int) -> list[str]:
    """IMGT names of a CDR3: gaps in the middle, insertions behind 111 and before 112."""
    if length <= 13:
        left = (length + 1) // 2
        return [f"{p} " for p in (*range(105, 105 + left), *range(118 - (length - left), 118))]
    extra = length - 13
    behind, before = extra // 2, extra - extra // 2
    return [
        *(f"{p} " for p in range(105, 112)),
        *(f"111{chr(65 + i)}" for i in range(behind)),
        *(f"112{chr(65 + i)}" for i in reversed(range(before))),
        *(f"{p} " for p in range(112, 118)),
    ]


def _numbering(locus: str, missing: int, aa: str, starts: dict[str, int], cdr3_length: int) -> Cell:
    """ANARCI's dictionary as it prints itself; keys are padded, quotes are single."""
    fwr1, cdr1, fwr2, cdr2, fwr3, fwr4 = (
        [f"{position} " for position in region] for region in POSITIONS[locus]
    )
    names = {
        "fwr1": fwr1[missing:],
        "cdr1": cdr1,
        "fwr2": fwr2,
        "cdr2": cdr2,
        "fwr3": fwr3,
        "cdr3": cdr3_positions(cdr3_length),
        "fwr4": fwr4,
    }
    text, offsets = "{", []
    for region, positions in names.items():
        text += f"'{_REGION_KEYS[region].format(locus.lower())}': {{"
        for i, position in enumerate(positions):
            text += f"'{position}': '"
            offsets.append(len(text))
            text += f"{aa[starts[region] + i]}', "
        text = text.removesuffix(", ") + "}, "
    return Cell(text.removesuffix(", ") + "}", 0, tuple(offsets))


def _status(locus: str, kind: str, missing: int) -> str:
    deletions = [*range(1, missing + 1), *({"H": (10, 73), "K": (73,), "L": (10, 73)}[locus])]
    clauses = [
        "Deletions: " + ", ".join(map(str, deletions)),
        "",
        "Missing Conserved Cysteine: 23" if kind == "no_cysteine" else "",
        "Shorter than IMGT defined: fw1" if kind == "very_short" else "",
        "Unusual residue: 27" if kind == "unusual" else "",
    ]
    return "|" + "|".join(clauses)
