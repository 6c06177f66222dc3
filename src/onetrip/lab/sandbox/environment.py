"""The environment of a sandboxed process: a few names of ours, a few values of theirs."""

import os
from pathlib import Path

from onetrip.lab.sandbox.readable import import_folders

# What finds libraries and devices. Nothing else of the lab's environment gets in: no token, no
# seed, no LD_PRELOAD.
_PASSED_ON = (
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCM_PATH",
    "TRITON_INTERPRET",
)


def clean_environment(scratch: Path) -> dict[str, str]:
    """Everything that the process sees; caches and temporary files go to `scratch`."""
    own, *users = import_folders()
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return inherited | {
        "PATH": "/usr/local/cuda/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        # Compilers' caches are named after a user, who has no entry in there.
        "USER": "candidate",
        "LOGNAME": "candidate",
        "TRITON_CACHE_DIR": str(scratch / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "PYTHONPATH": os.pathsep.join(map(str, (own.parent, *users))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
