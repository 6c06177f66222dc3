"""What a kernel file declares so that the compile lane can hold it to its bounds without a GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

# Shared memory that one program may use at most on each target: the hardware's limit.
SHARED_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "sm_80": 163 * 1024,
        "sm_90": 227 * 1024,
        "sm_100": 227 * 1024,
        "gfx942": 64 * 1024,
        "gfx950": 160 * 1024,
    }
)

TARGETS: tuple[str, ...] = tuple(SHARED_BYTES)


def descriptor_type(dtype: str, block: Sequence[int], layout: object = None) -> str:
    """Type of a tensor descriptor, for `CompileCase.signature`.

    Gluon's descriptors carry the layout of their tile in shared memory, Triton's have none.

    >>> descriptor_type("bf16", (128, 64))
    'tensordesc<bf16[128, 64]>'
    """
    return f"tensordesc<{dtype}{list(block)}{'' if layout is None else f',{layout!r}'}>"


_NOTHING: Mapping[str, object] = MappingProxyType({})
_NO_BOUND: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CompileCase:
    """One specialisation of a kernel, the targets it compiles for, and what it may use there.

    A kernel file lists its own in ``COMPILE_CASES: tuple[CompileCase, ...]``: the
    configurations that it launches by default, at the dtypes that it is launched with. Every
    function that is named ``_…_kernel`` has at least one case.

    Parameters
    ----------
    name : unique within the kernel file.
    kernel : the `triton.jit` or `gluon.jit` function.
    signature : run-time argument -> type: "*bf16", "i32", "fp32", or a `descriptor_type`.
    constexprs : compile-time argument -> value. A stride of 1 belongs here: a launch makes it one.
    num_warps, num_stages : as in the launch.
    targets : subset of `TARGETS`.
    multiples_of_16 : integer arguments that a launch finds divisible by 16 (sizes, strides);
        pointers are always taken as aligned to 16 bytes.
    max_spills : registers, of 4 bytes a thread, that may be spilled.
    max_shared_bytes : target -> bound below the hardware's own, in bytes.
    options : further options of the compiler, ``{"maxnreg": 128}``.

    Examples
    --------
    >>> case = CompileCase("float32", print, {"x_ptr": "*fp32", "N": "i32"}, {"BLOCK_N": 128})
    >>> case.shared_bytes_allowed("sm_90")
    232448
    """

    name: str
    kernel: object
    signature: Mapping[str, str]
    constexprs: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    num_warps: int = 4
    num_stages: int = 2
    targets: tuple[str, ...] = TARGETS
    multiples_of_16: tuple[str, ...] = ()
    max_spills: int = 0
    max_shared_bytes: Mapping[str, int] = field(default_factory=lambda: _NO_BOUND)
    options: Mapping[str, object] = field(default_factory=lambda: _NOTHING)

    def shared_bytes_allowed(self, target: str) -> int:
        """Bytes of shared memory that one program may use on `target`."""
        return min(SHARED_BYTES[target], self.max_shared_bytes.get(target, SHARED_BYTES[target]))
