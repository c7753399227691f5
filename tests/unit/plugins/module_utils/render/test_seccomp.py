from __future__ import annotations

import json
from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.rendering import documents_of, verdicts
from tests.unit.snapshots import failed, make, no_engine, only, silent_engine

ALLOW = "SCMP_ACT_ALLOW"
DENY = "SCMP_ACT_ERRNO"


def document(snapshot: Snapshot, profile: Any = None) -> dict[str, Any]:
    given = {"profile": "", "content": ""}
    if profile is not None:
        text = profile if isinstance(profile, str) else json.dumps(profile)
        given = {"profile": "site.json", "content": text}
    (found,) = documents_of("seccomp")(snapshot.raw, **given)
    return found


def keys(found: dict[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = found["resources"][0]["keys"]
    return wanted


def notes(*rules: dict[str, Any], version: str = "26.1.5+dfsg1", default: str = DENY) -> list[str]:
    snapshot = make(**{"docker.info": {"ServerVersion": version}, "docker.containers": only([])})
    found: list[str] = document(snapshot, {"defaultAction": default, "syscalls": list(rules)})["notes"]
    return found


def effective(profile: str, **parsed: Any) -> dict[str, Any]:
    options = ["name=apparmor", f"name=seccomp,profile={profile}", "name=cgroupns"]
    return {
        "docker.info": {"SecurityOptions": only(options)},
        "daemon.config": {"parsed": only({key.replace("_", "-"): value for key, value in parsed.items()})},
    }


def test_the_built_in_profile_needs_no_key() -> None:
    found = document(make())
    assert keys(found) == {}
    assert found["activations"][0]["expect"] == {"seccomp": "builtin"}
    assert found["costs"] == ""


@pytest.mark.parametrize("frozen", ["/etc/docker/old.json", "unconfined", ""])
def test_settings_that_replace_the_built_in_profile_are_removed(frozen: str) -> None:
    before = make(**effective(frozen or "builtin", seccomp_profile=frozen))
    found = document(before)
    assert keys(found) == {"seccomp-profile": ""}
    after = make(**effective("builtin", seccomp_profile=""))
    assert verdicts(after, "daemon-seccomp")["daemon-seccomp-custom"] is Status.PASS


def test_running_containers_keep_their_filter() -> None:
    running = [{"inspect": {"Name": f"/{name}"}, "proc": {"seccomp": 2}} for name in ("web", "db")]
    stopped = {"inspect": {"Name": "/job"}, "proc": None}
    snapshot = make(
        **effective("unconfined", seccomp_profile="unconfined"),
        **{"docker.containers": only([*running, stopped])},
    )
    assert document(snapshot)["costs"] == "applies to these containers after a restart: db, web"


def test_a_profile_of_the_site_is_installed_and_used() -> None:
    text = json.dumps({"defaultAction": DENY, "syscalls": []})
    found = document(make(), text)
    assert keys(found) == {"seccomp-profile": "/etc/docker/seccomp.json"}
    assert found["resources"][1]["content"] == text
    (docker,) = found["activations"]
    assert docker["when"] == ["/etc/docker/daemon.json", "/etc/docker/seccomp.json"]
    assert docker["expect"] == {"seccomp": "/etc/docker/seccomp.json"}


def test_a_profile_like_the_engines_own_allows_no_additional_call() -> None:
    own = (
        {"names": ["read", "write", "ptrace"], "action": ALLOW},
        {"names": ["socket"], "action": ALLOW, "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
        {"names": ["clone"], "action": ALLOW, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["bpf", "clone", "mount"], "action": ALLOW, "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["chroot"], "action": ALLOW, "includes": {"caps": ["CAP_SYS_CHROOT"]}},
        {"names": ["clone3"], "action": DENY, "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    )
    assert notes(*own) == [
        "the profile allows 4 system calls without condition, and answers others with SCMP_ACT_ERRNO",
        "updates of the engine no longer change the filter: compare the profile after each update",
    ]
    # AF_ALG left the engine's own with 29.4.2, and a frozen copy never noticed.
    assert "denies: socket (AF_ALG)" in notes(*own, version="29.4.3")[1]
    assert "socket" not in notes(*own, version="29.4.1")[1]


def test_additional_calls_of_a_profile_are_named() -> None:
    rules = (
        {"names": ["bpf", "keyctl", "read"], "action": ALLOW},
        {"name": "clone", "action": ALLOW},
        {"names": ["socket", "io_uring_setup"], "action": "SCMP_ACT_LOG", "args": None},
    )
    assert notes(*rules)[1] == (
        "it allows what the profile of engine 26.1.5 denies: bpf, io_uring_setup, keyctl,"
        " clone (whatever namespaces it makes), socket (AF_VSOCK)"
    )
    assert "io_uring" not in notes(*rules, version="24.0.7")[1]  # which allowed it itself


def test_a_deny_list_allows_every_other_call() -> None:
    found = notes({"names": ["bpf", "keyctl"], "action": DENY}, default=ALLOW)
    assert found[0].startswith("the profile allows every call that it does not name")
    assert "mount" in found[1]
    assert "bpf" not in found[1]


@pytest.mark.parametrize(("content", "reason"), [("{", "is not JSON"), ("[]", "not a JSON object")])
def test_an_invalid_profile_is_refused(content: str, reason: str) -> None:
    assert reason in document(make(), content)["refused"]


def test_a_profile_on_the_command_line_is_refused() -> None:
    unit = make(**{"daemon.config": {"flags": {"seccomp-profile": ["/old.json"]}}})
    assert "sets --seccomp-profile /old.json" in document(unit)["refused"]
    assert "remove the flag from the unit" in document(unit, {"defaultAction": DENY})["refused"]
    built_in = make(**{"daemon.config": {"flags": {"seccomp-profile": ["builtin"]}}})
    assert keys(document(built_in)) == {}


def test_containers_without_a_filter_are_found_by_their_processes() -> None:
    def container(name: str, seccomp: int | None, **settings: Any) -> dict[str, Any]:
        return {"inspect": {"Name": f"/{name}", "HostConfig": settings}, "proc": {"seccomp": seccomp}}

    containers = [
        container("good", 2, SecurityOpt=["seccomp=unconfined"]),  # whatever it was declared
        container("root", 0, Privileged=True),
        container("debug", 0, SecurityOpt=["seccomp:unconfined"]),
        container("old", 0),
        container("unknown", None),
        {"inspect": {"Name": "/stopped", "HostConfig": {"Privileged": True}}, "proc": None},
    ]
    found = document(make(**{"docker.containers": only(containers)}))["notes"]
    assert [note.partition(": create them again ")[0] for note in found[:2]] == [
        "root run without a seccomp filter",
        "debug run without a seccomp filter",
    ]
    assert "without --privileged" in found[0]
    assert "without --security-opt seccomp=unconfined" in found[1]
    assert found[2].startswith("old run without a seccomp filter: the engine started them without a profile")
    assert found[2].endswith("create them again")


def test_a_stopped_engine_is_configured() -> None:
    assert document(silent_engine())["activations"][0]["expect"] == {"seccomp": "builtin"}


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (no_engine(), "no Docker engine"),
        (make(engine={"rootless": True}), "rootless"),
        (make(**{"daemon.config": failed("timed out")}), "daemon.config could not be read: timed out"),
        (make(lsm={"seccomp": False}), "this kernel has no seccomp"),
        (make(**{"docker.info": {"SecurityOptions": only(["name=apparmor"])}}), "built without seccomp"),
    ],
)
def test_unsupported_hosts_are_refused_with_a_reason(snapshot: Snapshot, reason: str) -> None:
    assert reason in document(snapshot)["refused"]


def test_a_rule_with_malformed_conditions_is_not_reported_as_allowing_its_calls() -> None:
    rule = {"names": ["socket"], "action": ALLOW, "args": 5}
    assert "socket" not in " ".join(notes(rule))
