"""Graphs used twice, tensors overwritten, memory given back."""

import gc
import itertools
import weakref

import pytest
import torch
from three_paths import PATHS, assert_like, draw, evaluate, on_path
from torch.nn import functional

paths = pytest.mark.parametrize("path", PATHS)

NAMES = ("input", "linear_weight", "linear_bias")


def plain(input, linear_weight, target, linear_bias=None):
    return functional.cross_entropy(functional.linear(input, linear_weight, linear_bias), target)


@paths
@pytest.mark.parametrize(
    "wrt", [s for n in (1, 2, 3) for s in itertools.combinations(NAMES, n)], ids=" ".join
)
def test_only_what_is_asked_for_has_a_gradient(path, wrt):
    tensors = draw(20, 8, 70)
    result = evaluate(on_path(path), tensors, wrt)
    assert_like(result, plain, tensors, wrt)
    assert tuple(result.gradients) == wrt


@paths
def test_without_any_gradient_the_loss_has_no_graph(path):
    tensors = draw(20, 8, 70)
    loss, _ = on_path(path)(**tensors)
    assert not loss.requires_grad
    tensors["linear_weight"].requires_grad_()
    with torch.no_grad():
        same, _ = on_path(path)(**tensors)
    assert not same.requires_grad
    torch.testing.assert_close(same, loss, rtol=0, atol=1e-6)


def leaves_of(tensors):
    leaves = {name: tensors[name].clone().requires_grad_() for name in NAMES if name in tensors}
    return {**tensors, **leaves}, list(leaves.values())


@paths
def test_second_backward_scales_afresh_and_leaves_the_first_alone(path):
    tensors, leaves = leaves_of(draw(20, 8, 70))
    loss, _ = on_path(path)(**tensors)
    one = torch.autograd.grad(plain(**tensors), leaves)
    seen = []
    for scale in (3.0, -0.5, 1.0, 0.0):
        incoming = torch.tensor(scale)
        gradients = torch.autograd.grad(loss, leaves, incoming, retain_graph=True)
        assert incoming == scale
        seen.append((scale, gradients))
    for scale, gradients in seen:
        for gradient, unit in zip(gradients, one, strict=True):
            torch.testing.assert_close(gradient, scale * unit, rtol=1e-4, atol=1e-6)


@paths
def test_gradients_accumulate_over_two_losses(path):
    tensors, leaves = leaves_of(draw(20, 8, 70))
    for _ in range(2):
        on_path(path)(**tensors)[0].backward()
    expected = torch.autograd.grad(plain(**tensors), leaves)
    for leaf, unit in zip(leaves, expected, strict=True):
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad, 2 * unit, rtol=1e-4, atol=1e-6)


@paths
def test_graph_is_gone_after_a_backward(path):
    tensors, _ = leaves_of(draw(20, 8, 70))
    loss, _ = on_path(path)(**tensors)
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@paths
def test_second_derivative_is_refused(path):
    tensors, leaves = leaves_of(draw(20, 8, 70))
    loss, _ = on_path(path)(**tensors)
    (gradient, *_) = torch.autograd.grad(loss.square(), leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


@paths
@pytest.mark.parametrize("name", [*NAMES, "target"])
def test_tensor_overwritten_before_backward_gives_no_wrong_gradient(path, name):
    """Autograd raises, unless the gradients are those of the values that were there."""
    tensors, leaves = leaves_of(draw(20, 8, 70))
    expected = torch.autograd.grad(plain(**tensors), leaves)
    loss, _ = on_path(path)(**tensors)
    with torch.no_grad():
        tensors[name].zero_()
    # Rows are finished in the forward pass, and the target's columns are a tensor of their own.
    if path == "rows" or name == "target":
        gradients = torch.autograd.grad(loss, leaves, retain_graph=True)
        for gradient, unit in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient, unit, rtol=1e-4, atol=1e-6)
    if name != "target":
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            torch.autograd.grad(loss, leaves)


@paths
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_nothing_that_came_in_is_written_to(path, reduction):
    tensors = draw(20, 8, 70)
    tensors["weight"], tensors["token_weight"] = torch.rand(70) + 0.5, torch.rand(20)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    tensors, leaves = leaves_of(tensors)
    loss, values = on_path(path, reduction=reduction, aux=("lse",), label_smoothing=0.1)(**tensors)
    outputs = [loss, values["lse"]]
    kept = [output.detach().clone() for output in outputs]
    incoming = [torch.rand_like(output) for output in outputs]
    incoming_before = [grad.clone() for grad in incoming]
    torch.autograd.grad(outputs, leaves, incoming)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, before[name]), name
    for now, then in zip([*outputs, *incoming], [*kept, *incoming_before], strict=True):
        assert torch.equal(now, then)


CALLS = {
    "plain": {},
    "values": {"aux": ("lse", "entropy", "argmax")},
    "smooth": {"label_smoothing": 0.1, "z_loss": 0.1},
    "none": {"reduction": "none"},
}


@paths
@pytest.mark.parametrize("options", CALLS)
@pytest.mark.parametrize("backward", [True, False], ids=["backward", "forward-only"])
def test_no_tensor_of_a_call_outlives_its_loss(path, options, backward):
    """Reference counts alone must free everything: a cycle would hold logits until a collection."""
    tensors = draw(20, 8, 70)

    def step():
        fresh, _ = leaves_of({name: tensor.clone() for name, tensor in tensors.items()})
        loss, values = on_path(path, **CALLS[options])(**fresh)
        if backward:
            loss.sum().backward()
        return [weakref.ref(t) for t in (*fresh.values(), loss, *values.values())]

    def alive():
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    step()
    gc.collect()
    gc.disable()
    try:
        before = alive()
        survivors = [ref for _ in range(3 if path == "triton" else 20) for ref in step() if ref()]
        assert survivors == []
        assert alive() == before
    finally:
        gc.enable()
