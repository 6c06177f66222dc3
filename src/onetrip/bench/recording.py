"""Record the operator calls of a real run into one file."""

import json
import math
import os
import secrets
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from onetrip import __version__
from onetrip.bench.recording_file import (
    FORMAT,
    MANIFEST,
    RecordedCall,
    RecordedTensor,
    dtype_name,
    read_recording,
)
from onetrip.core import recording
from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.operators import load_spec
from onetrip.core.spec import OperatorSpec

__all__ = ["Recorder", "RecordingWarning", "read_recording", "record"]

DEFAULT_MAX_BYTES = 4 * 2**30
_PLAIN_TENSORS = (Tensor, torch.nn.Parameter)


class RecordingWarning(UserWarning):
    """A recording holds less than what ran."""


class Recorder:
    """Takes calls and writes them as they come; `record` makes it and publishes its file."""

    def __init__(self, archive: zipfile.ZipFile, *, tensors: bool, max_bytes: int) -> None:
        self.n_calls = 0
        self.n_compiled = 0
        self.n_captured = 0
        self.n_left_out = 0
        self._archive = archive
        self._wants_tensors = tensors
        self._bytes_left = max_bytes
        self._calls: dict[str, RecordedCall] = {}
        self._lock = threading.Lock()

    @property
    def n_problems(self) -> int:
        """Number of different problems among the calls."""
        return len(self._calls)

    def take(
        self, operator: str, tensors: Mapping[str, object], options: Mapping[str, object]
    ) -> None:
        """Count one call, and keep it when its problem is new."""
        # First, and without the lock: this much the compiler can trace.
        if torch.compiler.is_compiling():
            self.n_compiled += 1
            return
        given = {name: t for name, t in tensors.items() if isinstance(t, Tensor)}
        if _capturing(given):
            with self._lock:
                self.n_captured += 1
            return
        spec = load_spec(operator)
        given = {name: _as_declared(spec, name, tensor) for name, tensor in given.items()}
        call = _describe(spec, given, options)
        key = json.dumps(asdict(call), sort_keys=True)
        with self._lock:
            self.n_calls += 1
            known = self._calls.get(key)
            if known is not None:
                self._calls[key] = replace(known, count=known.count + 1)
                return
            member = f"calls/{len(self._calls)}.safetensors"
            kept = self._wants_tensors and self._keep(member, given)
            self._calls[key] = replace(call, member=member) if kept else call

    def finish(self) -> None:
        """Write the manifest: the last member, so that a file with one is whole."""
        with self._lock:
            manifest = {
                "format": FORMAT,
                "onetrip": __version__,
                "torch": torch.__version__,
                "n_compiled": self.n_compiled,
                "n_captured": self.n_captured,
                "n_left_out": self.n_left_out,
                "calls": [asdict(call) for call in self._calls.values()],
            }
            self._archive.writestr(MANIFEST, json.dumps(manifest, indent=1))

    def warn(self) -> None:
        """Say what the file does not hold."""
        unseen = self.n_compiled + self.n_captured
        messages = []
        if unseen:
            messages.append(
                f"{unseen} onetrip calls ran inside a compiled region or a graph capture and were "
                "counted, not recorded. Run one step uncompiled to record them."
            )
        elif not self.n_calls:
            messages.append("No onetrip operator was called, so the recording is empty.")
        if self.n_left_out:
            messages.append(
                f"The tensors of {self.n_left_out} problems were left out of the recording: more "
                "than `max_bytes`, or no plain tensors. The problems themselves are in it."
            )
        for message in messages:
            warnings.warn(message, RecordingWarning, stacklevel=4)

    def _keep(self, member: str, tensors: Mapping[str, Tensor]) -> bool:
        n_bytes = sum(tensor.nbytes for tensor in tensors.values())
        plain = all(type(tensor) in _PLAIN_TENSORS for tensor in tensors.values())
        if n_bytes > self._bytes_left or not plain:
            self.n_left_out += 1
            return False
        self._bytes_left -= n_bytes
        copies = {
            name: tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in tensors.items()
        }
        self._archive.writestr(member, save(copies))
        return True


@contextmanager
def record(
    path: str | Path, *, tensors: bool = False, max_bytes: int = DEFAULT_MAX_BYTES
) -> Iterator[Recorder]:
    """Record every onetrip operator call inside the ``with`` block.

    A problem (axes, dtypes, options) is stored once and counted after that. The file appears
    when the block ends, also when it ends with an error: it then holds what was recorded so far.

    Parameters
    ----------
    path : file to write, ``.otrec`` by custom; an existing one is replaced at the end.
    tensors : also keep the tensors of each problem's first call, copied to the CPU when it is
        made. They are the run's data: share the file as you would share that.
    max_bytes : tensors beyond this total are left out, with a warning; the problems stay.

    Yields
    ------
    Recorder
        `n_calls` and `n_problems` so far.

    Raises
    ------
    ArgumentError
        The file's folder does not exist, or `max_bytes` is negative.

    Warns
    -----
    RecordingWarning
        After the file is written, when it holds less than what ran.

    Notes
    -----
    Calls from all threads of the process are recorded. A call inside a compiled region
    (`torch.compile`) or a CUDA graph's capture cannot be: it is counted, and a warning says how
    many there were.

    Examples
    --------
    >>> import tempfile, onetrip, torch
    >>> x, w, target = torch.ones(4, 8), torch.ones(16, 8), torch.arange(4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with onetrip.record(f"{folder}/run.otrec", tensors=True) as recorder:
    ...         loss = onetrip.linear_cross_entropy(x, w, target)
    ...     recorder.n_calls
    1
    """
    path = Path(path)
    if not path.parent.is_dir():
        expected = "a file in a folder that exists"
        raise ArgumentError(complaint("path", expected=expected, got=repr(str(path))))
    if max_bytes < 0:
        raise ArgumentError(complaint("max_bytes", expected="at least 0", got=max_bytes))
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    archive = zipfile.ZipFile(aside, "x", zipfile.ZIP_STORED)
    recorder = Recorder(archive, tensors=tensors, max_bytes=max_bytes)
    recording.attach(recorder)
    try:
        yield recorder
    finally:
        recording.detach(recorder)
        try:
            recorder.finish()
            archive.close()
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    # Only after a run without error: a warning that is turned into an error would hide that one.
    recorder.warn()


def _describe(
    spec: OperatorSpec,
    given: Mapping[str, Tensor],
    options: Mapping[str, object],
) -> RecordedCall:
    axes: dict[str, int] = {}
    for declared in spec.inputs:
        if declared.name in given:
            axes |= zip(declared.axes, given[declared.name].shape, strict=True)
    floating = [given[t.name] for t in spec.inputs if t.grad and t.name in given]
    plain = {name: value for name, value in options.items() if _is_plain(value)}
    return RecordedCall(
        operator=spec.name,
        axes=axes,
        dtype=dtype_name(floating[0]) if floating else "",
        options=plain,
        tensors={
            name: RecordedTensor(
                shape=tuple(tensor.shape),
                dtype=dtype_name(tensor),
                requires_grad=tensor.requires_grad,
            )
            for name, tensor in given.items()
        },
        device=_device_name(given),
        unrecorded_options=tuple(sorted(options.keys() - plain.keys())),
    )


def _as_declared(spec: OperatorSpec, name: str, tensor: Tensor) -> Tensor:
    """Fold leading axes into the first declared one: ``[B, T, D]`` is ``[N, D]``."""
    n_axes = next(len(declared.axes) for declared in spec.inputs if declared.name == name)
    if tensor.ndim <= n_axes or n_axes == 0:
        return tensor
    trailing = tensor.shape[tensor.ndim - n_axes + 1 :]
    return tensor.reshape(math.prod(tensor.shape[: tensor.ndim - n_axes + 1]), *trailing)


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _device_name(tensors: Mapping[str, Tensor]) -> str:
    device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _capturing(tensors: Mapping[str, Tensor]) -> bool:
    on_cuda = any(tensor.is_cuda for tensor in tensors.values())
    return on_cuda and torch.cuda.is_current_stream_capturing()
