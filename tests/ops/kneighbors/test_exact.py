"""Neighbours are those of float64, on data that lose them in float32."""

import os
import signal
import time

import pytest
import torch
from neighbor_data import KINDS, draw, truth

import onetrip
from onetrip.core.tuning import override
from onetrip.ops.kneighbors.api import find

# Small tiles, so that a few hundred rows make many of them.
SMALL = {"rows": 16, "columns": 64, "group": 4}


@pytest.fixture(autouse=True)
def small_tiles():
    with override("kneighbors", "torch", SMALL):
        yield


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 7, 90])
def test_neighbors_are_those_of_float64(kind, k):
    x, y = draw(kind, 40, seed=1), draw(kind, 500, seed=2)
    if kind in ("duplicated", "integers"):
        x = torch.cat([x[:20], y[:20]])
    found = find(x, y, k, metric="sqeuclidean")
    values, indices = truth(x, y, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)


def test_scores_alone_lose_neighbors():
    """What the certificate is for: without it these data come out wrong."""
    x, y = draw("two-ends", 40, seed=1), draw("two-ends", 2000, seed=2)
    _, indices = truth(x, y, 10)
    assert not torch.equal(find(x, y, 10, precision="fast").indices, indices)
    found = find(x, y, 10)
    assert torch.equal(found.indices, indices)
    assert found.reevaluated > 0


def test_normal_data_are_seldom_reevaluated():
    found = find(draw("normal", 200, seed=1), draw("normal", 2000, seed=2), 5)
    assert found.reevaluated <= 10


def test_fast_is_right_where_nothing_is_near():
    x, y = draw("normal", 40, seed=1), draw("normal", 300, seed=2)
    assert torch.equal(find(x, y, 5, precision="fast").indices, truth(x, y, 5)[1])


@pytest.mark.parametrize("kind", ["normal", "duplicated", "far-away"])
def test_self_is_excluded_by_its_number(kind):
    y = draw(kind, 200, seed=3)
    found = find(y, y, 6, exclude_self=True)
    squares = torch.stack([(y.double() - row).square().sum(1) for row in y.double()])
    squares.fill_diagonal_(torch.inf)
    values, order = squares.sort(dim=1, stable=True)
    assert torch.equal(found.indices, order[:, :6])
    torch.testing.assert_close(found.values, values[:, :6], rtol=1e-14, atol=0)


def test_everybody_else_is_a_neighbor():
    y = draw("normal", 30, seed=3)
    indices = find(y, y, 29, exclude_self=True).indices
    assert [sorted(row) for row in indices.tolist()] == [
        [other for other in range(30) if other != own] for own in range(30)
    ]


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
@pytest.mark.parametrize("kind", ["normal", "far-away", "duplicated"])
def test_other_metrics_are_those_of_float64(metric, kind):
    x, y = draw(kind, 30, seed=4), draw(kind, 400, seed=5)
    distances, values = onetrip.kneighbors(x, y, n_neighbors=8, metric=metric)
    a, b = x.double(), y.double()
    products = torch.stack([torch.linalg.vecdot(row, b) for row in a])
    if metric == "cosine":
        lengths = torch.linalg.vector_norm(a, dim=1)[:, None] * torch.linalg.vector_norm(b, dim=1)
        keys = 1.0 - products / lengths
    else:
        keys = -products
    ordered, order = keys.sort(dim=1, stable=True)
    expected = ordered[:, :8] if metric == "cosine" else -ordered[:, :8]
    torch.testing.assert_close(distances.double(), expected, rtol=1e-6, atol=1e-7)
    if kind != "duplicated":
        assert torch.equal(values["indices"], order[:, :8])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes(dtype):
    x, y = draw("normal", 30, seed=6).to(dtype), draw("normal", 300, seed=7).to(dtype)
    distances, values = onetrip.kneighbors(x, y, n_neighbors=5)
    squares, indices = truth(x, y, 5)
    assert torch.equal(values["indices"], indices)
    assert distances.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(distances.double(), squares.sqrt(), rtol=2e-7, atol=0)


def test_float64_is_float64():
    """A difference that float32 cannot hold decides."""
    y = torch.tensor([[1.0 + 2.0**-40], [1.0]], dtype=torch.float64)
    _, values = onetrip.kneighbors(torch.ones(1, 1, dtype=torch.float64), y, n_neighbors=1)
    assert values["indices"].tolist() == [[1]]


def test_threads_find_what_one_finds():
    x, y = draw("normal", 700, seed=8), draw("normal", 3000, seed=9)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = find(x, y, 4)
        torch.set_num_threads(2)
        together = find(x, y, 4)
        few = find(x[:20], y, 4)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone.values, together.values)
    assert torch.equal(alone.indices, together.indices)
    assert torch.equal(alone.indices[:20], few.indices)


# Python 3.12 warns of what is tested here.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    x, y = draw("normal", 700, seed=8), draw("normal", 900, seed=9)
    expected = find(x, y, 4).indices
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(find(x, y, 4).indices, expected) else 1)
    deadline = time.monotonic() + 9
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
