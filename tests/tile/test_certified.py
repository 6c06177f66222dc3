"""The bounds hold on data made to break them, and do not hold everything to be uncertain."""

import pytest
import torch

from onetrip.tile.certified import (
    UNIT_ROUNDOFF,
    centre,
    distance_bound,
    exact_distances,
    score_bound,
)


def true_scores(x, y):
    x, y = x.double(), y.double()
    return y.square().sum(1) - 2.0 * x @ y.T


@pytest.mark.parametrize("D", [1, 3, 64, 300])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_score_bound_holds_and_is_not_lavish(D, dtype):
    generator = torch.Generator().manual_seed(D)
    x = torch.rand(200, D, generator=generator) - 0.3
    y = torch.rand(50, D, generator=generator) - 0.3
    low = getattr(torch, dtype)
    computed = y.square().sum(1) - 2.0 * (x.to(low).float() @ y.to(low).float().T)
    error = (computed.double() - true_scores(x, y)).abs()
    bound = score_bound(x.norm(dim=1)[:, None], y.norm(dim=1), UNIT_ROUNDOFF[dtype], D)
    assert bool((error <= bound).all())
    if dtype != "float32":
        assert float((error / bound).max()) > 1e-2


def test_rounding_of_bfloat16_is_reached():
    # Both operands halfway between two neighbours in bfloat16: the bound must cover all of it.
    x = torch.full((1, 16), 1.0 + 2.0**-8)
    computed = -2.0 * (x.bfloat16().float() @ x.bfloat16().float().T)
    error = (computed.double() + 2.0 * x.double() @ x.double().T).abs().item()
    norm = x.norm()
    assert error > 0.9 * 2 * 2 * 2.0**-8 * norm.item() ** 2 * (1 - 2.0**-7)
    assert error <= score_bound(norm, norm, UNIT_ROUNDOFF["bfloat16"], 16).item()


def test_distance_bound_covers_both_norms():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 40, generator=generator) * 30.0
    y = torch.randn(20, 40, generator=generator) * 1e-3
    computed = x.square().sum(1)[:, None] - 2.0 * x @ y.T + y.square().sum(1)
    true = torch.cdist(x.double(), y.double()).square()
    bound = distance_bound(x.norm(dim=1)[:, None], y.norm(dim=1), UNIT_ROUNDOFF["float32"], 40)
    assert bool(((computed - true).abs() <= bound).all())


def test_centring_keeps_the_distances_of_a_large_offset():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(100, 8, generator=generator) + 1000.0
    y = torch.randn(10, 8, generator=generator) + 1000.0
    before = x.clone()
    centred_x, centred_y, offset = centre(x, y)
    assert torch.equal(x, before)
    assert bool((offset > 990.0).all())
    plain = y.square().sum(1) - 2.0 * x @ y.T
    centred = centred_y.square().sum(1) - 2.0 * centred_x @ centred_y.T
    true = true_scores(centred_x, centred_y)
    assert float((centred - true).abs().max()) < 1e-4
    # Without it the scores are off by whole units.
    assert float((plain.double() - true_scores(x, y)).abs().max()) > 0.1


def test_exact_distances_are_float64(monkeypatch):
    x = torch.tensor([[1e4 + 2.0**-9, 0.0], [3.0, 4.0]])
    y = torch.tensor([[1e4, 0.0], [0.0, 0.0]])
    pairs = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0])
    expected = [(float(x[0, 0]) - 1e4) ** 2, 25.0, (1e4 - 3.0) ** 2 + 16.0]
    assert exact_distances(x, y, *pairs).tolist() == expected
    monkeypatch.setattr("onetrip.tile.certified._PAIR_ELEMENTS", 2)
    assert exact_distances(x, y, *pairs).tolist() == expected
