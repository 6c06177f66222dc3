"""The environment of a sandboxed process: a few names of ours, a few values of theirs."""

import os
import site
from collections.abc import Mapping
from pathlib import Path

import onetrip

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


def import_folders() -> tuple[Path, ...]:
    """The package itself, and folders of packages in a user's home or named in PYTHONPATH."""
    users = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    named = [text for text in os.environ.get("PYTHONPATH", "").split(os.pathsep) if text]
    own = Path(onetrip.__file__).parent
    return (own, *(path for text in (*users, *named) if (path := Path(text).resolve()).exists()))


def clean_environment(scratch: Path) -> dict[str, str]:
    """Everything that the process sees; caches and temporary files go to `scratch`."""
    own, *others = import_folders()
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
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(map(str, (own.parent, *others)))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def own_environment() -> dict[str, str]:
    """What a process that this one starts would see."""
    return dict(os.environ)


def live_in(environment: Mapping[str, str]) -> None:
    """Let this process, and what it starts, see `environment` and nothing else."""
    os.environ.clear()
    os.environ.update(environment)
