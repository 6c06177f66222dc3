"""Times of the stages that are no operator's, by constants fitted to lines of `results/`.

``python tools/fit_estimates.py`` shows how near they are to the newest lines, and with ``--write``
fits them anew. They hold for the devices of `FITTED_ON`; for others nobody has measured.
"""

from onetrip.core.device import Device, short_name
from onetrip.ops.multinomial_nb.select import score_classes

FITTED_ON = ("h100",)

# HDBSCAN after its tree: launches and waits of rounds that do not grow with the samples; then the
# walks of merges, and what goes to the host and is told there, for each sample.
CLUSTERS_FIXED_MS = 8.24
CLUSTERS_POINT_MS = 0.00013
# Naive Bayes: calls and waits of `fit` and of `predict`, each; trips over the classes' logarithms,
# in float64; trips over the queries; the share of the rate of half-precision products.
NAIVE_BAYES_FIXED_MS = 0.796
NAIVE_BAYES_MODEL_TRIPS = 12.0
NAIVE_BAYES_TRIPS = 1.25
NAIVE_BAYES_SHARE = 0.49

# k-means++: launches of a turn; its trip over the samples, with a distance for each candidate.
START_TURN_MS = 0.03
START_TRIPS = 1.38

# A batch of mini-batch k-means: launches, and what the host looks at.
BATCH_MS = 0.166
# Distances to centres: the share of the rate of float32 products.
DISTANCES_SHARE = 0.345
# Coordinates along components: trips over samples and coordinates, or the share of float32's rate.
PROJECTION_TRIPS = 2.0
PROJECTION_SHARE = 0.764

# Predictions from neighbours: launches and checks; for a vote, the 16 bytes of its index and its
# weight so many times, for a class its votes; for a neighbour's targets as much as so many of them
# at least, as they are gathered row by row.
NEIGHBORS_FIXED_MS = 0.232
VOTE_TRIPS = 5.86
CLASS_TRIPS = 2.02
MEAN_TRIPS = 33.1

# Samples' features are halves of two, and three of their products are summed.
_PRODUCTS = 3


def is_fitted(device: Device) -> bool:
    """Whether the constants speak for `device`."""
    return short_name(device.name) in FITTED_ON


def clusters_ms(N: int) -> float:
    """Merges, the condensed tree, labels, probabilities and outlier scores of N samples."""
    return CLUSTERS_FIXED_MS + N * CLUSTERS_POINT_MS


def start_turn_ms(N: int, D: int, trials: int, device: Device) -> float:
    """One centre of k-means++ among N float32 samples, by some `trials`."""
    trip_bytes = 4 * N * (D + trials + 1)
    return START_TURN_MS + START_TRIPS * trip_bytes / device.bandwidth_gbps * 1e-6


def distances_ms(N: int, D: int, K: int, device: Device) -> float:
    """Distances of N float32 samples to K centres."""
    return 2 * N * D * K / (DISTANCES_SHARE * device.tflops_for("float32")) * 1e-9


def projection_ms(N: int, D: int, K: int, device: Device) -> float:
    """Coordinates of N float32 samples along K components."""
    memory_ms = PROJECTION_TRIPS * 4 * N * (D + K) / device.bandwidth_gbps * 1e-6
    compute_ms = 2 * N * D * K / (PROJECTION_SHARE * device.tflops_for("float32")) * 1e-9
    return max(memory_ms, compute_ms)


def votes_ms(Q: int, K: int, C: int, device: Device) -> float:
    """The most voted of C classes, of Q queries with K neighbours each."""
    trips = 16 * VOTE_TRIPS * Q * K + 8 * CLASS_TRIPS * Q * C
    return NEIGHBORS_FIXED_MS + trips / device.bandwidth_gbps * 1e-6


def means_ms(Q: int, K: int, outputs: int, device: Device) -> float:
    """Means of the targets of K neighbours of Q queries."""
    trips = 8 * Q * K * max(MEAN_TRIPS, outputs)
    return NEIGHBORS_FIXED_MS + trips / device.bandwidth_gbps * 1e-6


def model_ms(D: int, C: int, device: Device) -> float:
    """The logarithms of C classes and D features from their counts; checks and labels of a fit."""
    trips = NAIVE_BAYES_MODEL_TRIPS * 8 * C * D
    return NAIVE_BAYES_FIXED_MS + trips / device.bandwidth_gbps * 1e-6


def likeliest_class_ms(Q: int, D: int, C: int, itemsize: int, device: Device) -> float:
    """Scores of Q queries and the class of each, by products on tensor cores or by the trip."""
    memory_ms = NAIVE_BAYES_TRIPS * Q * D * itemsize / device.bandwidth_gbps * 1e-6
    tile = score_classes(C)
    products = _PRODUCTS * 2 * Q * D * -(-C // tile) * tile
    compute_ms = products / (NAIVE_BAYES_SHARE * device.tflops_for("float16")) * 1e-9
    return NAIVE_BAYES_FIXED_MS + max(memory_ms, compute_ms)
