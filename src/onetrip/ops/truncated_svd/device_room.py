"""Memory that torch's decompositions take on a device beside the matrices that they return.

It is the workspace of cuSOLVER, which says for every size what it wants. These are its answers to
torch 2.11 with CUDA 13.0 on an H100, as functions of the size: `tests/ops/truncated_svd` holds them
to what was asked for.
"""

# Numbers that a decomposition into orthonormal columns and a triangle asks for, whatever its size.
_PANELS = 786_432 + 256


def eigen_bytes(S: int) -> int:
    """Of the eigenvectors of a symmetric [S, S] in float64.

    >>> eigen_bytes(60), eigen_bytes(300)
    (979928, 4528088)
    """
    few = 24 * S * S + 6144 * S + 524_888
    many = 32 * S * S + 1016 * S + 264_704
    return max(few, many)


def svd_bytes(N: int, D: int, itemsize: int) -> int:
    """Of the singular vectors of [N, D]: numbers of `itemsize` bytes.

    One that is not square is first brought to a triangle; a wide one is transposed before that.

    >>> svd_bytes(1000, 500, 4)
    5316736
    """
    most, least = max(N, D), min(N, D)
    if most == least:
        return itemsize * (2 * N * N + 70 * N + 1240)
    thin = (least + 256) * (most + least + 256) + 3 * least + 148
    transposed = N * D if N < D else 0
    return itemsize * (max(thin, _PANELS) + transposed)


def orthonormal_bytes(N: int, K: int) -> int:
    """Of orthonormal columns [N, K] and a triangle in float64, at most: 4 % over what was asked.

    >>> orthonormal_bytes(210, 15) >> 20
    6
    """
    reflections = N * min(K, 128) + K * K + 65 * K + 100_000
    return 8 * (max(_PANELS, reflections) + K * K)
