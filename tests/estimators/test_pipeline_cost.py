"""Estimates of estimators and of pipelines: every stage, on figures or with a floor only."""

from typing import get_args

import numpy as np
import pytest
import torch
from estimator_pairs import NAMES
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import onetrip
from onetrip.cluster import KMeans
from onetrip.core.errors import ArgumentError
from onetrip.core.estimate import Estimate
from onetrip.core.operators import load_spec, operator_names
from onetrip.decomposition import PCA, TruncatedSVD
from onetrip.estimators.pipeline_cost import PipelineEstimate
from onetrip.estimators.stages import ESTIMATORS, EstimatorName
from onetrip.naive_bayes import MultinomialNB
from onetrip.neighbors import KNeighborsClassifier, KNeighborsRegressor
from onetrip.testing.memory import peak_memory

SIZES = {"n_samples": 100_000, "n_features": 64}
# What an estimator must be told beyond its samples.
MORE = {"MultinomialNB": {"n_classes": 20}}


def estimated(steps, device="h100", **sizes):
    return onetrip.estimate_pipeline(steps, device=device, **{**SIZES, **sizes})


def test_every_estimator_has_stages():
    assert sorted(ESTIMATORS) == NAMES
    carried = {name for operator in operator_names() for name in load_spec(operator).estimators}
    assert carried == set(ESTIMATORS)


@pytest.mark.parametrize("name", NAMES)
def test_stages_are_predicted_where_measured_and_floors_elsewhere(name):
    answer = estimated(name, **MORE.get(name, {}))
    assert answer.floor_ms > 0
    assert answer.peak_bytes >= 100_000 * 64 * 4 or name in ("MiniBatchKMeans", "IncrementalPCA")
    for stage in answer.stages:
        assert bool(stage.impl) == bool(stage.operator)
        assert stage.why or stage.operator
        # On an H100 all was measured but the batches of incremental PCA, which are float64.
        known = not stage.operator or stage.step != "incrementalpca"
        assert (stage.latency_ms is not None) == known
    # Ceilings of a datasheet, and no result: floors, and the reason.
    elsewhere = estimated(name, device="a100", **MORE.get(name, {}))
    assert elsewhere.latency_ms is None
    for stage in elsewhere.stages:
        assert "floor only" in stage.why or not stage.operator


def test_dtypes_that_the_kernels_do_not_take_have_no_figure():
    sizes = {"n_classes": 20}
    known = {
        s.does: s.latency_ms for s in estimated("MultinomialNB", dtype="uint8", **sizes).stages
    }
    assert known["predict"] is not None
    wide = {
        s.does: s.latency_ms for s in estimated("MultinomialNB", dtype="float64", **sizes).stages
    }
    assert wide["predict"] is None


def test_a_fit_costs_what_its_operator_costs():
    answer = estimated("KMeans", n_clusters=256, max_iter=20, n_init=3)
    alone = onetrip.estimate(
        "kmeans", device="h100", options={"max_iter": 20}, n_clusters=256, **SIZES
    )
    (fit,) = [stage for stage in answer.stages if stage.does == "fit"]
    assert fit.impl == alone.choice.impl
    assert fit.floor_ms == pytest.approx(3 * alone.floor_ms)
    assert fit.peak_bytes == alone.peak_bytes
    assert fit.peak_bytes is not None
    assert fit.peak_bytes > 100_000 * 64 * 4


def test_mini_batches_cost_no_iterations_of_the_whole():
    stages = {stage.does: stage for stage in estimated("MiniBatchKMeans", n_clusters=64).stages}
    assert stages["label"].operator == "kmeans"
    few = {s.does: s for s in estimated("MiniBatchKMeans", n_clusters=64, max_iter=1).stages}
    least, most = few["batches"].floor_ms, stages["batches"].floor_ms
    assert least is not None
    assert most is not None
    assert 0 < least < most / 50
    # They are the point of it: memory that does not grow with the samples.
    many = estimated("MiniBatchKMeans", n_clusters=64, n_samples=100_000_000).stages
    assert {s.does: s.peak_bytes for s in many}["batches"] == stages["batches"].peak_bytes


def test_a_step_hands_its_columns_on():
    chained = estimated("PCA+KMeans", n_components=16, n_clusters=10)
    alone = estimated("KMeans", n_features=16, n_clusters=10)
    assert [f"{s.step} {s.does}" for s in chained.stages] == [
        *("pca fit", "pca transform", "kmeans start", "kmeans fit")
    ]
    assert chained.stages[-1] == alone.stages[1]
    assert chained.latency_ms == pytest.approx(
        sum(stage.latency_ms or stage.floor_ms for stage in chained.stages)
    )


def test_a_size_may_be_one_steps_own():
    chained = estimated("TruncatedSVD+PCA+TSNE", truncatedsvd__n_components=32, pca__n_components=8)
    assert chained == estimated(
        "truncatedsvd+pca+tsne",
        n_components=2,
        **{"truncatedsvd__n_components": 32, "pca__n_components": 8},
    )


@pytest.mark.parametrize(
    ("steps", "sizes", "message"),
    [
        ("Ridge", {}, "`estimator` must be one of"),
        ("KMeans+", {}, "`estimator` must be one of"),
        ("HDBSCAN+KMeans", {}, "must be steps that transform"),
        ("MultinomialNB", {}, "a size `n_classes=…` for MultinomialNB"),
        ("PCA", {"n_clusters": 3}, r"among \['n_components', 'n_features', 'n_samples'\]"),
        ("PCA", {"kmeans__n_clusters": 3}, "got .'kmeans__n_clusters'"),
        ("PCA", {"n_samples": -1}, "`n_samples` must be an integer >= 0"),
    ],
)
def test_what_makes_no_sense_is_refused(steps, sizes, message):
    with pytest.raises(ArgumentError, match=message):
        estimated(steps, **sizes)
    with pytest.raises(ArgumentError, match="`device` must be one of"):
        estimated("PCA", device="toaster")


def test_objects_are_asked_by_their_parameters():
    chain = Pipeline(
        [
            ("scale", StandardScaler()),
            ("reduce", PCA(16)),
            ("nothing", "passthrough"),
            ("groups", KMeans(100, max_iter=20, n_init=2)),
        ]
    )
    answer = onetrip.estimate(chain, **SIZES)
    assert isinstance(answer, PipelineEstimate)
    named = estimated("PCA+KMeans", n_components=16, n_clusters=100, max_iter=20, n_init=2)
    assert [stage.latency_ms for stage in answer.stages[1:]] == [
        stage.latency_ms for stage in named.stages
    ]
    assert [stage.step for stage in answer.stages] == ["scale", *2 * ["reduce"], *2 * ["groups"]]
    assert "StandardScaler is not of this library" in answer.stages[0].why
    assert not answer.is_complete
    # What is said outright wins, for one step of the pipeline by the name that it has there.
    fewer = onetrip.estimate(chain, groups__n_clusters=10, **SIZES)
    assert fewer.floor_ms < answer.floor_ms


def test_steps_of_a_pipeline_within_are_its_own():
    inner = Pipeline([("scale", "passthrough"), ("reduce", PCA(16))])
    nested = Pipeline([("before", inner), ("groups", KMeans(10))])
    flat = Pipeline([("reduce", PCA(16)), ("groups", KMeans(10))])
    assert onetrip.estimate(nested, **SIZES) == onetrip.estimate(flat, **SIZES)


@pytest.mark.parametrize("dtype", [bool, np.uint16, np.int64, np.uint8])
def test_integers_cost_what_estimators_make_of_them(dtype):
    answer = onetrip.estimate(KMeans(3), X=np.ones((50, 6), dtype))
    assert answer.stages == onetrip.estimate(KMeans(3), X=np.ones((50, 6))).stages


def test_targets_are_no_classes():
    samples, targets = np.zeros((50, 6)), np.arange(100.0).reshape(50, 2)
    one, two = (
        onetrip.estimate(KNeighborsRegressor(), X=samples, y=y).stages[-1].peak_bytes
        for y in (targets[:, 0], targets)
    )
    # A target of each sample and a mean of each query; targets of neighbours are never laid out.
    assert two - one == 8 * (50 + 50)


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (KNeighborsClassifier(20), {"n_classes": 2}),
        (KNeighborsClassifier(5), {"n_classes": 300}),
        (KNeighborsRegressor(20), {"n_outputs": 1}),
        (KNeighborsRegressor(5), {"n_outputs": 30}),
    ],
)
def test_memory_of_votes_is_what_predict_takes(model, sizes):
    (columns,), (N, Q, D) = sizes.values(), (1000, 4000, 8)
    generator = torch.Generator().manual_seed(0)
    corpus, queries = (torch.randn(rows, D, generator=generator) for rows in (N, Q))
    targets = torch.arange(N * columns, dtype=torch.float64).reshape(N, columns)
    given = targets if "n_outputs" in sizes else torch.arange(N) % columns
    model.fit(corpus, given)
    # The search is a stage of its own: here it is over.
    found = model._nearest(model._take_queries(queries), None)
    model._nearest = lambda queries, k, ranked: found
    with peak_memory() as memory:
        model.predict(queries)
    sizes = {"n_samples": N, "n_features": D, "n_queries": Q} | sizes
    stage = onetrip.estimate(model, device="cpu", **sizes).stages[-1]
    held = (corpus, queries, given, found.distances, found.indices)
    before_bytes = sum(tensor.nbytes for tensor in held)
    assert stage.peak_bytes is not None
    assert stage.peak_bytes - before_bytes == pytest.approx(memory.peak_bytes, rel=1e-3)


def test_sizes_and_devices_may_be_numpys_and_torchs():
    answer = onetrip.estimate("kmeans", n_samples=np.int64(9), n_features=2, n_clusters=3)
    assert type(answer.axes["N"]) is int
    assert estimated("PCA", device=torch.device("cpu")) == estimated("PCA", device="cpu")


@pytest.mark.parametrize("steps", ["KMeans", "KMEANS", "pca", "HDBSCAN", "pca+kmeans"])
def test_names_of_estimators_are_answered_as_estimators(steps):
    assert onetrip.estimate(steps, **SIZES) == estimated(steps)


def test_names_of_operators_are_answered_as_operators():
    answer = onetrip.estimate("hdbscan", **SIZES)
    assert isinstance(answer, Estimate)
    assert answer.operator == "hdbscan"


def test_a_type_checker_knows_every_name():
    assert get_args(EstimatorName) == ESTIMATORS


@pytest.mark.parametrize("kind", ["array", "tensor", "list"])
def test_sizes_are_read_from_samples(kind):
    X = np.zeros((50, 6), dtype=np.float32)
    samples, dtype = {
        "array": (X, "float32"),
        "tensor": (torch.from_numpy(X).half(), "float16"),
        "list": (X.tolist(), "float64"),
    }[kind]
    answer = onetrip.estimate(MultinomialNB(), X=samples, y=["a", "b", "c", "a"])
    assert answer == onetrip.estimate_pipeline(
        "MultinomialNB", n_samples=50, n_features=6, n_classes=3, dtype=dtype
    )
    assert answer == onetrip.estimate("MultinomialNB", X=samples, y=["a", "b", "c", "a"])


def test_a_table_has_a_line_for_each_stage():
    sizes = {"n_components": 16, "n_classes": 10}
    printed = str(estimated("PCA+KNeighborsClassifier", **sizes)).splitlines()
    assert [line.split()[1] for line in printed[1:-1]] == "fit transform kneighbors predict".split()
    assert printed[-1].startswith("all on h100")
    assert "at least" not in printed[-1]
    assert "floor only" in str(estimated("PCA", device="a100")).splitlines()[-1]


@pytest.mark.parametrize(
    ("asked", "sizes", "message"),
    [
        (KMeans, SIZES, r"Call the class: KMeans\(n_clusters=8\)"),
        (3, SIZES, "`steps` must be names of estimators, an estimator, or a pipeline"),
        (StandardScaler(), SIZES, "`steps` must be at least one of"),
        ([], SIZES, "`steps` must be at least one of"),
        (PCA(3), {}, "a size `n_samples=…` for PCA"),
        (PCA(3), {"X": []}, r"must be a matrix of shape \(n_samples, n_features\), got \[0\]"),
        (PCA(3), {"X": np.array([["a", "b"]])}, "`X` must be numbers of one of"),
        ("kmeans", {"n_samples": True}, "`n_samples` must be an integer >= 0, got True"),
        (PCA(3), {**SIZES, "device": None}, "`device` must be one of"),
        (PCA(3), {**SIZES, "backward": False}, "`options, backward` must be left out"),
        ("kmeans", {"X": np.zeros((3, 2)), "n_clusters": 2}, "`X, y` must be left out"),
        ("KMeans", {**SIZES, "backward": False}, "`options, backward` must be left out"),
        ("kmean", SIZES, "Did you mean 'KMeans'?"),
        ("kmeans+pcas", SIZES, "Did you mean 'PCA'?"),
        (KMeans(9), {"n_samples": 5, "n_features": 2}, "`n_clusters` must be from 1 to 5"),
        (KMeans(), {**SIZES, "n_clusters": 0}, "`n_clusters` must be from 1 to 100000"),
        (TruncatedSVD(9), {"n_samples": 50, "n_features": 8}, "`n_components` must be from 1 to 8"),
        (PCA(9), {"n_samples": 5, "n_features": 20}, "`n_components` must be from 1 to 5"),
    ],
)
def test_objects_and_sizes_that_make_no_sense_are_refused(asked, sizes, message):
    with pytest.raises(ValueError, match=message):
        onetrip.estimate(asked, **sizes)


@pytest.mark.parametrize("name", NAMES)
def test_a_cpu_has_floors_and_memory_without_a_measurement(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path))
    answer = estimated(name, device="cpu", **MORE.get(name, {}))
    assert answer.latency_ms is None
    assert answer.floor_ms > 0
    assert answer.peak_bytes > 0
    assert all("triton" not in stage.impl for stage in answer.stages)
