"""Products on a CPU by the BLAS of NumPy and SciPy, where it is faster than torch's.

A tile times itself: SciPy's symmetric product leaves out one half, where torch's general one has
to be given strips. Tiles of 2^18 float64 took 1.45 ms where strips took 2.05 for 256 columns, 0.9
and 1.2 for 128, 0.56 and 0.90 for 64 (one core with AVX-512). SciPy's own wrapper keeps the
interpreter's lock, so the function behind it is called. Without SciPy, strips.

A tile of float64 times a thin matrix: 0.24 ms by NumPy, 0.32 by torch for 2048 x 128 x 16.
"""

import ctypes
import functools
import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Columns that one product fills, a quarter of all: what lies below them is left out.
# A tile of 2^18 elements on one core: 0.39 ms for 64 columns in strips of 32, 0.45 in one
# piece; 0.59 for 128 in strips of 32, 0.65 of 64; 1.1 for 256 in strips of 64, 1.8 in one piece.
_LEAST_STRIP, _MOST_STRIP = 32, 256
# What the first words of its signature are where integers have 32 bits.
_SIGNATURE = b"void (char *, char *, int *, int *, "
_Symmetric = Callable[..., None]
# Held by who left every BLAS one thread.
_LIMITED = threading.Lock()


def add_square(matrix: Tensor, tile: Tensor) -> None:
    """Add ``tileᵀ @ tile`` to `matrix` [D, D] on and above its diagonal; below it is not read.

    Parameters
    ----------
    matrix : Tensor [D, D], float64
        In one piece.
    tile : Tensor [N, D], float64, any strides
    """
    symmetric = symmetric_product()
    if symmetric is None or matrix.device.type != "cpu":
        for part in strips(len(matrix)):
            matrix[part, part.start :].addmm_(tile[:, part].T, tile[:, part.start :])
        return
    if not tile.numel():
        return
    rows, columns = tile.shape
    in_rows = tile.stride(1) == 1 and tile.stride(0) >= columns
    in_columns = tile.stride(0) == 1 and tile.stride(1) >= rows
    if not in_rows and not in_columns:
        tile, in_rows = tile.contiguous(), True
    # What has rows for us has columns for a BLAS: its lower half is our upper one.
    symmetric(
        b"L",
        b"N" if in_rows else b"T",
        ctypes.c_int(columns),
        ctypes.c_int(rows),
        ctypes.c_double(1.0),
        tile.data_ptr(),
        ctypes.c_int(tile.stride(0) if in_rows else tile.stride(1)),
        ctypes.c_double(1.0),
        matrix.data_ptr(),
        ctypes.c_int(columns),
    )


def multiply(tile: Tensor, basis: Tensor, out: Tensor) -> None:
    """Write ``tile @ basis`` [N, K] into `out`, which lies in one piece; all are of one dtype."""
    if tile.dtype == torch.float64 and tile.device.type == "cpu":
        np.dot(tile.numpy(), basis.numpy(), out=out.numpy())
    else:
        torch.mm(tile, basis, out=out)


def mirror(matrix: Tensor) -> None:
    """Copy what lies above the diagonal of `matrix` [D, D] below it."""
    for part in strips(len(matrix)):
        block = matrix[part, part].triu()
        matrix[part, part] = block + block.triu(1).T
        matrix[part.stop :, part] = matrix[part, part.stop :].T


def strips(columns: int) -> list[slice]:
    """Consecutive columns that go into a product together.

    >>> [part.stop - part.start for part in strips(300)]
    [75, 75, 75, 75]
    """
    width = min(_MOST_STRIP, max(_LEAST_STRIP, -(-columns // 4)))
    return [slice(begin, min(begin + width, columns)) for begin in range(0, columns, width)]


@functools.cache
def symmetric_product() -> _Symmetric | None:
    """BLAS' ``dsyrk``, which lets go of the interpreter; None where SciPy has not brought one."""
    try:
        from scipy.linalg import cython_blas  # pyright: ignore[reportAttributeAccessIssue]
    except ImportError:
        return None
    capsule = getattr(cython_blas, "__pyx_capi__", {}).get("dsyrk")
    if capsule is None or _threads_of_blas() is None:
        return None
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype = ctypes.c_void_p
    pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = name_of(capsule)
    if not signature.startswith(_SIGNATURE):
        return None
    whole, real = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_double)
    place, letter = ctypes.c_void_p, ctypes.c_char_p
    kind = ctypes.CFUNCTYPE(
        None, letter, letter, whole, whole, real, place, whole, real, place, whole
    )
    return kind(pointer_of(capsule, signature))


@contextmanager
def on_one_thread_each(*, where: bool = True) -> Iterator[None]:
    """Leave products to the threads that ask for them, `where` several do: BLAS' own would wait.

    They would look for more work for 100 ms, too, on cores that others want. Where two ask for
    this at once, it ends with the first: OpenBLAS takes more threads only from who took them away.
    """
    threads = _threads_of_blas() if where else None
    if threads is None or not _LIMITED.acquire(blocking=False):
        yield
        return
    try:
        with threads.limit(limits=1):
            yield
    finally:
        _LIMITED.release()


@functools.cache
def _threads_of_blas() -> Any:
    """What sets the number of threads of every BLAS in this process, or None."""
    try:
        importlib.import_module("scipy.linalg")  # loads its own; later, it would not be found
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")
