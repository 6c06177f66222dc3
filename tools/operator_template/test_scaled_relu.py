"""What is special about scaled_relu; the contract suite checks the rest."""

import pytest
import torch

import onetrip
from onetrip.core.errors import DtypeError, ShapeError, UnsupportedError

IMPLEMENTATIONS = ["reference", "torch", "triton"]


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_forward_by_hand(impl):
    x = torch.tensor([[1.0, -2.0, 0.0], [-0.5, 4.0, float("nan")]])
    y = onetrip.scaled_relu(x, scale=3.0, impl=impl)
    expected = torch.tensor([[3.0, 0.0, 0.0], [0.0, 12.0, float("nan")]])
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_backward_by_hand(impl):
    x = torch.tensor([[1.0, -2.0, 0.0]], requires_grad=True)
    onetrip.scaled_relu(x, scale=3.0, impl=impl).backward(torch.tensor([[2.0, 5.0, 7.0]]))
    assert x.grad is not None
    assert x.grad.tolist() == [[6.0, 0.0, 0.0]]


@pytest.mark.errors
def test_vector_is_refused():
    with pytest.raises(ShapeError, match=r"`x` must be a matrix \[N, D\], got \[3\]"):
        onetrip.scaled_relu(torch.ones(3))


@pytest.mark.errors
def test_integers_are_refused():
    with pytest.raises(DtypeError, match="`x` must be float32, float16 or bfloat16"):
        onetrip.scaled_relu(torch.ones(2, 2, dtype=torch.int64))


@pytest.mark.errors
def test_unknown_implementation_is_refused():
    with pytest.raises(UnsupportedError, match="there is no implementation 'abacus'"):
        onetrip.scaled_relu(torch.ones(2, 2), impl="abacus")  # pyright: ignore[reportArgumentType]
