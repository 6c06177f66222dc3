"""The published filters, ready for `filter`: conditions tried on each chain of a row."""

import functools
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.steps.antibody.chains import PAIRED
from onetrip.data.steps.antibody.published import PUBLISHED, Published
from onetrip.data.steps.filter import Rule
from onetrip.data.text.columns import chain_columns, require_chain_columns
from onetrip.data.text.predicate import Predicate, parse_predicate


def for_each_chain(predicate: Predicate, batch: pa.RecordBatch) -> pa.Array:
    """Decide a condition for each row: for its one chain, or for both chains of a pair.

    A column that the batch has as it is named, as `meta_species`, is the same for both.
    """
    names = set(batch.schema.names)
    if names.issuperset(predicate.columns):
        return predicate.evaluate(batch.column)

    def column_of(chain: str) -> Callable[[str], pa.Array]:
        return lambda name: batch.column(name if name in names else name + chain)

    heavy, light = (predicate.evaluate(column_of(chain)) for chain in PAIRED)
    return pc.and_kleene(heavy, light)


def rules_of(published: Published, schema: pa.Schema) -> tuple[Rule, ...]:
    """The rules of a published filter, for rows of `schema`.

    Raises
    ------
    DataError
        `schema` lacks a column that a rule reads.
    """
    rules = []
    for name, condition in published.rules.items():
        predicate = parse_predicate(condition.keep)
        require_chain_columns("filter", schema, *predicate.columns)
        columns = (chain_columns(column, schema.names) for column in predicate.columns)
        rules.append(
            Rule(
                name,
                functools.partial(for_each_chain, predicate),
                tuple(column for of_chains in columns for column in of_chains),
                # Part of the cache's key: another condition is another rule.
                f"{condition.reason} (keeps: {condition.keep})",
                published.source,
            )
        )
    return tuple(rules)


PRESETS: Mapping[str, Callable[[pa.Schema], tuple[Rule, ...]]] = {
    name: functools.partial(rules_of, published) for name, published in PUBLISHED.items()
}
