"""The compile lane: every kernel compiled for every target, without a GPU, and held to its bounds.

A kernel file declares its `CompileCase`s; this lane finds them, compiles them with Triton's own
compilers and reads registers, spilled registers and shared memory from what comes out. NVIDIA's
numbers come from the binary, through the `cuobjdump` that Triton ships, AMD's from the assembly.

On the command line, for one operator or one module, or all operators::

    python -m onetrip.testing.compile_lane linear_cross_entropy
"""

import argparse
import importlib
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.tile.compile_case import CompileCase

# In place of a target, of what is parsed only.
SIZES_OF_ONE = "sizes of one"
_OPS_DIR = Path(__file__).resolve().parent.parent / "ops"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What one case uses on one target: for each thread, registers; for a program, bytes.

    `spills` counts registers of 4 bytes that live in memory. On AMD, scalar registers that are
    moved into lanes of vector registers stay on chip and do not count.
    """

    case: str
    target: str
    registers: int
    spills: int
    shared_bytes: int


def kernel_modules() -> tuple[str, ...]:
    """Names of all kernel files of all operators, sorted.

    >>> all(name.startswith("onetrip.ops.") for name in kernel_modules())
    True
    """
    paths = _OPS_DIR.glob("*/kernel_*.py")
    return tuple(sorted(f"onetrip.ops.{path.parent.name}.{path.stem}" for path in paths))


def declared_cases(module: str) -> tuple[CompileCase, ...]:
    """The `COMPILE_CASES` of a kernel file; none in a file of device functions only."""
    return getattr(importlib.import_module(module), "COMPILE_CASES", ())


def kernels_without_case(module: str) -> tuple[str, ...]:
    """Names of the kernels of a file, ``_…_kernel``, that no case compiles."""
    declared = {_function_in(case.kernel) for case in declared_cases(module)}
    defined = {
        _function_in(value)
        for value in vars(importlib.import_module(module)).values()
        if hasattr(value, "fn")
    }
    names = (f.__name__ for f in defined - declared if f.__module__ == module)
    return tuple(sorted(name for name in names if name.endswith("_kernel")))


def compile_case(case: CompileCase, target: str) -> Compiled:
    """Compile one case for one target.

    Parameters
    ----------
    case : what to compile; its kernel must not have been made for the interpreter.
    target : one of `onetrip.tile.compile_case.TARGETS`.

    Returns
    -------
    Compiled
        Registers and spilled registers of a thread, bytes of shared memory of a program.

    Raises
    ------
    ArgumentError
        The case names arguments that the kernel does not have, or leaves some out.
    UnsupportedError
        The kernel was made for Triton's interpreter.
    """
    import triton

    compiled = triton.compile(
        _source(case),
        target=_gpu_target(target),
        options={"num_warps": case.num_warps, "num_stages": case.num_stages, **case.options},
    )
    shared_bytes = int(compiled.metadata.shared)
    if target.startswith("gfx"):
        registers, spills = _amd_registers(compiled.asm["amdgcn"])
    else:
        registers, spills = _nvidia_registers(compiled.asm["cubin"])
    return Compiled(case.name, target, registers, spills, shared_bytes)


def broken_by_sizes_of_one(case: CompileCase) -> tuple[str, ...]:
    """Say why the kernel of a case cannot be launched where every size is 1; nothing when it can.

    Triton makes a constant of an integer argument that is 1, and a constant has no ``.to``. The
    kernel is parsed for the first target, and not compiled.
    """
    from triton._C.libtriton import ir
    from triton.compiler.compiler import make_backend
    from triton.compiler.errors import CompilationError

    kept = {each.name for each in _jit_function(case).params if each.do_not_specialize}
    ones = {name: 1 for name, kind in case.signature.items() if kind == "i32" and name not in kept}
    signature = {name: kind for name, kind in case.signature.items() if name not in ones}
    source = _source(
        replace(
            case,
            signature=signature,
            constexprs={**case.constexprs, **ones},
            multiples_of_16=tuple(name for name in case.multiples_of_16 if name in signature),
        )
    )
    target = _gpu_target(case.targets[0])
    backend: Any = make_backend(target)  # whose base declares less than every backend has
    options = backend.parse_options(
        {"num_warps": case.num_warps, "num_stages": case.num_stages, **case.options}
    )
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    implementations = backend.get_codegen_implementation(options)
    try:
        source.make_ir(target, options, implementations, backend.get_module_map(), context)
    except CompilationError as error:
        return (f"{case.name} where every size is 1: {error.__cause__ or error}",)
    return ()


def broken_bounds(case: CompileCase, compiled: Compiled) -> tuple[str, ...]:
    """Say which of its bounds a case breaks on a target; nothing when it keeps them all.

    >>> case = CompileCase("float32", print, {"x_ptr": "*fp32"})
    >>> broken_bounds(case, Compiled("float32", "sm_90", 255, 12, 1024))
    ('float32 on sm_90 spills 12 registers of a thread, at most 0 allowed',)
    """
    allowed_bytes = case.shared_bytes_allowed(compiled.target)
    place = f"{case.name} on {compiled.target}"
    broken = []
    if compiled.spills > case.max_spills:
        broken.append(
            f"{place} spills {compiled.spills} registers of a thread, "
            f"at most {case.max_spills} allowed"
        )
    if compiled.shared_bytes > allowed_bytes:
        broken.append(
            f"{place} takes {compiled.shared_bytes} bytes of shared memory, "
            f"at most {allowed_bytes} allowed"
        )
    return tuple(broken)


def _function_in(kernel: Any) -> Any:
    """Unwrap what Triton, its interpreter or an autotuner made of a function."""
    while hasattr(kernel, "fn"):
        kernel = kernel.fn
    return kernel


def _jit_function(case: CompileCase) -> Any:
    from triton.runtime.jit import JITFunction

    kernel: Any = case.kernel
    while not isinstance(kernel, JITFunction) and hasattr(kernel, "fn"):
        kernel = kernel.fn  # an autotuner or a heuristic around the function
    if not isinstance(kernel, JITFunction):
        raise UnsupportedError(
            f"The kernel of the case {case.name!r} is not a compiled function but "
            f"{type(case.kernel).__name__}. Unset TRITON_INTERPRET before Triton is imported."
        )
    return kernel


def _source(case: CompileCase):
    kernel = _jit_function(case)
    names = list(kernel.arg_names)
    given = {**case.signature, **case.constexprs}
    if given.keys() != set(names):
        raise ArgumentError(
            complaint(
                f"signature and constexprs of the case {case.name!r}",
                expected=f"exactly the arguments {names}",
                got=sorted(given),
            )
        )
    signature = {name: case.signature.get(name, "constexpr") for name in names}
    aligned = [
        (index,)
        for index, name in enumerate(names)
        if signature[name].startswith("*") or name in case.multiples_of_16
    ]
    attrs = {index: [["tt.divisibility", 16]] for index in aligned}
    if kernel.is_gluon():
        from triton.experimental.gluon._runtime import GluonASTSource as Source
    else:
        from triton.compiler import ASTSource as Source
    return Source(kernel, signature, dict(case.constexprs), attrs)


def _gpu_target(target: str):
    from triton.backends.compiler import GPUTarget

    if target.startswith("gfx"):
        return GPUTarget("hip", target, 64)
    return GPUTarget("cuda", int(target.removeprefix("sm_")), 32)


def _amd_registers(assembly: str) -> tuple[int, int]:
    def count(key: str) -> int:
        return max(int(number) for number in re.findall(rf"\.{key}:\s+(\d+)", assembly))

    return count("vgpr_count"), count("vgpr_spill_count")


def _nvidia_registers(binary: bytes) -> tuple[int, int]:
    """Registers of a thread, and its stack in units of them: kernels put nothing else there."""
    from triton import knobs

    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder, "kernel.cubin")
        cubin.write_bytes(binary)
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(cubin)]
        usage = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    registers = [int(number) for number in re.findall(r"REG:(\d+)", usage)]
    stack_bytes = [int(number) for number in re.findall(r"STACK:(\d+)", usage)]
    return max(registers), max(stack_bytes) // 4


def _modules_named(names: Iterable[str]) -> tuple[str, ...]:
    wanted = []
    for name in names:
        mine = [module for module in kernel_modules() if module.startswith(f"onetrip.ops.{name}.")]
        wanted += mine or [name]
    return tuple(wanted) or kernel_modules()


def main(arguments: list[str] | None = None) -> int:
    """Compile what is named and print a line of JSON for each case and target; 1 if one is bad."""
    parser = argparse.ArgumentParser(prog="python -m onetrip.testing.compile_lane")
    parser.add_argument("names", nargs="*", help="operators or modules; all operators by default")
    modules = _modules_named(parser.parse_args(arguments).names)
    if len(modules) == 1:
        return _compile_module(modules[0])
    # For all that are forked from here: importing them takes longer than a small module's cases.
    importlib.import_module("torch")
    importlib.import_module("triton")
    return max(map(_compile_in_a_fork, modules))


def _compile_in_a_fork(module: str) -> int:
    """`_compile_module` where a compiler that crashes takes no other module with it."""
    process = multiprocessing.get_context("fork").Process(
        target=lambda: sys.exit(_compile_module(module))
    )
    process.start()
    process.join()
    return int(process.exitcode != 0)


def first_cases(module: str) -> dict[object, CompileCase]:
    """The first case of each kernel of a file."""
    cases = declared_cases(module)
    return {_function_in(case.kernel): case for case in reversed(cases)}


def _compile_module(module: str) -> int:
    failures = 0
    for case in first_cases(module).values():
        print(module, case.name, SIZES_OF_ONE, file=sys.stderr, flush=True)
        broken = broken_by_sizes_of_one(case)
        failures += len(broken)
        told = {"module": module, "case": case.name, "target": SIZES_OF_ONE, "broken": broken}
        print(json.dumps(told))
    for case in declared_cases(module):
        for target in case.targets:
            # Named before it is tried: a compiler that crashes leaves no other trace.
            print(module, case.name, target, file=sys.stderr, flush=True)
            compiled = compile_case(case, target)
            broken = broken_bounds(case, compiled)
            failures += len(broken)
            print(json.dumps({"module": module, **asdict(compiled), "broken": broken}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
