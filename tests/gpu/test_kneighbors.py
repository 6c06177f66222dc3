"""Nearest neighbours on a device: exact on data that lose them, streams, one query, long lists."""

import pytest
import torch

import onetrip
from onetrip.ops.kneighbors import triton_impl
from onetrip.ops.kneighbors.api import find

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]


def truth(x, y, k):
    squares = torch.stack([(y.double() - row).square().sum(1) for row in x.double()])
    values, order = squares.sort(dim=1, stable=True)
    return values[:, :k], order[:, :k]


def draw(kind, rows, seed):
    generator = torch.Generator("cuda").manual_seed(seed)
    D = 8 if kind == "far-away" else 100
    made = torch.randn(rows, D, generator=generator, device="cuda")
    if kind == "far-away":
        return made + 100
    return made[: rows // 4].repeat(4, 1) if kind == "duplicated" else made


@pytest.mark.parametrize("impl", ["torch", "triton"])
@pytest.mark.parametrize("kind", ["normal", "far-away", "duplicated"])
@pytest.mark.parametrize("queries", [1, 4, 300])
@pytest.mark.parametrize("k", [1, 10, 64])
def test_neighbors_are_those_of_float64(impl, kind, queries, k):
    x, y = draw(kind, max(queries, 4), 1)[:queries], draw(kind, 20_000, 2)
    found = find(x, y, k, metric="sqeuclidean", impl=impl)
    values, indices = truth(x, y, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)


@pytest.mark.parametrize("k", [10, 64])
@pytest.mark.parametrize("copies", [4, 20])
def test_equal_rows_are_equal_to_the_last_bit(k, copies):
    """32 features: fused products of a float64 sum differ from row to row."""
    generator = torch.Generator("cuda").manual_seed(9)
    y = torch.randn(40_000 // copies, 32, generator=generator, device="cuda").repeat(copies, 1)
    x = torch.randn(200, 32, generator=generator, device="cuda")
    assert torch.equal(
        find(x, y, k, metric="sqeuclidean", impl="triton").indices, truth(x, y, k)[1]
    )


@pytest.mark.parametrize("kind", ["clusters", "two-ends", "all-equal"])
@pytest.mark.parametrize("D", [128, 300])
def test_data_that_bounds_do_not_tell_apart(kind, D):
    generator = torch.Generator("cuda").manual_seed(10)
    y = torch.randn(20_000, D, generator=generator, device="cuda")
    x = torch.randn(100, D, generator=generator, device="cuda")
    if kind == "clusters":
        centres = 8 * torch.randn(20, D, generator=generator, device="cuda")
        y, x = y + centres.repeat(1000, 1), x + centres.repeat(5, 1)
    elif kind == "two-ends":
        y, x = y + 1e3, x + 1e3
        y[::2] -= 2e3
    else:
        y = torch.ones_like(y)
    found = find(x, y, 10, metric="sqeuclidean", impl="triton")
    values, indices = truth(x, y, 10)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)


@pytest.mark.parametrize("exclude_self", [False, True])
def test_groups_far_apart(exclude_self, monkeypatch):
    """Distances of 16 between norms of a thousand: each group is searched about its centre."""
    generator = torch.Generator("cuda").manual_seed(12)
    centres = 100 * torch.randn(20, 128, generator=generator, device="cuda")
    y = torch.randn(20_000, 128, generator=generator, device="cuda") + centres.repeat(1000, 1)
    y[5000:5100] = y[:100]
    left = []
    monkeypatch.setattr(triton_impl, "_search_differences", lambda call: left.append(call.left))
    found = find(y, y, 10, metric="sqeuclidean", exclude_self=exclude_self, impl="triton")
    rows = torch.arange(0, 20_000, 67, device="cuda")
    values, indices = truth(y[rows], y, 11)
    if exclude_self:
        others = indices != rows[:, None]
        values, indices = values[others].view(-1, 10), indices[others].view(-1, 10)
    assert torch.equal(found.indices[rows], indices[:, :10])
    torch.testing.assert_close(found.values[rows], values[:, :10], rtol=1e-14, atol=0)
    assert [int(of_call.sum()) for of_call in left] == [0]


def test_nobody_is_their_own_neighbor():
    y = draw("duplicated", 6000, 11)
    found = find(y, y, 5, metric="sqeuclidean", exclude_self=True, impl="triton")
    squares = torch.stack([(y.double() - row).square().sum(1) for row in y.double()])
    squares.fill_diagonal_(torch.inf)
    assert torch.equal(found.indices, squares.sort(dim=1, stable=True).indices[:, :5])


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
def test_other_metrics(metric):
    x, y = draw("normal", 100, 12), draw("normal", 9000, 13)
    _, ours = onetrip.kneighbors(x, y, n_neighbors=10, metric=metric, impl="triton")
    a, b = x.double(), y.double()
    if metric == "cosine":
        a, b = (v / torch.linalg.vector_norm(v, dim=1, keepdim=True) for v in (a, b))
    expected = (a @ b.T).sort(dim=1, descending=True, stable=True).indices[:, :10]
    assert torch.equal(ours["indices"], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves(dtype):
    x, y = draw("normal", 200, 3).to(dtype), draw("normal", 9000, 4).to(dtype)
    _, values = onetrip.kneighbors(x, y, n_neighbors=10, impl="triton")
    assert torch.equal(values["indices"], truth(x, y, 10)[1])


def test_corpus_streams_from_the_host():
    x, y = draw("normal", 50, 5), draw("normal", 1_000_000, 6)
    _, here = onetrip.kneighbors(x, y, n_neighbors=10)
    _, streamed = onetrip.kneighbors(x, y.cpu(), n_neighbors=10)
    assert torch.equal(here["indices"], streamed["indices"])


def test_memory_is_lists_and_tiles():
    x, y = draw("normal", 50_000, 7), draw("normal", 50_000, 8)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    onetrip.kneighbors(x, y, n_neighbors=10)
    assert torch.cuda.max_memory_allocated() - before < 256 * 2**20
