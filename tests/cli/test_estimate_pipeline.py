"""`onetrip estimate` of estimators and of pipelines."""

import json

import pytest

import onetrip
from onetrip.cli.main import main
from onetrip.core.operators import load_spec

SIZES = ["n_samples=100_000", "n_features=64", "n_components=16", "n_clusters=10"]


def run(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["estimate", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_screen_has_a_line_for_every_stage(capsys):
    printed = run(capsys, "PCA+KMeans", *SIZES)
    for words in ("pca fit", "pca transform", "kmeans start", "kmeans fit", "truncated_svd"):
        assert words in printed
    sizes = ["n_samples=100_000", "n_features=64", "n_components=16", "n_classes=10"]
    printed = run(capsys, "PCA+KNeighborsClassifier", *sizes)
    assert "at least" not in printed
    assert "floor only" not in printed


def test_no_number_for_an_unknown_device_without_saying_floor_only(capsys):
    answer = json.loads(run(capsys, "PCA+KMeans", *SIZES, "--device", "b200", "--json"))
    assert answer["latency_ms"] is None
    assert all(stage["latency_ms"] is None for stage in answer["stages"])
    printed = run(capsys, "PCA+KMeans", *SIZES, "--device", "b200")
    assert printed.count("floor only") >= 5


@pytest.mark.parametrize("steps", ["PCA+KMeans", "KMeans", "kmeans"])
def test_names_mean_the_same_here_and_in_python(capsys, steps):
    named = SIZES if "+" in steps else [pair for pair in SIZES if "components" not in pair]
    printed = json.loads(run(capsys, steps, *named, "--json"))
    sizes = {word: int(size) for word, _, size in (pair.partition("=") for pair in named)}
    answer = onetrip.estimate(steps, **sizes)
    assert ("stages" in printed) == hasattr(answer, "stages")
    assert printed["floor_ms"] == answer.floor_ms


def test_json_is_what_the_function_answers(capsys):
    printed = json.loads(run(capsys, "PCA+KMeans", *SIZES, "--json"))
    answer = onetrip.estimate_pipeline(
        ["PCA", "KMeans"], n_samples=100_000, n_features=64, n_components=16, n_clusters=10
    )
    assert printed["latency_ms"] == answer.latency_ms
    assert printed["peak_bytes"] == answer.peak_bytes
    assert [stage["does"] for stage in printed["stages"]] == [stage.does for stage in answer.stages]


def test_what_does_not_fit_is_said(capsys):
    printed = run(capsys, "kmeans", "n_samples=1_000_000_000", "n_features=64", "n_clusters=8")
    assert "float32" in printed
    assert "memory peak" in printed
    assert "does not fit" in printed
    small = run(capsys, "kmeans", "n_samples=1000", "n_features=64", "n_clusters=8")
    assert "does not fit" not in small


def test_estimate_of_a_pipeline_needs_no_torch(run_without_torch):
    done = run_without_torch("estimate", "PCA+KMeans", *SIZES)
    assert done.returncode == 0, done.stderr
    assert "kmeans fit" in done.stdout


def test_malformed_sizes_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["estimate", "PCA", "n_samples=8k"])
    assert ended.value.code == 2
    assert "as in `n_samples=1000" in capsys.readouterr().err


@pytest.mark.parametrize("operator", ["kmeans", "kneighbors", "truncated_svd", "tsne"])
def test_an_operators_table_has_no_time_where_nothing_was_measured(capsys, operator):
    sizes = {"N": 10_000, "Q": 10, "D": 64, "K": 8}
    pairs = [f"{letter}={sizes[letter]}" for letter in load_spec(operator).axes]
    printed = run(capsys, operator, *pairs, "--device", "mi300x")
    rows = [line for line in printed.splitlines() if line.split()[:1] in (["torch"], ["triton"])]
    assert rows
    for row in rows:
        assert "floor only" in row or "–" in row
    assert json.loads(run(capsys, operator, *pairs, "--device", "mi300x", "--json"))["floor_only"]
    measured = run(capsys, operator, *pairs, "--device", "h100")
    assert "floor only" not in measured


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["kmean", "n_samples=10"], "Did you mean 'KMeans'?"),
        (["HDBSCANS", "n_samples=10"], "Did you mean 'HDBSCAN'?"),
        (["PCA+KMean", "n_samples=10", "n_features=4"], "Did you mean 'KMeans'?"),
        (["KMeans", "n_samples=10", "n_features=3", "n_cluster=4"], "Did you mean 'n_clusters'?"),
        (["KMeans"], "a size `n_samples=…` for KMeans"),
        (["kmeans"], "exactly the sizes ['n_samples', 'n_features', 'n_clusters']"),
        (["PCA", "n_samples=10", "--forward-only"], "which have no backward pass"),
        (["StandardScaler+PCA", "n_samples=10", "n_features=3"], "leave them out"),
        (["KMeans", "n_samples=0.5"], "must be whole numbers"),
        (["KMeans", "n_samples=-5"], "must be whole numbers"),
        (["KMeans", "n_samples=10", "n_features=3", "n_clusters=40"], "from 1 to 10 for KMeans"),
        (["PCA", "n_samples=10", "n_features=3", "--device", "toaster"], "'cpu'"),
    ],
)
def test_wrong_names_and_values_end_with_a_way_out(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main(["estimate", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_million_may_be_said_as_such(capsys):
    sizes = ["n_features=64", "n_clusters=8", "--json"]
    assert run(capsys, "KMeans", "n_samples=1e6", *sizes) == run(
        capsys, "KMeans", "n_samples=1_000_000", *sizes
    )
