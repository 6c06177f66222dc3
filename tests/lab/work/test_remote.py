import hashlib
import threading
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from onetrip.core.errors import DataError, OnetripError
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.queue.claims import register_worker
from onetrip.lab.web.app import create_app
from onetrip.lab.work.api import PATH, work_app
from onetrip.lab.work.bundle import pack, unpack
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


def test_a_bundle_is_the_folder_again(tmp_path, toy_folder):
    (toy_folder / "big.bin").write_bytes(b"x" * 3_000_000)
    problem = ProblemRef("folder", str(toy_folder))
    files = pack(problem)
    assert set(files) == {"task.yml", "reference.py"}
    again = [unpack(problem, files, tmp_path / "there") for _ in range(2)]
    assert again[0] == again[1]
    assert pack(again[0]) == files


def test_a_bundle_of_one_file_is_that_file(tmp_path):
    file = tmp_path / "gelu.py"
    file.write_text("class Model: ...")
    problem = ProblemRef("kernelbench", str(file))
    again = unpack(problem, pack(problem), tmp_path / "there")
    assert again.location.endswith("/gelu.py")


def test_a_bundle_stays_in_its_folder(tmp_path):
    problem = ProblemRef("folder", "x")
    for name in ("../out.py", "/etc/passwd", "a/../../out.py"):
        with pytest.raises(DataError, match="outside"):
            unpack(problem, {name: "x"}, tmp_path / "there")
