import hashlib
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from onetrip.core.errors import ArgumentError, DataError, OnetripError
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.problems.task_file import read_task
from onetrip.lab.queue.claims import register_worker
from onetrip.lab.web.app import create_app
from onetrip.lab.work.api import PATH, work_app
from onetrip.lab.work.bundle import Bundle, pack, unpack
from onetrip.lab.work.remote import work_remotely

TOKEN = "a worker's own token"


@contextmanager
def serving(database):
    app = create_app(database, token="the lab's", mounts={PATH: work_app(database)})
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def server(database, connection, problem):
    token_sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    register_worker(connection, "far", "http", {}, token_sha256)
    with serving(database) as address:
        yield address


def settled(work):
    return lambda: not {"queued", "running"} & set(work.states().values())


def work_there(server, work, tmp_path, *, token=TOKEN, judge=None):
    return work_remotely(
        server,
        token,
        folder=tmp_path / "problems",
        until=settled(work),
        judge=judge or work.judge,
        machines={"cpu": work.machine},
        patience_s=2.0,
    )


@pytest.fixture
def toy_folder(tmp_path, connection):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "task.yml").write_text("tests: []\n")
    (folder / "reference.py").write_text("x = 1\n")
    connection.execute(
        "UPDATE problem SET spec = json_object('location', ?, 'options', json('{}'))",
        (str(folder),),
    )
    return folder


def test_a_worker_elsewhere_answers_what_waits(server, work, connection, tmp_path, toy_folder):
    experiment = work.submit("COST = 4.0")
    seen = []

    def judge(job, *rest):
        seen.append(job.problem.location)
        return work.judge(job, *rest)

    assert work_there(server, work, tmp_path, judge=judge) == 2
    assert set(work.states().values()) == {"done"}
    # The problem's files came along: the worker has none of its own.
    assert seen[0] != str(toy_folder)
    assert seen[0].startswith(str(tmp_path / "problems"))
    row = connection.execute(
        "SELECT worker.name, device.name AS device FROM attempt JOIN worker ON worker.id ="
        " worker_id JOIN study ON study.id = study_id JOIN device ON device.id = device_id"
        " WHERE experiment_id = ?",
        (experiment,),
    ).fetchone()
    assert (row["name"], row["device"]) == ("far", "laptop")
    assert connection.execute("SELECT count(*) FROM champion").fetchone()[0] == 1


def test_a_wrong_token_opens_nothing(server, work, tmp_path):
    with pytest.raises(OnetripError, match="opens nothing"):
        work_there(server, work, tmp_path, token="guessed")


def test_a_workers_token_opens_nothing_else(server):
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{server}/experiments", headers=headers).status_code == 403
    own = {"authorization": "Bearer the lab's"}
    answer = httpx.post(f"{server}{PATH}/claim", headers=own, json={"device": "cpu"})
    assert answer.status_code in (400, 403)


def test_a_worker_speaks_for_its_own_attempts_only(server, work, connection, toy_folder):
    work.submit("COST = 4.0")
    register_worker(connection, "other", "http", {}, hashlib.sha256(b"another token").hexdigest())
    machines = {"cpu": {"device": work.machine.device.as_dict(), "environment": {}}}

    def client(token):
        return httpx.Client(base_url=server + PATH, headers={"authorization": f"Bearer {token}"})

    with client(TOKEN) as far, client("another token") as other:
        for one in (far, other):
            assert one.post("/join", json={"machines": machines}).status_code == 200
        task = far.post("/claim", json={"device": "cpu"}).json()["task"]
        numbers = {"attempt_id": task["attempt_id"], "n": task["n"]}
        forged = numbers | {"verdict": {"outcome": "done"}}
        assert other.post("/finish", json=forged).status_code == 400
        assert other.post("/heartbeat", json=numbers | {"stage": "x"}).status_code == 400
        assert far.post("/heartbeat", json=numbers | {"stage": "x"}).json() == {"ours": True}
        unreadable = numbers | {"verdict": {"outcome": "splendid"}}
        assert far.post("/finish", json=unreadable).status_code == 400
        assert far.post("/claim", json={"device": "tpu"}).status_code == 400


def test_a_lab_that_is_away_is_waited_for_and_then_named(work, tmp_path):
    with pytest.raises(OnetripError, match="cannot be reached"):
        work_there("http://127.0.0.1:9", work, tmp_path)


def test_a_server_that_is_none_is_named_at_once(work, tmp_path):
    with pytest.raises(ArgumentError, match="server"):
        work_there("somewhere", work, tmp_path)


def test_a_worker_says_what_it_does(server, work, tmp_path, toy_folder):
    experiment = work.submit("COST = 4.0")
    said = []
    work_remotely(
        server,
        TOKEN,
        folder=tmp_path / "problems",
        until=settled(work),
        judge=work.judge,
        machines={"cpu": work.machine},
        say=said.append,
    )
    assert said[0] == f"Joined {server} with cpu; Ctrl-C ends it."
    assert any(line.startswith(f"#{experiment} ") and line.endswith(": done") for line in said)


def test_a_bundle_is_the_folder_again(tmp_path, toy_folder):
    (toy_folder / "big.bin").write_bytes(b"x" * 3_000_000)
    problem = ProblemRef("folder", str(toy_folder))
    bundle = pack(problem)
    assert set(bundle.files) == {"task.yml", "reference.py"}
    again = [unpack(problem, bundle, tmp_path / "there") for _ in range(2)]
    assert again[0] == again[1]
    assert pack(again[0]) == bundle


def test_what_a_task_file_names_beside_its_folder_comes_along(tmp_path, toy_folder):
    """Problems of one collection share their helpers."""
    (tmp_path / "utils.py").write_text("shared = 1\n")
    (tmp_path / "unasked.py").write_text("secret = 1\n")
    (toy_folder / "task.yml").write_text("""
files:
  - {"name": "submission.py", "source": "@SUBMISSION@"}
  - {"name": "utils.py", "source": "../utils.py"}
benchmarks: [{"size": 8}]
""")
    problem = ProblemRef("folder", str(toy_folder))
    there = unpack(problem, pack(problem), tmp_path / "there")
    (tmp_path / "utils.py").unlink()
    assert read_task(Path(there.location)).files["utils.py"] == "shared = 1\n"
    assert not list((tmp_path / "there").rglob("unasked.py"))


def test_a_run_takes_the_program_beside_its_file(tmp_path):
    (tmp_path / "run.toml").write_text("")
    (tmp_path / "train.py").write_text("print(1)\n")
    problem = ProblemRef("run", str(tmp_path / "run.toml"))
    there = Path(unpack(problem, pack(problem), tmp_path / "there").location)
    assert there.name == "run.toml"
    assert there.with_name("train.py").read_text() == "print(1)\n"


def test_a_bundle_of_one_file_is_that_file(tmp_path):
    file = tmp_path / "gelu.py"
    file.write_text("class Model: ...")
    (tmp_path / "other.py").write_text("")
    problem = ProblemRef("kernelbench", str(file))
    bundle = pack(problem)
    assert set(bundle.files) == {"gelu.py"}
    assert unpack(problem, bundle, tmp_path / "there").location.endswith("/gelu.py")


@pytest.mark.parametrize("name", ["../out.py", "/etc/passwd", "a/../../out.py"])
def test_a_bundle_stays_in_its_folder(tmp_path, name):
    problem = ProblemRef("folder", "x")
    for bundle in (Bundle({name: "x"}), Bundle({"x.py": "x"}, place=name)):
        with pytest.raises(DataError, match="outside"):
            unpack(problem, bundle, tmp_path / "there")
