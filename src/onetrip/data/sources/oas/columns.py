"""The columns of a unit, by name: one unpaired and two paired vintages."""

from typing import Literal

from onetrip.core.errors import ArgumentError, complaint

_GENES = ("v", "d", "j")
_REGIONS = ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3", "fwr4", "cdr3")
_ALIGNED = ("sequence_alignment", "germline_alignment")

UNPAIRED: tuple[str, ...] = (
    *("sequence", "locus", "stop_codon", "vj_in_frame", "v_frameshift", "productive"),
    *("rev_comp", "complete_vdj", "v_call", "d_call", "j_call"),
    *(name + suffix for suffix in ("", "_aa") for name in _ALIGNED),
    *(f"{gene}_alignment_{end}" for gene in _GENES for end in ("start", "end")),
    *(f"{gene}_{name}{suffix}" for gene in _GENES for name in _ALIGNED for suffix in ("", "_aa")),
    *(region + suffix for region in _REGIONS for suffix in ("", "_aa")),
    *("junction", "junction_length", "junction_aa", "junction_aa_length"),
    *(f"{gene}_{what}" for what in ("score", "cigar", "support", "identity") for gene in _GENES),
    *(
        f"{gene}_{what}_{end}"
        for gene in _GENES
        for what in ("sequence", "germline")
        for end in ("start", "end")
    ),
    *(f"{region}_{end}" for region in _REGIONS for end in ("start", "end")),
    *("np1", "np1_length", "np2", "np2_length", "c_region"),
    *("Redundancy", "ANARCI_numbering", "ANARCI_status"),
)
"""All 97 columns of an unpaired unit, in the order of its header."""

_NOT_IN_2021 = frozenset(
    name
    for name in UNPAIRED
    if name in {"v_frameshift", "complete_vdj", "c_region", "Redundancy"}
    or name.startswith(("fwr4", "ANARCI"))
)
_BOTH = ("heavy", "light")

PAIRED_2021: tuple[str, ...] = (
    *(
        f"{name}_{chain}"
        for chain in _BOTH
        for name in ("sequence_id", *(name for name in UNPAIRED if name not in _NOT_IN_2021))
    ),
    *(f"{name}_{chain}" for name in ("ANARCI_numbering", "ANARCI_status") for chain in _BOTH[::-1]),
)
"""The paired columns of 2021: no Redundancy, no fwr4, and the light chain's numbering first."""

PAIRED: tuple[str, ...] = tuple(
    f"{name}_{chain}" for chain in _BOTH for name in ("sequence_id", *UNPAIRED, "Isotype")
)
"""The paired columns since: 99 for each chain."""

_DEFAULT: tuple[str, ...] = (
    *("sequence", "locus", "stop_codon", "vj_in_frame", "v_frameshift", "productive"),
    *("rev_comp", "complete_vdj", "v_call", "d_call", "j_call", "sequence_alignment_aa"),
    *("v_sequence_alignment_aa", "v_germline_alignment_aa"),
    *(f"{region}_aa" for region in _REGIONS),
    *("junction_aa", "v_identity", "Redundancy", "ANARCI_numbering", "ANARCI_status"),
)

Layout = Literal["unpaired", "paired"]
LAYOUTS: dict[Layout, tuple[str, ...]] = {"unpaired": UNPAIRED, "paired": PAIRED}

# Columns that one vintage of paired units lacks: null where they are asked for.
OPTIONAL = frozenset(PAIRED) - frozenset(PAIRED_2021)


def wanted_columns(columns: str | tuple[str, ...], layout: Layout) -> tuple[str, ...]:
    """Names in the header of what is asked for, in the order of the layout.

    Parameters
    ----------
    columns : "default", "all", or names; of a paired layout with or without a chain's suffix.
    layout : "unpaired" or "paired".

    >>> wanted_columns(("locus",), "paired")
    ('locus_heavy', 'locus_light')
    """
    known = LAYOUTS[layout]
    if columns == "all":
        return known
    names = _DEFAULT if columns == "default" else columns
    if isinstance(names, str):
        names = (names,)
    if layout == "paired":
        names = [n for name in names for n in ((name,) if name in known else _of_chains(name))]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ArgumentError(
            complaint(
                "oas: columns",
                expected=f'"default", "all" or columns of the {layout} layout',
                got=repr(unknown or columns),
                way_out=f"There are {', '.join(known)}.",
            )
        )
    return tuple(name for name in known if name in set(names))


def _of_chains(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{chain}" for chain in _BOTH)
