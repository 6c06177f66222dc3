"""Columns of a step by name: which there are, one chain or two, and what is put beside them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from onetrip.core.errors import DataError

# What a paired row's columns end in, in this order.
CHAINS = ("_heavy", "_light")


def chain_columns(name: str, names: list[str]) -> tuple[str, ...]:
    """Columns that hold `name`: itself, or one of each chain of a pair.

    >>> chain_columns("v_gene", ["v_gene", "sequence_aa"])
    ('v_gene',)
    >>> chain_columns("v_gene", ["v_gene_heavy", "v_gene_light"])
    ('v_gene_heavy', 'v_gene_light')
    """
    if name in names:
        return (name,)
    return tuple(name + chain for chain in CHAINS if name + chain in names)


def require_columns(step: str, schema: pa.Schema, *names: str) -> None:
    """Raise DataError when `schema` lacks a column of `names`."""
    missing = [name for name in names if name not in schema.names]
    if missing:
        raise DataError(
            f"Step `{step}` reads {', '.join(missing)}, which its input does not have. It has "
            f"{', '.join(schema.names)}. Put the step that makes it before `{step}`."
        )


def require_chain_columns(step: str, schema: pa.Schema, *names: str) -> None:
    """Raise DataError when `schema` has a column of `names` for no chain."""
    for name in names:
        if not chain_columns(name, schema.names):
            require_columns(step, schema, name)


def with_field(schema: pa.Schema, name: str, kind: pa.DataType) -> pa.Schema:
    """The schema with a column of this type, in its place where there is one, else at the end."""
    if name in schema.names:
        return schema.set(schema.get_field_index(name), pa.field(name, kind))
    return schema.append(pa.field(name, kind))


def with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    """The batch with this column, in its place where there is one, else at the end."""
    if name in batch.schema.names:
        return batch.set_column(batch.schema.get_field_index(name), name, values)
    return batch.append_column(name, values)


def plain(column: pa.Array) -> pa.Array:
    """The column with its values in place of a dictionary's codes."""
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def any_null(batch: pa.RecordBatch, names: tuple[str, ...]) -> np.ndarray:
    """Which rows [N] lack a value in one of `names`."""
    nulls = np.zeros(batch.num_rows, bool)
    for name in names:
        if batch[name].null_count:
            nulls |= batch[name].is_null().to_numpy(zero_copy_only=False)
    return nulls


def group_codes(columns: Sequence[pa.Array]) -> tuple[np.ndarray, int]:
    """Number the distinct rows of some columns, by the order in which they come first.

    Returns
    -------
    ndarray [N], int64, and how many there are. Null is a value of its own.

    >>> codes, count = group_codes([pa.array(["a", "b", "a"]), pa.array([1, 1, 1])])
    >>> codes.tolist(), count
    ([0, 1, 0], 2)
    """
    codes, count = np.zeros(len(columns[0]), np.int64), min(1, len(columns[0]))
    for column in columns:
        encoded = plain(column).dictionary_encode("encode")
        more, values = _indices(encoded), len(encoded.dictionary)
        if values <= 1:
            continue
        if count <= 1:
            codes, count = more, values
            continue
        dense = pa.array(codes * values + more).dictionary_encode()
        codes, count = _indices(dense), len(dense.dictionary)
    return codes, count


def _indices(encoded: pa.DictionaryArray) -> np.ndarray:
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
