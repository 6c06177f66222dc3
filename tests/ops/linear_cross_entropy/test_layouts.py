"""Tensors that do not lie in one piece: read where they are, gradients where they belong."""

import pytest
import torch
from three_paths import PATHS, draw, evaluate, on_path

pytestmark = pytest.mark.parametrize("path", PATHS)


def strided(tensor):
    room = tensor.new_zeros(*tensor.shape[:-1], 2 * tensor.shape[-1])
    return room[..., ::2].copy_(tensor)


def offset(tensor):
    return tensor.new_zeros(tensor.numel() + 1)[1:].view(tensor.shape).copy_(tensor)


def transposed(tensor):
    return tensor.transpose(0, -1).contiguous().transpose(0, -1)


def rows_of_a_larger_one(tensor):
    room = tensor.new_full((3 * tensor.shape[0], *tensor.shape[1:]), 9)
    return room[1::3].copy_(tensor)


def padded(tensor):
    return tensor.new_full((tensor.shape[0], tensor.shape[1] + 5), 9)[:, 2:-3].copy_(tensor)


LAYOUTS = {
    "input": [strided, offset, transposed, rows_of_a_larger_one, padded],
    "linear_weight": [strided, offset, transposed, rows_of_a_larger_one, padded],
    "linear_bias": [strided, offset],
    "target": [strided, offset],
    "weight": [strided, offset],
    "token_weight": [strided, offset],
}


@pytest.mark.parametrize(
    ("name", "layout"),
    [(name, layout) for name, layouts in LAYOUTS.items() for layout in layouts],
    ids=lambda it: it if isinstance(it, str) else it.__name__,
)
def test_layout_changes_nothing(path, name, layout):
    tensors = draw(20, 8, 70)
    tensors["weight"], tensors["token_weight"] = torch.rand(70) + 0.5, torch.rand(20) + 0.5
    # Smoothing would send the rows path over the columns.
    call = on_path(path, label_smoothing=0.0 if path == "rows" else 0.1)
    wrt = ["input", "linear_weight", "linear_bias"]
    whole = evaluate(call, tensors, wrt)
    other = evaluate(call, {**tensors, name: layout(tensors[name])}, wrt)
    torch.testing.assert_close(other.outputs, whole.outputs)
    torch.testing.assert_close(other.gradients, whole.gradients)


def test_expanded_input_gets_the_sum_of_its_gradients(path):
    tensors = draw(1, 8, 70)
    row = tensors["input"].requires_grad_()
    target = torch.tensor([1, 2, 3])
    loss, _ = on_path(path)(
        input=row.expand(3, 8), linear_weight=tensors["linear_weight"], target=target
    )
    loss.backward()
    logits = row.detach().requires_grad_()
    expected = torch.nn.functional.cross_entropy(
        logits.expand(3, 8) @ tensors["linear_weight"].T, target
    )
    expected.backward()
    torch.testing.assert_close(row.grad, logits.grad)


def test_gradient_of_a_slice_of_a_larger_head_stays_in_the_slice(path):
    tensors = draw(20, 8, 70, bias=False)
    larger = torch.randn(100, 8)
    larger[15:85] = tensors["linear_weight"]
    larger.requires_grad_()
    loss, _ = on_path(path)(**{**tensors, "linear_weight": larger[15:85]})
    loss.backward()
    expected = evaluate(on_path(path, reduction="mean"), tensors, ["linear_weight"])
    assert larger.grad is not None
    assert larger.grad[:15].eq(0).all()
    assert larger.grad[85:].eq(0).all()
    ours, theirs = larger.grad[15:85], expected.gradients["linear_weight"]
    assert theirs is not None
    factor = (theirs.norm() / ours.norm()).item()
    torch.testing.assert_close(ours * factor, theirs)
