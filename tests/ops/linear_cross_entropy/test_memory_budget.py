"""The memory budget is kept: by the plan for every problem, by the allocator for some."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from three_paths import draw

import onetrip
from onetrip.core.errors import ArgumentError
from onetrip.core.selection import Problem
from onetrip.ops.linear_cross_entropy import select
from onetrip.ops.linear_cross_entropy.plan import COLUMN_STEP, Plan, make_plan, padded
from onetrip.testing.memory import peak_memory

# Scalars, and the allocator's own.
SLACK_BYTES = 1 << 13
N, D, V = 256, 64, 5000
WAYS = {
    "rows": (torch.float32, {}),
    "columns": (torch.float32, {"reduction": "none"}),
    "bfloat16": (torch.bfloat16, {}),
    "everything": (
        torch.float32,
        {"softcap": 5.0, "z_loss": 0.1, "label_smoothing": 0.1, "aux": ("entropy", "argmax")},
    ),
    "bfloat16-everything": (
        torch.bfloat16,
        {"softcap": 5.0, "z_loss": 0.1, "label_smoothing": 0.1, "aux": ("entropy", "argmax")},
    ),
}


def minimum_of(call):
    """Bytes that the refusal of an impossible budget names."""
    with pytest.raises(ArgumentError, match="`memory_budget` must be at least") as caught:
        call(memory_budget=1)
    return int(str(caught.value).split("at least ")[1].split()[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("times", [1, 1.5, 3, 10])
def test_peak_stays_within_the_budget(way, times):
    dtype, options = WAYS[way]
    tensors = {
        name: tensor.to(dtype).requires_grad_() if tensor.is_floating_point() else tensor
        for name, tensor in draw(N, D, V).items()
    }

    def call(memory_budget):
        result = onetrip.linear_cross_entropy(
            **tensors, **options, memory_budget=memory_budget, impl="torch"
        )
        loss, values = result if isinstance(result, tuple) else (result, {})
        leaves = [tensor for tensor in tensors.values() if tensor.requires_grad]
        gradients = torch.autograd.grad(loss.sum(), leaves)
        return [loss, *values.values(), *gradients]

    budget = int(minimum_of(call) * times)
    call(budget)
    with peak_memory() as memory:
        returned = call(budget)
    own_bytes = sum(tensor.nbytes for tensor in returned)
    assert memory.peak_bytes - own_bytes <= budget + SLACK_BYTES
    # The test means something only where the logits would not fit.
    assert times > 3 or budget < N * V * 4


@pytest.mark.parametrize("impl", ["torch", "triton"])
def test_budget_that_is_too_small_names_the_bytes_that_do(impl):
    tensors = draw(40, 8, 2000)
    tensors["input"].requires_grad_()

    def call(memory_budget):
        return onetrip.linear_cross_entropy(**tensors, impl=impl, memory_budget=memory_budget)

    needed = minimum_of(call)
    with pytest.raises(ArgumentError, match=f"at least {needed} bytes.*got {needed - 1}"):
        call(needed - 1)
    torch.testing.assert_close(call(needed), call(1 << 30))


def test_without_gradients_no_budget_is_too_small():
    tensors = draw(40, 8, 2000)
    torch.testing.assert_close(
        onetrip.linear_cross_entropy(**tensors, memory_budget=1),
        onetrip.linear_cross_entropy(**tensors),
    )


sizes = st.fixed_dictionaries(
    {
        "N": st.integers(1, 20_000),
        "D": st.integers(1, 8192),
        "V": st.integers(1, 300_000),
        "dtype": st.sampled_from(["float32", "float16", "bfloat16"]),
        "grad_input": st.booleans(),
        "grad_weight": st.booleans(),
        "relative": st.booleans(),
        "can_keep": st.booleans(),
        "scratch_bytes": st.sampled_from([2, 4, 8, 12, 16]),
        "max_columns": st.sampled_from([256, 512, 4096, 16384]),
        "stores_exponentials": st.booleans(),
    }
)
budgets = st.integers(0, 36).flatmap(lambda power: st.integers(1 << power, 2 << power))


def smallest(problem) -> int:
    """Bytes below which no plan exists."""
    return make_plan(**problem, budget=1).workspace_bytes


@given(sizes, budgets)
def test_plan_keeps_every_budget_that_the_smallest_tiles_keep(problem, budget):
    budget = max(budget, smallest(problem))
    assert make_plan(**problem, budget=budget).workspace_bytes <= budget


@given(st.integers(1, 20_000), st.integers(1, 8192), st.integers(1, 300_000), budgets)
def test_blocks_of_rows_keep_every_budget_that_one_row_keeps(N, D, V, budget):
    axes = {"N": N, "D": D, "V": V}

    def declared(budget):
        problem = Problem(axes, "float32", options={"memory_budget": budget})
        return select.workspace_bytes("torch", problem, {"rows": 256, "columns": 4096})

    budget = max(budget, declared(1))
    assert declared(budget) <= budget


@given(sizes, budgets)
def test_tiles_are_whole_steps(problem, budget):
    plan = make_plan(**problem, budget=budget)
    assert plan.columns % COLUMN_STEP == 0
    assert plan.kept % COLUMN_STEP == 0
    assert COLUMN_STEP <= plan.columns <= max(problem["max_columns"], COLUMN_STEP)
    assert 0 <= plan.kept <= padded(problem["V"])
    assert 1 <= plan.rows <= problem["N"]
    assert plan.kept == 0 or problem["can_keep"]
    assert not plan.relative or problem["relative"]


@given(sizes, budgets, budgets)
def test_more_budget_never_keeps_less(problem, budget, more):
    plan = make_plan(**problem, budget=budget)
    richer = make_plan(**problem, budget=budget + more)
    assert richer.kept >= plan.kept
    assert richer.rows >= plan.rows


@given(sizes)
def test_unbounded_budget_keeps_everything_it_can(problem):
    plan = make_plan(**problem, budget=1 << 50)
    assert plan.kept == (padded(problem["V"]) if problem["can_keep"] else 0)
    assert plan.rows == problem["N"]


@given(
    V=st.integers(1, 5000),
    columns=st.sampled_from([256, 512, 1024]),
    kept=st.integers(0, 20).map(lambda steps: steps * COLUMN_STEP),
    relative=st.booleans(),
)
def test_walk_covers_every_column_once(V, columns, kept, relative):
    from types import SimpleNamespace

    from onetrip.ops.linear_cross_entropy.walk import _Walk

    kept = min(kept, padded(V))
    walk: _Walk = SimpleNamespace(  # pyright: ignore[reportAssignmentType]
        call=SimpleNamespace(weight=torch.empty(V, 1)),
        plan=Plan(columns, kept, 1, relative, 0),
        row_scale=torch.ones(1) if relative else None,
    )
    tiles = _Walk._tiles(walk)
    assert [start for start, _ in tiles] == [0, *(stop for _, stop in tiles[:-1])]
    assert tiles[-1][1] == V
    for start, stop in tiles:
        assert start < stop
        # No tile is kept in part, and none is wider than its workspace.
        assert not start < min(kept, V) < stop
        assert stop - start <= columns or (relative and stop <= kept)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", [{}, {"softcap": 5.0, "aux": ("entropy",)}], ids=str)
def test_declared_workspace_keeps_the_default_budget(dtype, options):
    problem = Problem({"N": 8192, "D": 768, "V": 50257}, dtype, options=options)
    for impl in ("torch", "triton", "gluon"):
        if impl == "gluon" and dtype == "float32":
            continue
        hopper = Problem(problem.axes, dtype, "cuda", 90, options=options)
        asked = problem if impl == "torch" else hopper
        config = select.default_config(impl, asked)
        assert select.workspace_bytes(impl, asked, config) <= select.DEFAULT_BUDGET


@pytest.mark.parametrize("times", [1.5, 3])
def test_many_tokens_of_few_classes_fit_the_budget_that_was_named(times):
    """Vectors over the tokens are more here than a block of logits."""
    tensors = draw(3000, 8, 300)
    tensors["input"].requires_grad_()

    def call(memory_budget):
        return onetrip.linear_cross_entropy(**tensors, impl="torch", memory_budget=memory_budget)

    budget = int(minimum_of(call) * times)
    with peak_memory() as memory:
        call(budget)
    assert memory.peak_bytes <= budget + tensors["input"].nbytes + SLACK_BYTES
