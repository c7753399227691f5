from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import containerproc, mounts
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.containerproc import Host, read

from tests.unit.sleeping import replace_sleep

ID = "0123456789abcdef" * 4


@pytest.fixture
def host() -> Host:
    return Host(mounts.read())


def test_facts_of_a_process_are_read(host: Host) -> None:
    found = read(os.getpid(), ID, host)
    assert found is not None
    assert (found["pid"], found["uid"], found["gid"]) == (os.getpid(), os.geteuid(), os.getegid())
    assert found["exe"] == str(Path("/proc/self/exe").readlink())
    assert found["limits"]["Max open files"][0].isdigit()
    assert {"net", "user"} <= set(found["host_namespaces"])
    assert found["processes"][0]["pid"] == os.getpid()
    assert len(found["cap_eff"]) == 16
    assert found["cgroup"].keys() == {"path"}  # its cgroup is not its own: no limit there is this container's


def test_an_ended_process_has_no_facts(host: Host) -> None:
    assert read(2**30, ID, host) is None


# Takes a name, and another one later.
NAMED = """
import sys, time
open("/proc/self/comm", "w").write("runc:[2:INIT]")
print(flush=True)
time.sleep(float(sys.argv[1]))
open("/proc/self/comm", "w").write("app")
time.sleep(60)
"""


@pytest.mark.parametrize(("seconds", "name"), [(0.1, "app"), (3600, "runc:[2:INIT]")])
def test_a_process_that_the_runtime_is_still_starting_is_waited_for_within_a_time_limit(
    host: Host, monkeypatch: pytest.MonkeyPatch, seconds: float, name: str
) -> None:
    looks: list[float] = []
    sleep = time.sleep

    def look_again(pause: float) -> None:
        looks.append(pause)
        sleep(pause)

    replace_sleep(monkeypatch, look_again)
    command = [sys.executable, "-c", NAMED, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            found = [host.started(process.pid)[0]["Name"] for _ in range(20)]
            assert found == [name] * 20
            assert sum(looks) < 2 * containerproc._PATIENCE  # which is for all together
        finally:
            process.kill()


def cgroup(folder: Path, **values: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("_", ".", 1)).write_text(value + "\n")
    return {"": str(folder)}


def test_limits_of_cgroup_version_2_are_read(tmp_path: Path) -> None:
    folders = cgroup(tmp_path, memory_max="max", cpu_weight="100", cpu_max="50000 100000", pids_max="2048")
    found = containerproc._cgroup(folders, unified=True)
    assert found == {
        "path": str(tmp_path),
        "memory_max": None,
        "cpu_weight": 100,
        "cpu_max": "50000 100000",
        "pids_max": 2048,
    }
    cgroup(tmp_path, memory_max="67108864", cpu_max="max 100000", pids_max="max")
    found = containerproc._cgroup(folders, unified=True)
    assert (found["memory_max"], found["cpu_max"], found["pids_max"]) == (67108864, None, None)


def test_the_processors_in_force_are_read(tmp_path: Path) -> None:
    (tmp_path / "cpuset.cpus.effective").write_text("0-1,3\n")
    assert containerproc._cgroup({"": str(tmp_path)}, unified=True)["cpuset_cpus"] == "0-1,3"
    (tmp_path / "cpuset.effective_cpus").write_text("2\n")
    assert containerproc._cgroup({"cpuset": str(tmp_path)}, unified=False)["cpuset_cpus"] == "2"


def test_a_limit_of_a_missing_controller_is_omitted(tmp_path: Path) -> None:
    assert containerproc._cgroup(cgroup(tmp_path, pids_max="5"), unified=True) == {
        "path": str(tmp_path),
        "pids_max": 5,
    }


def test_limits_of_cgroup_version_1_are_read(tmp_path: Path) -> None:
    folders = {name: str(tmp_path) for name in ("memory", "cpu", "pids")}
    values = {
        "memory.limit_in_bytes": "9223372036854771712",
        "cpu.shares": "1024",
        "cpu.cfs_quota_us": "-1",
        "cpu.cfs_period_us": "100000",
        "pids.max": "max",
    }
    for name, value in values.items():
        (tmp_path / name).write_text(value + "\n")
    found = containerproc._cgroup(folders, unified=False)
    assert found == {
        "path": str(tmp_path),
        "memory_max": None,
        "pids_max": None,
        "cpu_shares": 1024,
        "cpu_weight": 100,
        "cpu_max": None,
    }
    (tmp_path / "cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu.shares").write_text("512\n")
    found = containerproc._cgroup(folders, unified=False)
    assert (found["cpu_max"], found["cpu_weight"]) == ("50000 100000", 20)


def test_limits_are_read_from_the_cgroup_with_the_containers_id(host: Host) -> None:
    host.cgroups = {"": "/sys/fs/cgroup", "memory": "/sys/fs/cgroup/memory"}
    text = (
        f"4:memory:/system.slice/docker-{ID}.scope/init.scope\n"
        f"1:name=systemd:/docker/{ID}\n"
        f"0::/system.slice/docker-{ID}.scope/init.scope\n"
    )
    assert containerproc._cgroup_folders(text, ID, host) == (
        {
            "memory": f"/sys/fs/cgroup/memory/system.slice/docker-{ID}.scope",
            "": f"/sys/fs/cgroup/system.slice/docker-{ID}.scope",
        },
        True,
    )


def test_the_cgroup_of_a_system_service_is_not_treated_as_that_of_a_container(host: Host) -> None:
    host.cgroups = {"": "/sys/fs/cgroup"}
    folders, own = containerproc._cgroup_folders("0::/system.slice/containerd.service\n", ID, host)
    assert (folders, own) == ({"": "/sys/fs/cgroup/system.slice/containerd.service"}, False)


def test_processes_in_child_cgroups_belong_to_the_container(tmp_path: Path) -> None:
    (tmp_path / "init.scope").mkdir()
    (tmp_path / "cgroup.procs").write_text("1\n2\n")
    (tmp_path / "init.scope" / "cgroup.procs").write_text("3\n")
    assert sorted(containerproc._members(9, {"": str(tmp_path)})) == [1, 2, 3]
    assert containerproc._members(9, {}) == [9]


def test_equal_worker_processes_do_not_hide_others(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def status(pid: int) -> dict[str, str]:
        return {"Name": "worker" if pid < 900 else f"p{pid}", "Uid": "0\t0\t0\t0"}

    monkeypatch.setattr(processes, "status", status)
    monkeypatch.setattr(processes, "executable", lambda pid: "/bin/x")
    monkeypatch.setattr(processes, "namespace", lambda pid, kind: "of the container")
    kinds, cut = containerproc._kinds(
        1, list(range(1, 903)), {"Name": "init", "Uid": "0\t33\t0\t0"}, "/bin/init", host
    )
    assert [(kind["comm"], kind["uid"]) for kind in kinds] == [
        ("init", 33),
        ("worker", 0),
        ("p900", 0),
        ("p901", 0),
        ("p902", 0),
    ]
    assert cut is False
    many: Any
    many, cut = containerproc._kinds(
        1, list(range(900, 1000)), {"Name": "x", "Uid": "0\t0\t0\t0"}, "/x", host
    )
    assert (len(many), cut) == (64, True)


def test_processes_with_different_privileges_are_listed_separately(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {"Name": "sh", "Uid": "0\t0\t0\t0", "CapEff": "0" * 16, "CapBnd": "0" * 16, "Seccomp": "2"}
    others = {2: base, 3: {**base, "CapEff": "000001ffffffffff", "Seccomp": "0"}, 4: base}
    monkeypatch.setattr(processes, "status", others.__getitem__)
    monkeypatch.setattr(processes, "executable", lambda pid: "/bin/sh")
    monkeypatch.setattr(processes, "namespace", lambda pid, kind: "of the container")
    kinds, _ = containerproc._kinds(1, [1, 2, 3, 4], base, "/bin/sh", host)
    same = {"comm": "sh", "exe": "/bin/sh", "uid": 0}
    assert kinds == [
        {"pid": 1, **same},
        {"pid": 3, **same, "cap_eff": "000001ffffffffff", "seccomp": 0},
    ]


def test_seccomp_filters_are_counted_where_the_kernel_reports_them(host: Host) -> None:
    status = {"CapEff": "0" * 16, "Seccomp": "2", "Seccomp_filters": "3"}
    assert containerproc.privileges(status) == {"cap_eff": "0" * 16, "seccomp": 2, "seccomp_filters": 3}
    assert containerproc.privileges({}) == {}
    found = read(os.getpid(), ID, host)
    assert found is not None
    told = "Seccomp_filters" in Path("/proc/self/status").read_text()
    assert ("seccomp_filters" in found) is told
