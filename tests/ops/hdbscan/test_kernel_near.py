"""Lists of near points from float16 products: nothing within reach is missing."""

import pytest
import torch

from onetrip.ops.hdbscan import kernel_near
from onetrip.ops.hdbscan.device_points import arranged, no_less, power_of_two, tree_order
from onetrip.ops.hdbscan.kernel_near import Near
from onetrip.ops.hdbscan.reference import make_inputs

TILE = {"BLOCK_N": 32, "BLOCK_M": 32, "num_warps": 4}


def listed(x, K, extra=11, tile=TILE):
    points = arranged(x, tile["BLOCK_M"])
    near = Near(points, K, extra, tile)
    wide = points.exact.double()
    return near, (wide[:, None] - wide[None, :]).square().sum(2)


def assert_complete(near, square, K, extra=11):
    """Core distances are those of all pairs; what a full list lacks is beyond its reach."""
    torch.testing.assert_close(
        near.core.double(), square.kthvalue(K, dim=1).values, rtol=1e-6, atol=0
    )
    in_list = torch.zeros_like(square, dtype=torch.bool)
    kept = near.square.isfinite()
    rows = torch.arange(len(square))[:, None].expand_as(near.place)
    in_list[rows[kept], near.place.long()[kept]] = True
    assert int(in_list.sum()) == int(kept.sum())  # nothing is listed twice
    beyond = square.masked_fill(in_list, torch.inf).amin(1)
    assert bool((beyond * (1 + 1e-6) > near.reach).all())
    # A reach that is too short would hold nothing but would pass the line above.
    assert bool(
        (
            near.reach * (1 + 1e-6) >= square.kthvalue(min(K + extra, len(square)), dim=1).values
        ).all()
    )


@pytest.mark.parametrize(
    ("points", "features", "data"), [(150, 2, "random"), (150, 20, "blobs"), (70, 3, "offset")]
)
def test_lists_hold_all_within_reach(points, features, data):
    x = make_inputs({"N": points, "D": features}, dtype=torch.float32, data=data)["x"]
    near, square = listed(x, 4)
    assert near.unsure == 0
    assert_complete(near, square, 4)


def test_rows_and_columns_in_tiles_of_other_sizes():
    x = make_inputs({"N": 150, "D": 5}, dtype=torch.float32)["x"]
    near, square = listed(x, 3, tile={"BLOCK_N": 64, "BLOCK_M": 32, "num_warps": 4})
    assert_complete(near, square, 3)


def clumps(points):
    """Points of float64 in two clumps, each as wide as thirty steps of float32."""
    generator = torch.Generator().manual_seed(2)
    x = 1e-3 * torch.randn(points, 3, generator=generator, dtype=torch.float64)
    return x + 1000.0 * (torch.arange(points) % 2)[:, None]


def test_points_that_float32_moves():
    """By a tenth of their distances, where products are off by a thousandth."""
    near, square = listed(clumps(128), 4)
    assert near.unsure == 0
    assert near.core.dtype == torch.float64
    torch.testing.assert_close(near.core, square.kthvalue(4, dim=1).values, rtol=1e-14, atol=0)
    assert_complete(near, square, 4)


def test_numbers_that_are_no_less():
    generator = torch.Generator().manual_seed(4)
    value = torch.rand(1000, generator=generator, dtype=torch.float64)
    found = no_less(value)
    assert found.dtype == torch.float32
    assert bool((found >= value).all())
    assert bool((found.nextafter(torch.tensor(0.0)) < value).all())
    assert no_less(value.float()).equal(value.float())


def test_distances_closer_than_float16_tells_apart():
    """All points are equally far from each other, to a few parts in 10,000."""
    generator = torch.Generator().manual_seed(3)
    x = torch.eye(30) + 1e-4 * torch.randn(30, 30, generator=generator)
    near, square = listed(x + 0.1, 5)
    assert near.unsure == 0
    assert_complete(near, square, 5)


def test_one_point_far_away_takes_the_bits_of_the_others():
    x = make_inputs({"N": 60, "D": 4}, dtype=torch.float32)["x"]
    x[17] = 3e4
    near, square = listed(x, 4)
    full = near.reach > -torch.inf
    expected = square.kthvalue(4, dim=1).values[full]
    torch.testing.assert_close(near.core.double()[full], expected, rtol=1e-6, atol=0)
    assert bool((near.reach[full] >= near.core[full]).all())


def test_lists_that_are_too_short_are_made_anew(monkeypatch):
    """A bound three times as far as it has to be."""
    x = make_inputs({"N": 90, "D": 2}, dtype=torch.float32)["x"]
    near, square = listed(x, 4, extra=9)
    at_first = kernel_near.at_most
    monkeypatch.setattr(kernel_near, "at_most", lambda *given: at_first(*given) * 3.0)
    again, _ = listed(x, 4, extra=9)
    assert again.unsure == 0
    assert_complete(again, square, 4, extra=9)
    made_anew = again.reach < 2.9 * near.reach
    assert 0 < int(made_anew.sum()) < 90


def test_many_points_in_one_place_have_no_reach():
    x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
    x[20:] = 1.0
    near, _ = listed(x, 2, extra=2)
    together = tree_order(x, TILE["BLOCK_M"]) >= 20
    assert near.unsure <= 20
    assert bool(torch.isneginf(near.reach[together]).all())
    assert bool((near.core[together] == 0).all())


@pytest.mark.parametrize(("wide", "unsure"), [(64, 0), (16, 50)])
def test_many_points_at_one_distance(monkeypatch, wide, unsure):
    """Where all find room for a moment, core distances are sure, and what is left out is said."""
    monkeypatch.setattr(kernel_near, "_WIDE", wide)
    near, square = listed(torch.eye(50), 2, extra=2)
    assert near.unsure == unsure
    if not unsure:
        assert_complete(near, square, 2, extra=0)


@pytest.mark.parametrize("points", [1, 5, 32, 33, 100])
def test_order_is_of_all_points(points):
    x = torch.randn(points, 3, generator=torch.Generator().manual_seed(0))
    order = tree_order(x, 8)
    assert torch.equal(order.sort().values, torch.arange(points))


def test_groups_are_halves_along_the_widest_coordinate():
    x = torch.rand(64, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 1.0])
    halves = x[tree_order(x, 8)].view(2, 32, 2)
    assert halves[0, :, 0].max() <= halves[1, :, 0].min()


def test_scale_is_a_power_of_two_whatever_the_width():
    widths = [(1e-20, torch.float32), (1.0, torch.float32), (3e15, torch.float32)]
    for factor, dtype in [*widths, (1e-90, torch.float64), (1e90, torch.float64)]:
        points = arranged(factor * torch.tensor([[0.0, 0.0], [1.0, 3.0]], dtype=dtype), 32)
        width = float((points.high - points.low).max())
        assert 2**12 <= width <= 2**13
        assert float(torch.frexp(points.scale).mantissa) == 0.5
    exponents = torch.arange(-126, 128)
    for dtype in (torch.float32, torch.float64):
        assert power_of_two(exponents, dtype).tolist() == [2.0**e for e in exponents.tolist()]
