"""What makes two studies one, and what keeps them apart."""

import dataclasses

from onetrip.core.cost import Cost
from onetrip.core.device import Device
from onetrip.lab.queue.submit import add_problem
from onetrip.lab.store import study as module
from onetrip.lab.store.study import Sources, place_study
from onetrip.lab.tune.prepared import TunedProblem

PROBLEM = TunedProblem("toy", "ragged", "workload", {"N": 8, "D": 4}, "float32", {"a": (1,)}, True)


def ids(connection, **changes):
    values = {
        "problem": PROBLEM,
        "device": Device("d", "cpu", 0, {"float32": 0.1}, 20.0, 1, measured=True, source=""),
        "environment": {"torch": "2.13.0"},
        "harness": Sources("harness", {"a.py": "1"}, "0.1.0"),
        "subject": Sources("subject", {"a.py": "1"}, "0.1.0"),
    }
    values |= changes
    problem_id = add_problem(connection, values.pop("problem").facts(Cost(1, 1, 1)))
    return place_study(connection, problem_id, **values)


def test_the_same_five_are_the_same_study(connection):
    assert ids(connection) == ids(connection)
    same_axes = dataclasses.replace(PROBLEM, axes={"D": 4, "N": 8}, options={"a": [1]})
    assert ids(connection) == ids(connection, problem=same_axes)


def test_anything_that_changes_a_result_opens_another_study(connection):
    def problem(**changes):
        return {"problem": dataclasses.replace(PROBLEM, **changes)}

    slower = Device("d2", "cpu", 0, {"float32": 0.1}, 20.0, 1, measured=True, source="")
    studies = [
        ids(connection),
        ids(connection, **problem(axes={"N": 9, "D": 4})),
        ids(connection, **problem(dtype="float16")),
        ids(connection, **problem(options={})),
        ids(connection, **problem(backward=False)),
        ids(connection, **problem(key="another trained head")),
        ids(connection, device=slower),
        ids(connection, environment={"torch": "2.14.0"}),
        ids(connection, harness=Sources("harness", {"a.py": "2"}, "0.1.0")),
        ids(connection, subject=Sources("subject", {"a.py": "2"}, "0.1.0")),
    ]
    assert len(set(studies)) == len(studies)


def test_a_clock_reading_and_the_time_split_no_study(connection):
    later = {"torch": "2.13.0", "time": "later", "clock_sm_mhz": 1200.0}
    assert ids(connection) == ids(connection, environment=later)


def test_ceilings_measured_anew_split_no_study_and_the_highest_stand(connection):
    busy = Device("d", "cpu", 0, {"float32": 0.05, "float64": 0.02}, 25.0, 1, True, "")
    study = ids(connection)
    assert ids(connection, device=busy) == study
    assert connection.execute("SELECT count(*) FROM ceiling").fetchone()[0] == 2
    best = module.best_ceilings(connection, study, busy)
    assert best.tflops == {"float32": 0.1, "float64": 0.02}
    assert best.bandwidth_gbps == 25.0


def test_ceilings_of_another_environment_do_not_count(connection):
    faster = Device("d", "cpu", 0, {"float32": 9.0}, 99.0, 1, True, "")
    ids(connection, environment={"processor": "another"}, device=faster)
    slower = Device("d", "cpu", 0, {"float32": 0.1}, 20.0, 1, True, "")
    study = ids(connection, device=slower)
    assert module.best_ceilings(connection, study, slower).bandwidth_gbps == 20.0
