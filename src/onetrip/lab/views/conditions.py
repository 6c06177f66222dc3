"""A query's terms as a condition over stored columns."""

import re
from collections.abc import Container

from onetrip.lab.views.language import FIELDS, Query, Range, Term

_COLUMNS = {
    "purpose": "experiment.purpose",
    "kind": "candidate.kind",
    "problem": "problem.name",
    "proposer": "experiment.proposer",
    "impl": "candidate.impl",
    "title": "candidate.title",
    "id": "experiment.id",
    "hypothesis": "experiment.hypothesis_id",
    "campaign": "experiment.campaign_id",
    "candidate": "candidate.id",
    "parent": "experiment.parent_id",
    "priority": "experiment.priority",
    "attempts": "(SELECT count(*) FROM attempt WHERE experiment_id = experiment.id)",
    "pinned": "experiment.pinned > 0",
    "champion": "EXISTS (SELECT 1 FROM champion WHERE champion.candidate_id = candidate.id"
    " AND until IS NULL)",
    "quarantined": "EXISTS (SELECT 1 FROM answer WHERE answer.experiment_id = experiment.id"
    " AND quarantined <> '')",
    "invalid": "EXISTS (SELECT 1 FROM attempt WHERE attempt.experiment_id = experiment.id"
    " AND invalid <> '')",
}
# Rows of other tables, one of which must match.
_LISTS = {
    "rule": "SELECT 1 FROM flag JOIN attempt ON attempt.id = attempt_id"
    " WHERE attempt.experiment_id = experiment.id AND {name}",
    "metric": "SELECT 1 FROM metric JOIN attempt ON attempt.id = attempt_id"
    " WHERE attempt.experiment_id = experiment.id AND {name}",
}
_LIST_NAMES = {"rule": "flag.rule", "metric": "metric.name"}
_WORDS = (
    "(experiment.why || ' ' || experiment.reason || ' ' ||"
    " candidate.title || ' ' || problem.name || ' ' || experiment.proposer || ' ' ||"
    " candidate.impl || ' ' || candidate.config || ' ' || coalesce(hypothesis.title, ''))"
)


def condition(query: Query, skip: Container[str] = ()) -> tuple[str, list[object]]:
    """An SQL condition over experiment, candidate, problem and hypothesis, and its values.

    Terms of the fields in `skip` are left to the caller.
    """
    clauses, values = ["true"], []
    for term in query.terms:
        if term.field not in skip:
            clause, more = _term(term)
            clauses.append(f"NOT coalesce({clause}, false)" if term.negated else clause)
            values += more
    for word, negated in query.words:
        if re.fullmatch(r"#\d+", word):
            clause, value = "experiment.id = ?", int(word[1:])
        else:
            clause, value = f"{_WORDS} LIKE ? ESCAPE '\\'", f"%{_escaped(word)}%"
        clauses.append(f"NOT {clause}" if negated else clause)
        values.append(value)
    return " AND ".join(clauses), values


def _term(term: Term) -> tuple[str, list[object]]:
    clauses, values = [], []
    for value in term.values:
        clause, more = _one(term.field, value)
        clauses.append(clause)
        values += more
    return f"({' OR '.join(clauses)})", values


def _one(field: str, value: object) -> tuple[str, list[object]]:
    if field in _LISTS:
        clause, values = _name(_LIST_NAMES[field], str(value))
        return f"EXISTS ({_LISTS[field].format(name=clause)})", values
    column = _COLUMNS[field]
    if value is None:
        return f"{column} IS NULL", []
    if isinstance(value, Range):
        less = "<" if value.open else "<="
        return f"({column} {less.replace('<', '>')} ? AND {column} {less} ?)", [
            value.low,
            value.high,
        ]
    if isinstance(value, bool):
        return column if value else f"NOT {column}", []
    if FIELDS[field].kind == "choice":
        return f"{column} = ?", [value]
    clause, values = _name(column, str(value))
    if field == "problem" and str(value).isdigit():
        return f"({clause} OR problem.id = ?)", [*values, int(str(value))]
    return clause, values


def _name(column: str, text: str) -> tuple[str, list[object]]:
    """Equal but for case, or the part before a ":" or "/"; with `*` for anything."""
    pattern = _escaped(text).replace("*", "%")
    if "*" in text:
        return f"{column} LIKE ? ESCAPE '\\'", [pattern]
    alternatives = [pattern, f"{pattern}:%", f"{pattern}/%"]
    clause = " OR ".join([f"{column} LIKE ? ESCAPE '\\'"] * len(alternatives))
    return f"({clause})", list(alternatives)


def _escaped(text: str) -> str:
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return text
