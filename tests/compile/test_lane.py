"""The lane itself: it compiles what is good, and a kernel over its bounds fails."""

import dataclasses

import pytest
import triton

import tiny_kernels
from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.testing.compile_lane import (
    SIZES_OF_ONE,
    _amd_registers,
    broken_bounds,
    compile_case,
    kernels_without_case,
)
from onetrip.tile.compile_case import TARGETS, CompileCase

pytestmark = pytest.mark.xdist_group("tiny_kernels")


@pytest.fixture
def tiny(lane):
    return lane("tiny_kernels")


@pytest.mark.parametrize("target", TARGETS)
def test_good_kernel_compiles_everywhere(tiny, target):
    record = tiny.record("good", target)
    assert record["broken"] == []
    assert record["registers"] > 0
    assert record["spills"] == record["shared_bytes"] == 0


@pytest.mark.parametrize("case", ["good-gluon", "descriptors"])
def test_gluon_kernel_compiles(tiny, case):
    record = tiny.record(case, "sm_90")
    assert record["broken"] == []
    assert record["registers"] > 0


def test_gluon_kernel_reports_its_shared_memory(tiny):
    """A tile of 64 x 64 in bfloat16, and a barrier."""
    assert 8192 <= tiny.record("descriptors", "sm_90")["shared_bytes"] <= 8192 + 64


def test_a_kernel_that_asks_a_size_of_one_fails(tiny):
    """A launch makes a constant of it, which the case's own compilation does not see."""
    assert tiny.record("asks-a-size", "sm_90")["broken"] == []
    (broken,) = tiny.record("asks-a-size", SIZES_OF_ONE)["broken"]
    assert "has no attribute 'to'" in broken
    assert tiny.record("good", SIZES_OF_ONE)["broken"] == []


@pytest.mark.parametrize(("case", "target"), [("spills-nvidia", "sm_90"), ("spills-amd", "gfx942")])
def test_spilling_kernel_fails(tiny, case, target):
    record = tiny.record(case, target)
    assert record["spills"] > 0
    assert f"{case} on {target} spills" in record["broken"][0]
    assert tiny.returncode == 1


def test_spills_within_the_bound_pass(tiny):
    record = tiny.record("spills-nvidia", "sm_90")
    (case,) = (case for case in tiny_kernels.COMPILE_CASES if case.name == "spills-nvidia")
    compiled = compiled_from(record)
    allowed = dataclasses.replace(case, max_spills=compiled.spills)
    assert broken_bounds(case, compiled)
    assert not broken_bounds(allowed, compiled)


def test_amd_scalar_spills_into_lanes_do_not_count():
    assembly = "  .sgpr_spill_count: 2\n  .vgpr_count:     95\n  .vgpr_spill_count: 3\n"
    assert _amd_registers(assembly) == (95, 3)


def test_shared_memory_is_held_to_the_case(tiny):
    assert "shared on sm_90 takes" in tiny.record("shared", "sm_90")["broken"][0]
    assert tiny.record("shared", "sm_100")["broken"] == []


def test_shared_memory_is_held_to_the_hardware(tiny):
    (case,) = (case for case in tiny_kernels.COMPILE_CASES if case.name == "good")
    compiled = compiled_from(tiny.record("good", "gfx942"))
    too_much = dataclasses.replace(compiled, shared_bytes=64 * 1024 + 1)
    assert not broken_bounds(case, compiled)
    assert "at most 65536 allowed" in broken_bounds(case, too_much)[0]


def test_a_compiler_that_crashes_takes_no_other_module_with_it(said_of, tmp_path, monkeypatch):
    (tmp_path / "crashes.py").write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    run = said_of("crashes", "tiny_kernels")
    assert run.returncode == 1
    assert '"case": "good"' in run.stdout


def test_unknown_argument_is_named(tiny):
    @triton.jit
    def kernel(x_ptr):
        pass

    case = CompileCase("wrong", as_compiled(kernel), {"y_ptr": "*fp32"})
    with pytest.raises(ArgumentError, match=r"exactly the arguments \['x_ptr'\], got \['y_ptr'\]"):
        compile_case(case, "sm_90")


def test_interpreted_kernel_is_refused():
    case = CompileCase("interpreted", print, {})
    with pytest.raises(UnsupportedError, match="Unset TRITON_INTERPRET"):
        compile_case(case, "sm_90")


def test_kernel_without_a_case_is_named(monkeypatch):
    assert kernels_without_case("tiny_kernels") == ()
    product = [case for case in tiny_kernels.COMPILE_CASES if case.name == "shared"]
    monkeypatch.setattr(tiny_kernels, "COMPILE_CASES", tuple(product))
    assert kernels_without_case("tiny_kernels") == (
        "_exp_kernel",
        "_gluon_copy_kernel",
        "_gluon_exp_kernel",
        "_mean_kernel",
    )


def compiled_from(record):
    from onetrip.testing.compile_lane import Compiled

    names = [field.name for field in dataclasses.fields(Compiled)]
    return Compiled(**{name: record[name] for name in names})


def as_compiled(kernel):
    from triton.runtime.jit import JITFunction

    return kernel if isinstance(kernel, JITFunction) else JITFunction(kernel.fn)
