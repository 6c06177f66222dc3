"""The Triton ladder: right in the interpreter but for the step that is not, compiled for a GPU."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch

from onetrip.lab.agents.row_softmax_triton import STEPS

WRONG = "Without the largest value"

COMPILE = """
import importlib.util, json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

for number, path in enumerate(sys.argv[1:]):
    spec = importlib.util.spec_from_file_location(f"step_{number}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    signature = {"x_ptr": "*fp32", "y_ptr": "*fp32", "D": "i32", "BLOCK_D": "constexpr"}
    source = ASTSource(module._softmax_kernel, signature, {"BLOCK_D": 1024})
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 8})
    print(json.dumps(["ptx" in compiled.asm, compiled.metadata.shared]))
"""


def module_of(step, folder):
    """A step's source, loaded from a file as the judge does: Triton reads it again."""
    path = folder / f"step_{STEPS.index(step)}.py"
    path.write_text(step.source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_a_step_is_right_but_for_the_one_that_is_not(step, tmp_path):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("needs a GPU or Triton's interpreter")
    data = torch.cat([torch.randn(3, 600), 200 + torch.randn(2, 600)]).to(device)
    found = module_of(step, tmp_path).custom_kernel(data)
    expected = torch.softmax(data.double(), -1)
    assert torch.allclose(found.double(), expected, atol=1e-6) == (step.title != WRONG)


def test_every_kernel_compiles_for_a_gpu(tmp_path):
    paths = []
    for step in STEPS:
        if "triton.jit" in step.source:
            paths.append(tmp_path / f"step_{len(paths)}.py")
            paths[-1].write_text(step.source)
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(paths) == 4
    assert all(has_ptx and shared < 48 << 10 for has_ptx, shared in answers)
