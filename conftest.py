"""Set-up of every lane, before any test module and with it Triton is imported."""

import functools
import gc
import importlib.util
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import settings

HAS_DEVICE = torch.cuda.is_available()

# Kernels run in Triton's interpreter where there is no device to run them.
if not HAS_DEVICE:
    os.environ.setdefault("TRITON_INTERPRET", "1")


def spare_the_interpreter() -> None:
    """Let Triton's interpreter find things once: two fifths of the time of an interpreted kernel.

    It would look through every name of the language again at each call of a device function, as at
    the launch, write its table of dtypes again at each look into it, and check and spell out the
    same few shapes again for each tensor.
    """
    from triton import language
    from triton.runtime import interpreter

    patch, launch = interpreter._patch_lang, interpreter.GridExecutor.__call__
    patched: set[ModuleType] = set()
    forget_types = remember_types(language.core)

    @functools.cache
    def modules_of(function: Callable[..., object]) -> frozenset[ModuleType]:
        names = function.__globals__.values()
        return frozenset(m for m in (language, language.core) if any(name is m for name in names))

    def patch_what_is_new(function: Callable[..., object]) -> object:
        modules = modules_of(function)
        if modules and modules <= patched:
            return None
        patched.update(modules)
        return patch(function)

    def launch_unpatched(self: Any, *arguments: Any, **named: Any) -> None:
        patched.clear()
        forget_types()
        launch(self, *arguments, **named)

    dtype_of = functools.cache(interpreter._get_np_dtype)

    def scalar_dtype_of(kind: Any) -> object:
        return dtype_of(language.uint64 if kind.scalar.is_ptr() else kind.scalar)

    interpreter._get_np_dtype = scalar_dtype_of
    interpreter._patch_lang = patch_what_is_new
    interpreter.GridExecutor.__call__ = launch_unpatched


def remember_types(core: Any) -> Callable[[], None]:
    """Spell out once the type of blocks of one shape and element, and what tensors say of it.

    Returns what forgets them. Elements' types are told apart as objects, which the memory keeps
    alive: those of pointers are made anew for each launch.
    """
    begin_type, begin_tensor = core.block_type.__init__, core.tensor.__init__
    of_types: dict[tuple[type, tuple[int, ...], int], dict[str, Any]] = {}
    of_tensors: dict[tuple[int, int], dict[str, Any]] = {}

    def type_of_block(self: Any, element_ty: Any, shape: Any) -> None:
        sizes = tuple(s.value if type(s) is core.constexpr else s for s in shape)
        if any(type(size) is not int for size in sizes):
            return begin_type(self, element_ty, shape)
        key = (type(shape), sizes, id(element_ty))
        if key not in of_types:
            begin_type(self, element_ty, shape)
            of_types[key] = dict(vars(self))
        vars(self).update(of_types[key])
        return None

    def tensor(self: Any, handle: Any, type: Any) -> None:
        # Blocks of one shape and element share the object that is their shape.
        key = (id(type.scalar), id(type.shape)) if type.is_block() else (id(type), 0)
        if key not in of_tensors:
            begin_tensor(self, handle, type)
            of_tensors[key] = dict(vars(self))
        vars(self).update(of_tensors[key], handle=handle, type=type)

    def forget() -> None:
        of_types.clear()
        of_tensors.clear()

    core.block_type.__init__, core.tensor.__init__ = type_of_block, tensor
    return forget


if not HAS_DEVICE and importlib.util.find_spec("triton"):
    from onetrip.testing.bounds import guard_bounds

    spare_the_interpreter()
    guard_bounds()

# Neither tuning tables nor trained workloads of the person at the keyboard reach a test.
_cache_dir = tempfile.TemporaryDirectory(prefix="onetrip-tests-")
os.environ["ONETRIP_CACHE_DIR"] = _cache_dir.name
for _variable in ("ONETRIP_LOG_LEVEL", "ONETRIP_DATABASE"):
    os.environ.pop(_variable, None)

torch.set_num_threads(
    max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
)

# A shell starts what runs behind it deaf to Ctrl-C, and so would be the commands that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a red test stays red until it is mended.
settings.register_profile("onetrip", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("onetrip")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Look for examples in the package only: what tests import beside them is not collected."""
    in_tests = Path(__file__).parent / "tests" in collection_path.parents
    is_support = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if in_tests and is_support else None


def pytest_collection_finish() -> None:
    """Keep what was collected out of sight of the garbage collector: it stays to the end."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the gpu lane where there is no device."""
    if HAS_DEVICE:
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no device"))
