"""A recorder's answer, in numbers, becomes a recording with names; what is no need is left out."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.workload.assemble import recording
from hardener.workload.kernel import architecture, name
from hardener.workload.recording import Use, parse
from tests.unit.workload.recordings import document

MASK = 0xA80425FB


def answer() -> dict[str, Any]:
    known = document()
    check = {"program": "nginx", "number": 92, "capability": 0, "phase": 0, "kind": 0, "level": 0}
    return {
        "began": 1795772519,
        "ended": 1795772538,
        **{key: known[key] for key in ("host", "container", "phases", "granted", "peak", "pids_limit")},
        "network": "own",
        "companions": ["db"],
        "missing": [],
        "complete": True,
        "capabilities_by": "tracepoint",
        "calls": [
            {"program": "nginx", "phase": 0, "kind": 0, "runtime": False, "numbers": [257, 3]},
            {"program": "sh", "phase": 5, "kind": 0, "runtime": False, "numbers": [3, 1023]},
            {"program": "old", "phase": 5, "kind": 1, "runtime": False, "numbers": [5]},
            {"program": "?", "phase": 0, "kind": 0, "runtime": True, "numbers": [59]},
        ],
        "base": {"calls": [3, 59], "no_new_privileges": [59], "starts": 2},
        "capabilities": [check],
        "executed": {"/usr/bin/ping": "ping", "/usr/bin/su": "su", "/bin/sh": "sh"},
        "read": None,
        "used_by": {"/run/pid": {"programs": ["nginx"], "phases": [0, 5]}},
        "programs": {
            "/usr/bin/ping": {"uid": None, "gid": None, "capabilities": 1 << 13, "effective": True},
            "/usr/bin/su": {"uid": 0, "gid": None},
            "/bin/sh": {"uid": None, "gid": None},
        },
        "capsets": [{"program": "d", "effective": 1, "permitted": 3, "inheritable": 0, "phases": [0]}],
        "sockets": [
            {"program": "nginx", "family": 2, "connect": False, "phases": [0]},
            {"program": "nginx", "family": 1, "connect": True, "phases": [0]},
        ],
        "identities": [
            {
                "program": "nginx",
                "uid": 0,
                "gid": 0,
                "groups": [0],
                **dict.fromkeys(("effective", "permitted", "bounding"), MASK),
                "inheritable": 0,
                "ambient": 0,
                "no_new_privileges": False,
                "seccomp_mode": 2,
                "seccomp_filters": 1,
                "lsm": "",
                "phases": [0, 5],
            }
        ],
        "listens": [{"protocol": "tcp", "port": 80}],
        "ports": [{"protocol": "tcp", "port": 80, "published": True, "reached": True}],
        "files": {"written": [], "created": ["/run/pid"], "deleted": []},
        "shell": True,
        "owners": {"/run/pid": {"uid": 0, "gid": 0, "mode": 0o644}},
        "folders": {"/run/app": {"uid": 0, "gid": 0, "mode": 0o755}},
    }


def test_numbers_of_calls_and_capabilities_are_replaced_by_names() -> None:
    found = recording("h", answer())
    assert sorted(found.calls["x86_64"]) == ["#1023", "close", "openat"]
    assert found.calls["x86_64"]["close"].programs == ("nginx", "sh")
    assert found.calls["x86_64"]["close"].phases == ("start-empty", "serve")
    assert sorted(found.calls["i386"]) == ["open"]
    assert sorted(found.runtime_calls) == ["execve"]
    assert found.runtime_base is not None
    assert found.runtime_base.calls == ("close", "execve")
    assert [(use.name, use.call) for use in found.capabilities] == [("CAP_CHOWN", "chown")]
    assert len(found.identities[0].effective) == 14
    assert found.network.families == {"AF_INET": Use(programs=("nginx",), phases=("start-empty",))}
    assert found.files.used_by == {"/run/pid": Use(programs=("nginx",), phases=("start-empty", "serve"))}
    assert not found.network.connects  # to a socket of its own file system only
    assert [(each.path, each.capabilities) for each in found.file_capabilities] == [
        ("/usr/bin/ping", ("CAP_NET_RAW",))
    ]
    assert [(each.path, each.uid, each.gid) for each in found.setuid] == [("/usr/bin/su", 0, None)]
    assert found.capset[0].permitted == ("CAP_CHOWN", "CAP_DAC_OVERRIDE")
    assert found.files.executed == ("/bin/sh", "/usr/bin/ping", "/usr/bin/su")


@pytest.mark.parametrize(
    ("change", "by", "kept"),
    [
        ({"capability": 21, "number": 9}, "tracepoint", False),  # memory that is reserved for root
        ({"capability": 21, "number": -1}, "tracepoint", False),
        ({"capability": 21, "number": 9}, "fexit", True),  # which tells unaudited checks apart
        ({"capability": 21, "number": 165}, "tracepoint", True),  # mount
        ({"level": 1}, "tracepoint", False),  # about a namespace of its own
    ],
)
def test_capability_checks_without_need_are_omitted(change: dict[str, int], by: str, kept: bool) -> None:
    data = answer()
    data["capabilities_by"] = by
    data["capabilities"][0].update(change)
    assert bool(recording("h", data).capabilities) is kept


@pytest.mark.parametrize(
    ("requested", "kept"),
    [
        ([("nginx", 0)], False),
        ([("other", 1)], False),
        ([("nginx", 0), ("nginx", 1)], True),
    ],
)
def test_setpcap_is_needed_by_a_capset_of_inheritable_capabilities_alone(
    requested: list[tuple[str, int]], kept: bool
) -> None:
    data = answer()
    data["capabilities"][0].update(capability=8, number=126)
    data["capsets"] = [
        {"program": program, "effective": 1, "permitted": 3, "inheritable": mask, "phases": [0]}
        for program, mask in requested
    ]
    assert bool(recording("h", data).capabilities) is kept


def test_a_remapped_container_has_its_own_user_namespace() -> None:
    data = answer()
    data["host"]["userns_remap"] = True
    assert recording("h", data).capabilities == ()
    data["capabilities"][0]["level"] = 1
    assert len(recording("h", data).capabilities) == 1
    data["container"]["userns_mode"] = "host"
    assert recording("h", data).capabilities == ()


def test_data_that_could_not_be_recorded_is_reported() -> None:
    data = answer()
    assert recording("h", data).recorder.unseen == ()
    data["capabilities_by"] = ""
    found = recording("h", data).recorder
    assert found.unseen == ("capabilities",)
    assert "Capability checks could not be recorded: a profile keeps all capabilities." in found.missing


@pytest.mark.parametrize("key", sorted(answer()))
@pytest.mark.parametrize("value", [None, 7, "x", [7], {"x": 7}, float("inf"), [[]] * 3])
def test_an_answer_of_the_wrong_form_is_refused(key: str, value: object) -> None:
    data = answer()
    if copy.deepcopy(data[key]) == value:
        return
    data[key] = value
    refused = ""
    try:
        recording("ho\x1bst", data)
    except HardenerError as error:  # and nothing else
        refused = str(error)
    assert "\x1b" not in refused


@pytest.mark.parametrize(
    ("table", "number", "expected"),
    [
        ("x86_64", 257, "openat"),
        ("aarch64", 56, "openat"),
        ("i386", 295, "openat"),
        ("x32", 545, "execveat"),
        ("x86_64", 469, "file_setattr"),
        ("arm", 5, "#5"),
    ],
)
def test_calls_are_named_by_architecture(table: str, number: int, expected: str) -> None:
    assert name(table, number) == expected


def test_the_architecture_of_32_bit_and_64_bit_programs_is_recognised() -> None:
    assert [architecture("x86_64", kind) for kind in range(3)] == ["x86_64", "i386", "x32"]
    assert architecture("aarch64", 1) == "arm"


def test_lists_longer_than_the_limit_are_truncated() -> None:
    given = answer()
    given["files"]["created"] = [f"/w/{number}" for number in range(10_001)]
    given["owners"] = {path: {"uid": 0, "gid": 0, "mode": 0o644} for path in given["files"]["created"]}
    given["owners"]["/w"] = {"uid": 7, "gid": 0, "mode": 0o755}
    given["calls"] += [
        {"program": f"worker-{number}", "phase": 5, "kind": 0, "runtime": False, "numbers": [3]}
        for number in range(1500)
    ]
    given["sockets"] += [
        {"program": f"worker-{number}", "family": family, "connect": False, "phases": [5]}
        for number in range(1500)
        for family in (2, 1000 + number)
    ]
    many = {"programs": [f"worker-{number}" for number in range(1500)], "phases": [5]}
    given["used_by"] = {"/a/unlisted": many, "/w/0": many}
    given["container"] = {**given["container"], "environment": [f"V{number}" for number in range(1200)]}
    found = recording("h", given)
    assert found.files.used_by is not None
    assert {path: len(use.programs) for path, use in found.files.used_by.items()} == {"/w/0": 1000}
    assert len(found.network.families) == len(found.network.families["AF_INET"].programs) == 1000
    assert (len(found.files.created), len(found.files.owners)) == (10_000, 10_000)
    assert found.files.owners["/w"].uid == 7  # of the folder, which tells most
    assert len(found.calls["x86_64"]["close"].programs) == 1000
    assert len(found.container.environment) == 1000
    assert not found.recorder.complete
    for what, most in (
        ("created paths", 10_000),
        ("programs of system calls", 1000),
        ("programs of used files", 1000),
        ("families of sockets", 1000),
        ("programs of families of sockets", 1000),
    ):
        assert f"There are too many {what}: only {most} are listed." in found.recorder.missing


@pytest.mark.parametrize("read", [None, [f"/r/{number}" for number in range(10_001)]])
def test_reads_are_recorded_completely_or_not_at_all(read: list[str] | None) -> None:
    found = recording("h", {**answer(), "read": read})
    assert found.files.read is None
    assert (
        "Reads of files were not seen, or were too many: an AppArmor profile cannot deny unread secrets."
        in found.recorder.missing
    )
    assert found.recorder.complete
    found = recording("h", {**answer(), "read": ["/b", "/a", "/b"]})
    assert found.files.read == ("/a", "/b")
    assert found.recorder.missing == ()


def test_programs_that_used_files_are_left_out_before_reads() -> None:
    given = answer()
    paths = given["files"]["created"] = [f"/w/{'x' * 250}{number}" for number in range(4000)]
    given["used_by"] = {
        path: {"programs": [f"{number}{'x' * 250}" for number in range(8)], "phases": [5]} for path in paths
    }
    given["read"] = [f"/r/{number}" for number in range(3000)]
    found = recording("h", given)
    assert found.files.used_by is None
    assert found.files.read is not None
    assert found.recorder.complete


@pytest.mark.parametrize("count", [None, 10_001])
def test_programs_that_used_files_are_not_listed_if_they_are_unknown(count: int | None) -> None:
    given = answer()
    paths = given["files"]["created"] = [f"/w/{number}" for number in range(count or 0)]
    given["used_by"] = count and {path: {"programs": ["web"], "phases": [5]} for path in paths}
    found = recording("h", given)
    assert (found.files.used_by is None) == (count is None)
    sentence = "Programs that use a file were not seen, or were too many: the page does not name them."
    assert (sentence in found.recorder.missing) == (count is None)


@pytest.mark.parametrize(("name", "count"), [("x" * 4000, 2200), ("," * 250, 2200)])
def test_a_recording_of_any_size_can_be_read_again(name: str, count: int) -> None:
    given = answer()
    given["files"]["created"] = [f"/w/{name}{number}" for number in range(count)]
    found = recording("h", given)
    assert parse(found.dump().encode(), name="r").digest == found.digest
    assert not found.recorder.complete
