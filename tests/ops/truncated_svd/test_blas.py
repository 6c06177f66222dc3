"""Products of tiles by the BLAS of NumPy and SciPy, and without them."""

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from onetrip.ops.truncated_svd import blas
from onetrip.ops.truncated_svd.api import truncated_svd

LAYOUTS = {
    "rows": lambda x: x.clone(),
    "columns": lambda x: x.T.contiguous().T,
    "every other column": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "padded rows": lambda x: torch.cat([x, x], 1)[:, : x.shape[1]],
    "reversed by a view": lambda x: torch.from_numpy(x.numpy()[::-1, ::-1].copy()).flip(0, 1),
}


@pytest.fixture(params=[True, False], ids=["scipy", "torch"])
def with_scipy(request, monkeypatch):
    if request.param:
        assert blas.symmetric_product() is not None
    else:
        monkeypatch.setattr(blas, "symmetric_product", lambda: None)


def draw(rows, columns):
    generator = torch.Generator().manual_seed(rows * columns)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (40, 33), (33, 300), (0, 3)])
@pytest.mark.usefixtures("with_scipy")
def test_squares_are_added_above_the_diagonal_and_mirrored(shape, layout):
    x = draw(*shape)
    matrix = torch.ones(shape[1], shape[1], dtype=torch.float64)
    blas.add_square(matrix, layout(x))
    blas.add_square(matrix, layout(x))
    blas.mirror(matrix)
    np.testing.assert_allclose(matrix, 1.0 + 2.0 * x.T @ x, atol=1e-11)
    assert torch.equal(matrix, matrix.T)


@pytest.mark.usefixtures("with_scipy")
def test_rows_that_share_memory_are_multiplied():
    x = draw(1, 9).expand(5, 9)
    matrix = torch.zeros(9, 9, dtype=torch.float64)
    blas.add_square(matrix, x)
    np.testing.assert_allclose(matrix.triu(), (x.T @ x).triu(), atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_thin_products_are_those_of_torch(layout, dtype):
    x, basis = layout(draw(50, 20)).to(dtype), draw(3, 20).T.to(dtype)
    found = torch.empty(50, 3, dtype=dtype)
    blas.multiply(x, basis, found)
    torch.testing.assert_close(found, x @ basis)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", [(600, 40), (40, 600)])
@pytest.mark.usefixtures("with_scipy")
def test_decompositions_do_not_depend_on_the_layout(shape, layout):
    x = draw(*shape)
    values, extra = truncated_svd(layout(x), n_components=5, center=True, impl="torch")
    np.testing.assert_allclose(values, torch.linalg.svdvals(x - x.mean(0))[:5], rtol=1e-10)
    images = torch.linalg.vector_norm((x - x.mean(0)) @ extra["components"].T, dim=0)
    np.testing.assert_allclose(images, values, rtol=1e-10)


def threads():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_no_limit_stays_however_two_threads_overlap(first_leaves_first):
    before = threads()
    entered, leave = threading.Event(), threading.Event()

    def other():
        with blas.on_one_thread_each():
            entered.set()
            leave.wait(timeout=30)

    thread = threading.Thread(target=other)
    with blas.on_one_thread_each():
        thread.start()
        assert entered.wait(timeout=30)
        assert set(threads()) == {1}
        if not first_leaves_first:
            leave.set()
            thread.join()
            assert set(threads()) == {1}
    leave.set()
    thread.join()
    assert threads() == before
    with blas.on_one_thread_each(), blas.on_one_thread_each():
        assert set(threads()) == {1}
    assert threads() == before
