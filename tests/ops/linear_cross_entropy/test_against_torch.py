"""Every option that torch has means what it means in torch; truth is torch in float64."""

import pytest
import torch
from three_paths import PATHS, assert_like, draw, evaluate, on_path
from torch.nn import functional

import onetrip

pytestmark = pytest.mark.parametrize("path", PATHS)

CLASS_WEIGHT = torch.rand(150, generator=torch.Generator().manual_seed(5)) + 0.25
CLASS_WEIGHT[:20] = 0.0

OPTIONS = {
    "no-bias": {},
    "bias": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "weights": {"weight": CLASS_WEIGHT},
    "weights-sum": {"weight": CLASS_WEIGHT, "reduction": "sum"},
    "smoothing": {"label_smoothing": 0.3},
    "smoothing-only": {"label_smoothing": 1.0},
    "smoothing-weights": {"label_smoothing": 0.3, "weight": CLASS_WEIGHT},
    "smoothing-weights-none": {
        "label_smoothing": 0.3,
        "weight": CLASS_WEIGHT,
        "reduction": "none",
    },
    "ignored-class": {"ignore_index": 7},
}


def torch_loss(**options):
    def truth(input, linear_weight, target, linear_bias=None):
        kinds = {k: v.to(input.dtype) if k == "weight" else v for k, v in options.items()}
        logits = functional.linear(input, linear_weight, linear_bias)
        return functional.cross_entropy(logits, target.long(), **kinds)

    return truth


@pytest.mark.parametrize("name", OPTIONS)
def test_option_means_what_it_means_in_torch(path, name):
    options = OPTIONS[name]
    tensors = draw(bias=name != "no-bias")
    if "ignore_index" in options:
        tensors["target"][::7] = options["ignore_index"]
    actual = evaluate(on_path(path, **options), tensors)
    assert_like(actual, torch_loss(**options), tensors)


def test_int32_targets(path):
    tensors = draw()
    tensors["target"] = tensors["target"].int()
    assert_like(evaluate(on_path(path), tensors), torch_loss(), tensors)


@pytest.mark.parametrize("leading", [(), (2, 3), (2, 1, 4)], ids=str)
def test_leading_axes(path, leading):
    rows = torch.Size(leading).numel()
    tensors = draw(rows, seed=rows)
    tensors["target"] = tensors["target"].clamp(min=3)
    shaped = dict(tensors)
    shaped["input"] = tensors["input"].view(*leading, -1)
    shaped["target"] = tensors["target"].view(leading)
    flat = evaluate(on_path(path, reduction="none"), tensors)
    result = evaluate(on_path(path, reduction="none"), shaped)
    assert result.outputs["loss"].shape == torch.Size(leading)
    torch.testing.assert_close(
        result.outputs["loss"].reshape(-1), flat.outputs["loss"], rtol=0, atol=0
    )
    gradient = result.gradients["input"]
    assert gradient is not None
    assert gradient.shape == shaped["input"].shape
    assert_like(flat, torch_loss(reduction="none"), tensors)


@pytest.mark.skipif(
    not hasattr(functional, "linear_cross_entropy"), reason="PyTorch before 2.13 has none"
)
def test_names_and_defaults_are_those_of_torch(path):
    tensors = draw()
    tensors["target"] = tensors["target"].clamp(min=0)
    options = {"weight": CLASS_WEIGHT, "label_smoothing": 0.1, "ignore_index": 3}
    linear_cross_entropy = functional.linear_cross_entropy
    theirs = linear_cross_entropy(**tensors, **options)
    ours, _ = on_path(path, **options)(**tensors)
    torch.testing.assert_close(ours, theirs)


def test_loss_is_float32_whatever_the_weights_are(path):
    tensors = draw()
    wide = CLASS_WEIGHT.double()
    loss, _ = on_path(path, weight=wide, label_smoothing=0.1)(**tensors)
    expected, _ = on_path(path, weight=CLASS_WEIGHT, label_smoothing=0.1)(**tensors)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)


def test_all_positional_arguments_are_torchs(path):
    tensors = draw(bias=False)
    loss = onetrip.linear_cross_entropy(
        tensors["input"], tensors["linear_weight"], tensors["target"], **PATHS[path]
    )
    ours = loss[0] if isinstance(loss, tuple) else loss
    torch.testing.assert_close(ours, torch_loss()(**tensors))
