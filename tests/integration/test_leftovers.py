"""A run that is killed: what dies with it, and what the next one clears up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import leftovers
from tests.integration.dockerd import Dockerd
from tests.integration.waiting import until

ROOT = Path(__file__).parents[2]
RUN = """
import sys, time
from tests.integration.dockerd import Dockerd
from tests.leftovers import folder
from tests.integration.namespaces import OwnNetwork, Space
from tests.integration.overlays import Overlaid
from tests.integration.sshd import Sshd

with OwnNetwork(), Dockerd() as engine, Sshd() as server, Space() as space, Overlaid() as machine:
    engine.run("web")
    engine.run("watcher", host_config={"PidMode": "host"})
    print(engine.root, server.root, folder("other"), flush=True)
    print(engine.pid, server._process.pid, space.pid, machine._process.pid, flush=True)
    print(*(engine.api("GET", f"/containers/{name}/json")["State"]["Pid"] for name in ("web", "watcher")))
    sys.stdout.flush()
    time.sleep(600)
"""
NEXT_RUN = "from tests.leftovers import clear, folder; clear(folder('next'))"


def runs(pid: int) -> bool:
    return leftovers._began(pid) != 0


def mounted_below(path: Path) -> bool:
    return f" {path}/" in Path("/proc/self/mountinfo").read_text()


def test_the_next_test_run_removes_leftovers_of_a_killed_test_run(engine: Dockerd) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        folders = [Path(word) for word in process.stdout.readline().split()]
        started, containers = (list(map(int, process.stdout.readline().split())) for _ in range(2))
        assert (len(folders), len(started), len(containers)) == (3, 4, 2)
        own = leftovers.folder("own")
        ours = engine.run("ours")
        leftovers.sweep()  # it still runs
        assert all(map(runs, [*started, *containers]))
        assert all(path.is_dir() for path in folders)
    finally:
        process.kill()
        process.communicate()
    assert until(lambda: not any(map(runs, started)))  # the engine, the ssh server, the namespaces
    assert all(map(runs, containers))
    assert mounted_below(folders[0])
    assert all(path.is_dir() for path in folders)

    subprocess.run([sys.executable, "-c", NEXT_RUN], cwd=ROOT, check=True)
    assert not any(map(runs, containers))
    assert not any(path.exists() or mounted_below(path) for path in folders)
    assert not any(set(leftovers._processes(path)) for path in folders)
    assert own.is_dir()
    assert engine.api("GET", f"/containers/{ours}/json")["State"]["Running"]
    leftovers.clear(own)


def dead(kind: str) -> str:
    """A name of something whose owner is gone: another process had the id that this one has now."""
    pid = os.getpid()
    return f"hardener-{kind}-{pid}-{leftovers._began(pid) + 1}-{leftovers._space()}-abc"


def test_only_files_of_dead_processes_of_hardener_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_PLACES", (tmp_path,))
    pid, start, space = os.getpid(), leftovers._began(os.getpid()), leftovers._space()
    names = {
        f"hardener-dead-{pid}-{start + 1}-{space}-abc": False,  # of one that had the same process id
        f"hardener-dead-{pid}-{start + 1}-{space}-abc.sock": False,
        f"hardener-alive-{pid}-{start}-{space}-abc": True,
        f"guest-hardener-dead-{pid}-{start + 1}-{space}-0": False,  # a lock of the lab
        f"guest-hardener-alive-{pid}-{start}-{space}-0": True,
        f"hardener-elsewhere-{pid}-{start + 1}-{space + 1}-abc": True,
        f"hardener-dead-{pid}-abc": True,
        f"another-dead-{pid}-{start + 1}-{space}-abc": True,
    }
    for each in names:
        (tmp_path / each).mkdir() if not each.endswith(".sock") else (tmp_path / each).touch()
    strangers = tmp_path / f"hardener-dead-{pid}-{start + 1}-{space}-def"
    strangers.mkdir()
    os.chown(strangers, 65534, 65534)
    link = tmp_path / f"hardener-dead-{pid}-{start + 1}-{space}-link"
    link.symlink_to(strangers)
    leftovers.sweep()
    assert {each: (tmp_path / each).exists() for each in names} == names
    assert strangers.is_dir()
    assert not link.is_symlink()


def test_a_cgroup_of_a_killed_run_is_removed_with_its_processes() -> None:
    top = Path("/sys/fs/cgroup")
    group = (top / "memory" if (top / "memory").is_dir() else top) / dead("memory")
    group.mkdir()
    with subprocess.Popen(["sleep", "600"]) as process:
        (group / "cgroup.procs").write_text(str(process.pid))
        leftovers.sweep()
        assert process.wait() == -signal.SIGKILL
    assert not group.exists()


def test_only_temporary_folders_of_killed_runs_of_pytest_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_TEMPORARY", (tmp_path,))
    killed, alive, ended, anothers = (
        tmp_path / f"pytest-of-root/pytest-{number}" for number in (1, 10, 2, 3)
    )
    for each in (killed, alive, ended, anothers):
        each.mkdir(parents=True)
        (each / ".lock").touch()
    (killed / dead("pytest")).touch()
    (ended / dead("pytest")).touch()
    leftovers.mark(alive)
    (ended / ".lock").unlink()
    at_work = ["sh", "-c", "sleep 600; :"]
    with (
        subprocess.Popen([*at_work, f"{killed}/x"]) as left,
        subprocess.Popen([*at_work, f"{alive}/x"]) as ours,
    ):
        leftovers.sweep()
        assert left.wait() == -signal.SIGKILL
        assert ours.poll() is None
        ours.kill()
    assert [each.exists() for each in (killed, alive, ended, anothers)] == [False, True, True, True]


def test_the_temporary_folder_of_this_run_has_its_owner(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    marks = [
        *folder.glob("hardener-*"),
        *folder.parent.glob("hardener-pytest-*"),
    ]  # a worker's is in its run's
    assert len(marks) == 1
    assert not leftovers._is_left(marks[0])
