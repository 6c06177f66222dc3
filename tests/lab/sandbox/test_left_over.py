import os
import subprocess
import time

from onetrip.lab.sandbox.left_over import fresh_name, sweep


def test_only_what_dead_labs_left_long_ago_is_swept(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    mine = tmp_path / fresh_name()
    dead = tmp_path / fresh_name().replace(str(os.getpid()), str(gone.pid))
    fresh = tmp_path / (dead.name + "x")
    other = tmp_path / "onetrip-sandbox-notes"
    for folder in (mine, dead, fresh, other):
        folder.mkdir()
        (folder / "file").write_text("x")
    long_ago = time.time() - 7200
    for folder in (mine, dead, other):
        os.utime(folder, (long_ago, long_ago))
    assert sweep([tmp_path]) == [dead]
    assert sorted(tmp_path.iterdir()) == sorted([mine, fresh, other])
