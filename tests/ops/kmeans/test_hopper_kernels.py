"""The kernels for Hopper on a CPU: their roles as threads over NumPy, barriers and all.

Triton's interpreter does not know Gluon. Here the functions of a kernel run as they are written,
with `gl`, barriers, the copy engine and the tensor cores exchanged. Products are made when they are
waited for, from what shared memory holds by then: a tile given back too early shows.
"""

import functools
import threading
import types

import numpy as np
import pytest
import torch
import triton
from triton.experimental import gluon

from onetrip.ops.kmeans import gluon_impl, kernel_ahead_gluon, kernel_gluon
from onetrip.ops.kmeans.device_search import Search
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.reference import make_inputs
from onetrip.ops.kmeans.select import default_config
from onetrip.ops.kmeans.solve import problem_of

_LOCAL = threading.local()
_DTYPES = {"float16": np.float16, "float32": np.float32, "int32": np.int32}
_DEADLOCK_S = 3.0


class Tile(np.ndarray):
    """A tensor of a kernel."""

    def to(self, dtype, bitcast=False):
        return self.view(dtype) if bitcast else self.astype(dtype)


def tile(value):
    return np.asarray(value).view(Tile)


class Pointer:
    """Where elements of an array are; a store writes a tensor."""

    def __init__(self, array, at=0):
        self.array, self.at = array, at

    def __add__(self, offset):
        return Pointer(self.array, self.at + offset)


def load(pointer, mask=True, other=0):
    at = np.asarray(pointer.at)
    inside = np.broadcast_to(np.asarray(mask), at.shape)
    found = pointer.array[np.where(inside, at, 0)]
    return tile(np.where(inside, found, np.asarray(other, dtype=found.dtype)))


def store(pointer, value, mask):
    pointer.array[pointer.at[mask]] = np.asarray(value)[mask]


class Barrier:
    def __init__(self, count):
        self.count = self.pending = count
        self.bytes, self.phase = 0, 0
        self.changed = threading.Condition()

    def arrive(self, arrivals=1, arrived_bytes=0):
        with self.changed:
            self.pending -= arrivals
            self.bytes += arrived_bytes
            assert self.pending >= 0, "more arrivals than a phase has"
            if self.pending == self.bytes == 0:
                self.phase ^= 1
                self.pending = self.count
                self.changed.notify_all()

    def wait(self, phase):
        with self.changed:
            came = self.changed.wait_for(lambda: self.phase != int(phase), _DEADLOCK_S)
        assert came, "a barrier that nobody completes"


class Slots(list):
    """Buffers or barriers, one a slot."""

    @property
    def shape(self):
        return (len(self),)

    def index(self, slot):
        return self[int(slot)]


class Shared:
    """A buffer in shared memory, whose last reader may be late."""

    def __init__(self, data, order=(0, 1)):
        self.data, self.order = data, order

    def permute(self, order):
        return Shared(self.data, order)

    def load(self, layout):
        return tile(self.data.transpose(self.order).copy())


class Described:
    def __init__(self, array, block):
        self.array = array
        nbytes = int(np.prod(block)) * array.itemsize
        self.block_type = types.SimpleNamespace(shape=block, nbytes=nbytes)

    def buffer(self):
        return Shared(np.full(self.block_type.shape, np.nan, self.array.dtype))


def copy_block(described, place, barrier, shared):
    rows, columns = described.block_type.shape
    block = described.array[place[0] : place[0] + rows, :columns]
    shared.data[:] = 0.0
    shared.data[: block.shape[0], : block.shape[1]] = block
    barrier.arrive(0, -described.block_type.nbytes)


class Product:
    """Products that have begun; whoever reads them must have waited."""

    def __init__(self, rows, shared):
        self.rows, self.shared = rows, shared

    def made(self):
        return tile(self.rows.astype(np.float32) @ self.shared.load(None).astype(np.float32))


def wait_for_products(outstanding, deps):
    made = [dep.made() if isinstance(dep, Product) else dep for dep in deps]
    return made if len(made) > 1 else made[0]


def reduce(given, axis, combine):
    several = isinstance(given, tuple)
    parts = [
        [tile(part) for part in np.moveaxis(each, axis, 0)]
        for each in (given if several else (given,))
    ]
    so_far = tuple(each[0] for each in parts)
    for place in range(1, len(parts[0])):
        so_far = combine(*so_far, *(each[place] for each in parts))
        so_far = so_far if several else (so_far,)
    return so_far if several else so_far[0]


def least_of_three(assembly, constraints, given, **_):
    assert assembly.count("min.s32") == 2
    return np.minimum(np.minimum(given[0], given[1]), given[2])


def language():
    """What a kernel calls `gl`."""
    names = {name: np.dtype(kind).type for name, kind in _DTYPES.items()}
    layouts = (
        "NVMMADistributedLayout",
        "DotOperandLayout",
        "SliceLayout",
        "DistributedLinearLayout",
    )
    return types.SimpleNamespace(
        **names,
        **dict.fromkeys(layouts, lambda *_: None),
        constexpr=None,
        static_range=range,
        program_id=lambda _: _LOCAL.program,
        num_programs=lambda _: _LOCAL.programs,
        cdiv=lambda a, b: -(-a // b),
        arange=lambda start, end, layout: tile(np.arange(start, end, dtype=np.int32)),
        zeros=lambda shape, dtype, layout: tile(np.zeros(shape, dtype)),
        full=lambda shape, value, dtype, layout: tile(np.full(shape, value, dtype)),
        full_like=lambda like, value: tile(np.full_like(like, value)),
        load=load,
        store=store,
        where=lambda *given: tile(np.where(*given)),
        minimum=np.minimum,
        maximum=np.maximum,
        abs=np.abs,
        min=lambda x, axis: tile(x.min(axis)),
        max=lambda x, axis: tile(x.max(axis)),
        sum=lambda x, axis: tile(x.sum(axis)),
        expand_dims=lambda x, axis: tile(np.expand_dims(x, axis)),
        reshape=lambda x, shape: x.reshape([int(size) for size in shape]),
        permute=np.transpose,
        split=lambda x: (x[..., 0], x[..., 1]),
        convert_layout=lambda x, layout: x,
        reduce=reduce,
        inline_asm_elementwise=least_of_three,
    )


_EXCHANGED = {
    "gl": language(),
    "mbarrier": types.SimpleNamespace(
        wait=Barrier.wait,
        arrive=Barrier.arrive,
        expect=lambda barrier, nbytes: barrier.arrive(1, nbytes),
    ),
    "tma": types.SimpleNamespace(async_copy_global_to_shared=copy_block),
    "warpgroup_mma": lambda x, c, acc, **_: Product(x, c),
    "warpgroup_mma_wait": wait_for_products,
}


@functools.cache
def as_python(kernel):
    """A device function that runs here, and all that it calls."""
    function = kernel.fn
    known = {}
    for name, value in function.__globals__.items():
        if name in _EXCHANGED:
            known[name] = _EXCHANGED[name]
        elif isinstance(value, triton.language.constexpr):
            known[name] = value.value
        elif isinstance(value, type(gluon.jit(_here))) and name in function.__code__.co_names:
            known[name] = as_python(value)
        else:
            known[name] = value
    return types.FunctionType(function.__code__, known, function.__name__)


def _here():
    pass


def run_roles(module, rows, centers, stages, *arguments, items, tiles, programs, options):
    """Run producer and consumers of every program of a kernel."""
    consumers = kernel_gluon.CONSUMERS.value

    def role(function, failed, program, given):
        _LOCAL.program, _LOCAL.programs = program, programs
        try:
            with np.errstate(all="ignore"):
                as_python(function)(*given)
        except BaseException as error:  # seen by the test, not by its thread
            failed.append(error)

    for program in range(programs):
        x_ready, x_free = (Slots(Barrier(1) for _ in range(consumers)) for _ in range(2))
        x_bufs = Slots(rows.buffer() for _ in range(consumers))
        c_bufs = Slots(centers.buffer() for _ in range(stages))
        ready = Slots(Barrier(1) for _ in range(stages))
        free = Slots(Barrier(consumers) for _ in range(stages))
        shared = (x_bufs, c_bufs, x_ready, x_free, ready, free)
        begun = (Slots([Barrier(1)]),) if module is kernel_ahead_gluon else ()
        failed = []
        roles = [(module._produce, (rows, centers, *shared, items, tiles))]
        roles += [
            (module._search, (who, *shared, *begun, *arguments, items, tiles, *options))
            for who in range(consumers)
        ]
        threads = [threading.Thread(target=role, args=(f, failed, program, g)) for f, g in roles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in failed:
            raise error


class Emulated(Search):
    """The search of a device, by the threads above instead of a kernel."""

    module, stages, centers_at_a_time = kernel_gluon, 3, 64

    def options(self):
        return ()

    def find(self, labels):
        x = self.points.centred
        padded = np.zeros((x.shape[0], self.width), np.float32)
        padded[:, : x.shape[1]] = x.numpy()
        items = triton.cdiv(x.shape[0], 128)
        one_d = (
            self.points.norm,
            self.residue,
            self.level,
            self.reach,
            labels,
            self.limit,
            self.other,
        )
        run_roles(
            self.module,
            Described(padded, [64, self.width]),
            Described(self.half.numpy(), [self.centers_at_a_time, self.width]),
            self.stages,
            *(Pointer(tensor.numpy()) for tensor in one_d),
            np.float32(self.scale),
            x.shape[0],
            items=items,
            tiles=self.columns // self.centers_at_a_time,
            programs=min(items, 2),
            options=self.options(),
        )


class EmulatedAhead(Emulated):
    module, stages, centers_at_a_time = kernel_ahead_gluon, 3, kernel_ahead_gluon.WIDE.value
    bias = kernel_ahead_gluon.BIAS

    def options(self):
        return (triton.next_power_of_2(self.columns // kernel_gluon.COLS.value),)


def search_by(kind, x, centers, **options):
    config = default_config("triton", problem_of(x, centers.shape[0], {}))
    options = {"certified": True, "spherical": False, **options}
    search = kind(prepare(x, None, "euclidean"), centers, config, **options)
    search.aim(centers, centers)
    return search


def exact(x, centers):
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(x.double(), centers.double(), compute_mode=mode).argmin(1)


@pytest.mark.parametrize("kind", [Emulated, EmulatedAhead])
@pytest.mark.parametrize(
    ("data", "N", "D", "K"),
    [("noise", 700, 20, 300), ("offset", 300, 40, 130), ("noise", 131, 8, 9)],
)
def test_labels_are_those_of_float64(kind, data, N, D, K):
    inputs = make_inputs({"N": N, "D": D, "K": K}, dtype=torch.float32, data=data)
    x, centers = inputs["x"], inputs["centers"]
    labels = torch.full((N,), -7, dtype=torch.int32)
    search = search_by(kind, x, centers)
    search.label(centers, labels)
    assert torch.equal(labels.long(), exact(x, centers))
    # No more is in doubt than by the kernel for all devices.
    plain = search_by(Search, x, centers)
    plain.label(centers, labels)
    assert int(search.count.sum()) <= 1.05 * int(plain.count.sum()) + 2
    assert int(search.count[0]) <= 1.1 * int(plain.count[0]) + 2


@pytest.mark.parametrize("kind", [Emulated, EmulatedAhead])
def test_rows_that_half_precision_mistakes_are_in_doubt(kind):
    """Two far groups: within one, centres are told apart by digits that float16 does not hold."""
    generator = torch.Generator().manual_seed(0)
    side = torch.randint(2, (400, 1), generator=generator) * 2.0 - 1.0
    x = side * 300.0 + torch.randn(400, 5, generator=generator)
    centers, labels = x[:140].clone(), torch.empty(400, dtype=torch.int32)
    search_by(kind, x, centers, certified=False).find(labels)
    mistaken = labels != exact(x, centers)
    assert mistaken.any()
    search = search_by(kind, x, centers)
    search.label(centers, labels)
    assert bool((search.other[mistaken] != -1).all())
    assert torch.equal(labels.long(), exact(x, centers))


@pytest.mark.parametrize("kind", [Emulated, EmulatedAhead])
@pytest.mark.parametrize("apart", [1, 2, 8, 56, 64, 128, 200])
def test_a_second_is_seen_wherever_it_stands(kind, apart):
    """Of a slot and tile, of a slot and place, of another slot; early and late."""
    generator = torch.Generator().manual_seed(apart)
    centers = 100.0 * torch.randn(300, 6, generator=generator)
    first = torch.tensor([0, 3, 21, 63 - apart % 64, 299 - apart])
    centers[first + apart] = centers[first] + 1e-3
    x = torch.cat((centers[first] + 6e-4, centers[first] + 4e-4))
    labels = torch.empty(10, dtype=torch.int32)
    search = search_by(kind, x, centers)
    search.label(centers, labels)
    assert bool((search.other != -1).all())
    assert torch.equal(labels.long(), torch.cat((first + apart, first)))


def test_what_is_not_a_number_is_in_doubt():
    x = torch.randn(70, 6, generator=torch.Generator().manual_seed(0))
    search = search_by(EmulatedAhead, x, x[:20].clone())
    search.points.norm[3] = float("nan")
    search.points.centred[5] = float("nan")
    labels = torch.empty(70, dtype=torch.int32)
    search.find(labels)
    assert search.other[3] == -2
    assert search.other[5] != -1 or torch.isfinite(search.limit[5])


@pytest.mark.parametrize(("D", "kind"), [(64, "AheadSearch"), (200, "HopperSearch")])
def test_features_choose_the_kernel(monkeypatch, D, kind):
    monkeypatch.setattr(gluon_impl.HopperSearch, "__init__", lambda *_, **__: None)
    search = gluon_impl.hopper_search(None, torch.empty(4, D), {})
    assert type(search).__name__ == kind
    assert (search.bias > 0.0) == (kind == "AheadSearch")
