import pytest
import torch

from onetrip.testing.poison import poisoned

SHAPE = (3, 4)


@pytest.mark.parametrize(
    "allocate",
    [
        pytest.param(lambda x: torch.empty(SHAPE), id="empty"),
        pytest.param(lambda x: torch.empty_like(x), id="empty_like"),
        pytest.param(lambda x: torch.empty_strided(SHAPE, (1, 3)), id="empty_strided"),
        pytest.param(lambda x: x.new_empty(SHAPE), id="new_empty"),
        pytest.param(lambda x: torch.empty(SHAPE, dtype=torch.bfloat16), id="bfloat16"),
        pytest.param(lambda x: torch.empty_like(x, dtype=torch.float64), id="float64"),
    ],
)
def test_empty_memory_is_nan(allocate):
    x = torch.zeros(SHAPE)
    with poisoned():
        made = allocate(x)
    assert made.shape == SHAPE
    assert made.isnan().all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_empty_integers_are_the_least(dtype):
    with poisoned():
        made = torch.empty(SHAPE, dtype=dtype)
    assert (made == torch.iinfo(dtype).min).all()


def test_what_torch_fills_itself_stays():
    with poisoned():
        assert torch.zeros(5).eq(0).all()
        assert (torch.ones(4) + 1).eq(2).all()
        assert torch.arange(6).reshape(2, 3).sum() == 15


def test_poison_ends_with_the_block():
    with poisoned():
        pass
    torch.full((1000,), 7.0)
    assert not torch.empty(1000).isnan().all()


def test_backward_passes_are_poisoned_too():
    class ForgetsItsGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, *grads):
            return torch.empty_like(grads[0])

    x = torch.ones(4, requires_grad=True)
    with poisoned():
        (gradient,) = torch.autograd.grad(ForgetsItsGradient.apply(x).sum(), x)
    assert gradient.isnan().all()
