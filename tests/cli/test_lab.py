"""`onetrip lab …`: what it prints for people and for programs, and how it ends."""

import hashlib
import json
from contextlib import closing

import pytest

from onetrip.cli.main import main
from onetrip.lab.queue import claims
from onetrip.lab.queue.submit import ProblemFacts, add_problem
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Check, Comparison, Outcome, Timing, Verdict

SOURCE = "def custom_kernel(data): return data + data\n"


@pytest.fixture
def lab(tmp_path):
    path = tmp_path / "lab.sqlite"
    facts = ProblemFacts("folder", "toy", "f" * 64, {"location": "toy"}, brief="Twice the [input].")
    with closing(connect(path)) as connection:
        add_problem(connection, facts)
    return path


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "fused.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.fixture
def run(lab, capsys):
    """Run one command of the lab; what it printed and its exit code."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["lab", *words, "--db", str(lab)])
        printed = capsys.readouterr()
        return printed.out, ended.value.code or 0, printed.err

    return run


@pytest.fixture
def run_json(run):
    def run_json(*words, code=0):
        out, ended, err = run(*words, "--json")
        assert ended == code, err
        return json.loads(out)

    return run_json


@pytest.fixture
def submitted(run_json, kernel):
    return run_json("submit", kernel, "-p", "toy", "--why", "one read")["experiment"]


def finish(lab, outcome=Outcome.DONE, evidence=None):
    """Judge what is first in the queue."""
    timing = Timing("candidate", "", {}, (1.9, 2.0, 2.1), 2.0, 1.9, 2.1, 64, "small", floor_ms=1.0)
    verdict = Verdict(
        outcome,
        "" if outcome is Outcome.DONE else "output: 1 of 8 [values]",
        evidence=evidence or {},
        checks=(Check("output", outcome is Outcome.DONE, 1e-7, 1e-6, "at [0]", "small"),),
        timings=(timing,) if outcome is Outcome.DONE else (),
        comparisons=(Comparison("baseline", 1.5, 1.4, 1.6, "small"),)
        if outcome is Outcome.DONE
        else (),
    )
    with closing(connect(lab)) as connection:
        worker_id = claims.register_worker(connection, "test", "local", {"devices": ["cpu"]})
        claim = claims.claim(connection, worker_id, seed=7)
        assert claim is not None
        assert claims.finish(connection, claim.attempt_id, claim.n, verdict)
        claims.retire_worker(connection, worker_id)


def test_submit_answers_at_once_with_the_number(run, kernel):
    out, code, _ = run("submit", kernel, "-p", "toy", "--why", "one read")
    assert (out, code) == ("Experiment 1: queued\n", 0)


def test_the_same_key_is_the_same_experiment(run, run_json, kernel):
    words = ("submit", kernel, "-p", "toy", "--why", "one read", "--key", "k")
    assert run_json(*words)["created"] is True
    out, _, _ = run(*words)
    assert out == "Experiment 1: queued (it was there before)\n"


def test_a_source_can_come_from_standard_input(run_json, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(SOURCE))
    number = run_json("submit", "-", "-p", "toy", "--why", "one read")["experiment"]
    assert run_json("show", str(number))["candidate"]["source"] == SOURCE


@pytest.mark.parametrize(
    ("outcome", "code"), [(Outcome.DONE, 0), (Outcome.INCORRECT, 1), (Outcome.HACKED, 1)]
)
def test_wait_ends_with_the_verdict(run, lab, submitted, outcome, code):
    finish(lab, outcome)
    out, ended, _ = run("wait", str(submitted))
    assert ended == code
    assert out.startswith(f"Experiment 1: {outcome}")


def test_wait_says_when_there_is_no_verdict_yet(run, submitted):
    out, code, _ = run("wait", str(submitted), "--seconds", "0")
    assert (out, code) == ("Experiment 1: queued\n", 3)


def test_show_has_why_verdict_interval_and_check(run, lab, submitted):
    finish(lab)
    out, code, _ = run("show", str(submitted))
    assert code == 0
    for words in ("one read", "done", "2.00 ms [1.90 ms, 2.10 ms]", "50%", "1.5x baseline [1.4,"):
        assert words in out


def test_show_names_the_check_that_failed(run, lab, submitted):
    finish(lab, Outcome.INCORRECT)
    out, _, _ = run("show", str(submitted))
    assert "output: 1 of 8 [values]" in out
    assert "small output: at [0]" in out


def test_show_says_why_a_rival_was_not_timed(run, lab, submitted):
    finish(lab, evidence={"baseline is out": "incorrect: two rows"})
    assert "baseline is out: incorrect: two rows" in run("show", str(submitted))[0]


def test_show_prints_the_source_alone(run, submitted):
    assert run("show", str(submitted), "--source")[0] == SOURCE


def test_show_as_json_has_everything(run_json, lab, submitted):
    finish(lab)
    attempt = run_json("show", str(submitted))["attempts"][0]
    assert attempt["timings"][0]["samples_ms"] == [1.9, 2.0, 2.1]


def test_list_has_a_row_for_each_and_counts(run, run_json, lab, submitted):
    finish(lab)
    out, _, _ = run("list", "state:done", "problem:toy")
    assert "fused" in out
    assert "1 in all (1 done)" in out
    assert run("list", "state:hacked")[0].startswith("No experiment matches.")
    assert run_json("list")["rows"][0]["proposer"] == "person"


def test_status_is_of_the_lab_or_of_one(run, run_json, submitted):
    assert run("status")[0].split() == ["queued", "1"]
    assert run_json("status", "1")["next_step"].startswith("Call wait_experiment(1)")


def test_compare_says_why_it_cannot(run, lab, kernel, run_json):
    for word in ("one", "two"):
        run_json("submit", kernel, "-p", "toy", "--why", word, "--title", word)
    finish(lab)
    out, code, _ = run("compare", "1", "2")
    assert code == 0
    assert "state" in out
    assert "2 and 1 cannot be compared" in out or "2 runs at" in out


def test_a_prediction_is_declared_listed_and_shown(run, run_json):
    words = ("hypothesis", "declare", "A third less", "-p", "toy", "--rationale", "One read.")
    declared = run_json(*words, "--least-effect", "0.3", "--by", "agent:night")
    assert declared == {"hypothesis": 1, "status": "open"}
    out, _, _ = run("hypothesis", "list")
    assert "A third less" in out
    out, _, _ = run("hypothesis", "show", "1")
    assert "agent:night" in out
    assert "open" in out
    assert run_json("hypothesis", "list", "--status", "refuted") == []


def test_a_learning_rests_on_experiments(run, run_json, submitted):
    assert run("learn", "Add once.", "--about", f"experiment:{submitted}")[0] == "Learning 1\n"
    found = run_json("query", "SELECT target_id FROM edge WHERE relation = 'about'")
    assert found["rows"] == [[submitted]]


def test_query_prints_a_table_and_refuses_a_write(run, submitted):
    out, _, _ = run("query", "SELECT id, state FROM experiment")
    assert "queued" in out
    _, code, err = run("query", "DELETE FROM experiment")
    assert code == 2
    assert err.startswith("onetrip: `sql` must be")


def test_a_person_orders_the_queue(run, run_json, kernel):
    for word in ("one", "two", "three"):
        run_json("submit", kernel, "-p", "toy", "--why", word, "--title", word)
    assert run("queue", "pin", "3")[0] == "Experiment 3: pinned\n"
    assert run("queue", "pause", "1")[0] == "Experiment 1: paused\n"
    found = run_json("queue", "list")
    assert [row["id"] for row in found["waiting"]] == [3, 2]
    assert [row["id"] for row in found["paused"]] == [1]
    out, _, _ = run("queue", "list")
    assert "pinned" in out
    assert "paused: 1" in out
    run("queue", "resume", "1")
    run("queue", "cancel", "2")
    run("queue", "pin", "3", "--height", "0")
    assert [row["id"] for row in run_json("queue", "list")["waiting"]] == [1, 3]


def test_a_worker_gets_a_token_that_is_kept_as_a_hash(run_json, lab):
    given = run_json("worker", "add", "gpu-7")
    with closing(connect(lab)) as connection:
        row = connection.execute("SELECT kind, token_sha256 FROM worker").fetchone()
    assert row["kind"] == "http"
    assert row["token_sha256"] == hashlib.sha256(given["token"].encode()).hexdigest()


def test_problems_are_listed_and_briefed(run, run_json):
    assert "toy" in run("problem", "list")[0]
    assert run_json("problem", "list")[0]["name"] == "toy"
    out, code, _ = run("problem", "brief", "toy")
    assert code == 0
    assert "Twice the [input]." in out


def test_a_problem_is_exported_as_one_page(run, lab, submitted, tmp_path):
    finish(lab)
    page = tmp_path / "night.html"
    out, code, err = run("export", str(page), "--problem", "toy")
    assert (out, code) == (f"{page}\n", 0), err
    text = page.read_text()
    assert "fused" in text
    assert "http://" not in text.replace("http://www.w3.org/", "")


def test_rows_are_exported_for_a_notebook(run_json, submitted, tmp_path):
    found = run_json("export", str(tmp_path / "rows"))
    assert (found["format"], found["rows"]["experiment"]) == ("csv", 1)
    assert (tmp_path / "rows" / "experiment.csv").is_file()
    run_json("export", str(tmp_path / "rows.json"))
    assert json.loads((tmp_path / "rows.json").read_text())


WRONG = {
    "unknown format": (("export", "x", "--format", "xlsx"), "one of html, json, csv, parquet"),
    "rows of a problem": (("export", "x.json", "--problem", "toy"), "--campaign"),
    "unknown problem": (("submit", "KERNEL", "-p", "tyo", "--why", "w"), "known: toy"),
    "no such file": (("submit", "none.py", "-p", "toy", "--why", "w"), "`file` must be the path"),
    "nothing to try": (("submit", "-p", "toy", "--why", "w"), "`source` must be given"),
    "config that is none": (
        ("submit", "-p", "toy", "--why", "w", "--impl", "torch", "--config", "[1]"),
        "`config` must be a JSON object",
    ),
    "unknown experiment": (("show", "9"), "there is none yet"),
    "unknown hypothesis": (("hypothesis", "show", "9"), "hypothesis list"),
    "unknown kind": (("problem", "add", "x", "--kind", "y"), "one of operator, folder"),
    "operator that is none": (("problem", "add", "nothing"), "a folder or file that exists"),
    "folder that is none": (("problem", "add", "no/where"), "`location` must be"),
    "file that is none": (("problem", "add", "gelu.py"), "`location` must be"),
    "suffix of no format": (("export", "rows.xlsx"), "a name that ends in .html"),
    "port that is none": (("serve", "--port", "99999"), "`port` must be a free port"),
    "port below all": (("mcp", "--http", "--port", "-1"), "`port` must be a free port"),
    "empty source": (("submit", "EMPTY", "-p", "toy", "--why", "w"), "it is empty"),
    "worker without a lab": (("worker",), "--token-file"),
    "unknown executor": (("work", "--executor", "cloud"), "local or ray"),
    "model without a budget": (
        ("agent", "toy", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"),
        "`tokens` must be given",
    ),
    "budget without prices": (
        ("agent", "toy", "--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--usd", "1"),
        "--usd-in",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_message_and_code_2(lab, capsys, kernel, name):
    words, message = WRONG[name]
    (lab.parent / "empty.py").touch()
    places = {"KERNEL": kernel, "EMPTY": str(lab.parent / "empty.py")}
    words = [places.get(word, word) for word in words]
    database = [] if words == ["worker"] else ["--db", str(lab)]
    with pytest.raises(SystemExit) as ended:
        main(["lab", *words, *database])
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.err.startswith("onetrip: ")
    assert message in printed.err


def test_the_lab_answers_without_torch(run_without_torch, lab):
    done = run_without_torch("lab", "status", "--db", str(lab))
    assert done.returncode == 0, done.stderr
    done = run_without_torch("lab", "list", "--db", str(lab), "--json")
    assert json.loads(done.stdout)["total"] == 0, done.stderr
