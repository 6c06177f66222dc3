"""Samples made ready by a kernel, in the interpreter: as on a CPU, and bounds that hold."""

import pytest
import torch

import onetrip
from onetrip.ops.kmeans import device_points
from onetrip.ops.kmeans.device_points import below_halves, measured, prepare_on_device
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.reference import make_inputs
from onetrip.ops.kmeans.solve import solve


def drawn(data, N=2500, D=24, K=20):
    return make_inputs({"N": N, "D": D, "K": K}, dtype=torch.float32, data=data)


@pytest.mark.parametrize("data", ["noise", "offset"])
@pytest.mark.parametrize("D", [5, 24, 200])
def test_samples_are_made_ready_as_on_a_cpu(monkeypatch, data, D):
    monkeypatch.setattr(device_points, "_PROGRAMS", 2)  # of which one has two blocks
    x = drawn(data, D=D)["x"]
    placed, expected = prepare_on_device(x, None, None, None), prepare(x, None, "euclidean")
    assert placed is not None
    assert (placed.centred is x) == (expected.centred is x) == (data == "noise")
    assert placed.magics == expected.magics
    assert placed.total_weight == expected.total_weight
    assert placed.variance == pytest.approx(expected.variance, rel=1e-6)
    mean = x.double().mean(0) if data == "offset" else torch.zeros(D, dtype=torch.float64)
    torch.testing.assert_close(placed.offset.double(), mean, rtol=1e-6, atol=1e-6)
    norm = placed.centred.double().norm(dim=1).float()
    torch.testing.assert_close(placed.norm, norm, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**-8, 1.0, 2.0**11])
def test_what_a_half_takes_is_bounded_and_not_by_much(scale):
    x = drawn("noise")["x"]
    x[:, 3] *= 1e-7  # with a small scale these are below the least half
    found = measured(x, None).lost * scale + below_halves(24, scale)
    scaled = x * scale
    true = (scaled.double() - scaled.half().double()).norm(dim=1)
    assert bool((true <= found).all())
    if scale == 1.0:
        assert bool((found <= 1.05 * true + 1e-4).all())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the interpreter's NumPy
@pytest.mark.parametrize("factor", [1e-30, 1e25, float("nan")])
def test_samples_beyond_float32_squares_are_left_to_torch(factor):
    assert prepare_on_device(drawn("noise")["x"] * factor, None, None, None) is None


def test_rows_too_long_to_hold_are_left_to_torch():
    x = torch.randn(4, device_points.MOST_FEATURES + 1)
    assert prepare_on_device(x, None, None, None) is None


@pytest.mark.parametrize("data", ["offset", "poor-start"])
def test_iterations_from_such_samples_give_the_bits_of_the_cpu(data):
    inputs = drawn(data, N=400)
    weight = torch.rand(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected, values = onetrip.kmeans(
        **inputs, sample_weight=weight, max_iter=4, tol=0.0, impl="torch"
    )
    on_cpu = prepare(inputs["x"], weight, "euclidean")
    placed = prepare_on_device(inputs["x"], on_cpu.weight, on_cpu.total_weight, None)
    assert placed is not None
    assert placed.lost is not None
    solution = solve(placed, inputs["centers"], max_iter=4, tol=0.0, impl="triton")
    assert torch.equal(solution.centers, expected)
    assert torch.equal(solution.labels, values["labels"])
