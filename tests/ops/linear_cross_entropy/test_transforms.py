"""What surrounds an operator in training: checkpointing, autocast, compilation."""

import shutil

import pytest
import torch
from three_paths import PATHS, draw, on_path
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import onetrip
from onetrip.ops.linear_cross_entropy.library import compiled_statistics

paths = pytest.mark.parametrize("path", PATHS)
NAMES = ("input", "linear_weight", "linear_bias")


def leaves_of(tensors):
    leaves = {name: tensors[name].clone().requires_grad_() for name in NAMES if name in tensors}
    return {**tensors, **leaves}, list(leaves.values())


def both(call, tensors, *also):
    """Outputs of `call` and the gradients of the leaves."""
    given, leaves = leaves_of(tensors)
    loss, values = call(**given)
    differentiable = [value for value in values.values() if value.requires_grad]
    total = 2.5 * loss.sum() + sum(value.sum() for value in differentiable)
    return [loss, *values.values(), *torch.autograd.grad(total, leaves)]


@paths
@pytest.mark.parametrize("options", [{}, {"aux": ("entropy",), "softcap": 3.0}], ids=str)
def test_checkpoint(path, options):
    tensors = draw(20, 8, 70)
    call = on_path(path, **options)

    def recomputed(**given):
        return checkpoint(call, use_reentrant=False, **given)

    for ours, plain in zip(both(recomputed, tensors), both(call, tensors), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=0)


@paths
def test_checkpoint_around_a_layer_and_the_loss(path):
    tensors = draw(20, 8, 70)
    layer = torch.nn.Linear(8, 8)

    def block(hidden):
        return on_path(path)(**{**tensors, "input": layer(hidden).tanh()})[0]

    gradients = []
    for run in (block, lambda hidden: checkpoint(block, hidden, use_reentrant=False)):
        hidden = tensors["input"].clone().requires_grad_()
        run(hidden).backward()
        gradients.append((hidden.grad, layer.weight.grad))
        layer.zero_grad()
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


@pytest.mark.parametrize("path", ["rows", "columns"])
def test_autocast_computes_in_its_dtype_and_returns_float32(path):
    tensors = draw(20, 8, 70)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given, leaves = leaves_of(tensors)
        loss, _ = on_path(path)(**given)
        theirs, their_leaves = leaves_of(tensors)
        logits = functional.linear(theirs["input"], theirs["linear_weight"], theirs["linear_bias"])
        expected = functional.cross_entropy(logits, tensors["target"])
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-2, atol=0)
    cast = {
        name: tensor.bfloat16() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    torch.testing.assert_close(loss, on_path(path)(**cast)[0], rtol=0, atol=0)
    assert loss != on_path(path)(**tensors)[0]
    loss.backward()
    expected.backward()
    for leaf, their in zip(leaves, their_leaves, strict=True):
        assert leaf.grad is not None
        assert leaf.grad.dtype == torch.float32
        torch.testing.assert_close(leaf.grad, their.grad, rtol=5e-2, atol=1e-3)


def test_autocast_mends_what_would_be_two_dtypes():
    tensors = draw(20, 8, 70, bias=False)
    mixed = {**tensors, "input": tensors["input"].bfloat16()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        onetrip.linear_cross_entropy(**mixed)
    with pytest.raises(TypeError, match=r"or run under torch.autocast"):
        onetrip.linear_cross_entropy(**mixed)


@pytest.fixture
def compiled():
    torch.compiler.reset()
    yield lambda call, **options: torch.compile(
        call, fullgraph=True, **{"backend": "aot_eager", **options}
    )
    torch.compiler.reset()


def draw_in(dtype, *sizes):
    """`draw` with hidden states and head in `dtype`."""
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in draw(*sizes).items()}


OPTIONS = {
    "plain": {},
    "none": {"reduction": "none"},
    "everything": {
        "softcap": 4.0,
        "logit_scale": 1.5,
        "z_loss": 0.1,
        "label_smoothing": 0.1,
        "weight": torch.linspace(0.5, 1.5, 70),
        "aux": ("logprob", "lse", "entropy", "argmax"),
    },
}


@pytest.mark.parametrize("path", ["rows", "triton"])
@pytest.mark.parametrize("name", OPTIONS)
def test_compiled_gives_what_eager_gives(path, name, compiled):
    tensors = draw(20, 8, 70)
    call = on_path(path, **OPTIONS[name])
    for ours, eager in zip(both(compiled(call), tensors), both(call, tensors), strict=True):
        assert ours.dtype == eager.dtype
        torch.testing.assert_close(ours, eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", ["rows", "triton"])
@pytest.mark.parametrize("wrt", [(), ("input",), ("linear_weight",)], ids=str)
def test_compiled_with_frozen_tensors(path, wrt, compiled):
    tensors = draw(20, 8, 70)
    given = {k: v.requires_grad_() if k in wrt else v for k, v in tensors.items()}
    call = on_path(path)
    ours, eager = compiled(call)(**given)[0], call(**given)[0]
    torch.testing.assert_close(ours, eager)
    assert ours.requires_grad == bool(wrt)
    for name in wrt:
        ours, eager = (torch.autograd.grad(loss, given[name])[0] for loss in (ours, eager))
        torch.testing.assert_close(ours, eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", ["rows", "triton"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_compiled_keeps_columns_as_eager_does(path, dtype, compiled):
    tensors = draw_in(dtype, 20, 8, 1100)
    call = on_path(path, memory_budget=1 << 22)
    for ours, eager in zip(both(compiled(call), tensors), both(call, tensors), strict=True):
        torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("impl", ["torch", "triton"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_what_the_compiler_is_told_of_shapes_is_true(impl, dtype):
    tensors = draw_in(dtype, 20, 8, 1100)
    x, head, bias = (tensors[name] for name in ("input", "linear_weight", "linear_bias"))
    plain = (-100, 1.0, None, "lse", "input weight bias", impl, 1 << 22, "")
    given = (x, head, bias, None, tensors["target"], *plain)
    kept = compiled_statistics(*given)[-1]
    assert (kept.shape[1] > 0) == (impl == "triton")
    torch.library.opcheck(compiled_statistics, given, test_utils="test_faketensor")


@pytest.mark.parametrize("path", ["rows", "triton"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_one_graph_serves_every_number_of_tokens(path, dtype, compiled):
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    # A budget with which the kernels keep columns of 20 tokens, but not of 33.
    call = on_path(path, reduction="sum", memory_budget=160_000)
    whole = compiled(call, backend=count)
    for N in (20, 33):
        tensors = draw_in(dtype, N, 8, 1100)
        given, leaves = leaves_of(tensors)
        for name in ("input", "target"):
            torch._dynamo.mark_dynamic(given[name], 0)
        loss, _ = whole(**given)
        expected, _ = call(**given)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
        ours, eager = (torch.autograd.grad(out, leaves) for out in (loss, expected))
        torch.testing.assert_close(ours, eager, rtol=1e-5, atol=1e-6)
    assert len(graphs) == 1


def test_compiled_module_in_a_model(compiled):
    from onetrip.nn import LinearCrossEntropyLoss

    torch.manual_seed(0)
    layer, head = torch.nn.Linear(8, 8), LinearCrossEntropyLoss(8, 70)
    tensors = draw(20, 8, 70)

    def step(hidden, target):
        return head(layer(hidden).relu(), target)

    expected = step(tensors["input"], tensors["target"])
    loss = compiled(step)(tensors["input"], tensors["target"])
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(out, layer.weight) for out in (loss, expected))
    torch.testing.assert_close(ours, theirs)


# Of torch's own making, when its compiler is imported.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_compiled_by_inductor(compiled):
    tensors = draw(20, 8, 70)
    call = on_path("rows", z_loss=0.1)
    ours = both(compiled(call, backend="inductor"), tensors)
    for mine, eager in zip(ours, both(call, tensors), strict=True):
        torch.testing.assert_close(mine, eager, rtol=1e-5, atol=1e-6)
