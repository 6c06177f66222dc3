"""Which chains a batch has: one without a suffix, or a heavy and a light one with theirs."""

from collections.abc import Iterable

import pyarrow as pa

from onetrip.core.errors import DataError, complaint

UNPAIRED: tuple[str, ...] = ("",)
PAIRED: tuple[str, ...] = ("_heavy", "_light")


def split_suffix(column: str) -> tuple[str, str]:
    """Part a column's name into its base and the suffix of its chain.

    >>> split_suffix("v_call_light"), split_suffix("v_call")
    (('v_call', '_light'), ('v_call', ''))
    """
    for suffix in PAIRED:
        if column.endswith(suffix):
            return column.removesuffix(suffix), suffix
    return column, ""


def suffixes(schema: pa.Schema, needed: Iterable[str]) -> tuple[str, ...]:
    """The suffixes under which `schema` has the columns `needed`, all of them.

    Raises
    ------
    DataError
        Some are missing, for one chain and for two.

    Examples
    --------
    >>> import pyarrow as pa
    >>> suffixes(pa.schema([("locus_heavy", pa.string()), ("locus_light", pa.string())]), ["locus"])
    ('_heavy', '_light')
    """
    needed = tuple(needed)
    names = set(schema.names)
    missing = {
        chains: [
            base + suffix for base in needed for suffix in chains if base + suffix not in names
        ]
        for chains in (UNPAIRED, PAIRED)
    }
    for chains, absent in missing.items():
        if not absent:
            return chains
    nearest = min(missing.values(), key=len)
    raise DataError(
        complaint(
            "columns",
            expected=f"{list(needed)} among others, or each with _heavy and with _light",
            got=f"{', '.join(schema.names)}; {nearest} lack",
            way_out="Have the source read them, or put the step that makes them before this one.",
        )
    )
