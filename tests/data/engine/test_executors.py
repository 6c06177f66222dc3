"""The same rows from one process, two ranks that share a folder, and Ray."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.engine.executors.slurm import Share
from onetrip.data.engine.progress import Silent
from onetrip.data.engine.run import run

STEPS = (
    "toy_steps:Numbers",
    "toy_steps:Distinct",
    "toy_steps:Learnt",
    "toy_steps:Scaled",
    "toy_steps:Ordered",
)

RANK = """
import sys, json
sys.path.insert(0, sys.argv[4])
from onetrip.data.engine.run import run
result = run(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], workers=1, bundle_bytes=1000,
             rank=int(sys.argv[5]), world=2)
print(result.exit_code, result.rows)
"""


@pytest.fixture
def units(write_csv):
    for unit in range(8):
        folder = write_csv(f"u{unit}.csv", [(f"id{n % 500}", n) for n in range(200 * unit)])
    return folder


@pytest.fixture
def expected(units, tmp_path, recipe_of, rows_of):
    run(recipe_of(*STEPS), units, tmp_path / "one", executor="inline", bundle_bytes=1000)
    return rows_of(tmp_path / "one")


def test_two_ranks_share_the_work_and_agree(units, expected, tmp_path, recipe_of, rows_of):
    toys = str(Path(__file__).parent)
    out = tmp_path / "out"
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, json.dumps(recipe_of(*STEPS)), units, out, toys, str(n)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in (0, 1)
    ]
    said = [rank.communicate(timeout=60)[0].split() for rank in ranks]
    assert said == [["0", str(len(expected))]] * 2
    assert rows_of(out) == expected
    # Either wrote something: tasks of the first stage are dealt to both.
    assert len(list(out.glob("stages/00-*/task-*.json"))) == 8


def test_rank_that_comes_when_buckets_are_gathered_and_gone_waits_for_nothing(
    units, tmp_path, recipe_of
):
    recipe = recipe_of(*STEPS)
    one = run(recipe, units, tmp_path / "out", executor="inline", bundle_bytes=1000)
    late = run(
        recipe, units, tmp_path / "out", executor="inline", bundle_bytes=1000, rank=1, world=2
    )
    assert (late.ran, late.rows) == ((), one.rows)


def test_rank_that_waits_in_vain_says_so():
    share = Share(1, 2, patience_s=0.05, poll_s=0.01)
    with pytest.raises(DataError, match="waited 0 s for 1 tasks of other ranks"):
        share.wait(dict, 1, {}, Silent())
    assert share.of([1, 2, 3, 4, 5]) == [2, 4]


@pytest.mark.parametrize(("rank", "world"), [(2, 2), (-1, 2), (0, 0)])
def test_impossible_ranks_are_refused(rank, world):
    with pytest.raises(ArgumentError):
        Share(rank, world)


def test_ray_gives_the_same_rows(units, expected, tmp_path, recipe_of, rows_of):
    ray = pytest.importorskip("ray")
    toys = str(Path(__file__).parent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": toys}},
        )
        try:
            result = run(
                recipe_of(*STEPS),
                units,
                tmp_path / "ray",
                workers=2,
                executor="ray",
                bundle_bytes=6000,
            )
        finally:
            ray.shutdown()
    assert result.exit_code == 0
    assert rows_of(tmp_path / "ray") == expected


def test_unknown_executor_is_refused_with_the_known_ones(units, tmp_path):
    with pytest.raises(ArgumentError, match="one of local, ray, inline"):
        run({"source": "csv"}, units, tmp_path / "x", executor="slurm")
