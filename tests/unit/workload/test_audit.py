"""The containers of a host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hardener
from hardener.model import Severity
from hardener.snapshot import Snapshot
from hardener.workload.audit import HostAudit, audit, by_risk, refusal, workloads
from hardener.workload.document import document
from tests.hanging import must_end
from tests.unit.operations import operations
from tests.unit.reports.schemas import validator
from tests.unit.snapshots import (
    container,
    failed,
    make,
    no_engine,
    silent_engine,
    with_containers,
)
from tests.unit.workload.containers import least, running

VALIDATE = validator(
    json.loads((Path(hardener.__file__).parent / "workload-audit.schema.json").read_text(encoding="utf-8"))
)
HOSTILE = ("\x1b[31mred", "\u202egnp.exe", "a\nb", "[bold]x[/]", "\ud800", "<script>", "x" * 10_000, "")
PRIVILEGED: dict[str, Any] = {"HostConfig": {"Privileged": True}}


def test_the_riskiest_containers_come_first() -> None:
    snapshot = with_containers(
        least("c"),
        running("b"),
        running("a"),
        running("z", proc={"host_namespaces": ["pid", "user"]}),
        running("y", **PRIVILEGED),
    )
    found = audit(snapshot, host="db01")
    assert [each.name for each in found.containers] == ["y", "z", "a", "b", "c"]
    assert found.host == "db01"
    assert found.engine == "26.1.5+dfsg1"
    assert found.levels() == {Severity.CRITICAL: 1, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 1}
    assert found.complete


def test_containers_are_sorted_by_level_before_points() -> None:
    """Many small privileges do not outweigh one that gives the host away."""
    many = {"host_namespaces": ["net", "ipc", "uts", "user"], "seccomp": 0, "label": "unconfined"}
    socket = {"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/s", "RW": True}
    few = least("few", proc={"mounts": None}, Mounts=[socket])
    found = audit(with_containers(running("many", profile=None, proc=many), few)).containers
    assert [each.name for each in found] == ["few", "many"]
    assert found[0].points < found[1].points + 20


def test_containers_of_all_hosts_are_sorted_by_risk() -> None:
    one = audit(with_containers(running("b"), running("a")), host="two")
    other = audit(with_containers(running("a"), running("p", **PRIVILEGED)), host="one")
    assert [(host, each.name) for host, each in by_risk([one, other])] == [
        ("one", "p"),
        ("one", "a"),
        ("two", "a"),
        ("two", "b"),
    ]


def test_only_running_containers_are_in_the_audit() -> None:
    """One that died while the host was read has no processes any more."""
    dead = {**running("dead"), "proc": None}
    found = audit(with_containers(running("web"), dead, container("exited", running=False)))
    assert [each.name for each in found.containers] == ["web"]
    assert found.complete
    assert audit(with_containers()).containers == ()


def test_an_engine_whose_processes_are_on_another_machine_is_reported() -> None:
    elsewhere = {**running("web"), "proc": None}
    elsewhere["inspect"] = {**elsewhere["inspect"], "State": {"Running": True, "Pid": 4711}}
    found = audit(with_containers(elsewhere))
    assert not found.complete
    assert "no process of the engine's containers is on this host" in found.error
    assert audit(with_containers(elsewhere, running("here"))).complete


def test_unreadable_parts_make_the_result_incomplete() -> None:
    found = audit(with_containers(running("web", proc={"no_new_privs": None})))
    (web,) = found.containers
    assert {text.partition(":")[0] for text in web.has.unknown} == {"no_new_privs"}
    assert not found.complete


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (no_engine(), "Docker is not installed"),
        (silent_engine(), "docker.info could not be read: connect: connection refused"),
        (make(**{"docker.containers": failed()}), "docker.containers could not be read: timed out"),
        (make(**{"docker.info": {"OperatingSystem": "Docker Desktop"}}), "virtual machine"),
        (make(engine={"rootless": True}), "rootless"),
        (
            make(**{"docker.info": {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}}),
            "rootless",
        ),
        (make(**{"docker.containers": [7]}), "not in the format of the collector"),
        (Snapshot({"schema": "hardener/snapshot/2"}), "not in this snapshot"),
    ],
    ids=("none", "silent", "failed", "desktop", "rootless", "rootless-option", "malformed", "empty"),
)
def test_a_host_that_cannot_be_audited_is_reported_with_the_reason(snapshot: Snapshot, reason: str) -> None:
    found = audit(snapshot, host="h")
    assert reason in found.error
    assert "\n" not in found.error
    assert (found.containers, found.complete) == ((), False)
    assert workloads(snapshot) is None
    VALIDATE(document([found]))


def test_the_engine_that_runs_as_root_is_accepted() -> None:
    assert refusal(make()) == ""


def test_a_container_that_opts_out_of_user_remapping_has_a_higher_risk() -> None:
    remapped = {"uid": 100000, "uid_map": [[0, 100000, 65536]], "host_namespaces": [], "processes": []}
    options = ["name=seccomp,profile=builtin", "name=userns", "name=apparmor"]
    snapshot = with_containers(
        running("inside", proc=remapped),
        running("outside", HostConfig={"UsernsMode": "host"}),
        info={"SecurityOptions": options},
    )
    outside, inside = audit(snapshot).containers
    assert (outside.name, inside.name) == ("outside", "inside")
    assert inside.has.user.remapped
    assert inside.points < outside.points


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_escaped(name: str) -> None:
    found = audit(with_containers(running(name, Config={"Image": name}), running("other")))
    assert len(found.containers) == 2
    written = json.dumps(document([found]), ensure_ascii=True)
    read = json.loads(written)
    VALIDATE(read)
    assert "\x1b" not in written


def _many(number: int) -> Snapshot:
    entry = running("web")
    return with_containers(
        *(
            {**entry, "inspect": {**entry["inspect"], "Id": f"{each:064x}", "Name": f"/c{each}"}}
            for each in range(number)
        )
    )


def test_the_audit_of_thousands_of_containers_takes_linear_time() -> None:
    few, more = _many(5), _many(40)
    assert operations(lambda: audit(more)) <= 12 * operations(lambda: audit(few))
    snapshot = _many(3000)
    with must_end():
        found = audit(snapshot)
    assert len(found.containers) == 3000
    assert [each.name for each in found.containers] == sorted(each.name for each in found.containers)
    summary = workloads(snapshot)
    assert summary is not None
    assert (summary.levels["medium"], len(summary.riskiest)) == (3000, 20)


def test_the_json_of_an_audit_has_all_fields() -> None:
    shared = {"namespaces": {"net": "7", "pid": "1", "ipc": "2", "uts": "3", "mnt": "4"}}
    mounts = [{"Type": "bind", "Source": "/etc", "Destination": "/host", "RW": True}]
    audits = [
        audit(
            with_containers(
                running("web", proc={**shared, "mounts": None}, Mounts=mounts), running("side", proc=shared)
            )
        ),
        HostAudit(host="gone", error="unreachable"),
    ]
    written = document(audits)
    VALIDATE(json.loads(json.dumps(written)))
    assert written == document(audits)
    first, gone = written["hosts"]
    assert first["levels"] == {"critical": 1, "high": 0, "medium": 1, "low": 0}
    web = first["containers"][0]
    assert web["first"][0] == web["excess"][0]["do"]
    assert web["has"]["joined_namespaces"]["net"] == ["side"]
    assert web["has"]["capabilities"]["effective"] == sorted(web["has"]["capabilities"]["effective"])
    assert (gone["error"], gone["containers"], gone["collected_at"]) == ("unreachable", [], None)


def test_containers_are_counted_by_level_and_the_riskiest_come_first_with_reasons() -> None:
    found = workloads(with_containers(running("web", **PRIVILEGED), least("tight")))
    assert found is not None
    assert found.levels == {"critical": 1, "high": 0, "medium": 0, "low": 1}
    web, tight = found.riskiest
    assert (web.container, web.level, web.first[0][:6]) == ("web", Severity.CRITICAL, "Remove")
    assert len(web.why) == 3
    assert tight.points < web.points
