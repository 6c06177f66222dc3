"""The module is the operator with a head, and shares a head that exists."""

import copy

import pytest
import torch
from torch import nn

import onetrip
from onetrip.core.errors import ShapeError
from onetrip.nn import LinearCrossEntropyLoss


def tokens(N=13, D=6, V=11):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, D, generator=generator)
    target = torch.randint(0, V, (N,), generator=generator)
    target[3] = -100
    return hidden, target


def test_loss_and_gradients_are_those_of_torch():
    hidden, target = tokens()
    torch.manual_seed(1)
    ours = LinearCrossEntropyLoss(6, 11, bias=True, label_smoothing=0.1)
    head = copy.deepcopy(ours.linear)
    theirs = nn.CrossEntropyLoss(label_smoothing=0.1)(head(hidden), target)
    loss = ours(hidden, target)
    torch.testing.assert_close(loss, theirs)
    loss.backward()
    theirs.backward()
    torch.testing.assert_close(ours.linear.weight.grad, head.weight.grad)
    torch.testing.assert_close(ours.linear.bias.grad, head.bias.grad)


OPTIONS = {
    "weight": torch.linspace(0.5, 1.5, 11),
    "reduction": "sum",
    "ignore_index": 4,
    "label_smoothing": 0.2,
    "softcap": 3.0,
    "logit_scale": 1.5,
    "z_loss": 0.3,
    "memory_budget": 1 << 20,
    "impl": "torch",
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_reaches_the_operator(name):
    hidden, target = tokens()
    target[3] = 4
    option = {name: OPTIONS[name]}
    module = LinearCrossEntropyLoss(6, 11, **option)
    expected = onetrip.linear_cross_entropy(hidden, module.linear.weight, target, **option)
    without = onetrip.linear_cross_entropy(hidden, module.linear.weight, target)
    torch.testing.assert_close(module(hidden, target), expected, rtol=0, atol=0)
    if name not in ("memory_budget", "impl"):
        assert expected != without
        if name != "weight":
            assert f"{name}={OPTIONS[name]!r}" in repr(module)


def test_budget_of_the_module_is_held():
    hidden, target = tokens()
    module = LinearCrossEntropyLoss(6, 11, memory_budget=1)
    with pytest.raises(ValueError, match="memory_budget"):
        module(hidden, target)


def test_token_weight_and_aux_belong_to_the_call():
    hidden, target = tokens()
    module = LinearCrossEntropyLoss(6, 11)
    token_weight = torch.rand(13) + 0.5
    loss, values = module(hidden, target, token_weight, ("argmax", "lse"))
    expected, expected_values = onetrip.linear_cross_entropy(
        hidden, module.linear.weight, target, token_weight=token_weight, aux=("argmax", "lse")
    )
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)
    torch.testing.assert_close(values, expected_values, rtol=0, atol=0)


class TinyLM(nn.Module):
    """An embedding, tied to the head, and the loss behind it."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lm_head = nn.Linear(6, 11, bias=False)
        self.criterion = LinearCrossEntropyLoss.from_linear(self.lm_head)
        # After the loss was built, as Hugging Face's models tie theirs.
        self.lm_head.weight = self.embedding.weight

    def forward(self, token, target):
        return self.criterion(self.embedding(token), target)


def test_head_stays_shared_when_it_is_tied_later():
    model = TinyLM()
    assert len(list(model.parameters())) == 1
    token, target = torch.tensor([1, 2, 3]), torch.tensor([2, 3, 4])
    model(token, target).backward()
    expected = nn.functional.cross_entropy(model.lm_head(model.embedding(token)), target)
    grad = model.embedding.weight.grad
    (expected_grad,) = torch.autograd.grad(expected, model.embedding.weight)
    torch.testing.assert_close(grad, expected_grad)


def test_state_dict_goes_in_and_out():
    model, other = TinyLM(), TinyLM()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.criterion.linear.weight, model.embedding.weight)
    module = LinearCrossEntropyLoss(6, 11, bias=True, weight=torch.ones(11))
    assert sorted(module.state_dict()) == ["linear.bias", "linear.weight", "weight"]


def test_copies_and_casts_keep_the_head_shared():
    model = copy.deepcopy(TinyLM()).to(torch.bfloat16)
    assert model.criterion.linear.weight is model.lm_head.weight
    assert model.lm_head.weight.dtype == torch.bfloat16


@pytest.mark.skipif(not hasattr(nn, "LinearCrossEntropyLoss"), reason="PyTorch before 2.13")
def test_state_dict_is_that_of_torch():
    torch.manual_seed(2)
    theirs = nn.LinearCrossEntropyLoss(6, 11, bias=True, weight=torch.rand(11))
    ours = LinearCrossEntropyLoss(6, 11, bias=True, weight=torch.zeros(11))
    ours.load_state_dict(theirs.state_dict())
    hidden, target = tokens()
    torch.testing.assert_close(ours(hidden, target), theirs(hidden, target))


def test_parameters_have_the_asked_device_and_dtype():
    module = LinearCrossEntropyLoss(6, 11, bias=True, device="meta", dtype=torch.bfloat16)
    assert {(p.device.type, p.dtype) for p in module.parameters()} == {("meta", torch.bfloat16)}


@pytest.mark.errors
def test_class_weights_of_another_length_are_refused():
    with pytest.raises(ShapeError, match=r"`weight` must be of shape \[11\], got \[10\]"):
        LinearCrossEntropyLoss(6, 11, weight=torch.ones(10))


@pytest.mark.errors
def test_head_that_is_no_matrix_is_refused():
    with pytest.raises(ShapeError, match=r"`linear.weight` must be \[V, D\]"):
        LinearCrossEntropyLoss.from_linear(nn.Conv2d(1, 1, 1))  # pyright: ignore[reportArgumentType]


def test_importing_the_package_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, onetrip.nn; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_package_shows_its_names_and_no_others():
    import onetrip.nn

    assert "LinearCrossEntropyLoss" in dir(onetrip.nn)
    with pytest.raises(AttributeError, match="no attribute 'no_such_module'"):
        _ = onetrip.nn.no_such_module
