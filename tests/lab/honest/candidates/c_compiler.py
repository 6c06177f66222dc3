"""Compile C with the system's compiler in the scratch folder, and call it by ctypes."""

import ctypes
import subprocess
from pathlib import Path

import torch

SOURCE = """
void add(const float *a, const float *b, float *out, long n) {
    for (long i = 0; i < n; i++) out[i] = a[i] + b[i];
}
"""
Path("add.c").write_text(SOURCE)
subprocess.run(["cc", "-O2", "-shared", "-fPIC", "add.c", "-o", "add.so"], check=True)
ADD = ctypes.CDLL("./add.so").add
POINTER = ctypes.c_void_p
ADD.argtypes = [POINTER, POINTER, POINTER, ctypes.c_long]
ADD.restype = None


def custom_kernel(data):
    a, b = data
    out = torch.empty_like(a)
    ADD(a.data_ptr(), b.data_ptr(), out.data_ptr(), a.numel())
    return out
