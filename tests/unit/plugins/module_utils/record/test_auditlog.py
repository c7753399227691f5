"""Audit records become calls of twins; the profile of a twin permits nothing more than before."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import audit
from ansible_collections.hardener.docker.plugins.module_utils.host.cgroups import Process
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import auditlog
from ansible_collections.hardener.docker.plugins.module_utils.record.auditlog import QUIET, AuditLog, logging

from hardener.workload.seccomp import Default
from hardener.workload.syscalls import KERNEL_RESERVE, LIBRARY_RESERVE
from tests.unit.workload.engines import DEFAULTS

WEB, DB = "a" * 64, "b" * 64
RECORD = (
    "auid=4294967295 uid=0 gid=0 ses=4294967295 subj=docker-default pid={pid} comm={comm} exe={exe} sig=0"
    " arch=c000003e syscall={call} compat={compat} ip=0x7f code={code}"
)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[int, Process]:
    """The containers of processes; others have ended."""
    found: dict[int, Process] = {}
    monkeypatch.setattr(auditlog, "look_up", lambda pid, _at: found.get(pid, Process()))
    return found


def listening(**slots: int) -> AuditLog:
    """A source that wants containers, and receives nothing by itself."""
    found = AuditLog.__new__(AuditLog)
    found._gaps = audit.Gaps()
    found._socket = SimpleNamespace(overruns=0)  # type: ignore[assignment]
    found._lost = 0
    found._slots = {{"web": WEB, "db": DB}[name]: slot for name, slot in slots.items()}
    found._processes, found._execs = {}, {}
    found._phases, found._calls = defaultdict(list), defaultdict(set)
    found._records = found._unknown = 0
    found._last, found._cut = 0.0, False
    found._lock = threading.Lock()
    found._guard = SimpleNamespace(watch=lambda _identity: None)  # type: ignore[assignment]
    return found


def take(source: AuditLog, pid: int, call: int, at: float = 1000.0, **changes: Any) -> None:
    """Have a record arrive."""
    values = {"comm": '"nginx"', "exe": '"/usr/sbin/nginx"', "compat": 0, "code": "0x7ffc0000", **changes}
    text = RECORD.format(pid=pid, call=call, **values)
    source._take(at, audit.fields(text, 4096))


def test_calls_have_program_and_phase(places: dict[int, Process], monkeypatch: pytest.MonkeyPatch) -> None:
    places[5] = Process(WEB)
    source = listening(web=3)
    for now, phase in ((1000.0, "start-empty"), (1010.0, "serve")):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        source.phase(phase, slot=3)
    take(source, 5, 257, at=1009.9)
    take(source, 5, 3, at=1009.995)  # the clock of records is late
    take(source, 5, 5, at=1011.0, compat=1)
    take(source, 5, 59, at=1001.0, comm="72756E633A5B323A494E49545D", exe='"/usr/sbin/runc"')
    kinds = {
        (each["program"], each["phase"], each["kind"], each["runtime"], *each["numbers"])
        for each in source.read_one("calls")
    }
    assert kinds == {
        ("nginx", 0, 0, False, 257),
        ("nginx", 4, 0, False, 3),
        ("nginx", 4, 1, False, 5),
        ("?", 0, 0, True, 59),
    }
    assert source.cgroups(3) == {3} == {each["cgroup"] for each in source.read_one("calls")}
    (executed,) = source.read_one("execs")
    assert (executed["path"], executed["program"]) == (b"/usr/sbin/nginx", "nginx")
    assert [source.read_one(name) for name in ("capsets", "sockets", "capabilities")] == [[], [], []]


def test_records_that_are_not_logged_calls_of_a_twin_are_ignored(places: dict[int, Process]) -> None:
    places.update({5: Process(WEB), 6: Process("c" * 64), 7: Process(elsewhere=True)})
    source = listening(web=0)
    take(source, 6, 1)
    take(source, 7, 1)
    take(source, 5, 1, code="0x50000")  # refused, not logged
    take(source, 5, 5000)
    take(source, 5, -1)
    assert source.read_one("calls") == []


def test_calls_of_a_program_named_like_the_runtime_belong_to_the_container(
    places: dict[int, Process],
) -> None:
    places[5] = Process(WEB)
    source = listening(web=0)
    take(source, 5, 1, comm='"runc"', exe='"/bin/busybox"')
    (found,) = source.read_one("calls")
    assert (found["program"], found["runtime"]) == ("runc", False)


def test_calls_of_ended_processes_are_attributed_to_the_only_twin_or_to_all_twins(
    places: dict[int, Process],
) -> None:
    source = listening(web=2)
    take(source, 5, 1)
    assert source.read_one("calls")[0]["cgroup"] == 2
    source = listening(web=0, db=1)
    places[5] = Process(DB)
    take(source, 5, 1)
    del places[5]
    take(source, 5, 2)
    take(source, 6, 3)
    assert {(each["cgroup"], *each["numbers"]) for each in source.read_one("calls")} == {(0, 3), (1, 1, 2, 3)}
    assert "1 audit records are of ended processes, and count for every service" in source.losses()


def test_the_name_of_a_program_is_not_parsed_as_fields(places: dict[int, Process]) -> None:
    places[5] = Process(WEB)
    source = listening(web=0)
    take(source, 5, 1, comm=b"x syscall=9 pid=1".hex().upper(), exe=b"/a b\n".hex().upper())
    (found,) = source.read_one("calls")
    assert (found["program"], found["numbers"]) == ("x syscall=9 pid=1", [1])
    assert source.read_one("execs")[0]["path"] == b"/a b\n"


def test_the_number_of_program_names_is_bounded(
    places: dict[int, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditlog, "_MOST_NAMES", 3)
    places[5] = Process(WEB)
    source = listening(web=0)
    for number in range(9):
        take(source, 5, 1, comm=f'"n{number}"', exe=f'"/n{number}"')
    assert len(source.read_one("calls")) == len(source.read_one("execs")) == 3
    assert "there were more names of programs than are listed" in source.losses()


def test_a_twin_that_floods_the_log_is_killed(
    places: dict[int, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(auditlog, "_MOST", 2)
    monkeypatch.setattr(os, "kill", lambda *words: killed.append(words))
    places.update({5: Process(WEB), 6: Process(elsewhere=True)})
    source = listening(web=0)
    for pid in (5, 5, 6, 5, 7):
        take(source, pid, 1)
    assert killed == [(5, signal.SIGKILL)]  # neither one that has ended nor one of the host
    assert "the twins were killed after 2 audit records" in source.losses()


@pytest.mark.parametrize(("lost", "overruns"), [(1, 0), (0, 1)])
def test_lost_records_are_reported(monkeypatch: pytest.MonkeyPatch, lost: int, overruns: int) -> None:
    monkeypatch.setattr(audit, "kernel_status", lambda: {"lost": lost})
    source = listening(web=0)
    source._socket.overruns = overruns
    assert source.losses() == [
        "the kernel lost audit records",
        "no audit record of a twin arrived: do rules exclude them (auditctl -l)?",
    ]


def test_only_calls_that_every_seccomp_profile_permits_are_not_logged() -> None:
    assert LIBRARY_RESERVE | KERNEL_RESERVE >= QUIET


PROFILES = sorted(name for name, value in DEFAULTS.items() if isinstance(value, dict))


@pytest.mark.parametrize("name", PROFILES)
def test_the_logging_seccomp_profile_permits_the_same_calls_as_the_original(name: str) -> None:
    profile = DEFAULTS[name]

    def rules(given: Any) -> set[str]:
        return {
            json.dumps(
                [each, rule.get("args"), rule["action"].replace("_LOG", "_ALLOW"), rule.get("errnoRet")]
            )
            for rule in given["syscalls"]
            for each in rule["names"]
        }

    found = logging(profile)
    assert rules(found) == rules(profile)
    assert {key: value for key, value in found.items() if key != "syscalls"} == {
        key: value for key, value in profile.items() if key != "syscalls"
    }
    logged = {
        each for rule in found["syscalls"] if rule["action"] == "SCMP_ACT_LOG" for each in rule["names"]
    }
    assert logged.isdisjoint(QUIET)
    permitted = Default(common=profile, capabilities=frozenset()).permitted(())
    assert permitted - QUIET == logged


def body(*options: str) -> dict[str, Any]:
    return {"Image": "x", "HostConfig": {"SecurityOpt": list(options), "CapAdd": ["ALL"]}}


def seccomp(found: dict[str, Any]) -> Any:
    (option,) = (each for each in found["HostConfig"]["SecurityOpt"] if each.startswith("seccomp="))
    return json.loads(option[8:])


def test_a_twin_gets_its_own_seccomp_profile_with_logging() -> None:
    source = listening()
    default, own = {"defaultAction": "SCMP_ACT_ERRNO"}, {"defaultAction": "SCMP_ACT_KILL"}
    found = source.prepared(body("apparmor=x"), {"seccomp": default})
    assert seccomp(found)["defaultAction"] == "SCMP_ACT_ERRNO"
    assert found["HostConfig"]["SecurityOpt"][0] == "apparmor=x"
    assert found["HostConfig"]["CapAdd"] == ["ALL"]
    assert (
        seccomp(source.prepared(body(), {"seccomp": default, "own": own}))["defaultAction"] == "SCMP_ACT_KILL"
    )
    given = json.dumps({"defaultAction": "SCMP_ACT_ALLOW"})
    for option in (f"seccomp={given}", "seccomp=unconfined", "seccomp:unconfined"):
        assert seccomp(source.prepared(body(option), None))["defaultAction"] == "SCMP_ACT_LOG"


@pytest.mark.parametrize(("option", "reason"), [("seccomp=builtin", "not known"), ("seccomp={", "be read")])
def test_a_twin_whose_seccomp_profile_is_not_known_is_refused(option: str, reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        listening().prepared(body(option), None)
