"""The columns of a unit, by name: one unpaired and two paired vintages."""

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
