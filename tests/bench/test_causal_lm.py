"""The small transformer sees the past, all of it, and nothing else."""

import torch

from onetrip.bench.causal_lm import CausalLm


def tiny(**changes):
    torch.manual_seed(0)
    sizes = {"vocab": 50, "layers": 2, "width": 16, "heads": 2, "context": 12}
    return CausalLm(**(sizes | changes)).eval()


def test_future_tokens_change_nothing_and_past_ones_do():
    model = tiny()
    token = torch.arange(24).view(2, 12)
    changed = token.clone()
    changed[:, 7] = 49
    before, after = model(token), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(-1).all()


def test_order_of_the_past_matters():
    # One layer: in the second, the causal mask alone would tell the order.
    model = tiny(layers=1)
    token = torch.arange(12).view(1, 12)
    swapped = token.clone()
    swapped[:, [2, 3]] = token[:, [3, 2]]
    assert not torch.allclose(model(token)[:, -1], model(swapped)[:, -1], atol=1e-6)


def test_tied_head_is_the_embedding():
    model = tiny(tied=True)
    assert model.head.weight is model.embedding.weight
    assert tiny().head.weight is not tiny().embedding.weight
