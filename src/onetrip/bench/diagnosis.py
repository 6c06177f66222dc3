"""What this machine has and lacks; imports neither torch nor triton before it knows they exist."""

import importlib.util
import platform
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import onetrip
from onetrip.core import settings
from onetrip.core.device import Device, find_device, measured_path
from onetrip.core.errors import ArgumentError

_DISTRIBUTION = "onetrip"
_VERSIONS = ("torch", "triton", "numpy")


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part: which packages it lacks, and the command that brings them."""

    name: str
    missing: tuple[str, ...]

    @property
    def command(self) -> str:
        """What to type."""
        return f"pip install '{_DISTRIBUTION}[{self.name}]'"


@dataclass(frozen=True, slots=True)
class KernelProbe:
    """Whether Triton compiles a kernel here, and runs it where there is a device."""

    works: bool
    what: str


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device of this machine and its ceilings, if they are known."""

    torch_device: str
    driver_name: str
    memory_bytes: int
    ceilings: Device | None
    ceilings_from: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Answer of `onetrip doctor`."""

    versions: dict[str, str | None]
    platform: str
    devices: tuple[FoundDevice, ...]
    extras: tuple[Extra, ...]
    kernel: KernelProbe
    folders: dict[str, str] = field(default_factory=dict)
    environment: dict[str, object] = field(default_factory=dict)


def diagnose() -> Diagnosis:
    """Look at this machine; nothing is measured and nothing is written.

    >>> "cpu" in [device.torch_device for device in diagnose().devices]
    True
    """
    versions = {"onetrip": onetrip.__version__, "python": platform.python_version()}
    found = {name: _version(name) for name in _VERSIONS}
    has_torch = _is_installed("torch")
    block: dict[str, object] = {}
    if has_torch:
        from onetrip.bench.environment import environment

        block = environment("cpu")
    return Diagnosis(
        versions={**versions, **found},
        platform=platform.platform(),
        devices=tuple(_devices()) if has_torch else (),
        extras=extras(),
        kernel=probe_kernel(),
        folders={
            "cache": _folder(settings.cache_dir()),
            "database": _folder(settings.database()),
        },
        environment=block,
    )


def extras() -> tuple[Extra, ...]:
    """Every extra that the installed package declares, with the packages that are not there.

    Empty where onetrip runs from a source tree that was never installed.
    """
    try:
        requirements = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return ()
    missing: dict[str, list[str]] = {}
    for requirement in requirements:
        match = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement)
        if match is None or match[1] == _DISTRIBUTION:
            continue
        lacking = missing.setdefault(match[2], [])
        if _version(match[1]) is None:
            lacking.append(match[1])
    return tuple(Extra(name, tuple(lacking)) for name, lacking in missing.items())


def probe_kernel() -> KernelProbe:
    """Compile the smallest Triton kernel, and run it where there is a device."""
    for package in ("torch", "triton"):
        if not _is_installed(package):
            return KernelProbe(False, f"{package} is not installed: pip install {package}")
    import torch

    from onetrip.bench.outcome import catching
    from onetrip.bench.probe_triton import CASE, doubles_on
    from onetrip.testing.compile_lane import compile_case
    from onetrip.tile.compile_case import TARGETS
    from onetrip.tile.problem import problem_on

    failures = {}
    on_gpu = torch.cuda.is_available()
    target = f"sm_{problem_on('cuda', {}, 'float32').arch}" if on_gpu else "sm_90"
    with catching(failures, "probe"):
        if on_gpu:
            right = doubles_on("cuda")
            wrong = "a kernel compiles and runs, and its result is wrong"
            return KernelProbe(right, f"a kernel compiles and runs on {target}" if right else wrong)
        compiled = compile_case(CASE, target if target in TARGETS else "sm_90")
        return KernelProbe(
            True, f"a kernel compiles for {compiled.target}; there is no device to run it"
        )
    return KernelProbe(False, failures["probe"].reason)


def _devices() -> list[FoundDevice]:
    import torch

    from onetrip.bench.roofline import memory_bytes
    from onetrip.tile.problem import problem_on

    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    found = []
    for name in names:
        driver_name = problem_on(name, {}, "float32").device_name
        ceilings, source = known_ceilings(driver_name)
        found.append(FoundDevice(name, driver_name, memory_bytes(name), ceilings, source))
    return found


def known_ceilings(driver_name: str) -> tuple[Device | None, str]:
    """Ceilings of a device, and where they come from."""
    unknown = "unknown: measure them with onetrip doctor --measure"
    try:
        device = find_device(driver_name)
    except ArgumentError:
        return None, unknown
    if device.kind == "cpu" and not device.measured:
        return None, unknown  # bounds of all CPUs say nothing of this one
    if measured_path(driver_name).exists():
        return device, "measured on this machine"
    return device, "measured by us" if device.measured else "from the datasheet"


def _folder(path: Path) -> str:
    if not path.exists():
        return f"{path} (not there yet)"
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    megabytes = sum(item.stat().st_size for item in files) / 1e6
    return f"{path} ({megabytes:.1f} MB)"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
