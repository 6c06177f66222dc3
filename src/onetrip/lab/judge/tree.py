"""Carry a problem's data between processes: structure as JSON, tensors as raw bytes, no pickle."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from onetrip.core.errors import DataError

# Vector loads of a kernel may rely on it, as on what an allocator returns.
ALIGNMENT = 256
_PLAIN = (str, bool, int, type(None))
_TENSORS = (Tensor, torch.nn.Parameter)
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Packed:
    """A tree taken apart: its document, the tensors that the document counts, and their size."""

    document: dict[str, Any]
    tensors: list[Tensor]
    total_bytes: int


def pack(tree: object) -> Packed:
    """Take a tree apart. Strides survive; sharing of storage between tensors does not.

    >>> packed = pack({"x": torch.zeros(2, 3).T, "options": (1, None, float("inf"))})
    >>> packed.document["tensors"]
    [{'dtype': 'float32', 'shape': [3, 2], 'strides': [1, 3], 'offset': 0, 'bytes': 24}]
    """
    tensors: list[Tensor] = []
    node = _encode(tree, tensors, 0)
    places = []
    end = 0
    for tensor in tensors:
        size = _span(tensor.shape, tensor.stride()) * tensor.element_size()
        places.append(
            {
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": list(tensor.shape),
                "strides": list(tensor.stride()),
                "offset": end,
                "bytes": size,
            }
        )
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return Packed({"tree": node, "tensors": places, "bytes": end}, tensors, end)


def write(packed: Packed, memory: Tensor) -> None:
    """Put the tensors' bytes where the document says, into uint8 `memory` on any device."""
    places = packed.document["tensors"]
    for place, tensor in zip(places, packed.tensors, strict=True):
        if place["bytes"]:
            span = (place["bytes"] // tensor.element_size(),)
            flat = tensor.as_strided(span, (1,)).contiguous().view(torch.uint8)
            memory[place["offset"] : place["offset"] + place["bytes"]].copy_(flat)


def unpack(
    document: Mapping, memory: Tensor, *, device: str, types: Mapping[str, type] | None = None
) -> Any:
    """Put a tree together; its tensors are views of `memory`.

    Parameters
    ----------
    document : of `pack`. What it holds beyond the known kinds of node is refused.
    memory : uint8, one-dimensional.
    device : what a device in the tree becomes.
    types : dataclasses and named tuples that may occur, by name.

    Raises
    ------
    DataError
        The document is not one of `pack`, or does not fit `memory`.
    """
    tensors = [_tensor(place, memory) for place in document["tensors"]]
    return _decode(document["tree"], tensors, device, types or {}, 0)


def _encode(tree: object, tensors: list[Tensor], depth: int) -> object:
    if depth > _DEEPEST:
        raise DataError(f"A problem's data is nested deeper than {_DEEPEST} levels.")
    if isinstance(tree, _PLAIN) and type(tree) in _PLAIN:
        return tree
    if type(tree) is float:
        return tree if math.isfinite(tree) else {"float": repr(tree)}
    if isinstance(tree, Tensor) and type(tree) in _TENSORS:
        if tree.layout is not torch.strided or tree.is_quantized:
            raise DataError(f"A tensor of layout {tree.layout} cannot travel: make it strided.")
        tensors.append(tree.detach().resolve_conj().resolve_neg())
        return {"tensor": len(tensors) - 1}
    if isinstance(tree, torch.dtype):
        return {"dtype": str(tree).removeprefix("torch.")}
    if isinstance(tree, torch.device):
        return {"device": None}

    def inner(value: object) -> object:
        return _encode(value, tensors, depth + 1)

    return _encode_container(tree, inner)


def _encode_container(tree: object, inner: Callable[[object], object]) -> object:
    if type(tree) is list:
        return [inner(value) for value in tree]
    if type(tree) is tuple:
        return {"tuple": [inner(value) for value in tree]}
    if isinstance(tree, Mapping):
        return {"dict": [[inner(key), inner(value)] for key, value in tree.items()]}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        values = [[name, inner(getattr(tree, name))] for name in tree._fields]  # type: ignore
        return {"named": type(tree).__name__, "fields": values}
    if is_dataclass(tree) and not isinstance(tree, type):
        values = [[field.name, inner(getattr(tree, field.name))] for field in fields(tree)]
        return {"named": type(tree).__name__, "fields": values}
    raise DataError(
        f"A problem's data holds a {type(tree).__name__}, which cannot travel. It may hold "
        "tensors, numbers, strings, None, and tuples, lists, dictionaries and dataclasses of these."
    )


def _decode(
    node: object, tensors: list[Tensor], device: str, types: Mapping[str, type], depth: int
) -> object:
    if depth > 2 * _DEEPEST:
        raise DataError("A tree is nested too deep.")

    def inner(value: object) -> object:
        return _decode(value, tensors, device, types, depth + 1)

    if isinstance(node, (*_PLAIN, float)):
        return node
    if isinstance(node, list):
        return [inner(value) for value in node]
    match node:
        case {"tensor": int(index)} if 0 <= index < len(tensors):
            return tensors[index]
        case {"float": "inf" | "-inf" | "nan" as text}:
            return float(text)
        case {"dtype": str(name)}:
            return _dtype(name)
        case {"device": None}:
            return torch.device(device)
        case {"tuple": list(values)}:
            return tuple(inner(value) for value in values)
        case {"dict": list(pairs)}:
            return {inner(key): inner(value) for key, value in pairs}
        case {"named": str(name), "fields": list(pairs)} if name in types:
            return types[name](**{field: inner(value) for field, value in pairs})
    raise DataError(f"A tree holds a node that means nothing here: {str(node)[:100]}.")


def _tensor(place: Mapping, memory: Tensor) -> Tensor:
    dtype = _dtype(place["dtype"])
    shape, strides = tuple(place["shape"]), tuple(place["strides"])
    begin, size = int(place["offset"]), int(place["bytes"])
    fits = 0 <= begin <= begin + size <= memory.numel() and begin % ALIGNMENT == 0
    if not fits or size != _span(shape, strides) * dtype.itemsize:
        raise DataError(f"A tensor of {size} bytes at {begin} does not fit its memory.")
    return memory[begin : begin + size].view(dtype).as_strided(shape, strides)


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise DataError(f"{name!r} is no dtype.")
    return dtype


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Elements from the first to the last that a tensor touches."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
