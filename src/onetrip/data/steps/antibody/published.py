"""Published filters as data: for each a table of rules, each with its reason and where it is from.

A rule is a condition that the rows to keep fulfil. It names columns without a chain's suffix, and
must hold for each chain: a pair of which one chain fails is dropped whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a row must fulfil to stay, and why somebody asks for it."""

    keep: str
    reason: str


@dataclass(frozen=True, slots=True)
class Published:
    """Rules by name, in the order in which they are tried; the source they follow."""

    rules: Mapping[str, Condition]
    source: str
    note: str = ""


_PRODUCTIVE = Condition("productive", "IgBLAST finds a reading frame without a stop")
_NO_STOP = Condition("not stop_codon", "a stop codon ends the protein")
_IN_FRAME = Condition("vj_in_frame", "a junction out of frame codes for nothing")
_CYSTEINE = Condition(
    "not missing_conserved_cysteine", "without its disulphide a domain does not fold"
)
_USUAL = Condition("not unusual_residue", "ANARCI found a residue where none of its kind stands")
_LONG_FWR1 = Condition("length(fwr1_aa) >= 20", "the primer or the read cut off the start")
_LONG_FWR4 = Condition("length(fwr4_aa) >= 10", "the read ends before the domain does")
_TWENTY = Condition(f"letters(sequence_aa, '{AMINO_ACIDS}')", "X and * are not residues")
_NO_X = Condition("not contains(sequence_aa, 'X')", "an ambiguous codon has no residue")

_ABBERT = {
    "productive": _PRODUCTIVE,
    "fwr1_short": _LONG_FWR1,
    "fwr4_short": _LONG_FWR4,
    "insertions": Condition(
        "not has_insertions", "an insertion outside of the CDRs is seldom real"
    ),
    "cdr3_long": Condition("length(cdr3_aa) <= 37", "ANARCI numbers no longer CDR3"),
    "unusual_residue": _USUAL,
    "missing_cysteine": _CYSTEINE,
    "kappa_gap_21": Condition("not kappa_gap_21", "a known error of the numbering of kappa chains"),
}

PUBLISHED: Mapping[str, Published] = {
    "default": Published(
        {
            "productive": _PRODUCTIVE,
            "stop_codon": _NO_STOP,
            "out_of_frame": _IN_FRAME,
            "alphabet": _TWENTY,
            "missing_cysteine": _CYSTEINE,
            "unusual_residue": _USUAL,
            "fwr1_short": _LONG_FWR1,
            "fwr4_short": _LONG_FWR4,
            "cdr3_length": Condition(
                "5 <= length(cdr3_aa) <= 37", "shorter or longer is an artefact"
            ),
            "length": Condition(
                "locus == 'H' and 100 <= length(sequence_aa) <= 150"
                " or locus != 'H' and 90 <= length(sequence_aa) <= 135",
                "a variable domain is neither shorter nor longer",
            ),
        },
        "onetrip",
        "What the published filters agree on, with bounds on the length of the domain.",
    ),
    "antiref": Published(
        {
            "productive": _PRODUCTIVE,
            "incomplete_vdj": Condition("complete_vdj", "the alignment does not span the domain"),
            "frameshift": Condition("not v_frameshift", "V is read in two frames"),
            "out_of_frame": _IN_FRAME,
            "stop_codon": _NO_STOP,
            "ambiguous": _NO_X,
            "missing_cysteine": _CYSTEINE,
        },
        "AntiRef, Briney 2023, doi:10.1093/bioadv/vbad109",
    ),
    "kasearch": Published(
        {
            "seen_seldom": Condition("redundancy >= 5", "what was read once may be an error"),
            "missing_cysteine": _CYSTEINE,
            "unusual_residue": _USUAL,
            "alphabet": Condition("not matches(sequence_aa, '[*X]')", "X and * are not residues"),
        },
        "KA-Search, Olsen et al. 2023, doi:10.1038/s41598-023-38108-7",
    ),
    "antiberta": Published(
        {"fwr1_short": _LONG_FWR1, "fwr4_short": _LONG_FWR4},
        "AntiBERTa, Leem et al. 2022, Patterns 3(7)",
        "At least 20 residues in front of CDR1 and 10 behind CDR3.",
    ),
    "oas-explore": Published(
        {
            "fwr1_length": Condition("20 <= length(fwr1_aa) <= 50", "bounds of the pipeline"),
            "fwr4_length": Condition("10 <= length(fwr4_aa) <= 50", "bounds of the pipeline"),
            "cdr1_length": Condition("5 <= length(cdr1_aa) <= 12", "bounds of the pipeline"),
            "cdr2_length": Condition("1 <= length(cdr2_aa) <= 10", "bounds of the pipeline"),
            "cdr3_length": Condition("5 <= length(cdr3_aa) <= 38", "bounds of the pipeline"),
        },
        "OAS-explore, github.com/WionaGlaenzer/OAS-explore, 2025",
    ),
    "abbert": Published(
        _ABBERT,
        "AbBERT 2, github.com/bayer-science-for-a-better-life/abbert-cerebras, its default",
    ),
    "strict": Published(
        {
            **_ABBERT,
            "seen_seldom": Condition("redundancy >= 3", "what was read once may be an error"),
            "deletions": Condition("not has_deletions", "no position is missing"),
        },
        "AbBERT 2, its most strict filter",
        "Most human heavy chains lack positions 10 and 73, and go.",
    ),
}
