"""Linear cross entropy on a device: every budget, every kernel, sizes that only a device holds."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

import onetrip
from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.ops.linear_cross_entropy import select
from onetrip.ops.linear_cross_entropy.reference import (
    linear_cross_entropy_reference,
    make_inputs,
)
from onetrip.ops.linear_cross_entropy.resolve import problem_of
from onetrip.ops.linear_cross_entropy.spec import SPEC
from onetrip.testing.budget import assert_within_budget

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]

AXES = {"N": 1500, "D": 256, "V": 20011}
FLOATING = ("input", "linear_weight", "linear_bias")
IMPLS = ("torch", "triton", "gluon")
HALF = (torch.bfloat16, torch.float16)
EVERYTHING = {
    "softcap": 20.0,
    "logit_scale": 1.1,
    "z_loss": 1e-3,
    "label_smoothing": 0.1,
    "aux": ("logprob", "lse", "entropy", "argmax"),
}
# The slack of the caching allocator: its blocks are whole.
SLACK_BYTES = 4 << 20


def inputs_on_device(dtype=torch.bfloat16, axes=AXES, data="peaked", seed=0):
    return make_inputs(
        axes,
        dtype=dtype,
        device="cuda",
        seed=seed,
        data=data,
        optional_inputs=("linear_bias",),
    )


def needs(impl, dtype=torch.bfloat16):
    """Skip what cannot run on this device."""
    x = torch.empty(16, 16, dtype=dtype, device="cuda")
    reason = select.unsupported_reason(impl, problem_of(x, x, {}))
    if reason is not None:
        pytest.skip(reason)


def evaluate(call, tensors, wrt=FLOATING):
    """Outputs and gradients by name, with an incoming gradient that is not 1."""
    leaves = {name: tensors[name].detach().requires_grad_() for name in wrt}
    result = call(**{**tensors, **leaves})
    loss, values = result if isinstance(result, tuple) else (result, {})
    total = 1.75 * loss.sum()
    for name, value in values.items():
        if name != "argmax":
            total = total + 0.25 * value.mean()
    gradients = torch.autograd.grad(total, list(leaves.values()))
    named = {f"gradient of {name}": g for name, g in zip(leaves, gradients, strict=True)}
    return {"loss": loss.detach(), **{k: v.detach() for k, v in values.items()}, **named}


def assert_right(actual, tensors, wrt=FLOATING, **options):
    def reference(**given):
        return linear_cross_entropy_reference(**given, **options)

    wide = {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}
    gold = evaluate(reference, wide, wrt)
    eager = evaluate(reference, tensors, wrt)
    for name, value in gold.items():
        kind = str(actual[name].dtype).removeprefix("torch.")
        assert_within_budget(name, actual[name], eager[name], value, SPEC.budget, kind)


def call_with(impl, **options):
    def call(**tensors: Any) -> Any:
        return onetrip.linear_cross_entropy(**tensors, impl=impl, **options)

    return call


def plan_of(impl, tensors, budget, **options):
    asked = {**options, "memory_budget": budget}
    problem = problem_of(tensors["input"], tensors["linear_weight"], asked)
    return select.plan_for(impl, problem, select.default_config(impl, problem)), problem


# MiB: all kept, some kept, none kept, and less than an accumulator of its own.
BUDGETS = {"all": 512, "some": 40, "none": 12, "least": 0}


def budget_bytes(name, impl, tensors, **options):
    if BUDGETS[name]:
        return BUDGETS[name] << 20
    _, problem = plan_of(impl, tensors, 1, **options)
    config = select.default_config(impl, problem)
    return select.workspace_bytes(impl, problem, config)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
def test_every_budget_gives_the_right_result(impl, dtype, budget, options):
    needs(impl, dtype)
    tensors = inputs_on_device(dtype)
    bytes_ = budget_bytes(budget, impl, tensors, **options)
    actual = evaluate(call_with(impl, memory_budget=bytes_, **options), tensors)
    assert_right(actual, tensors, **options)


@pytest.mark.parametrize("impl", ["triton", "gluon"])
def test_budgets_reach_every_kind_of_plan(impl):
    needs(impl)
    tensors = inputs_on_device()
    kept = {name: plan_of(impl, tensors, mib << 20)[0].kept for name, mib in BUDGETS.items() if mib}
    assert kept["all"] >= AXES["V"]
    assert 0 < kept["some"] < AXES["V"]
    assert kept["none"] == 0


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
def test_peak_memory_stays_within_the_budget(impl, budget, options):
    needs(impl)
    tensors = inputs_on_device()
    bytes_ = budget_bytes(budget, impl, tensors, **options)
    call = call_with(impl, memory_budget=bytes_, **options)
    evaluate(call, tensors)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    returned = evaluate(call, tensors)
    torch.cuda.synchronize()
    own_bytes = sum(tensor.nbytes for tensor in returned.values())
    over = torch.cuda.max_memory_allocated() - before - own_bytes - bytes_
    assert over <= SLACK_BYTES, f"{over / 2**20:.2f} MiB over {bytes_ / 2**20:.2f} MiB"


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("budget", ["all", "some", "least"])
def test_two_runs_are_equal_to_the_last_bit(impl, budget):
    needs(impl)
    tensors = inputs_on_device()
    bytes_ = budget_bytes(budget, impl, tensors)
    first, second = (evaluate(call_with(impl, memory_budget=bytes_), tensors) for _ in range(2))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("impl", ["triton", "gluon"])
@pytest.mark.parametrize("nats", [40, 100, 300])
def test_targets_far_below_the_maximum(impl, nats):
    needs(impl)
    tensors = inputs_on_device(data="random")
    tensors["input"][:, 0] = 0.0
    tensors["input"][::50, 0] = float(nats)
    tensors["linear_weight"][:, 0] = 0.0
    tensors["linear_weight"][[5, 20000], 0] = 1.0
    tensors["target"][(tensors["target"] == 5) | (tensors["target"] == 20000)] = 6
    actual = evaluate(call_with(impl, memory_budget=512 << 20), tensors)
    assert_right(actual, tensors)


@pytest.mark.parametrize("impl", IMPLS)
def test_small_losses_keep_their_digits(impl):
    needs(impl)
    hidden = torch.zeros(16, 64, dtype=torch.bfloat16, device="cuda")
    head = torch.zeros(300, 64, dtype=torch.bfloat16, device="cuda")
    head[7, 0] = 1.0
    hidden[:, 0] = torch.arange(16, device="cuda") + 10.0
    target = torch.full((16,), 7, device="cuda")
    call = call_with(impl, reduction="none")
    loss = call(input=hidden, linear_weight=head, target=target)
    expected = (299 * torch.exp(-hidden[:, 0].double())).log1p()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_argmax_of_logits_far_below_the_cap(impl, dtype):
    """A cap of 1000 is rounded to 1e-4, and all these logits are as small as that."""
    needs(impl, dtype)
    tensors = inputs_on_device(dtype, {"N": 300, "D": 64, "V": 3000}, data="random")
    tensors = {name: tensors[name] for name in ("input", "linear_weight", "target")}
    for name in ("input", "linear_weight"):
        tensors[name] = tensors[name] * 2.0**-6
    _, values = call_with(impl, softcap=1000.0, aux=("argmax",))(**tensors)
    logits = tensors["input"].double() @ tensors["linear_weight"].double().T
    assert values["argmax"].equal(logits.argmax(1))


@pytest.mark.parametrize("impl", ["triton", "gluon"])
@pytest.mark.parametrize("budget", ["all", "some"])
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
def test_kept_logits_of_float16_keep_their_digits(impl, budget, options):
    """Rounded to float16 as it is, a logit of 200 moves its probability by six in a hundred."""
    needs(impl, torch.float16)
    tensors = inputs_on_device(torch.float16, data="random")
    tensors["input"][:, 0] = 0.0
    tensors["input"][::50, 0] = 200.0
    tensors["linear_weight"][:, 0] = 0.0
    tensors["linear_weight"][5, 0] = 1.0
    tensors["target"][tensors["target"] == 5] = 6
    bytes_ = budget_bytes(budget, impl, tensors, **options)
    assert plan_of(impl, tensors, bytes_, **options)[0].kept > 0
    actual = evaluate(call_with(impl, memory_budget=bytes_, **options), tensors)
    assert_right(actual, tensors, **options)


@pytest.mark.parametrize("impl", IMPLS)
def test_bad_targets_show_at_once_and_raise_at_the_next_call(impl):
    needs(impl)
    tensors = inputs_on_device()
    spoilt = {**tensors, "target": tensors["target"].clone()}
    spoilt["target"][[3, 70]] = AXES["V"]
    call = call_with(impl)
    loss = call_with(impl, reduction="none")(**spoilt)
    assert loss[[3, 70]].isnan().all()
    assert loss.isnan().sum() == 2
    torch.cuda.synchronize()
    with pytest.raises(ArgumentError, match=r"got 2 target.* of an earlier call"):
        call(**tensors)
    # Said once.
    assert not call(**tensors).isnan()


@pytest.mark.parametrize("impl", IMPLS)
def test_modes_of_target_checks(impl):
    needs(impl)
    tensors = inputs_on_device()
    tensors["target"][3] = -7
    with onetrip.target_checks("off"):
        assert call_with(impl)(**tensors).isnan()
    with onetrip.target_checks("immediate"), pytest.raises(ArgumentError, match="got 1 target"):
        call_with(impl)(**tensors)
    tensors["target"][3] = 0
    assert not call_with(impl)(**tensors).isnan()


@pytest.mark.parametrize("impl", IMPLS)
def test_strided_rows_of_a_larger_head(impl):
    needs(impl)
    tensors = inputs_on_device()
    larger = torch.full((AXES["V"], AXES["D"] + 64), 9.0, dtype=torch.bfloat16, device="cuda")
    larger[:, 32:-32] = tensors["linear_weight"]
    whole = evaluate(call_with(impl), tensors)
    strided = evaluate(call_with(impl), {**tensors, "linear_weight": larger[:, 32:-32]})
    torch.testing.assert_close(strided, whole)


def test_gluon_refuses_rows_that_the_copy_engine_cannot_read():
    needs("gluon")
    tensors = inputs_on_device(axes={"N": 64, "D": 64, "V": 512})
    room = torch.zeros(512 * 64 + 1, dtype=torch.bfloat16, device="cuda")
    tensors["linear_weight"] = room[1:].view(512, 64).copy_(tensors["linear_weight"])
    with pytest.raises(UnsupportedError, match="start on 16 bytes"):
        onetrip.linear_cross_entropy(**tensors, impl="gluon")
    actual = evaluate(call_with("auto"), tensors)
    assert_right(actual, tensors)


@pytest.mark.parametrize("impl", ["triton", "gluon"])
def test_more_than_two_to_the_31_logits(impl):
    """Row and column of every offset times its stride goes beyond 32 bits."""
    needs(impl)
    N, D, V = 36864, 64, 60416
    assert N * V > 2**31
    if torch.cuda.get_device_properties(0).total_memory < 24 << 30:
        pytest.skip("the kept exponentials of this problem take 5 GB")
    generator = torch.Generator("cuda").manual_seed(0)
    hidden = torch.randn(N, D, generator=generator, device="cuda").bfloat16()
    head = (torch.randn(V, D, generator=generator, device="cuda") / math.sqrt(D)).bfloat16()
    target = torch.randint(V, (N,), generator=generator, device="cuda")
    target[-1], target[0] = V - 1, 0
    tensors = {"input": hidden, "linear_weight": head, "target": target}
    wrt = ("input", "linear_weight")
    everything_kept = evaluate(call_with(impl, memory_budget=6 << 30), tensors, wrt)
    nothing_kept = evaluate(call_with(impl), tensors, wrt)
    for name, tensor in everything_kept.items():
        other = nothing_kept[name]
        # Part by part: a wrong offset spoils some rows, however large the others are. Single
        # elements are sums that cancel, so that their roundings have no bound of their own.
        for part, begin in enumerate(range(0, len(other), 1024) if other.dim() else [0]):
            ours, theirs = (
                whole[begin : begin + 1024].float() if whole.dim() else whole.float()
                for whole in (tensor, other)
            )
            distance = float((ours - theirs).norm() / theirs.norm())
            assert distance <= 2e-2, f"{name}, part {part}: {distance:.3g}"
    # The last rows by themselves, where the offsets are largest.
    rows = slice(N - 300, N)
    logits = functional.linear(hidden[rows].double(), head.double())
    expected = functional.cross_entropy(logits, target[rows], reduction="none")
    loss = call_with(impl, reduction="none")(**tensors)
    torch.testing.assert_close(loss[rows].double(), expected, rtol=1e-4, atol=1e-4)
    p = torch.softmax(logits, 1)
    p[torch.arange(300, device="cuda"), target[rows]] -= 1
    dinput = (1.75 / N) * (p @ head.double())
    torch.testing.assert_close(
        everything_kept["gradient of input"][rows].double(), dinput, rtol=3e-2, atol=1e-7
    )


@pytest.mark.parametrize("impl", IMPLS)
def test_compiled_gives_what_eager_gives(impl):
    needs(impl)
    torch.compiler.reset()
    tensors = inputs_on_device(axes={"N": 200, "D": 64, "V": 1000})
    call = call_with(impl, **EVERYTHING)
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    ours, eager = evaluate(compiled, tensors), evaluate(call, tensors)
    torch.testing.assert_close(ours, eager, rtol=1e-2, atol=1e-5)
