"""The loop, with a kernel and an engine that say what the test wants."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any, Protocol

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity import watch as module
from ansible_collections.hardener.docker.plugins.module_utils.activity.containers import (
    Container,
    Directory,
    Process,
)
from ansible_collections.hardener.docker.plugins.module_utils.activity.engine import EngineEvent
from ansible_collections.hardener.docker.plugins.module_utils.activity.tally import Baseline, Tally
from ansible_collections.hardener.docker.plugins.module_utils.activity.watch import (
    Watch,
    summary,
    unavailable_sources,
    unrecorded_actions,
)
from ansible_collections.hardener.docker.plugins.module_utils.host.audit import Record

A, B = "a" * 64, "b" * 64
WEB = Container(A, "web", "nginx")


class Kernel:
    """Stands for the audit group: a pipe that can be waited for, and what is to be read."""

    def __init__(self) -> None:
        self.overruns = 0
        self.records: list[Record] = []
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    def say(self, *texts: str, kind: int = 1400) -> None:
        self.records += [Record(kind, text) for text in texts]
        os.write(self._write, b"x")

    def receive(self) -> Iterator[Record]:
        os.read(self._read, 100)
        said, self.records = self.records, []
        yield from said


class Engine:
    """Stands for the engine's thread."""

    def __init__(self, _socket: str, directory: Directory) -> None:
        self.happenings: Queue[EngineEvent] = Queue()
        self.problem, self.cuts, self.lost = "", 0, 0
        self.directory = directory

    def start(self) -> None:
        pass


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(module, "AuditSocket", lambda: kernel)
    monkeypatch.setattr(module, "Engine", Engine)
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    return kernel


def mount(number: int, profile: str = "docker-default-audited") -> str:
    return (
        f'audit({time.time():.3f}:{number}): apparmor="DENIED" operation="mount" profile="{profile}"'
        f' name="/mnt/" pid=812 comm="mount"'
    )


def says(monkeypatch: pytest.MonkeyPatch, process: Process) -> None:
    monkeypatch.setattr(module, "look_up", lambda *_: process)


def entries(tally: Tally) -> list[tuple[str, str, str, int]]:
    return [(each["name"], each["image"], each["attributed_by"], each["count"]) for each in tally.data(None)]


class Heard(Protocol):
    def __call__(self, process: Process, *denials: str, known: Container | None = None) -> Watch: ...


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def heard(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tally: Tally) -> Heard:
    """A watch that has heard denials of a process; the engine told of a container before that."""

    def listen(process: Process, *denials: str, known: Container | None = None) -> Watch:
        watch = Watch("/x", tally)
        if known is not None:
            watch.directory.put(known)
        says(monkeypatch, process)
        kernel.say(*denials)
        watch.step(1)
        return watch

    return listen


def test_a_denial_of_a_known_container_is_counted_at_once(heard: Heard, tally: Tally) -> None:
    heard(Process(A), mount(1), mount(2), known=WEB)
    assert entries(tally) == [("web", "nginx", "process", 2)]


def test_a_denial_of_a_new_container_waits_for_the_report_of_the_engine(
    heard: Heard, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 60)
    watch = heard(Process(A), mount(1))
    assert entries(tally) == []
    watch.directory.put(WEB)
    watch.step(0)
    assert entries(tally) == [("web", "nginx", "process", 1)]


def test_a_container_that_the_engine_never_reports_is_named_by_its_id(heard: Heard, tally: Tally) -> None:
    heard(Process(A), mount(1)).finish()
    (entry,) = tally.data(None)
    assert (entry["container"], entry["name"], entry["attributed_by"]) == (A, "", "process")


def test_an_apparmor_profile_identifies_a_container_only_after_the_engines_delay(
    heard: Heard, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 2)
    watch = heard(Process(), mount(1), known=Container(A, "old", "nginx", profile="docker-default-audited"))
    # It was the other one, that has just started and is gone.
    watch.directory.put(Container(B, "new", "nginx", profile="docker-default-audited", ended=time.time() + 1))
    watch.finish()
    assert entries(tally) == [("", "", "not attributed (docker-default-audited)", 1)]


def test_a_custom_apparmor_profile_identifies_a_container(heard: Heard, tally: Tally) -> None:
    heard(Process(), mount(1, "web"), known=Container(A, "web", "nginx", profile="web")).finish()
    assert entries(tally) == [("web", "nginx", "confinement", 1)]


def test_a_denial_of_a_host_process_is_counted_and_not_listed(heard: Heard, tally: Tally) -> None:
    watch = heard(Process(elsewhere=True), mount(1, "unprivileged_userns"))
    watch.finish()
    assert (entries(tally), watch.elsewhere) == ([], 1)


def test_denials_of_image_builds_are_reported(heard: Heard, tally: Tally) -> None:
    known = Container(A, "web", "nginx", profile="docker-default")
    watch = heard(Process(elsewhere=True), mount(1, "docker-default"), known=known)
    assert entries(tally) == [("", "", "not attributed (docker-default)", 1)]
    assert watch.elsewhere == 0


def test_denials_beyond_the_queue_are_counted_at_once(
    heard: Heard, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_WAITING", 10)
    heard(Process(A), *(mount(number) for number in range(1, 31))).finish()
    assert sum(each[3] for each in entries(tally)) == 30


def test_lost_audit_records_and_engine_events_are_counted_in_the_result(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch("/x", Tally())
    says(monkeypatch, Process(elsewhere=True))
    watch._gaps._grace = 0.0
    kernel.overruns = 3
    kernel.say(mount(5), mount(9))
    watch.step(1)
    time.sleep(0.01)
    watch.step(0)
    watch.engine.cuts, watch.engine.lost = 2, 7
    told = summary(watch, 1.0)
    assert told["lost"] == {
        "overruns": 3,
        "events": 3,
        "engine_cuts": 2,
        "engine_events": 7,
        "no_room": 0,
    }
    assert told["deaf"] == []


def test_without_kernel_audit_the_engine_is_still_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module, "AuditSocket", refused)
    monkeypatch.setattr(module, "Engine", Engine)
    tally = Tally()
    watch = Watch("/x", tally)
    watch.engine.happenings.put(EngineEvent(5.0, "out of memory", "medium", "", WEB))
    watch.step(0)
    assert entries(tally) == [("web", "nginx", "engine", 1)]
    assert "Operation not permitted" in summary(watch, 1.0)["deaf"][0]


def test_only_a_collector_that_is_learning_extends_the_baseline(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for learning in (False, True):
        baseline = Baseline(1000.0)
        watch = Watch("/x", Tally(), baseline, learning=learning)
        watch.directory.put(WEB)
        says(monkeypatch, Process(A))
        kernel.say(mount(1))
        watch.step(1)
        assert ("nginx" in baseline.data()) is learning


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the kernel's files say."""
    said = {
        "/sys/module/apparmor/parameters/enabled": "Y\n",
        "/proc/sys/kernel/seccomp/actions_logged": "kill_process kill_thread trap errno log\n",
    }
    monkeypatch.setattr(module, "_read", lambda path: said.get(path, ""))
    return said


def test_apparmor_profiles_and_seccomp_filters_that_deny_silently_are_named(files: dict[str, str]) -> None:
    containers = [Container(f"{n:064x}", f"web{n}", "nginx", silent="docker-default") for n in range(7)]
    containers.append(Container("f" * 64, "", "x", silent="unconfined"))
    silent, unconfined, seccomp = unrecorded_actions(containers)
    assert silent.startswith("web0, web1, web2, web3, web4 and 2 more run under docker-default")
    assert unconfined.startswith("ffffffffffff run unconfined")
    assert seccomp.startswith("calls that seccomp refuses with an error")


@pytest.mark.parametrize("declared", ["unconfined", "docker-default", ""])
@pytest.mark.parametrize(
    ("label", "in_force"),
    [
        ("unconfined", "unconfined"),  # also where the profile was removed from the kernel
        ("docker-default (enforce)", "docker-default"),
        ("docker-default (complain)", ""),
        ("own (enforce)", ""),
        ("unconfined-tool (enforce)", ""),
        ("system_u:system_r:spc_t:s0", "unconfined"),
        ("system_u:system_r:container_t:s0:c1,c2", ""),
        ("", None),  # the kernel tells none
    ],
)
def test_the_confinement_in_force_decides_and_not_the_declared_one(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, declared: str, label: str, in_force: str | None
) -> None:
    monkeypatch.setattr(module, "label", {7: label}.__getitem__)
    told = " ".join(unrecorded_actions([Container("a" * 64, "web", "nginx", silent=declared, pid=7)]))
    silent = declared if in_force is None else in_force
    assert ("web run unconfined" in told) is (silent == "unconfined")
    assert ("web run under docker-default" in told) is (silent == "docker-default")


def test_missing_kernel_support_for_recording_denials_is_reported(files: dict[str, str]) -> None:
    files["/sys/module/apparmor/parameters/enabled"] = "N\n"
    files["/proc/sys/kernel/seccomp/actions_logged"] = "kill_thread trap\n"
    found = unrecorded_actions([Container("a" * 64, "web", "nginx", silent="docker-default")])
    assert found[0].startswith("neither AppArmor nor SELinux is on")
    assert "kill_process, log" in found[1]


def test_unavailable_sources_are_listed_with_the_reason() -> None:
    assert unavailable_sources("", "") == []
    assert len(unavailable_sources("Operation not permitted", "no socket")) == 2


def test_a_missing_kernel_file_is_read_as_empty_text(tmp_path: Path) -> None:
    assert module._read(str(tmp_path / "no")) == ""
