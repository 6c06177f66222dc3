"""Parameters of estimators against scikit-learn's constraints, which are made once a class."""

import functools
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import make_constraint

# Kinds whose values say all that a constraint asks about: what was right once is right again.
_PLAIN = frozenset({bool, int, float, str, type(None)})
_OTHER = object()


def meets_constraints(estimator: BaseEstimator) -> bool:
    """Whether each parameter meets one of its constraints; which does not, scikit-learn tells.

    It makes its constraints at each call, which takes as long as a small fit.

    >>> from onetrip.cluster import KMeans
    >>> meets_constraints(KMeans(3)), meets_constraints(KMeans(-3))
    (True, False)
    """
    kind = type(estimator)
    rules = _constraints(kind)
    values = [getattr(estimator, name) for name in rules]
    plain = [value if type(value) in _PLAIN else _OTHER for value in values]
    return _plain_meet(kind, *plain) and all(
        type(value) in _PLAIN or _meets(value, rule)
        for value, rule in zip(values, rules.values(), strict=True)
    )


@functools.lru_cache(maxsize=256, typed=True)
def _plain_meet(kind: type[BaseEstimator], *values: object) -> bool:
    return all(
        value is _OTHER or _meets(value, rule)
        for value, rule in zip(values, _constraints(kind).values(), strict=True)
    )


def _meets(value: object, rule: tuple[Any, ...]) -> bool:
    return any(constraint.is_satisfied_by(value) for constraint in rule)


@functools.cache
def _constraints(kind: type[BaseEstimator]) -> dict[str, tuple[Any, ...]]:
    rules: dict[str, Any] = kind._parameter_constraints  # type: ignore[attr-defined]
    return {name: tuple(map(make_constraint, rules[name])) for name in kind._get_param_names()}
