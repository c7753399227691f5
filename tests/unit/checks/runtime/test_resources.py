from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, details, held
from tests.unit.snapshots import GONE, hardened, only, with_containers

MEMORY = "container-memory-limit"
CPU = "container-cpu-limit"
PIDS = "container-pids-limit"

NOTHING = {"NanoCpus": 0, "CpuShares": 0}
DEFAULTS = {"nofile": {"Name": "nofile", "Soft": 512, "Hard": 1024}}
FILE = {"daemon.config": {"parsed": {"default-ulimits": DEFAULTS}}}
FLAG = {"daemon.config": {"flags": {"default-ulimit": ["nofile=512:1024", "nproc=100"]}}}


def grouped(name: str = "bad", *, config: dict[str, Any] | None = None, **cgroup: Any) -> dict[str, Any]:
    """A running container with these values in its cgroup and these declarations."""
    return hardened(name, proc={"cgroup": cgroup}, HostConfig=config or {})


def without_controller(key: str) -> dict[str, Any]:
    bad = hardened("bad")
    del bad["proc"]["cgroup"][key]
    return bad


class TestMemory:
    @pytest.mark.parametrize(
        ("bad", "detail"),
        [
            (grouped(memory_max=None, config={"Memory": 0}), "runs without a memory limit"),
            (grouped(memory_max=1 << 50), "may use 1073741824 MiB, no less than the host has (1967 MiB)"),
            (
                without_controller("memory_max"),
                "runs without a memory controller, although 64 MiB are declared",
            ),
            (
                hardened("bad", running=False, HostConfig={"Memory": 0}),
                "is set to run without a memory limit",
            ),
            (
                hardened("bad", running=False, HostConfig={"Memory": None}),
                "is set to run without a memory limit",
            ),
            (
                hardened("bad", running=False, HostConfig={"Memory": 1 << 50}),
                "declares 1073741824 MiB, no less",
            ),
        ],
    )
    def test_a_container_without_a_useful_memory_limit_fails(
        self, judge: Judge, bad: dict[str, Any], detail: str
    ) -> None:
        assert broken(judge, MEMORY, bad).startswith(detail)

    def test_a_declared_memory_limit_that_is_not_enforced_fails(self, judge: Judge) -> None:
        bad = grouped(memory_max=None)
        assert broken(judge, MEMORY, bad) == "runs without a memory limit, although 64 MiB are declared"

    def test_a_memory_limit_that_the_engine_cannot_enforce_fails(self, judge: Judge) -> None:
        snapshot = with_containers(hardened(running=False), info={"MemoryLimit": False})
        assert "the engine cannot limit memory" in judge(MEMORY, snapshot).actual

    def test_a_container_with_a_memory_limit_passes(self, judge: Judge) -> None:
        held(judge, MEMORY, hardened())
        held(judge, MEMORY, hardened(running=False))

    def test_a_memory_limit_set_only_in_the_cgroup_passes_with_a_remark(self, judge: Judge) -> None:
        verdict = held(judge, MEMORY, grouped(memory_max=1 << 26, config={"Memory": 0}))
        assert any("not by its own configuration" in fact for fact in verdict.evidence)

    @pytest.mark.parametrize("cgroup", [None, "gone", []])
    def test_an_unreadable_cgroup_is_an_error(self, judge: Judge, cgroup: Any) -> None:
        with pytest.raises(FactUnavailable, match="cgroup"):
            judge(MEMORY, with_containers(hardened(proc={"cgroup": cgroup})))

    def test_an_invalid_memory_limit_is_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="Memory"):
            judge(MEMORY, with_containers(hardened(HostConfig={"Memory": "64m"})))


class TestProcessor:
    @pytest.mark.parametrize(
        ("bad", "detail"),
        [
            (grouped(cpu_max=None, config=NOTHING), "runs without a processor limit"),
            (grouped(cpu_max=None), "runs without a processor limit, although a limit is declared"),
            (hardened("bad", running=False, HostConfig=NOTHING), "is set to run without a processor limit"),
        ],
    )
    def test_a_container_without_a_processor_limit_fails(
        self, judge: Judge, bad: dict[str, Any], detail: str
    ) -> None:
        assert broken(judge, CPU, bad).startswith(detail)

    @pytest.mark.parametrize("weight", [100, 39])
    def test_the_default_weight_is_not_a_limit(self, judge: Judge, weight: int) -> None:
        """On cgroup v2 runc 1.1 writes 1024 shares as weight 39, a later one as 100."""
        bad = grouped(cpu_max=None, cpu_weight=weight, config={"NanoCpus": 0, "CpuShares": 1024})
        assert "(the declared weight 1024 is the default)" in broken(judge, CPU, bad)
        stopped = hardened("bad", running=False, HostConfig={"NanoCpus": 0, "CpuShares": 1024})
        assert broken(judge, CPU, stopped)

    def test_a_cpu_quota_is_a_limit(self, judge: Judge) -> None:
        held(judge, CPU, grouped(cpu_max="50000 100000", config={"NanoCpus": 0, "CpuQuota": 50000}))
        held(judge, CPU, hardened(running=False, HostConfig={"NanoCpus": 0, "CpuQuota": 50000}))

    @pytest.mark.parametrize("config", [{"NanoCpus": 500000000}, {"NanoCpus": 0, "CpuShares": 512}])
    def test_a_container_with_a_processor_quota_or_weight_passes(
        self, judge: Judge, config: dict[str, Any]
    ) -> None:
        held(judge, CPU, grouped(cpu_max=None, cpu_weight=20, config=config))
        held(judge, CPU, hardened(running=False, HostConfig=config))

    @pytest.mark.parametrize(
        ("declared", "allowed", "number"),
        [
            *[("0", "0", 1), ("1-2", "1-2", 2), ("0,2-3", "0,2-3", 3), ("", "0-2", 3), ("3,3", "3", 1)],
            *[("0-3", "0-3", 4), ("", "0-3", 4), ("0", "0-3", 4), ("0-1", "0-1,2,3", 4)],
        ],
    )
    def test_a_set_smaller_than_that_of_the_host_is_a_limit(
        self, judge: Judge, declared: str, allowed: str, number: int
    ) -> None:
        """The set in force decides."""
        four = {"NCPU": 4}
        running = grouped(cpu_max=None, cpuset_cpus=allowed, config={"NanoCpus": 0, "CpusetCpus": declared})
        verdict = judge(CPU, with_containers(running, info=four))
        assert verdict.status is (Status.PASS if number < 4 else Status.FAIL)
        earlier = grouped(cpu_max=None, config={"NanoCpus": 0, "CpusetCpus": declared})
        is_smaller = declared not in ("", "0-3")
        assert judge(CPU, with_containers(earlier, info=four)).status is (
            Status.MANUAL if is_smaller else Status.FAIL
        )
        stopped = hardened(running=False, HostConfig={"NanoCpus": 0, "CpusetCpus": declared})
        assert judge(CPU, with_containers(stopped, info=four)).status is (
            Status.PASS if is_smaller else Status.FAIL
        )
        unable = with_containers(stopped, info={**four, "CPUSet": False})
        assert judge(CPU, unable).status is Status.FAIL

    @pytest.mark.parametrize("text", ["x", "0-", "-1", "0,,1", "0-99999999999"])
    def test_an_invalid_set_is_an_error(self, judge: Judge, text: str) -> None:
        with pytest.raises(FactUnavailable, match="not a list of processors"):
            judge(CPU, with_containers(grouped(cpu_max=None, cpuset_cpus=text)))

    def test_a_processor_limit_that_the_engine_cannot_enforce_fails(self, judge: Judge) -> None:
        snapshot = with_containers(hardened(running=False), info={"CpuCfsQuota": False})
        assert "cannot enforce it on this host" in judge(CPU, snapshot).actual


class TestProcesses:
    @pytest.mark.parametrize("declared", [None, 0, -1])
    def test_a_container_without_a_limit_on_its_processes_fails(self, judge: Judge, declared: Any) -> None:
        bad = grouped(pids_max=None, config={"PidsLimit": declared})
        assert broken(judge, PIDS, bad) == "runs without a limit on its processes"
        assert broken(judge, PIDS, hardened("bad", running=False, HostConfig={"PidsLimit": declared}))

    def test_a_declared_process_limit_that_is_not_enforced_fails(self, judge: Judge) -> None:
        assert broken(judge, PIDS, grouped(pids_max=None)).endswith("though 64 are declared")
        assert "without a pids controller" in broken(judge, PIDS, without_controller("pids_max"))

    def test_a_container_with_a_limit_on_its_processes_passes(self, judge: Judge) -> None:
        held(judge, PIDS, hardened())
        held(judge, PIDS, hardened(running=False))

    def test_a_process_limit_set_only_in_the_cgroup_passes_with_a_remark(self, judge: Judge) -> None:
        container = grouped(pids_max=2048, config={"PidsLimit": None})
        verdict = held(judge, PIDS, container, info={"CgroupDriver": "cgroupfs"})
        assert any("limited to 2048 processes by its cgroup" in fact for fact in verdict.evidence)

    @pytest.mark.parametrize("declared", [None, 0, -1])
    def test_the_default_process_limit_of_systemd_does_not_pass(
        self, judge: Judge, declared: int | None
    ) -> None:
        snapshot = with_containers(
            grouped(pids_max=9200, config={"PidsLimit": declared}), info={"CgroupDriver": "systemd"}
        )
        verdict = judge(PIDS, snapshot)
        assert verdict.status is Status.FAIL
        assert "declares no limit" in verdict.offenders[0].detail

    @pytest.mark.parametrize(
        ("limit", "status"), [(16384, Status.PASS), (16385, Status.FAIL), (4194304, Status.FAIL)]
    )
    @pytest.mark.parametrize("running", [True, False])
    def test_more_than_half_of_all_process_ids_is_not_a_limit(
        self, judge: Judge, limit: int, status: Status, running: bool
    ) -> None:
        proc = {"cgroup": {"pids_max": limit}} if running else None
        container = hardened("bad", proc=proc, running=running, HostConfig={"PidsLimit": limit})
        snapshot = with_containers(container, sysctl={"kernel.pid_max": "32768"})
        assert judge(PIDS, snapshot).status is status

    def test_without_the_pids_controller_the_check_fails(self, judge: Judge) -> None:
        missing = hardened("web", proc={"cgroup": {"pids_max": GONE}})
        snapshot = with_containers(missing, hardened("rest", running=False), info={"PidsLimit": False})
        verdict = judge(PIDS, snapshot)
        assert verdict.status is Status.FAIL
        assert "runs without a pids controller, although 64 are declared" in verdict.actual
        assert "rest declares 64 processes, but the engine cannot limit processes" in verdict.actual


class TestProcessors:
    @pytest.mark.parametrize(
        ("config", "cgroup", "detail"),
        [
            ({"NanoCpus": 4_000_000_000}, {"cpu_max": "400000 100000"}, "all 4 processors"),
            ({"NanoCpus": 8_000_000_000}, {"cpu_max": "800000 100000"}, "all 4 processors"),
            ({"NanoCpus": 0, "CpuQuota": 200000, "CpuPeriod": 50000}, {"cpu_max": "200000 50000"}, "all 4"),
            ({"NanoCpus": 0, "CpuShares": 2}, {"cpu_max": None, "cpu_weight": 1}, "its CPU shares are 2,"),
            (
                {"CpuShares": 9},
                {"cpu_max": "50000 100000", "cpu_weight": 1},
                "is starved by other containers",
            ),
            (
                {"CpuShares": 262144},
                {"cpu_max": "50000 100000", "cpu_weight": 9999},
                "starves other containers",
            ),
        ],
    )
    @pytest.mark.parametrize("running", [True, False])
    def test_a_quota_of_all_processors_or_an_extreme_weight_fails(
        self, judge: Judge, config: Any, cgroup: Any, detail: str, running: bool
    ) -> None:
        proc = {"cgroup": cgroup} if running else None
        container = hardened("bad", running=running, proc=proc, HostConfig=config)
        assert detail in broken(judge, "container-cpu-limit", container, info={"NCPU": 4})

    @pytest.mark.parametrize(
        ("config", "cgroup"),
        [
            ({"NanoCpus": 3_500_000_000}, {"cpu_max": "350000 100000"}),
            ({"NanoCpus": 0, "CpuShares": 10}, {"cpu_max": None, "cpu_weight": 1}),
            ({"NanoCpus": 0, "CpuShares": 100_000}, {"cpu_max": None, "cpu_weight": 3814}),
            ({"NanoCpus": 4_000_000_000, "CpuShares": 512}, {"cpu_max": "400000 100000", "cpu_weight": 20}),
        ],
    )
    @pytest.mark.parametrize("running", [True, False])
    def test_a_quota_below_all_processors_or_a_moderate_weight_passes(
        self, judge: Judge, config: Any, cgroup: Any, running: bool
    ) -> None:
        container = hardened(running=running, proc={"cgroup": cgroup} if running else None, HostConfig=config)
        held(judge, "container-cpu-limit", container, info={"NCPU": 4})


class TestCgroupParent:
    SLUG = "container-cgroup-parent"

    def test_a_container_with_a_custom_cgroup_parent_fails(self, judge: Judge) -> None:
        bad = hardened(
            "bad", proc={"cgroup": {"path": "/mine.slice/x"}}, HostConfig={"CgroupParent": "mine.slice"}
        )
        assert broken(judge, self.SLUG, bad) == "has the cgroup parent mine.slice, at /mine.slice/x"
        broken(judge, self.SLUG, hardened("bad", running=False, HostConfig={"CgroupParent": "/mine"}))

    @pytest.mark.parametrize(
        ("driver", "parent", "status"),
        [
            ("systemd", "", Status.PASS),
            ("systemd", "system.slice", Status.PASS),
            ("systemd", "/docker", Status.FAIL),
            ("cgroupfs", "/docker", Status.PASS),
            ("cgroupfs", "system.slice", Status.FAIL),
        ],
    )
    def test_the_engines_own_cgroup_parent_passes(
        self, judge: Judge, driver: str, parent: str, status: Status
    ) -> None:
        snapshot = with_containers(
            hardened(HostConfig={"CgroupParent": parent}), info={"CgroupDriver": driver}
        )
        assert judge(self.SLUG, snapshot).status is status

    def test_a_cgroup_parent_that_the_policy_names_passes(self, judge: Judge) -> None:
        mine = hardened(HostConfig={"CgroupParent": "mine.slice"})
        held(judge, self.SLUG, mine, policy={"cgroup_parents": ["mine.slice"]})
        with pytest.raises(FactUnavailable, match="cgroup_parents must be a list of strings"):
            judge(self.SLUG, with_containers(mine, policy={"cgroup_parents": "mine.slice"}))


def ulimit(name: str, soft: int, hard: int) -> dict[str, Any]:
    return {"Ulimits": [{"Name": name, "Soft": soft, "Hard": hard}]}


class TestUlimits:
    SLUG = "container-ulimits"

    @pytest.mark.parametrize("daemon", [FILE, FLAG])
    @pytest.mark.parametrize("running", [True, False])
    def test_a_ulimit_above_the_daemons_default_fails(self, judge: Judge, daemon: Any, running: bool) -> None:
        bad = hardened("bad", running=running, HostConfig=ulimit("nofile", 2048, 4096))
        assert broken(judge, self.SLUG, bad, **daemon).startswith(
            "raises nofile=2048:4096 above the daemon's default of 1024"
        )

    def test_an_unlimited_ulimit_fails(self, judge: Judge) -> None:
        bad = hardened("bad", HostConfig=ulimit("memlock", -1, -1))
        assert broken(judge, self.SLUG, bad) == "removes the limit: memlock=unlimited:unlimited"

    def test_a_ulimit_without_a_daemon_default_is_manual(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, with_containers(hardened(HostConfig=ulimit("nofile", 64, 128))))
        assert verdict.status is Status.MANUAL
        assert details(verdict) == {"twin": "sets nofile=64:128, for which the daemon has no default"}

    @pytest.mark.parametrize("ulimits", [None, []])
    def test_a_container_without_ulimits_of_its_own_passes(self, judge: Judge, ulimits: Any) -> None:
        held(judge, self.SLUG, hardened(HostConfig={"Ulimits": ulimits}))

    def test_a_lowered_ulimit_passes(self, judge: Judge) -> None:
        verdict = held(judge, self.SLUG, hardened(HostConfig=ulimit("nofile", 64, 128)), **FILE)
        assert "the daemon's default ulimits: nofile=1024" in verdict.evidence
        assert any("lowers the daemon's default of 1024" in fact for fact in verdict.evidence)

    @pytest.mark.parametrize("defaults", [7, ["nofile"], {"nofile": 7}, {"nofile": {"Hard": "many"}}])
    def test_invalid_daemon_defaults_are_an_error(self, judge: Judge, defaults: Any) -> None:
        config = {"daemon.config": {"parsed": {"default-ulimits": only(defaults)}}}
        with pytest.raises(FactUnavailable, match="default-ulimits"):
            judge(self.SLUG, with_containers(hardened(), **config))
