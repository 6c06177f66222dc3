"""Regions of a chain against its sequence: what does not agree, and what stands behind CDR3."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

# In the order in which they stand in a chain.
_REGIONS = ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3", "cdr3", "fwr4")


def not_their_regions(columns: Mapping[str, pa.Array], suffix: str) -> int:
    """How many sequences are not what their regions give one after the other.

    Parameters
    ----------
    columns : by name, standardised.
    suffix : of the chain: "", "_heavy" or "_light".
    """
    names = [f"{region}_aa{suffix}" for region in _REGIONS]
    if not columns.keys() >= set(names):
        return 0
    joined = _joined(columns, names)
    return int(pc.sum(pc.not_equal(joined, columns[f"sequence_aa{suffix}"])).as_py() or 0)


def fwr4_behind_cdr3(columns: Mapping[str, pa.Array], suffix: str) -> pa.Array | None:
    """FWR4 with what stands behind CDR3 in the sequence, where it is null; None where nothing is.

    Pairs of 2021 have no column for it. Without this, each of them would be dropped as too short
    at its end. What stands there is known only where the sequence begins with the other regions.

    >>> text = {"fwr3_aa": "YYC", "cdr3_aa": "ARDY", "fwr4_aa": None, "sequence_aa": "YYCARDYWGQG"}
    >>> columns = {name: pa.array([value], pa.string()) for name, value in text.items()}
    >>> columns |= {f"{name}_aa": pa.nulls(1, pa.string()) for name in _REGIONS[:4]}
    >>> fwr4_behind_cdr3(columns, "").to_pylist()
    ['WGQG']
    """
    *before, fwr4 = (f"{region}_aa{suffix}" for region in _REGIONS)
    if not columns.keys() >= {*before, fwr4} or not columns[fwr4].null_count:
        return None
    wanted = pc.and_(columns[fwr4].is_null(), columns[before[-1]].is_valid())
    begins = pc.if_else(wanted, _joined(columns, before), None)
    found = [
        sequence[len(begin) :] or None
        if begin and sequence and sequence.startswith(begin)
        else None
        for begin, sequence in zip(
            begins.to_pylist(), columns[f"sequence_aa{suffix}"].to_pylist(), strict=True
        )
    ]
    filled = pc.coalesce(columns[fwr4], pa.array(found, pa.string()))
    return filled if filled.null_count < columns[fwr4].null_count else None


def _joined(columns: Mapping[str, pa.Array], names: list[str]) -> pa.Array:
    return pc.binary_join_element_wise(*(pc.fill_null(columns[name], "") for name in names), "")
