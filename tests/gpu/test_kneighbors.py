"""Nearest neighbours on a device: exact on data that lose them, streams, one query, long lists."""

import pytest
import torch

import onetrip
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
