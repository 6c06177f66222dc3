"""How truncated_svd goes over x: which solver, which tiles. Neither torch nor triton."""

from collections.abc import Mapping

from onetrip.ops.truncated_svd import device_room

# Oversampling and power iterations of the randomized solver where the caller names none.
OVERSAMPLES = 10
# A float64 product takes about twice a float32 one; half of a symmetric one is left out.
_GRAM_FLOPS_PER_PRODUCT = 2.5
# Eigenvectors of a symmetric matrix: operations per element cubed, at a tenth of the rate.
_EIGEN_FLOPS = 90.0
# The same on a GPU, in float32 products of random trips: halves on tensor cores take a quarter of a
# float64 product on a CPU, and eigenvectors a launch for each column, of some 9 µs.
_DEVICE_GRAM_FLOPS_PER_PRODUCT = 0.6
_DEVICE_EIGEN_FLOPS = 20.0
_DEVICE_FLOPS_PER_COLUMN = 4e8
# Up to here eigenvectors take a fraction of a second, and are exact where random ones are not.
_ALWAYS_EXACT = 1024
# Gram matrices of threads that each have one to themselves, all of them together.
PRIVATE_BYTES = 1 << 26
# Up to here an eigenvector fits the registers of one program.
MOST_FEATURES = 8192


def power_iterations(n_components: int, smaller: int) -> int:
    """Power iterations that scikit-learn's "auto" takes: fewer for many components.

    >>> power_iterations(2, 100), power_iterations(50, 100)
    (7, 4)
    """
    return 7 if n_components < 0.1 * smaller else 4


def chosen_solver(
    solver: str,
    N: int,
    D: int,
    n_components: int,
    n_iter: int,
    oversamples: int,
    *,
    in_halves: bool = False,
) -> str:
    """What "auto" runs: the Gram matrix, unless the random trips take fewer operations.

    >>> chosen_solver("auto", 100_000, 256, 32, 7, 10)
    'covariance_eigh'
    >>> chosen_solver("auto", 20_000, 20_000, 5, 7, 10)
    'randomized'

    `in_halves` is whether the Gram matrix is made of halves, on a GPU.

    >>> chosen_solver("auto", 1_000_000, 3000, 200, 5, 10, in_halves=True)
    'covariance_eigh'
    """
    if solver != "auto":
        return solver
    smaller = min(N, D)
    if in_halves:
        gram = _DEVICE_GRAM_FLOPS_PER_PRODUCT * N * D * smaller
        gram += _DEVICE_EIGEN_FLOPS * smaller**3 + _DEVICE_FLOPS_PER_COLUMN * smaller
    else:
        gram = _GRAM_FLOPS_PER_PRODUCT * N * D * smaller + _EIGEN_FLOPS * smaller**3
    columns = min(smaller, n_components + oversamples)
    random = 4.0 * N * D * columns * (n_iter + 1)
    exact = smaller <= _ALWAYS_EXACT or gram <= random
    return "covariance_eigh" if exact else "randomized"


def tile_rows(tile_elements: int, columns: int) -> int:
    """Rows of `columns` elements that make up a tile, at least eight.

    >>> tile_rows(1 << 19, 256)
    2048
    """
    return max(8, tile_elements // max(1, columns))


def gram_parts(smaller: int, block: int, programs: int) -> int:
    """Parts of the longer side, for about so many programs that share tiles of a Gram matrix.

    >>> gram_parts(256, 128, 396), gram_parts(1024, 128, 396), gram_parts(9000, 128, 396)
    (132, 11, 1)
    """
    tiles = -(-smaller // block)
    return max(1, 2 * programs // (tiles * (tiles + 1)))


def workspace_bytes(
    axes: Mapping[str, int], tile_elements: int, *, on_device: bool = False, solver: str = "auto"
) -> int:
    """Bytes of Gram matrix, its eigenvectors and their workspace, and of tiles in float64."""
    N, D = axes["N"], axes["D"]
    smaller, larger = min(N, D), max(N, D)
    if not smaller:
        return 0
    tile = min(tile_rows(tile_elements, smaller), larger) * smaller
    columns = min(smaller, max(axes["K"], 1) + OVERSAMPLES)
    # LAPACK's own 2·S² + 6·S, or what a device takes for the same.
    room = device_room.eigen_bytes(smaller) if on_device else 8 * smaller * (2 * smaller + 6)
    if on_device and (N < D or solver == "randomized" or smaller > _ALWAYS_EXACT):
        room = max(room, device_room.orthonormal_bytes(D, columns))
    if not on_device:
        room = max(room, min(PRIVATE_BYTES, 64 * 8 * smaller**2))
    # Four squares: the matrix, a copy, and eigenvectors.
    squares = 8 * smaller * (4 * smaller + 2)
    # Vectors of the wider side in float64, once as products and once as results.
    vectors = 8 * 6 * D * smaller
    return squares + room + vectors + 8 * 4 * tile + 8 * 8 * D
