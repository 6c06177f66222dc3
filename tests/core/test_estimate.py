"""Estimates by an estimator's words, with options that change the work."""

from dataclasses import replace

import pytest

from onetrip.core.device import find_device
from onetrip.core.errors import ArgumentError
from onetrip.core.estimate import estimate


def test_axes_are_known_by_their_words():
    by_words = estimate("kmeans", dtype="float32", n_samples=1000, n_features=8, n_clusters=4)
    by_letters = estimate("kmeans", dtype="float32", N=1000, D=8, K=4)
    assert by_words == by_letters
    with pytest.raises(ArgumentError, match="'n_samples', 'n_features', 'n_clusters'"):
        estimate("kmeans", n_samples=1000, n_features=8)


def test_options_that_change_the_work_change_the_cost():
    few, many = (
        estimate("kmeans", dtype="float32", N=1000, D=8, K=4, options={"max_iter": max_iter})
        for max_iter in (2, 20)
    )
    assert many.cost.flops > 5 * few.cost.flops


@pytest.mark.parametrize(
    ("dtype", "product"), [("float32", "bfloat16"), ("float64", "float64"), ("float16", "float16")]
)
def test_certified_products_are_counted_at_the_fastest_rate(dtype, product):
    answer = estimate("kmeans", dtype=dtype, N=100_000, D=64, K=64)
    rate = find_device("h100").tflops_for(product)
    assert answer.compute_ms == pytest.approx(answer.cost.flops / rate * 1e-9)


def test_products_in_tf32_fall_back_to_float32():
    a100 = find_device("a100")
    assert a100.tflops_for("tfloat32") == 156.0
    without = replace(a100, tflops={"float32": 3.0, "float64": 1.0})
    assert without.tflops_for("tfloat32") == 3.0
