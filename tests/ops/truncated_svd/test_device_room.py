"""What a device is said to take for decompositions, beside what torch asked for on an H100."""

import pytest

from onetrip.core.selection import Problem
from onetrip.ops.truncated_svd import device_room, select

# Side -> peak of torch.linalg.eigh in float64. Above 10 MB a device rounds up to 2 MiB, or not.
EIGEN_PEAKS = {
    **{8: 577_536, 20: 662_016, 32: 755_200, 60: 1_010_176, 64: 1_050_624, 100: 1_461_760},
    **{128: 1_837_568, 256: 4_197_888, 300: 5_251_584, 512: 12_064_256, 513: 12_104_192},
    **{2000: 162_313_216, 2048: 170_134_016, 4096: 675_547_648},
}
# Shape -> peak of torch.linalg.svd in float32.
SVD_PEAKS = {
    **{(64, 64): 103_936, (128, 128): 366_592, (256, 256): 1_384_448},
    **{(600, 600): 7_372_288, (75, 20): 3_161_600, (225, 60): 3_270_656, (54, 210): 3_295_744},
    **{(1000, 100): 3_988_992, (1000, 500): 10_319_360, (100, 1000): 4_388_864},
    **{(5000, 64): 9_388_544, (5000, 256): 21_795_328, (20000, 64): 36_268_544},
    **{(64, 5000): 10_668_544},
}
# Shape -> peak of torch.linalg.qr in float64.
ORTHONORMAL_PEAKS = {
    **{(15, 15): 6_297_088, (210, 15): 6_320_640, (210, 54): 6_407_680, (1000, 10): 6_374_400},
    **{(1000, 32): 6_557_184, (1000, 100): 7_174_144, (1000, 500): 14_296_064},
    **{(5000, 64): 8_885_760, (5000, 256): 17_327_104, (20000, 64): 21_269_504},
    **{(100_000, 20): 32_268_800},
}
# What a device hands out comes in blocks of 512 bytes: a copy, results, workspace, a flag.
ROUNDED = 8 * 512


@pytest.mark.parametrize("side", EIGEN_PEAKS)
def test_eigenvectors_take_what_was_measured(side):
    said = 8 * side * (side + 1) + device_room.eigen_bytes(side)
    assert 0 <= EIGEN_PEAKS[side] - said <= ROUNDED


@pytest.mark.parametrize("shape", SVD_PEAKS, ids=str)
def test_singular_vectors_take_what_was_measured(shape):
    """Left and right vectors, a copy, the values, and the workspace."""
    most, least = max(shape), min(shape)
    results = 2 * most * least + least * least + least
    said = 4 * results + device_room.svd_bytes(*shape, 4)
    assert abs(SVD_PEAKS[shape] - said) <= ROUNDED


@pytest.mark.parametrize("shape", ORTHONORMAL_PEAKS, ids=str)
def test_orthonormal_columns_take_no_more_than_is_said_and_hardly_less(shape):
    N, K = shape
    said = 8 * (N * K + K * K + K) + device_room.orthonormal_bytes(N, K)
    assert 0.96 * said <= ORTHONORMAL_PEAKS[shape] <= said


def test_estimates_of_many_features_hold_the_eigenvectors():
    """Of a Gram matrix in one part, its decomposition takes the most."""
    problem = Problem({"N": 100_000, "D": 5000, "K": 10}, "float32", "cuda", 90)
    config = select.default_config("triton", problem)
    expected = select.expected_bytes("triton", problem, config, False)
    assert expected == 3 * 8 * 5000**2 + device_room.eigen_bytes(5000)
    assert expected <= select.workspace_bytes("triton", problem, config)
