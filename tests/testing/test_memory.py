import pytest
import torch

from onetrip.testing.memory import peak_memory

MEGABYTE = 1 << 20


def megabytes(count: int) -> torch.Tensor:
    return torch.zeros(count * MEGABYTE, dtype=torch.uint8)


def test_peak_counts_what_lives_together_and_not_what_was_freed():
    kept = megabytes(8)
    with peak_memory() as memory:
        for _ in range(5):
            first = megabytes(1)
            second = megabytes(2)
            del first, second
    assert kept.numel() == 8 * MEGABYTE
    assert 3 * MEGABYTE <= memory.peak_bytes < 3.1 * MEGABYTE


def test_peak_sees_temporaries_inside_torch_operators():
    x = torch.randn(1024, 1024)
    with peak_memory() as memory:
        torch.logsumexp(x, dim=1)
    assert memory.peak_bytes >= x.nbytes


def test_peak_sees_the_backward_pass():
    x = torch.randn(1024, 256, requires_grad=True)
    loss = x.exp().sum()
    with peak_memory() as memory:
        (gradient,) = torch.autograd.grad(loss, x)
    assert gradient.shape == x.shape
    assert memory.peak_bytes >= x.nbytes


def test_measuring_ends_when_the_block_raises():
    with pytest.raises(ZeroDivisionError), peak_memory():
        _ = 1 / 0
    with peak_memory() as memory:
        megabytes(1)
    assert memory.peak_bytes == MEGABYTE
