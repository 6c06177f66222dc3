"""What is special about kmeans; the contract suite checks the rest."""

import numpy as np
import pytest
import torch

import onetrip
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from onetrip.ops.kmeans import reference
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.reference import make_inputs
from onetrip.ops.kmeans.solve import solve

IMPLEMENTATIONS = ["reference", "torch", "triton"]
SIZES = {"N": 700, "D": 6, "K": 40}


def drawn(data="poor-start", dtype=torch.float32, **sizes):
    return make_inputs({**SIZES, **sizes}, dtype=dtype, data=data)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_four_points_by_hand(impl):
    x = torch.tensor([[0.0], [1.0], [9.0], [11.0]])
    centers, values = onetrip.kmeans(x, x[:2], impl=impl)
    assert centers.tolist() == [[0.5], [10.0]]
    assert values["labels"].tolist() == [0, 0, 1, 1]
    assert values["inertia"].item() == 2.5
    assert values["n_iter"].item() == 3


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_empty_clusters_take_the_farthest_rows(impl):
    x = torch.tensor([[0.0], [1.0], [2.0], [50.0], [80.0]])
    start = torch.tensor([[1.0], [1000.0], [2000.0]])
    centers, values = onetrip.kmeans(x, start, max_iter=1, impl=impl)
    assert centers.tolist() == [[1.0], [80.0], [50.0]]
    assert values["labels"].tolist() == [0, 0, 0, 2, 1]


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_ties_go_to_the_first_centre(impl):
    x = torch.tensor([[1.0, 1.0], [3.0, 0.5]]).repeat(9, 1)
    centers = torch.tensor([[5.0, 5.0], [1.0, 2.0], [1.0, 0.0], [1.0, 2.0]])
    _, values = onetrip.kmeans(x, centers, max_iter=0, impl=impl)
    assert values["labels"].tolist() == [1, 2] * 9


@pytest.mark.parametrize("impl", ["torch", "triton"])
def test_certified_labels_are_exact_where_fast_ones_err(impl):
    generator = torch.Generator().manual_seed(0)
    # Two far groups: within one, centres are told apart by digits that the scores do not hold.
    side = torch.randint(2, (1500, 1), generator=generator) * 2.0 - 1.0
    x = side * 300.0 + torch.randn(1500, 5, generator=generator)
    centers = x[:60]
    true = torch.cdist(
        x.double(), centers.double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).argmin(1)
    labels = {
        precision: onetrip.kmeans(x, centers, max_iter=0, precision=precision, impl=impl)[1][
            "labels"
        ]
        for precision in ("certified", "fast")
    }
    assert torch.equal(labels["certified"].long(), true)
    assert not torch.equal(labels["fast"].long(), true)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clusters", [32, 40, 150])
def test_rows_that_are_left_out_change_no_label(monkeypatch, dtype, clusters):
    inputs = drawn("blobs", dtype, N=3000, D=16, K=clusters)
    inputs["x"][:, 0] *= 0.2
    inputs["centers"] = inputs["x"][:clusters].clone()
    points = prepare(inputs["x"], None, "euclidean")
    monkeypatch.setattr("onetrip.ops.kmeans.movement._BOUND_FROM_ALL", 0)
    monkeypatch.setattr("onetrip.ops.kmeans.torch_impl._MANY", 1.0)
    monkeypatch.setattr("onetrip.ops.kmeans.torch_impl._TOO_MANY", 1.0)
    eager = solve(points, inputs["centers"], max_iter=40, tol=0.0)
    monkeypatch.setattr("onetrip.ops.kmeans.torch_impl._MANY", -1.0)
    every = solve(points, inputs["centers"], max_iter=40, tol=0.0)
    assert every.n_iter > 10
    assert torch.equal(eager.labels, every.labels)
    assert torch.equal(eager.centers, every.centers)
    assert eager.n_iter == every.n_iter


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_order_and_threads_do_not_show(dtype):
    inputs = drawn("poor-start", dtype, N=60_000, D=9, K=12)
    inputs["x"] /= 3.0  # in float64, sums of such numbers depend on their order
    centers, values = onetrip.kmeans(inputs["x"], inputs["centers"], max_iter=6)
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again, shuffled = onetrip.kmeans(inputs["x"][order], inputs["centers"], max_iter=6)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(centers, again)
    assert torch.equal(values["labels"][order], shuffled["labels"])
    assert torch.equal(values["inertia"], shuffled["inertia"])


def test_weights_are_repetitions():
    inputs = drawn(N=200, K=9)
    weight = torch.randint(1, 4, (200,), generator=torch.Generator().manual_seed(0))
    centers, values = onetrip.kmeans(
        inputs["x"], inputs["centers"], sample_weight=weight.float(), max_iter=1, tol=0.0
    )
    repeated, _ = onetrip.kmeans(
        inputs["x"].repeat_interleave(weight, 0), inputs["centers"], max_iter=1, tol=0.0
    )
    torch.testing.assert_close(centers, repeated, rtol=1e-6, atol=1e-6)
    assert values["labels"].shape == (200,)


def test_a_batch_is_each_problem_by_itself():
    inputs = [drawn(N=100, K=5, D=3), drawn("noise", N=100, K=5, D=3)]
    x = torch.stack([each["x"] for each in inputs])
    start = torch.stack([each["centers"] for each in inputs])
    centers, values = onetrip.kmeans(x, start, max_iter=5)
    assert centers.shape == (2, 5, 3)
    assert values["labels"].shape == (2, 100)
    for place, each in enumerate(inputs):
        alone, alone_values = onetrip.kmeans(each["x"], each["centers"], max_iter=5)
        assert torch.equal(centers[place], alone)
        assert torch.equal(values["labels"][place], alone_values["labels"])
        assert values["inertia"][place] == alone_values["inertia"]


def test_a_batch_keeps_weights_and_fills_empty_clusters():
    """From arrays, each problem with weights of its own; starts that leave clusters empty."""
    generator = np.random.default_rng(0)
    x = torch.from_numpy(generator.standard_normal((3, 80, 4)))
    start = torch.cat((x[:, :3], x[:, :2] + 1000.0), 1)
    weight = torch.from_numpy(generator.uniform(0.5, 2.0, (3, 80)))
    centers, values = onetrip.kmeans(x, start, sample_weight=weight, tol=0.0)
    for problem in range(3):
        labels = values["labels"][problem].long()
        square = (x[problem][:, None] - centers[problem]).square().sum(2)
        assert torch.equal(labels, square.argmin(1))
        assert labels.unique().numel() == 5
        mass = torch.nn.functional.one_hot(labels, 5) * weight[problem][:, None]
        torch.testing.assert_close(centers[problem], mass.T @ x[problem] / mass.sum(0)[:, None])
        assert values["inertia"][problem].item() == pytest.approx(
            float(square.amin(1) @ weight[problem])
        )


@pytest.mark.errors
def test_errors_name_the_argument():
    x, centers = torch.zeros(4, 2), torch.zeros(2, 2)
    with pytest.raises(ShapeError, match="`centers` must be of shape"):
        onetrip.kmeans(x, torch.zeros(2, 3))
    with pytest.raises(DtypeError, match=r"`x` must be a tensor.*torch.from_numpy\(x\)"):
        onetrip.kmeans(x.numpy(), centers)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match="`x` must be samples"):
        onetrip.kmeans(torch.zeros(0, 2), centers)
    with pytest.raises(DtypeError, match="`x` must be float32"):
        onetrip.kmeans(x.long(), centers.long())
    with pytest.raises(ArgumentError, match="`sample_weight` must be non-negative"):
        onetrip.kmeans(x, centers, sample_weight=torch.tensor([1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(ArgumentError, match="`tol` must be"):
        onetrip.kmeans(x, centers, tol=-1.0)
    with pytest.raises(ArgumentError, match="`metric` must be"):
        onetrip.kmeans(x, centers, metric="manhattan")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnsupportedError, match="more clusters than samples"):
        onetrip.kmeans(x, torch.zeros(5, 2))


def test_reference_adds_rows_in_their_order():
    """One after another, as a loop over the samples does: no run adds them differently."""
    x = drawn(N=500)["x"]
    labels = torch.randint(40, (500,), generator=torch.Generator().manual_seed(1))
    labels[labels == 7] = 8
    sums = torch.zeros(40, x.shape[1])
    for row, label in zip(x, labels.tolist(), strict=True):
        sums[label] += row
    assert torch.equal(reference.sums_by_cluster(x, labels, 40), sums)


def test_inertia_of_the_reference_is_not_rounded_to_float32():
    """Its terms are; their sum keeps what a unit of float32 at its own size would hide."""
    inputs = drawn("blobs", N=5000)
    _, values = onetrip.kmeans(**inputs, max_iter=2, impl="reference")
    _, expected = onetrip.kmeans(
        **{name: tensor.double() for name, tensor in inputs.items()}, max_iter=2, impl="reference"
    )
    assert values["inertia"].item() == pytest.approx(expected["inertia"].item(), rel=2.0**-28)
