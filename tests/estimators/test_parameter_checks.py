"""Parameters that were checked once are right again, and no others."""

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from onetrip.cluster import KMeans, MiniBatchKMeans
from onetrip.estimators.parameter_checks import meets_constraints


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("n_clusters", 2, 2.0),
        ("n_clusters", np.int64(2), 0),
        ("tol", 0.0, -1e-9),
        ("init", np.zeros((2, 2)), "kmeans"),
        ("init", len, 3),
        ("random_state", np.random.RandomState(0), "a"),
        ("max_iter", 3, None),
    ],
)
def test_equal_values_of_another_kind_are_not_the_same(kind, name, right, wrong):
    """Twice, as answers are kept."""
    for _ in range(2):
        assert meets_constraints(kind(**{name: right}))
        assert not meets_constraints(kind(**{name: wrong}))
    model = kind(**{name: right})
    model._validate_params()
    model.set_params(**{name: "no such thing"})
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of {kind.__name__}"):
        model.fit(np.zeros((4, 2)))


def test_the_first_batch_checks_parameters_and_later_ones_do_not():
    model = MiniBatchKMeans(0)
    with pytest.raises(InvalidParameterError, match="'n_clusters' parameter of MiniBatchKMeans"):
        model.partial_fit(np.eye(4))
    model.set_params(n_clusters=2).partial_fit(np.eye(4)).set_params(tol=-1.0).partial_fit(
        np.eye(4)
    )
    with pytest.raises(InvalidParameterError, match="'tol' parameter of MiniBatchKMeans"):
        model.fit(np.eye(4))
