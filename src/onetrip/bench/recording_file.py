"""The file of a recording (``.otrec``): what it holds, and how it is read.

A zip of ``manifest.json`` and, for each problem whose tensors were kept,
``calls/<n>.safetensors``. `onetrip.bench.recording` writes it.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from onetrip.core.errors import DataError

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class RecordedTensor:
    """One argument of a call, its shape as the spec declares it."""

    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One problem, and how often it was called.

    `dtype` is that of the floating inputs; `member` names the tensors inside the file, None when
    they were not kept; `unrecorded_options` names options whose values JSON cannot hold.
    """

    operator: str
    axes: Mapping[str, int]
    dtype: str
    options: Mapping[str, object]
    tensors: Mapping[str, RecordedTensor]
    device: str
    count: int = 1
    member: str | None = None
    unrecorded_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds.

    `n_compiled` and `n_captured` calls were seen inside compiled regions and graph captures and
    not kept; the tensors of `n_left_out` problems were wanted and not kept.
    """

    path: Path
    calls: tuple[RecordedCall, ...]
    n_compiled: int
    n_captured: int
    n_left_out: int

    def load_tensors(self, call: RecordedCall) -> dict[str, Tensor]:
        """Tensors of `call` on the CPU, shaped as the spec declares; empty when not kept.

        Raises
        ------
        DataError
            The file is damaged.
        """
        if call.member is None:
            return {}
        try:
            with zipfile.ZipFile(self.path) as archive:
                loaded = load(archive.read(call.member))
        except (OSError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
            raise _damaged(self.path, f"{call.member}: {error}") from error
        expected = {name: (t.shape, t.dtype) for name, t in call.tensors.items()}
        if {name: (tuple(t.shape), dtype_name(t)) for name, t in loaded.items()} != expected:
            raise _damaged(self.path, f"{call.member} is not what {MANIFEST} says")
        return loaded


def read_recording(path: str | Path) -> Recording:
    """Read what `record` wrote.

    Parameters
    ----------
    path : the ``.otrec`` file.

    Returns
    -------
    Recording
        Its `calls` in the order of their first occurrence; tensors are read when asked for.

    Raises
    ------
    DataError
        No such file, no recording, a damaged one, or one of another format.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(MANIFEST))
    except FileNotFoundError as error:
        raise DataError(
            f"The recording {path} does not exist. "
            "Make one with `with onetrip.record(path): step()`."
        ) from error
    except (OSError, KeyError, zipfile.BadZipFile, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if isinstance(manifest, dict) and manifest.get("format", FORMAT) != FORMAT:
        raise DataError(
            f"The recording {path} has format {manifest['format']}, expected {FORMAT}. "
            "Record the run again with this version of onetrip."
        )
    try:
        return Recording(
            path=path,
            calls=tuple(_call_from(document) for document in manifest["calls"]),
            n_compiled=manifest["n_compiled"],
            n_captured=manifest["n_captured"],
            n_left_out=manifest["n_left_out"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{MANIFEST}: {error!r}") from error


def dtype_name(tensor: Tensor) -> str:
    """Name of a tensor's dtype as specs write it: "bfloat16"."""
    return str(tensor.dtype).removeprefix("torch.")


def _call_from(document: Mapping) -> RecordedCall:
    known = {field.name: document[field.name] for field in fields(RecordedCall)}
    known["options"] = {name: _frozen(value) for name, value in document["options"].items()}
    known["unrecorded_options"] = tuple(document["unrecorded_options"])
    known["tensors"] = {
        name: RecordedTensor(tuple(tensor["shape"]), tensor["dtype"], tensor["requires_grad"])
        for name, tensor in document["tensors"].items()
    }
    return RecordedCall(**known)


def _frozen(value: object) -> object:
    """JSON knows lists only; options were tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} is no readable recording ({what}). Record the run again with `onetrip.record`."
    )
