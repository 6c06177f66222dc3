"""Sequences as a byte-pair tokeniser sees them: with a blank between IMGT regions, where known."""

import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.text.columns import CHAINS, plain

REGIONS = ("fwr1_aa", "cdr1_aa", "fwr2_aa", "cdr2_aa", "fwr3_aa", "cdr3_aa", "fwr4_aa")


def text_columns(names: list[str], *, regions: bool) -> list[str]:
    """Columns that `chain_texts` reads."""
    wanted = ("sequence_aa", *REGIONS) if regions else ("sequence_aa",)
    return [name for base in wanted for chain in ("", *CHAINS) if (name := base + chain) in names]


def chain_texts(batch: pa.RecordBatch, *, regions: bool) -> list[pa.Array]:
    """The text of each chain that the batch has: one column, or two of a pair.

    A row whose regions do not add up to its sequence is not parted.

    >>> row = {"sequence_aa": ["EVQGF"], "fwr1_aa": ["EVQ"], "cdr1_aa": ["GF"], "fwr2_aa": [""]}
    >>> row |= {name: [""] for name in REGIONS[3:]}
    >>> chain_texts(pa.record_batch(row), regions=True)[0].to_pylist()
    ['EVQ GF']
    """
    names = batch.schema.names
    texts = []
    for chain in ("", *CHAINS):
        if f"sequence_aa{chain}" not in names:
            continue
        sequence = plain(batch[f"sequence_aa{chain}"])
        columns = [f"{region}{chain}" for region in REGIONS]
        if regions and all(name in names for name in columns):
            parts = [plain(batch[name]) for name in columns]
            whole = pc.binary_join_element_wise(*parts, "")
            spaced = pc.binary_join_element_wise(*parts, " ")
            # An empty region would leave two blanks.
            spaced = pc.utf8_trim(pc.replace_substring_regex(spaced, " +", " "), " ")
            adds_up = pc.fill_null(pc.equal(whole, sequence), False)
            sequence = pc.if_else(adds_up, spaced, sequence)
        texts.append(sequence)
    return texts
