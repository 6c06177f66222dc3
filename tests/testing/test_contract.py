"""The contract suite itself: the sound toy passes, and each planted defect fails its check."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from toy import SPEC, WORKLOADS, estimate_cost, make_toy

from onetrip.core.cost import Cost
from onetrip.core.errors import OnetripError, UnsupportedError
from onetrip.core.selection import Choice
from onetrip.core.spec import ErrorBudget
from onetrip.testing.contract import Case, contract_checks, load_operator
from onetrip.testing.contract.evaluate import assert_case, eager_errors, forward
from onetrip.testing.contract.values import check_sizes

# Defect -> the check that is there to catch it.
DEFECTS = {
    "ragged tile is left out": "poisoned_memory",
    "last row of a tile is left out": "poisoned_memory",
    "ragged tile reads one row too many": "forward",
    "wrong dtype": "forward",
    "output is missing": "forward",
    "detached output": "gradients",
    "gradient is zero": "gradients",
    "gradient of the wrong axis": "gradients",
    "gradient misses its last row": "poisoned_memory",
    "ignores the incoming gradient": "gradients",
    "ignores the second output's gradient": "backward_of_a_part",
    "scales the incoming gradient in place": "inputs_unchanged",
    "writes into an input": "inputs_unchanged",
    "depends on global random state": "deterministic",
    "frozen x freezes w": "frozen_inputs",
    "scales what it saved": "second_backward",
    "shares its gradient's buffer": "second_backward",
    "takes contiguous storage for granted": "layouts",
    "overflows": "extreme_values",
    "refuses one row": "sizes",
    "hoards memory": "peak_memory",
    "a configuration is wrong": "configs",
    "falls back in silence": "unsupported_raises",
}


def failures(operator, **keywords):
    """Names of the checks that fail, without their cases."""
    failed = set()
    for check in contract_checks(operator, **keywords):
        if check.skip_reason is None:
            try:
                check.run()
            except (AssertionError, OnetripError, RuntimeError, TypeError):
                failed.add(check.name.partition("[")[0])
    return failed


def test_the_sound_toy_keeps_the_contract():
    for check in contract_checks(make_toy()):
        if check.skip_reason is None:
            check.run()


@pytest.mark.parametrize(("defect", "check"), DEFECTS.items(), ids=DEFECTS)
def test_planted_defect_fails_its_check(defect, check):
    torch.manual_seed(0)
    assert check in failures(make_toy(defect))


def test_every_check_has_caught_something():
    every = {check.name.partition("[")[0] for check in contract_checks(make_toy())}
    assert every - set(DEFECTS.values()) == {"spec", "workloads", "cost", "select", "empty"}


def test_empty_results_of_a_wrong_shape_fail():
    sound = make_toy()

    def run(x, w, *, b=None, aux=False, impl="auto"):
        result = sound.run(x, w, b=b, aux=aux, impl=impl)
        return result if x.shape[0] else x.new_zeros(1)

    assert "empty" in failures(replace(sound, run=run))


def test_what_cannot_run_is_skipped_with_its_reason_and_must_say_so():
    checks = contract_checks(make_toy(), implementations=("absent",))
    skipped = [check for check in checks if check.skip_reason]
    assert {check.skip_reason for check in skipped} == {"needs a device that nobody has"}
    assert any(check.name.startswith("unsupported_raises[absent") for check in checks)


def test_dtypes_run_every_workload_in_each():
    checks = contract_checks(make_toy(), implementations=("tiled",), dtypes=("float32", "float16"))
    names = {check.name for check in checks}
    assert {"gradients[tiled-ragged-float32]", "gradients[tiled-ragged-float16]"} <= names
    for check in checks:
        check.run()


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(replace(SPEC, axes={"N": "rows"}), id="undeclared axis"),
        pytest.param(replace(SPEC, implementations=("tiled",)), id="no reference"),
        pytest.param(replace(SPEC, budget=ErrorBudget(1.0, "")), id="budget without a reason"),
        pytest.param(replace(SPEC, deterministic=False), id="differs without a note"),
        pytest.param(
            replace(SPEC, inputs=(*SPEC.inputs, replace(SPEC.inputs[0], name="v"))),
            id="unknown parameter",
        ),
    ],
)
def test_incomplete_spec_fails(spec):
    assert "spec" in failures(make_toy(spec=spec), implementations=("reference",))


@pytest.mark.parametrize(
    "workload",
    [
        pytest.param(replace(WORKLOADS[0], name=WORKLOADS[1].name), id="name twice"),
        pytest.param(replace(WORKLOADS[0], tags=frozenset({"fast"})), id="unknown tag"),
        pytest.param(replace(WORKLOADS[0], why=""), id="no reason"),
        pytest.param(replace(WORKLOADS[0], tags=frozenset({"bench"}), axes={"N": 4}), id="axes"),
    ],
)
def test_incomplete_workload_fails(workload):
    operator = make_toy(workloads=(workload, WORKLOADS[1]))
    checks = {check.name: check for check in contract_checks(operator, implementations=())}
    with pytest.raises(AssertionError):
        checks["workloads"].run()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda N, D, **_: Cost(2 * N * D, -1, 4), id="negative"),
        pytest.param(lambda N, D, **_: Cost(2 * N * D, 10_000 - N * D, 4), id="shrinks"),
        pytest.param(lambda N, D, **_: Cost(N * D / 2, N * D, N), id="not whole"),
        pytest.param(
            lambda N, D, dtype, backward: estimate_cost(
                N=N, D=D, dtype=dtype, backward=not backward
            ),
            id="backward is free",
        ),
    ],
)
def test_senseless_cost_fails(wrong):
    assert "cost" in failures(make_toy(estimate_cost=wrong), implementations=("reference",))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"choose": lambda p: Choice("absent", {}, "it is fast")}, id="cannot run"),
        pytest.param({"choose": lambda p: Choice("tiled", {"tile": 16}, "")}, id="no reason"),
        pytest.param({"workspace_bytes": lambda i, p, c: -1}, id="negative workspace"),
        pytest.param({"search_space": lambda i, p: {"stages": (1, 2)}}, id="unknown knob"),
        pytest.param({"unsupported_reason": lambda i, p, c=None: None}, id="supports anything"),
    ],
)
def test_senseless_selection_fails(answer):
    sound = make_toy()
    select = SimpleNamespace(**{**vars(sound.select), **answer})
    assert "select" in failures(replace(sound, select=select), implementations=("reference",))


def turned(components):
    """The last two of the vectors, which belong to 0, turned by an eighth within their span."""
    half = 0.5**0.5
    return torch.stack(
        [
            components[0],
            half * (components[1] + components[2]),
            half * (components[1] - components[2]),
        ]
    )


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        pytest.param(turned, (), id="another basis"),
        pytest.param(lambda c: c * torch.eye(3)[:, :2].sum(1)[:, None], (0, 1), id="no vector"),
        pytest.param(lambda c: c[[0, 1, 1]], (0, 1), id="a vector twice"),
        pytest.param(lambda c: c[[1, 0, 2]], (1,), id="not that of the value"),
    ],
)
@pytest.mark.parametrize("values", [0, 1])
def test_vectors_of_nothing_are_any_orthonormal_ones(change, fails, values):
    """One row over and over has one singular value; less its mean, none."""
    sound = load_operator("truncated_svd")

    def run(x, **options):
        found = forward(case, sound.run, {"x": x, **options}).outputs
        found["components"] = change(found["components"])
        return found.pop("singular_values"), found

    workload = next(each for each in sound.workloads if each.name == "tall")
    options = {"n_components": 3, "center": values == 0}
    workload = replace(workload, options=options, dtype="float16")
    case = Case(replace(sound, run=run), "torch", workload, torch.device("cpu"))
    inputs = {"x": case.inputs()["x"][:1].expand(75, -1).contiguous()}
    if values in fails:
        with pytest.raises(AssertionError, match="`components"):
            assert_case(case, inputs)
    else:
        assert_case(case, inputs)


def refusing(who, words, auto=lambda y: y):
    """The sound toy, whose `who` refuses odd addresses; `auto` alters what runs in its place."""
    sound = make_toy()

    def run(x, w, *, b=None, aux=False, impl="auto"):
        odd = any(tensor.storage_offset() for tensor in (x, w))
        if odd and impl == who:
            raise UnsupportedError(words)
        result = sound.run(x, w, b=b, aux=aux, impl="tiled" if impl == "auto" else impl)
        if not odd or impl != "auto":
            return result
        return (auto(result[0]), result[1]) if aux else auto(result)

    return replace(sound, run=run)


@pytest.mark.parametrize(
    ("operator", "fails"),
    [
        pytest.param(refusing("tiled", 'not here. Use impl="auto".'), False, id="a way out"),
        pytest.param(refusing("tiled", "not here."), True, id="no way out"),
        pytest.param(refusing("reference", 'not here. Use impl="auto".'), True, id="plain torch"),
        pytest.param(
            refusing("tiled", 'not here. Use impl="auto".', lambda y: y * 1.01), True, id="no help"
        ),
    ],
)
def test_a_kernel_may_refuse_a_layout_that_auto_runs(operator, fails):
    assert ("layouts" in failures(operator)) == fails


# Logits of 1 and 1 + 2⁻¹², which are one number in bfloat16.
NEARLY_EQUAL = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0**-12], [0.5, 0.0]])


@pytest.mark.parametrize(("place", "right"), [(2, True), (1, True), (3, False), (4, False)])
def test_a_place_is_judged_by_what_stands_there(place, right):
    sound = load_operator("linear_cross_entropy")

    def run(**tensors):
        outputs = forward(case, sound.reference, tensors).outputs
        outputs["argmax"] = torch.full_like(outputs["argmax"], place)
        return outputs.pop("loss"), outputs

    workload = replace(
        sound.workloads[0],
        **{"dtype": "bfloat16", "options": {"aux": ("argmax",)}, "axes": {"N": 3, "D": 2, "V": 4}},
    )
    operator = replace(sound, run=lambda impl, aux, **tensors: run(**tensors, aux=aux))
    case = Case(operator, "reference", workload, torch.device("cpu"))
    inputs = {
        "input": torch.ones(3, 2, dtype=torch.bfloat16),
        "linear_weight": NEARLY_EQUAL.bfloat16(),
        "target": torch.zeros(3, dtype=torch.int64),
    }
    if right:
        assert_case(case, inputs, wrt=())
    else:
        with pytest.raises(AssertionError, match="`argmax` exceeds its budget"):
            assert_case(case, inputs, wrt=())


@pytest.mark.parametrize(
    ("off", "right"), [(2.0**-22, True), (2.0**-10, False)], ids=["a last bit", "wrong"]
)
def test_a_few_elements_are_held_to_what_plain_torch_errs_on_others_like_them(off, right):
    """The mean over one token does not depend on its weight; here plain torch finds just that."""
    sound = load_operator("linear_cross_entropy")

    def run(impl, token_weight, **given):
        loss, aux = sound.reference(token_weight=token_weight, **given)
        return loss + off * loss.detach() * (token_weight - token_weight.detach()).sum(), aux

    def make_inputs(axes, *, seed, **given):
        return sound.make_inputs(axes, seed=seed + 1, **given)

    workload = next(each for each in sound.workloads if each.name == "everything")
    operator = replace(sound, run=run, make_inputs=make_inputs)
    case = Case(operator, "reference", workload, torch.device("cpu")).resized(N=1)
    inputs = case.inputs()
    errors = eager_errors(case, inputs)
    assert errors["gradient of token_weight"] < 1e-12
    if right:
        check_sizes(case)
    else:
        with pytest.raises(AssertionError, match="gradient of token_weight"):
            check_sizes(case)


def test_vectors_that_differ_as_a_whole_excuse_nobody():
    """Of one row less its mean no direction is determined, and plain torch finds any."""
    operator = load_operator("truncated_svd")
    workload = next(each for each in operator.workloads if each.name == "tall")
    case = Case(operator, "reference", workload, torch.device("cpu")).resized(N=1)
    errors = eager_errors(case, case.inputs())
    assert "singular_values" in errors
    assert "components" not in errors
