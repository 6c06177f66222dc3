"""MiniBatchKMeans with scikit-learn's interface, over samples that need not fit on the device."""

import math
import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from torch import Tensor

from onetrip.estimators.arrays import Given, device_called, take
from onetrip.estimators.kmeans_base import BaseKMeans, refuse_batches, weights_of
from onetrip.estimators.kmeans_start import fixed_centers, is_array, start_centers
from onetrip.estimators.mini_batch_progress import Progress
from onetrip.estimators.mini_batch_rows import (
    all_rows,
    drawer,
    is_labelled_there,
    is_read_there,
    made_ready,
    points_of,
    rows_drawn,
)
from onetrip.estimators.stages import LABEL_ROWS
from onetrip.estimators.staging import sent, staged, with_next
from onetrip.ops.kmeans.batches import Batch, DeviceBatch, Step
from onetrip.ops.kmeans.mini_batch import device_steps, is_shared, label_on_device, mini_batch_step
from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.wide_products import has_wide_products
from onetrip.ops.kmeans.workers import WORTH_THREADS, block_workers
from onetrip.tile.side_by_side import on_one_thread

# Samples that are placed at once: 4 MiB of float32.
_MOST_PLACED = 1 << 20


class MiniBatchKMeans(BaseKMeans):
    """K-means by small random batches, or batch by batch with `partial_fit`.

    The interface is that of ``sklearn.cluster.MiniBatchKMeans``. Samples stay where they are, a
    memory map included; with `device` a GPU each batch is copied while the one before computes.

    Parameters
    ----------
    n_clusters : int, default 8
    init : {"k-means++", "random"}, callable or array-like of shape (n_clusters, n_features)
        Drawn from `init_size` samples.
    max_iter : int, default 100
        Passes over the samples.
    batch_size : int, default 1024
    verbose : int, default 0
        Print a line for each batch.
    compute_labels : bool, default True
        Label all samples after the fit.
    random_state : int, RandomState or None, default None
    tol : float, default 0.0
        Relative to the mean variance of the features.
    max_no_improvement : int or None, default 10
        Stop after so many batches without a smaller smoothed inertia.
    init_size : int or None, default None
        Three batches, or three times the clusters where those are more.
    n_init : "auto" or int, default "auto"
        "auto" is 1 for "k-means++" and an array, 3 for "random" and a callable.
    reassignment_ratio : float, default 0.01
        Centres with less than this share of the largest weight are moved to random samples.
    precision, device : as in `KMeans`

    Attributes
    ----------
    cluster_centers_ : of shape (n_clusters, n_features), float32 or float64
    labels_ : int32 of shape (n_samples,), where `compute_labels`
    inertia_ : float
    reevaluated_share_ : float, where `compute_labels`
        Share of `labels_` that were too close to a tie and were evaluated anew.
    n_iter_ : int, passes over the samples
    n_steps_ : int, batches
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names

    References
    ----------
    scikit-learn, ``sklearn.cluster.MiniBatchKMeans``. Sculley, Web-scale k-means clustering, WWW
    2010.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.cluster import MiniBatchKMeans
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = MiniBatchKMeans(n_clusters=2, random_state=0, batch_size=6).fit(X)
    >>> bool(kmeans.labels_[0] != kmeans.labels_[3])
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseKMeans._parameter_constraints,
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "compute_labels": ["boolean"],
        "max_no_improvement": [Interval(Integral, 0, None, closed="left"), None],
        "init_size": [Interval(Integral, 1, None, closed="left"), None],
        "reassignment_ratio": [Interval(Real, 0, None, closed="left")],
    }
    _random_starts = 3

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: Any = "auto",
        reassignment_ratio: float = 0.01,
        precision: str = "certified",
        device: Any = "auto",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.verbose = verbose
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio
        self.precision = precision
        self.device = device

    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Cluster samples by random batches.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
            A sparse matrix is made dense.
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative. Batches are drawn by it.

        Returns
        -------
        self
        """
        self._validate_params()
        given, weight = self._host(X, sample_weight, reset=True)
        with on_one_thread(where=given.samples.numel() < WORTH_THREADS):
            self._fit(given, weight)
        return self

    def partial_fit(self, X, y=None, sample_weight=None) -> Self:
        """Move the centres by one batch; the first call draws them from it."""
        first = not hasattr(self, "cluster_centers_")
        if first:
            self._validate_params()
        given, weight = self._host(X, sample_weight, reset=first)
        target = self._target(given)
        if first:
            self._random = check_random_state(self.random_state)
            self._counts = torch.zeros(self.n_clusters, dtype=torch.float64, device=target)
            self._since_reassignment, self.n_steps_ = 0, 0
        random = getattr(self, "_random", None) or check_random_state(self.random_state)
        samples = given.samples.to(target)
        with on_one_thread(where=samples.numel() < WORTH_THREADS):
            batch = self._batch(samples, None if weight is None else weight.to(target), first)
            if first:
                rows = self._starting_rows(given)
                centers = self._one_start(given, weight, random, rows, target)
            else:
                centers = self._fitted_centers().to(made_ready(samples))
        with block_workers(target, worth=is_shared(batch.size, centers)) as workers:
            counts = self._counts.to(target)
            found = mini_batch_step(batch, centers, counts, self.precision, workers, measured=False)
            centers, self._counts = self._reassigned(batch, found, random)
        self._random = random
        self.n_steps_ += 1
        self.cluster_centers_ = given.answer(centers)
        if self.compute_labels:
            self._label(given, weight, centers)
        return self

    def _fit(self, given: Given, weight: Tensor | None) -> None:
        samples, target = given.samples, self._target(given)
        rows = samples.shape[0]
        random = check_random_state(self.random_state)
        batch_rows = min(self.batch_size, rows)
        centers = self._best_start(given, weight, random, target)
        counts = torch.zeros(self.n_clusters, dtype=torch.float64, device=target)
        progress = Progress(batch_rows, rows, self.max_no_improvement, bool(self.verbose))
        tolerance = self.tol * prepare(samples, None, "euclidean").variance if self.tol > 0 else 0.0
        self._since_reassignment = 0
        n_steps = (self.max_iter * rows) // batch_rows

        draw = drawer(rows, weight)

        def batches() -> Iterator[Tensor]:
            for _ in range(n_steps):
                yield draw(random.random_sample(batch_rows))

        step, measured = 0, progress.asks or not self.compute_labels
        ahead = device_steps(centers, counts, batch_rows) if has_wide_products(centers) else None
        pairs: Iterator[tuple[Any, Any]] = with_next(self._batches(samples, target, batches()))
        with block_workers(target, worth=is_shared(batch_rows, centers)) as workers:
            for step, (batch, following) in enumerate(pairs, start=1):
                before = centers
                if ahead is not None:
                    found = ahead.step(batch, following, centers, counts)
                else:
                    found = mini_batch_step(
                        batch, centers, counts, self.precision, workers, measured=measured
                    )
                centers, counts = self._reassigned(batch, found, random)
                moved = math.inf
                if tolerance:
                    moved = float((centers - before).double().square().sum())
                if progress.is_over(step, n_steps, found.inertia, moved <= tolerance):
                    break
        self._counts, self.n_steps_ = counts, step
        self.n_iter_ = math.ceil(step * batch_rows / rows)
        self.cluster_centers_ = given.answer(centers)
        if self.compute_labels:
            self._label(given, weight, centers)
        else:
            total = rows if weight is None else float(weight.sum())
            self.inertia_ = (progress.smoothed or 0.0) * total

    def _batches(
        self, samples: Tensor, target: torch.device, batches: Iterator[Tensor]
    ) -> Iterator[Placed | Batch | DeviceBatch]:
        """Rows of samples about the offset of the first; few samples are placed all at once."""
        if is_read_there(samples, target):
            for rows in batches:
                yield DeviceBatch(samples, rows)
            return
        if not samples.is_cpu or target.type != "cpu":
            for number, batch in enumerate(sent(samples, target, batches)):
                yield self._batch(batch, None, first=number == 0)
            return
        if samples.numel() <= _MOST_PLACED:
            whole = prepare(samples, None, "euclidean")
            self._offset = whole.offset
            yield from map(whole.rows, batches)
            return
        for number, rows in enumerate(batches):
            if number == 0:
                self._offset = prepare(samples.index_select(0, rows), None, "euclidean").offset
            yield rows_drawn(samples, rows, self._offset)

    def _batch(
        self, samples: Tensor, weight: Tensor | None, first: bool
    ) -> Placed | Batch | DeviceBatch:
        """All samples about the offset of the `first`; on a device, ready for exact sums."""
        if has_wide_products(samples):
            return DeviceBatch(made_ready(samples).contiguous(), None, weight)
        if not samples.is_cpu:
            return prepare(samples, weight, "euclidean")
        if first or not hasattr(self, "_offset"):
            self._offset = prepare(samples, None, "euclidean").offset
        return all_rows(samples, weight, self._offset)

    def _host(self, X: Any, sample_weight: Any, *, reset: bool) -> tuple[Given, Tensor | None]:
        """Samples where they are, and their weights; batches of them go to the device."""
        if isinstance(X, Tensor):
            refuse_batches(X)
            given = take(self, X, reset=reset)
        else:
            given = self._take(X, reset=reset, device="cpu")
        if reset:
            self._check_enough_samples(given.shape[0])
        return given, weights_of(given, sample_weight)

    def _target(self, given: Given) -> torch.device:
        if self.device == "auto":
            return given.samples.device
        return device_called(self.device)

    def _starting_rows(self, given: Given) -> int:
        """How many samples a start is drawn from."""
        wanted = self.init_size
        if wanted is None:
            wanted = 3 * min(self.batch_size, given.shape[0])
            wanted = wanted if wanted >= self.n_clusters else 3 * self.n_clusters
        elif wanted < self.n_clusters:
            warnings.warn(
                f"init_size={wanted} should be larger than n_clusters={self.n_clusters}. "
                "Setting it to min(3*n_clusters, n_samples)",
                RuntimeWarning,
                stacklevel=3,
            )
            wanted = 3 * self.n_clusters
        return min(wanted, given.shape[0])

    def _best_start(
        self,
        given: Given,
        weight: Tensor | None,
        random: np.random.RandomState,
        target: torch.device,
    ) -> Tensor:
        size, starts = self._starting_rows(given), self._starts()
        chosen = torch.from_numpy(random.randint(0, given.shape[0], size))
        if starts == 1:
            return self._one_start(given, weight, random, size, target)
        valid = points_of(given, weight, chosen, target)
        best, least = None, math.inf
        for _ in range(starts):
            centers = self._one_start(given, weight, random, size, target)
            inertia = float(self._solve(valid, centers, max_iter=0).inertia)
            if best is None or inertia < least:
                best, least = centers, inertia
        if best is None:
            raise AssertionError("n_init is at least 1")
        return best

    def _one_start(
        self,
        given: Given,
        weight: Tensor | None,
        random: np.random.RandomState,
        size: int,
        target: torch.device,
    ) -> Tensor:
        rows = given.shape[0]
        chosen = None
        if size < rows:
            chosen = torch.from_numpy(random.randint(0, rows, size))
        if is_array(self.init):
            like = made_ready(given.samples[:1].to(target))
            return fixed_centers(self.init, self.n_clusters, like)
        points = points_of(given, weight, chosen, target)
        return start_centers(self.init, self.n_clusters, points, given, random)

    def _reassigned(
        self,
        batch: Placed | Batch | DeviceBatch,
        found: Step,
        random: np.random.RandomState,
    ) -> tuple[Tensor, Tensor]:
        """Centres of little weight move to random samples, every ten samples a cluster."""
        rows, centers, counts = batch.size, found.centers, found.counts
        self._since_reassignment += rows
        least, largest = found.least, found.largest
        if least is None or largest is None:
            least, largest = (float(count) for count in counts.aminmax())
        if self._since_reassignment < 10 * self.n_clusters and least > 0.0:
            return centers, counts
        self._since_reassignment = 0
        if least >= self.reassignment_ratio * largest:
            return centers, counts
        light = counts < self.reassignment_ratio * largest
        if int(light.sum()) > 0.5 * rows:
            light[counts.argsort(stable=True)[rows // 2 :]] = False
        if not bool(light.any()):
            return centers, counts
        chosen = random.choice(rows, replace=False, size=int(light.sum()))
        centers, counts = centers.clone(), counts.clone()
        moved = batch.rows(torch.from_numpy(chosen).to(centers.device))
        centers[light] = moved.x.to(centers.dtype)
        counts[light] = counts[~light].min()
        return centers, counts

    def _label(self, given: Given, weight: Tensor | None, centers: Tensor) -> None:
        labels, inertia, reevaluated = [], 0.0, 0.0
        samples, device = given.samples, centers.device
        if is_labelled_there(samples, centers):
            found = label_on_device(samples, weight, centers.contiguous())
            self.labels_, self.inertia_ = given.answer(found.labels), found.inertia
            self.reevaluated_share_ = found.doubts / given.shape[0]
            return
        there = samples.device == device
        block = given.shape[0] if there and not samples.is_cpu else LABEL_ROWS
        rows = torch.arange(given.shape[0]).split(block)
        batches = samples.split(block) if there else staged(samples, device, rows)
        for part, batch in zip(rows, batches, strict=True):
            mine = None if weight is None else weight[part.to(weight.device)].to(centers.device)
            found = self._solve(prepare(batch, mine, "euclidean"), centers, max_iter=0)
            labels.append(found.labels)
            inertia += float(found.inertia)
            reevaluated += found.reevaluated_share * len(part)
        self.labels_, self.inertia_ = given.answer(torch.cat(labels)), inertia
        self.reevaluated_share_ = reevaluated / given.shape[0]
