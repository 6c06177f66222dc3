"""Synthetic germline genes: drawn from a profile of residues, never copied from a database.

A profile says for every IMGT position of a region which residues may stand there: a letter, or
several in brackets. What is drawn has the length, the anchors (C23, W41, C104) and the composition
of a V gene, and belongs to no organism.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

CODONS = tuple(a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG")
RESIDUES = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_RESIDUE_OF = dict(zip(CODONS, RESIDUES, strict=True))
_CODONS_OF = {
    residue: [codon for codon, r in zip(CODONS, RESIDUES, strict=True) if r == residue]
    for residue in sorted(set(RESIDUES))
}

V_REGIONS = ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3")

# Region by region, fwr1 to fwr3, then fwr4. Gaps of the numbering stand in POSITIONS.
_PROFILES: dict[str, tuple[str, ...]] = {
    "H": (
        "[EQ]V[QR]L[VLQ][EQ][SW]G[GAP][GE][LVW][VLK][QKR]P[GS][GAE][ST][LV][RKS][LVI][ST]C"
        "[AKT][AV]S",
        "G[FYGD][TS][FIV][STKG][SDRG][YNA][AGWYD]",
        "[MIW][SHN]WVR[QR][APM][PT]G[KQ]GLEW[VIM][SAG][AYVS]",
        "I[SNKY][GPQS][SDNG][GS][GSN][STKE]",
        "[YN][YN][ANP][DQP][SKA][VLF][KQ][GS]R[FV]T[IM][ST][RVA][DN][NTK]S[KTI][NS][TQ][LVA]"
        "[YSF][LM][QKE][LM][NSR][SR][LV][RTK][AS][EAS]DTA[VM]YYC",
        "WG[QRK]GT[LMT]VTVSS",
    ),
    "K": (
        "[DEA]I[QV][ML]TQ[ST]P[SAGD][ST]L[SP][ALV][ST][VPL]G[DEQ][RPQ][VA][TS][IL][TNS]C[RK][AS]S",
        "Q[SGD][IVL][SGN][SNR][YWDN]",
        "[LV][ANG]W[YF][QL]QK[PS]G[KQ][ASP]P[KRQ][LR]LI[YK]",
        "[AGDL][AT][SN]",
        "[STNR][LRQ][QAE][STD]G[VI]P[SDA]RFSGSGSGTDFT[LF][TK]I[SN][SRG][LV][QE][PA]ED[FVI]A"
        "[TVN]YYC",
        "FG[QGP]GT[KR][VL][ED]IK",
    ),
    "L": (
        "[QS][SY][VEA]L[TI]Q[PE][PAR][SD][VAL]S[GAV][AST][PL]G[QK][ST][VIA][TRS][IL][STV]C"
        "[STG]G[STD]",
        "[SNRK][SDG][NDS][VIL][GP][NSKG][YKN][YSNT]",
        "[VAW][SYHQ]W[YF]QQ[LKH]P[GK][TKQ]AP[KVR][LTV][LMV]I[YF]",
        "[DSEG][NVDK][NSTD]",
        "[KN][RW][PS][SA]G[IV][PS][DEN]RFSGS[KNS]SG[TN][ST][AVI][TSF]L[TA]I[TS][GRN][LVT][QE]"
        "[TAS][GEM]DEA[DV]YYC",
        "FG[GTS]GT[KQ][LV]TVL",
    ),
}

# IMGT positions of each region, gaps left out, as ANARCI's numbering names them.
POSITIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "H": (
        (*range(1, 10), *range(11, 27)),
        (*range(27, 31), *range(35, 39)),
        tuple(range(39, 56)),
        (*range(56, 60), *range(63, 66)),
        (*range(66, 73), *range(74, 105)),
        tuple(range(118, 129)),
    ),
    "K": (
        tuple(range(1, 27)),
        (*range(27, 30), *range(36, 39)),
        tuple(range(39, 56)),
        (56, 57, 65),
        (*range(66, 73), *range(74, 81), *range(83, 105)),
        tuple(range(118, 128)),
    ),
    "L": (
        (*range(1, 10), *range(11, 27)),
        (*range(27, 31), *range(35, 39)),
        tuple(range(39, 56)),
        (56, 57, 65),
        (*range(66, 73), *range(74, 81), *range(83, 105)),
        tuple(range(118, 128)),
    ),
}
GENES_PER_LOCUS = 24


@dataclass(frozen=True, slots=True)
class Gene:
    """One germline V gene with a J gene's end: codons by region, and what it is called."""

    v_call: str
    j_call: str
    v_codons: tuple[tuple[str, ...], ...]
    j_codons: tuple[str, ...]


def to_codons(residues: str, rng: np.random.Generator) -> tuple[str, ...]:
    """One of the codons of every residue, drawn."""
    draws = rng.random(len(residues))
    return tuple(
        _CODONS_OF[residue][int(draw * len(_CODONS_OF[residue]))]
        for residue, draw in zip(residues, draws, strict=True)
    )


def to_residues(codons: tuple[str, ...]) -> str:
    """The residues that codons stand for."""
    return "".join(_RESIDUE_OF[codon] for codon in codons)


@lru_cache(maxsize=1)
def genes() -> dict[str, tuple[Gene, ...]]:
    """The germline of the synthetic species: the same in every run, 24 genes a locus."""
    rng = np.random.default_rng(20261122)
    return {
        locus: tuple(_draw(locus, number, rng) for number in range(GENES_PER_LOCUS))
        for locus in _PROFILES
    }


def _draw(locus: str, number: int, rng: np.random.Generator) -> Gene:
    *v_regions, fwr4 = (
        "".join(
            choices[rng.integers(len(choices))]
            for choices in (match.strip("[]") for match in re.findall(r"\[\w+\]|\w", profile))
        )
        for profile in _PROFILES[locus]
    )
    prefix = f"IG{locus}"
    return Gene(
        v_call=f"{prefix}V{number % 6 + 1}-{number + 1}*{number % 3 + 1:02d}",
        j_call=f"{prefix}J{number % 5 + 1}*01",
        v_codons=tuple(to_codons(region, rng) for region in v_regions),
        j_codons=to_codons(fwr4, rng),
    )
