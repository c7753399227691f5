"""From recordings to a profile: what is kept, for what, and that nothing else decides it."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hardener.errors import HardenerError
from hardener.reports.profile_page import html, markdown
from hardener.workload import profile_document as document_module
from hardener.workload.artefacts import artefacts
from hardener.workload.page import sections
from hardener.workload.profile import PARTS, Profile, Why, make, short_name
from hardener.workload.recording import build
from hardener.workload.settings import service_keys
from hardener.workload.shapes import PHASES
from hardener.workload.syscalls import EXEC_RESERVE, GO_RESERVE, KERNEL_RESERVE, LIBRARY_RESERVE
from tests.unit.workload.engines import CAPABILITIES, DEFAULTS
from tests.unit.workload.recordings import document
from tests.unit.workload.schemas import common

SCHEMA = Path(document_module.__file__).with_name("profile.schema.json")
RESERVE = GO_RESERVE | KERNEL_RESERVE | LIBRARY_RESERVE


def recorded(**changes: Any) -> dict[str, Any]:
    """A recording of a container under the engine's default; ``a__b=c`` changes what is nested."""
    data = document()
    data["granted"] = {"capabilities": sorted(CAPABILITIES), "seccomp": DEFAULTS["default"]}
    data["identities"][0]["bounding"] = sorted(CAPABILITIES)
    for key, value in changes.items():
        place = data
        *path, last = key.split("__")
        for step in path:
            place = place[step]
        place[last] = value
    return data


def profile(*recordings: dict[str, Any], **options: Any) -> Profile:
    named = [(f"{number}.json", build(each, name="x")) for number, each in enumerate(recordings)]
    return make(named, **options)


def calls(*names: str) -> dict[str, Any]:
    return {"x86_64": {name: {"phases": ["serve"], "programs": ["web"]} for name in names}}


def permitted(found: Profile) -> set[str]:
    """The calls that are permitted for a reason of their own."""
    assert found.seccomp is not None
    return {name for name in found.seccomp.permitted if not found.calls[name].no_more_than}


# --- merging ------------------------------------------------------------------------------------------------


def test_data_of_one_recording_is_kept_with_the_number_of_recordings() -> None:
    rare = recorded(calls=calls("read", "mremap"), ended="2026-11-27T10:00:00Z")
    often = [recorded(calls=calls("read"), ended=f"2026-11-27T11:0{number}:00Z") for number in range(3)]
    found = profile(rare, *often)
    assert {"read", "mremap"} <= permitted(found)
    seen = found.calls["mremap"].container
    assert seen is not None
    assert (seen.seen_in, found.merged.total) == (1, 4)
    assert found.calls["read"].container == type(seen)(programs=("web",), phases=("serve",), seen_in=4)


def test_a_duplicate_recording_is_merged_once() -> None:
    assert profile(recorded(), recorded()).merged.total == 1


def test_the_order_of_recordings_has_no_effect() -> None:
    every = [
        recorded(calls=calls("read"), ended="2026-11-27T10:00:00Z"),
        recorded(calls=calls("chmod", "read"), ended="2026-11-27T11:00:00Z"),
        recorded(calls=calls("bpf"), ended="2026-11-27T12:00:00Z", files__created=["/run/x", "/tmp/y"]),
    ]
    texts = {json.dumps(artefacts(profile(*each))) for each in itertools.permutations(every)}
    assert len(texts) == 1


AXES: list[tuple[str, Any, str]] = [
    ("container__digest", "sha256:" + "b" * 64, "image digest was sha256:aaa"),
    ("container__user", "33", "user was nothing and is 33"),
    ("container__entrypoint", ["/other"], "entrypoint was"),
    ("container__command", ["hmac:1"], "command was"),
    ("container__mounts", [], "mounts was"),
    ("container__network_mode", "host", "network mode was bridge and is host"),
    ("container__pid_mode", "host", "pid mode was"),
    ("container__ipc_mode", "host", "ipc mode was"),
    ("container__userns_mode", "host", "userns mode was"),
    ("container__devices", ["/dev/fuse"], "devices was"),
    ("container__sysctls", {"net.a": "1"}, "sysctls was"),
    ("container__security_options", ["seccomp=unconfined"], "security options was"),
    ("container__environment", ["PATH", "NEW"], "environment was"),
    ("container__read_only", True, "read only was False and is True"),
    ("container__privileged", True, "privileged was"),
    ("container__capabilities_added", ["NET_ADMIN"], "capabilities added was"),
    ("container__capabilities_dropped", ["ALL"], "capabilities dropped was"),
    ("container__published", [], "published was"),
    ("host__architecture", "aarch64", "architecture was"),
    ("host__kernel", "6.18.3", "kernel series was 6.12 and is 6.18"),
    ("host__engine", "29.4.0", "engine version was"),
    ("host__runtime", {"name": "crun", "version": "1.21"}, "runtime was runc 1.1.15+ds1 and is crun 1.21"),
    ("host__userns_remap", True, "user namespaces was"),
]


@pytest.mark.parametrize(("key", "value", "message"), AXES, ids=[key for key, _, _ in AXES])
def test_recordings_of_different_containers_are_refused_with_the_differing_property(
    key: str, value: Any, message: str
) -> None:
    with pytest.raises(HardenerError) as error:
        profile(recorded(), recorded(**{key: value}))
    assert str(error.value).startswith(f"0.json and 1.json are not of the same container: {message}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("container__name", "web-twin"),
        ("container__image", "nginx:latest"),
        ("container__compose", {"project": "a", "service": "b"}),
        ("host__kernel", "6.12.200-other"),
        ("twin__network", "none"),
    ],
)
def test_recordings_are_merged_if_only_data_outside_of_the_identity_differs(key: str, value: Any) -> None:
    assert profile(recorded(), recorded(**{key: value})).merged.total == 2


def test_engines_with_different_defaults_are_refused() -> None:
    other = copy.deepcopy(DEFAULTS["default"])
    other["syscalls"][0]["names"].remove("read")
    with pytest.raises(HardenerError, match=r"default seccomp profile differs between 0\.json, 1\.json"):
        profile(recorded(), recorded(granted__seccomp=other))


def test_a_recording_without_measurements_of_the_engine_permits_no_more_calls() -> None:
    measured = recorded(calls=calls("chroot", "read"))
    for minute in range(10, 26):  # whichever of them has the lower digest
        not_measured = recorded(
            calls=calls("chroot", "read"),
            granted={"capabilities": [], "seccomp": None},
            began=f"2026-11-27T08:{minute}:00Z",
        )
        found = profile(measured, not_measured)
        assert "chroot" not in permitted(found)  # the engine gives it to SYS_CHROOT, which goes
        assert found.default_calls == profile(measured).default_calls


def test_each_phase_has_the_number_of_recordings_that_exercised_it() -> None:
    reload = [{"name": "reload", "exercised": True, "reason": "SIGHUP", "seconds": 1.0}]
    found = {each.name: each for each in profile(recorded(), recorded(phases=reload)).merged.exercises}
    assert list(found) == list(PHASES)
    assert (found["reload"].seen_in, found["reload"].reasons) == (1, ("SIGHUP",))
    assert (found["stop"].seen_in, found["stop"].reasons) == (0, ())


# --- system calls -------------------------------------------------------------------------------------------


def test_calls_of_the_runtime_are_kept() -> None:
    base = {"calls": ["setns", "fchown"], "no_new_privileges": ["fstatfs"], "starts": 20}
    setuid = [{"path": "/bin/su", "uid": 0, "gid": None}]
    data = recorded(calls=calls("read"), runtime_calls={"capset": {"phases": ["exec"]}}, runtime_base=base)
    # The runtime installs the filter last where no-new-privileges is set: what it needs then was measured.
    assert permitted(profile(data, no_exec=True)) == {"read", "fstatfs"} | RESERVE
    without = profile({**data, "setuid": setuid}, no_exec=True)
    assert permitted(without) == {"read", "fchown", "capset"} | RESERVE
    assert without.seccomp is not None
    assert without.seccomp.refused == ("setns",)
    assert permitted(profile({**data, "runtime_base": None}, no_exec=True)) == {"read", "capset"} | RESERVE
    had = recorded(**{**data, "container__security_options": ["no-new-privileges:true"]})
    assert permitted(profile(had, no_exec=True)) == {"read", "fstatfs", "capset"} | RESERVE


def test_calls_of_the_go_runtime_are_not_added_for_crun() -> None:
    data = recorded(calls=calls("read"), runtime_calls={}, runtime_base=None)
    data["host"]["runtime"] = {"name": "crun", "version": "1"}
    assert permitted(profile(data, no_exec=True)) == {"read"} | KERNEL_RESERVE | LIBRARY_RESERVE


def test_calls_of_a_shell_are_permitted_unless_refused_by_request() -> None:
    with_shell, without = (permitted(profile(recorded(), no_exec=refused)) for refused in (False, True))
    assert with_shell - without == {
        name for name in EXEC_RESERVE - without if name in profile(recorded()).calls
    }
    assert {"setpgid", "pipe2", "wait4"} <= with_shell - without
    assert "socket" not in with_shell | without


@pytest.mark.parametrize(
    ("shells", "reserved"), [((False, False), False), ((False, None), True), ((True,), True)]
)
def test_calls_of_a_shell_are_permitted_only_where_there_may_be_one(
    shells: tuple[bool | None, ...], reserved: bool
) -> None:
    found = profile(
        *(recorded(files__shell=each, peak__pids=number) for number, each in enumerate(shells, 1))
    )
    assert found.merged.total == len(shells)
    assert ("setpgid" in permitted(found)) is reserved


def test_calls_of_another_architecture_are_kept() -> None:
    data = recorded(calls={**calls("read"), "i386": {"waitpid": {"phases": ["serve"], "programs": ["old"]}}})
    found = profile(data)
    narrow = {"clock_gettime64", "clock_nanosleep_time64", "futex_time64", "mmap2", "sigreturn"}
    assert permitted(found) >= {"read", "waitpid"} | narrow
    assert found.seccomp is not None
    assert "timer_gettime64" in found.seccomp.not_known
    assert found.seccomp.document["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    empty = profile(recorded(calls={**calls("read"), "i386": {}}))
    assert empty.seccomp is not None
    assert empty.seccomp.document["architectures"] == ["SCMP_ARCH_X86_64"]
    assert not narrow & permitted(empty)
    assert "timer_gettime64" not in empty.seccomp.not_known


def test_refused_calls_are_named_and_stay_refused() -> None:
    data = recorded(calls=calls("read", "keyctl", "#467"))
    found = profile(data)
    assert found.seccomp is not None
    assert found.seccomp.refused == ("#467", "keyctl")
    assert "keyctl" in permitted(profile(data, allow_extra=["keyctl"]))
    page = markdown(sections(found))
    assert "## System calls that stay refused" in page
    assert "- `keyctl`: made by `web` in serve (1 of 1)" in page


def test_no_profile_is_made_without_the_engines_default() -> None:
    found = profile(recorded(granted__seccomp=None))
    assert found.seccomp is None
    files = artefacts(found)
    assert "seccomp.json" not in files
    assert "seccomp" not in files["docker-run.txt"] + files["compose.override.yaml"].partition("services:")[2]


# --- capabilities, user, privileges -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CAP_SETUID", "setuid"])
def test_a_capability_is_dropped_on_request(name: str) -> None:
    used = [
        {"name": each, "call": each[4:].lower(), "program": "nginx", "phases": ["serve"]}
        for each in ("CAP_SETUID", "CAP_SETGID")
    ]
    found = profile(recorded(capabilities=used), drop=[name])
    assert found.capabilities == ("CAP_SETGID",)
    files = artefacts(found)
    assert "--cap-add=SETGID" in files["docker-run.txt"]
    assert "SETUID" not in files["docker-run.txt"] + files["compose.override.yaml"]
    assert json.loads(files["profile.json"])["capabilities"]["dropped_on_request"] == ["CAP_SETUID"]
    page = markdown(sections(found))
    assert (
        "- `CAP_SETUID`: the kernel checked it: `nginx` in `setuid` in serve (1 of 1); dropped, on request"
        in page
    )
    assert "; with --drop CAP_SETUID." in page


def test_a_capability_that_is_not_kept_cannot_be_dropped() -> None:
    message = "cannot leave out CAP_SYS_TIME: the profile does not keep it; it keeps"
    with pytest.raises(HardenerError, match=f"{message} CAP_CHOWN"):
        profile(recorded(), drop=["SYS_TIME"])
    with pytest.raises(HardenerError, match=f"{message} nothing of this kind"):
        profile(recorded(capabilities=[]), drop=["SYS_TIME"])
    with pytest.raises(HardenerError, match="cannot leave out writable root: the profile does not keep it"):
        profile(recorded(), drop=["writable root"])


def test_a_writable_root_and_gained_privileges_are_left_out_on_request() -> None:
    data = recorded(files__created=["/etc/x"], setuid=[{"path": "/bin/su", "uid": 0, "gid": None}])
    kept, found = profile(data), profile(data, drop=PARTS)
    assert not kept.read_only
    assert not kept.no_new_privileges
    files = artefacts(found)
    assert "--read-only\n" in files["docker-run.txt"]
    assert "no-new-privileges=true\n" in files["docker-run.txt"]
    page = markdown(sections(found))
    assert "; read-only on request" in page
    assert "no-new-privileges is set on request: these programs gain no privileges." in page
    assert "; with --drop 'gaining privileges'; with --drop 'writable root'." in page
    documents = [document_module.document(each, {}) for each in (kept, found)]
    assert [each.dropped for each in documents] == [frozenset(), frozenset(PARTS)]


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        (sorted(CAPABILITIES), set()),  # setpriv: what it has
        (["CAP_CHOWN", "CAP_SETUID"], {"CAP_CHOWN", "CAP_SETUID"}),  # dnsmasq: what it wants to keep
        ([*sorted(CAPABILITIES), "CAP_SYS_ADMIN"], set()),
        ([], set()),
    ],
)
def test_a_program_needs_the_capabilities_that_it_chooses_among_its_own(
    asked: list[str], needed: set[str]
) -> None:
    use = {"program": "x", "effective": asked, "permitted": asked, "inheritable": []}
    assert set(profile(recorded(capabilities=[], capset=[use])).capabilities) == needed


def test_capabilities_are_kept_with_their_reasons() -> None:
    found = profile(
        recorded(
            capabilities=[
                {"name": "CAP_SETUID", "call": "setuid", "program": "nginx", "phases": ["start-empty"]},
                {"name": "CAP_SYS_TIME", "call": "settimeofday", "program": "x", "phases": []},
            ],
            file_capabilities=[
                {"path": "/bin/ping", "program": "ping", "capabilities": ["CAP_NET_RAW"], "effective": True}
            ],
            capset=[
                {
                    "program": "dnsmasq",
                    "effective": ["CAP_NET_BIND_SERVICE"],
                    "permitted": ["CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN"],
                    "inheritable": [],
                }
            ],
        )
    )
    # Neither SYS_TIME nor NET_ADMIN was ever given to it.
    assert found.capabilities == ("CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETUID")
    assert [(need.capability, need.kind, need.program) for need in found.needs] == [
        ("CAP_NET_BIND_SERVICE", "capset", "dnsmasq"),
        ("CAP_NET_RAW", "file", "/bin/ping"),
        ("CAP_SETUID", "check", "nginx"),
    ]
    assert not found.no_new_privileges
    assert [(each.path, each.kind) for each in found.hurdles] == [("/bin/ping", "file capabilities")]


@pytest.mark.parametrize(
    ("added", "dropped", "privileged", "expected"),
    [
        ([], [], False, CAPABILITIES),
        (["net_admin"], ["CAP_CHOWN"], False, CAPABILITIES - {"CAP_CHOWN"} | {"CAP_NET_ADMIN"}),
        (["CHOWN"], ["ALL"], False, {"CAP_CHOWN"}),
        ([], ["all"], False, set()),
        ([], [], True, set()),
    ],
)
def test_capabilities_are_derived_from_the_configuration_if_none_were_observed(
    added: list[str], dropped: list[str], privileged: bool, expected: set[str]
) -> None:
    data = recorded(identities=[], container__capabilities_added=added)
    data["container"] |= {"capabilities_dropped": dropped, "privileged": privileged}
    assert len(profile(data).had) == 41 if privileged else profile(data).had == expected


def owned(**changes: Any) -> dict[str, Any]:
    """Root that works on the files of redis."""
    uses = [{"name": "CAP_DAC_OVERRIDE", "call": "openat", "program": "redis", "phases": ["serve"]}]
    owners = {
        "/data": {"uid": 999, "gid": 998, "mode": 0o755},
        "/data/dump.rdb": {"uid": 999, "gid": 998, "mode": 0o644},
    }
    files: dict[str, Any] = {"created": [], "written": ["/data/dump.rdb"], "deleted": []}
    files |= {"executed": ["/redis"], "read": None, "used_by": None, "owners": owners}
    data = recorded(capabilities=uses, files=files, calls=calls("read", "chown"))
    data["container"]["mounts"] = [{"kind": "volume", "target": "/data", "read_only": False}]
    for key, value in changes.items():
        if key == "owners":
            data["files"]["owners"].update(value)
        elif key == "created":
            data["files"]["created"] = value
        else:
            data[key] = value
    return data


def test_root_that_was_needed_only_as_owner_of_files_is_replaced_by_a_user() -> None:
    found = profile(owned())
    assert str(found.user) == "999:998"
    assert found.capabilities == ()
    asked = {
        name
        for name, why in found.calls.items()
        if why in (Why(not_root_reserve=True), Why(not_root_reserve=True, exec_reserve=True))
    }
    assert {"getgid", "setgid", "setuid"} <= asked
    assert not any(why.not_root_reserve for why in profile(owned(), keep_user=True).calls.values())
    files = artefacts(found)
    assert "--user=999:998\n" in files["docker-run.txt"]
    assert "--cap-add" not in files["docker-run.txt"]
    settings = yaml.safe_load(files["compose.override.yaml"])["services"]["web"]
    assert (settings["user"], settings["cap_drop"], settings["cap_add"]) == ("999:998", ["ALL"], [])


KILL = {"name": "CAP_KILL", "call": "kill", "program": "redis", "phases": ["stop"]}
SU = {"path": "/bin/su", "program": "su", "capabilities": ["CAP_CHOWN"], "effective": True}


@pytest.mark.parametrize(
    "data",
    [
        owned(capabilities=[KILL]),
        owned(capabilities=[]),
        owned(file_capabilities=[SU]),
        owned(owners={"/data": {"uid": 5, "gid": 5, "mode": 0o755}}),
        owned(created=["/data/new/x"]),  # whose folder nothing is known of
        owned(created=["/data/x"], owners={"/data": {"uid": 0, "gid": 0, "mode": 0o755}}),
        owned(created=["/etc/x"]),
        owned(identities=[{**recorded()["identities"][0], "uid": 33}]),
        owned(identities=[]),
    ],
)
def test_root_is_kept_if_it_is_needed_for_more_than_ownership_of_files(data: dict[str, Any]) -> None:
    assert profile(data).user is None


def test_root_is_replaced_where_it_has_made_files_in_the_folder_of_another_user() -> None:
    """As redis does, started as root."""
    roots = {"uid": 0, "gid": 0, "mode": 0o755}
    paths = ["/data/aof", "/data/aof/1", "/data/old/new"]
    owners = dict.fromkeys((*paths, "/data/old", "/data/old/kept"), roots)
    data = owned(created=paths, owners=owners)
    data["files"]["written"] = ["/data/old/kept"]
    assert str(profile(data).user) == "999:998"
    data["files"]["created"].append("/data")  # the engine makes the folder of a mount that the image lacks
    assert str(profile(data).user) == "999:998"


@pytest.mark.parametrize(
    ("kind", "target", "path"),
    [
        ("volume", "/data/sub", "/data/sub/x"),
        ("tmpfs", "/data/tmp", "/data/tmp/x"),
        ("bind", "/data/f", "/data/f"),
    ],
)
def test_root_is_kept_for_a_mount_of_root_within_the_volume_of_a_user(
    kind: str, target: str, path: str
) -> None:
    roots = {"uid": 0, "gid": 0, "mode": 0o755}
    data = owned(created=[path] if path != target else [], owners={target: roots})
    data["files"]["written"] += [path] if path == target else []
    data["container"]["mounts"].append({"kind": kind, "target": target, "read_only": False})
    assert profile(data).user is None


def test_root_is_kept_on_request() -> None:
    found = profile(owned(), keep_user=True)
    assert (found.user, found.capabilities) == (None, ("CAP_DAC_OVERRIDE",))
    text = artefacts(found)["profile.json"]
    assert json.loads(text)["declined_user"] == {"uid": 999, "gid": 998, "paths": ["/data", "/data/dump.rdb"]}
    words = [str(word) for section in sections(found) for sentence in section.sentences for word in sentence]
    assert "Root is kept on request; 999:998 would do." in words
    assert any("; with --keep-user" in word for word in words)
    with pytest.raises(HardenerError, match="--keep-user: the profile does not replace root"):
        profile(owned(capabilities=[]), keep_user=True)


def test_a_modified_parent_folder_owned_by_root_does_not_prevent_another_user() -> None:
    """As an engine tells it, they have changed too; only what lies in them matters."""
    data = owned(created=["/data/dump.rdb"], owners={"/": {"uid": 0, "gid": 0, "mode": 0o755}})
    data["container"]["mounts"] = []
    data["files"]["written"] = ["/", "/data"]
    found = profile(data)
    assert str(found.user) == "999:998"
    assert (
        "--tmpfs=/data:rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=999,gid=998\n"
        in artefacts(found)["docker-run.txt"]
    )


def test_setuid_programs_forbid_no_new_privileges() -> None:
    found = profile(
        recorded(
            setuid=[{"path": "/bin/su", "uid": 0, "gid": None}, {"path": "/bin/w", "uid": None, "gid": 4}]
        )
    )
    assert [(each.path, each.kind) for each in found.hurdles] == [
        ("/bin/su", "set-user-ID"),
        ("/bin/w", "set-group-ID"),
    ]
    assert "no-new-privileges" not in artefacts(found)["docker-run.txt"]


@pytest.mark.parametrize("option", ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])
def test_a_container_with_no_new_privileges_keeps_it_where_it_executes_setuid_programs(option: str) -> None:
    data = recorded(setuid=[{"path": "/bin/su", "uid": 0, "gid": None}])
    data["container"]["security_options"] = [option]
    found = profile(data)
    assert found.hurdles == ()
    assert "no-new-privileges=true" in artefacts(found)["docker-run.txt"]


# --- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "folders", "obstacles"),
    [
        (["/run/a.pid", "/run/b/c", "/tmp/x"], ["/run", "/tmp"], []),
        (["/var/lib/data/x", "/proc/1/oom_adj", "/dev/shm/x", "/etc/hosts"], [], []),
        (["/etc/app/made"], [], ["other files of /etc/app may be needed"]),
        (["/srv/web/cache/x"], [], ["may be needed"]),
        (["/var/log/x"], ["/var/log"], []),
        (["/etc/passwd", "/x", "/var/x"], [], ["in place of /etc", "in place of /", "in place of /var"]),
        (["/run/a:b/x", "/run/a,b/x"], [], ["with a comma", "with a colon"]),
        (["relative", "/a/../b/x", "/a//b"], [], ["the path is relative, not normalised"] * 3),
        (["/var/lib/database/x"], ["/var/lib/database"], []),  # the mount is /var/lib/data
    ],
)
def test_tmpfs_mounts_replace_only_folders_that_they_do_not_hide(
    written: list[str], folders: list[str], obstacles: list[str]
) -> None:
    found = profile(recorded(files__created=written)).writes
    assert [each.path for each in found.folders] == folders
    assert len(found.obstacles) == len(obstacles)
    for expected in obstacles:
        assert any(expected in each.why for each in found.obstacles)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("target", "created", "obstacles"),
    [
        ("/etc/app/site.conf", ["/etc/app", "/etc/app/site.conf"], []),
        ("/srv/www", ["/srv/www"], []),
        ("/srv/www/", ["/srv/www", "/srv/www/x"], []),
        ("/etc/app/site.conf", ["/etc/app", "/etc/app/site.conf", "/etc/app/x"], ["/etc/app/x"]),
        ("/etc/app", ["/etc/application"], ["/etc/application"]),
    ],
)
def test_a_mount_point_that_the_engine_made_leaves_the_root_read_only(
    target: str, created: list[str], obstacles: list[str], read_only: bool
) -> None:
    data = recorded(files__created=created, files__written=[f"/{target.split('/')[1]}"])
    data["container"]["mounts"] = [{"kind": "bind", "target": target, "read_only": read_only}]
    assert [each.path for each in profile(data).writes.obstacles] == obstacles


def test_a_folder_whose_entries_changed_is_not_a_written_file() -> None:
    """As an engine tells it: a folder has changed where a file came into it, and so have those around it."""
    found = profile(
        recorded(
            files__written=["/var/spool", "/var/spool/old", "/run", "/var", "/var/lib", "/var/lib/nginx"],
            files__created=["/run/nginx.pid", "/var/lib/nginx/body"],
            files__deleted=["/var/spool/old/x"],
        )
    )
    assert [each.path for each in found.writes.folders] == ["/run", "/var/lib/nginx", "/var/spool/old"]
    assert found.writes.obstacles == ()


def test_a_folder_with_only_temporary_files_is_writable_under_the_profile() -> None:
    """A temporary file that is removed at once is in no list of changes, and fails under a read-only root."""
    found = profile(recorded(files__written=["/tmp/", "/tmp", "/dev/shm/", "/var/lib/data/"], files__read=[]))
    assert "/tmp" in [each.path for each in found.writes.folders]
    assert found.writes.obstacles == ()
    assert '"/tmp/**" rwkl' in artefacts(found)["apparmor"]
    new = profile(recorded(files__created=["/run/a/b"], files__written=["/run/a/b/"], files__read=[]))
    assert [each.path for each in new.writes.folders] == ["/run/a"]
    found = profile(recorded(files__written=["/srv/"], files__read=[]))
    assert [each.path for each in found.writes.obstacles] == ["/srv/"]
    assert '"/srv/*" rwkl' in artefacts(found)["apparmor"]


def test_a_written_path_that_no_tmpfs_can_replace_leaves_the_root_writable() -> None:
    found = profile(recorded(files__created=["/etc/x", "/run/y"]))
    assert not found.read_only
    text = artefacts(found)["docker-run.txt"]
    assert "--read-only" not in text
    assert "--tmpfs" not in text
    assert "`/etc/x`" in markdown(sections(found))


def test_tmpfs_folders_keep_owner_and_mode() -> None:
    data = recorded(files__created=["/run/app/tool"], files__executed=["/run/app/tool"])
    data["capabilities"][0]["name"] = "CAP_SETUID"
    data["files"]["owners"] = {"/run/app": {"uid": 33, "gid": 4, "mode": 0o750}}
    text = artefacts(profile(data))["docker-run.txt"]
    assert "--tmpfs=/run/app:rw,nosuid,nodev,size=256m,exec,mode=0750,uid=33,gid=4\n" in text


def test_folders_of_the_image_stay_below_a_tmpfs() -> None:
    root = {"uid": 0, "gid": 0, "mode": 0o755}
    data = recorded(files__created=["/run/pid", "/run/made", "/run/made/x"])
    folders = ("/run/sshd", "/run/sshd/in", "/run/made", "/lib/other", "/run/a,b")
    data["files"]["folders"] = dict.fromkeys(folders, root)
    found = profile(data)
    assert [each.path for each in found.writes.folders] == ["/run", "/run/sshd", "/run/sshd/in"]
    made = artefacts(found)
    assert (
        "--tmpfs=/run/sshd/in:rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=0,gid=0\n"
        in made["docker-run.txt"]
    )
    assert '"/run/**" rwkl' in made["apparmor"]
    assert "/run/sshd" not in made["apparmor"]


@pytest.mark.parametrize(
    ("written", "hidden"),
    [
        ("/var/lib/ldap/data.mdb", True),
        ("/var/lib/ldap/", False),
        ("/run/app", False),
        ("/var/log/app", False),
    ],
)
def test_a_file_of_the_image_that_is_changed_is_not_hidden(written: str, hidden: bool) -> None:
    data = recorded(files__created=[], files__written=[written])
    data["files"]["folders"] = {"/run/app": {"uid": 0, "gid": 0, "mode": 0o755}}
    found = profile(data)
    assert found.read_only is not hidden
    assert [each.why for each in found.writes.obstacles] == [
        f"an empty folder in place of /var/lib/ldap would hide {written}, which is used"
    ] * hidden


@pytest.mark.parametrize(("name", "executable"), [("a.so", True), ("a.so.1.2", True), ("a.sock", False)])
def test_a_library_that_is_made_can_be_loaded(name: str, executable: bool) -> None:
    data = recorded(files__created=[f"/var/lib/made/{name}"], files__executed=["/bin/x"])
    text = artefacts(profile(data))["docker-run.txt"]
    assert ("noexec" in text) is not executable


AMOUNT = re.compile(r"pids|mem|cpus|ulimit|peak", re.IGNORECASE)


@pytest.mark.parametrize("own", [None, 20, 500])
@pytest.mark.parametrize("pids", [None, 0, 3, 20, 10_000])
def test_no_amount_of_a_recording_gets_into_the_files_that_are_applied(
    own: int | None, pids: int | None
) -> None:
    found = profile(
        recorded(pids_limit=own, peak={"pids": pids, "memory_bytes": 5 << 20}),
        recorded(pids_limit=own, peak={"pids": 7, "memory_bytes": None}),
    )
    files = artefacts(found)
    assert not [name for name in ("docker-run.txt", "compose.override.yaml") if AMOUNT.search(files[name])]
    assert not [key for key in service_keys(found, seccomp="x") if AMOUNT.search(key)]
    assert json.loads(files["profile.json"])["limits"]["pids"] is None


def test_a_limit_of_the_container_is_shown_with_the_peak() -> None:
    text = markdown(sections(profile(recorded(pids_limit=20, peak={"pids": 3, "memory_bytes": None}))))
    assert "3 at most; the container's own limit is 20" in text


def test_what_the_containers_own_seccomp_profile_refuses_stays_refused() -> None:
    own = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["read", "openat"], "action": "SCMP_ACT_ALLOW"}],
    }
    option = [f"seccomp=sha256:{'a' * 64}"]
    found = profile(recorded(container__security_options=option, granted__chosen=own))
    assert found.seccomp is not None
    assert set(found.seccomp.permitted) <= {"read", "openat"}
    assert "own seccomp profile refuses stays refused" in markdown(sections(found))
    unread = profile(recorded(container__security_options=option))
    assert "own seccomp profile could not be read" in markdown(sections(unread))


def test_peaks_that_differ_between_recordings_are_listed() -> None:
    peaks = [{"pids": pids, "memory_bytes": mebibytes << 20} for pids, mebibytes in ((9, 5), (8, 5), (7, 7))]
    text = markdown(sections(profile(*(recorded(peak=peak) for peak in peaks))))
    assert re.search(r"processes and threads.*9 at most; 7 in another recording", text)
    assert re.search(r"memory in MiB.*7 at most; 5 in another recording", text)
    text = markdown(sections(profile(recorded(peak=peaks[0]))))
    assert re.search(r"processes and threads.*9 at most", text)
    assert "in another recording" not in text


# --- what it is written as ----------------------------------------------------------------------------------


def test_capability_and_security_lists_of_the_original_are_replaced() -> None:
    data = recorded(
        container__capabilities_added=["SYS_ADMIN"],
        container__privileged=True,
        container__security_options=["seccomp=unconfined", "apparmor=site", "label=type:x"],
        host__lsm=[],
    )
    files = artefacts(profile(data))
    assert "cap_add: !override\n" in files["compose.override.yaml"]
    assert "security_opt: !override\n" in files["compose.override.yaml"]
    assert "privileged: false\n" in files["compose.override.yaml"]
    assert "--privileged=false\n" in files["docker-run.txt"]
    # What the profile says nothing of stays: the site's own confinement.
    assert "--security-opt=apparmor=site\n--security-opt=label=type:x\n" in files["docker-run.txt"]
    assert "unconfined" not in files["docker-run.txt"]


@pytest.mark.parametrize(
    ("chosen", "used"),
    [
        ("site", "site"),
        ("docker-default", "hardener-web"),
        ("unconfined", "hardener-web"),
        ("hardener-web", "hardener-web"),
    ],
)
def test_a_container_keeps_the_apparmor_profile_of_the_site(chosen: str, used: str) -> None:
    data = recorded(container__security_options=[f"apparmor:{chosen}"], host__lsm=["apparmor"])
    found = profile(data)
    separator = ":" if used == "site" else "="
    options = [line for line in artefacts(found)["docker-run.txt"].splitlines() if "apparmor" in line]
    assert options == [f"--security-opt=apparmor{separator}{used}"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web", "web"),
        ("/a b;c$(d)", "a-b-c-d"),
        ("..", "container"),
        ("ü", "container"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_container_name_is_shortened_to_letters_digits_and_hyphens(name: str, expected: str) -> None:
    assert short_name(name) == expected


def test_the_document_fits_its_schema() -> None:
    assert common(json.loads(SCHEMA.read_text())) == common(document_module.schema())
    validator = jsonschema_rs.validator_for(document_module.schema())
    for data in (
        recorded(),
        owned(),
        recorded(granted__seccomp=None, files__executed=[], files__read=["/x"]),
    ):
        found = json.loads(artefacts(profile(data))["profile.json"])
        validator.validate(found)
        assert not validator.is_valid({**found, "more": 1})
        assert found["recordings"][0]["digest"] == build(data, name="x").digest


PRINTABLE = st.text(min_size=1, max_size=30).filter(str.isprintable)
SHARP = st.sampled_from(
    [
        *("</table><script>x</script>", "<!--", "`x`", "[a](b)", "|x|", "@all", "$(id)", "${HOME}", "'", '"'),
        *("\\", "{{x}}", "#x", "a: b", "!!x", "*x", "&x", "- x", "@{HOME}"),
    ]
)
HOSTILE = st.lists(PRINTABLE | SHARP, min_size=1, max_size=3).map("".join).filter(str.isprintable)


@settings(max_examples=40)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_names_are_escaped_in_all_files(program: str, path: str, name: str) -> None:
    data = recorded(
        container__name=name[:255],
        container__image=name,
        container__compose={"project": name, "service": name},
        calls={"x86_64": {"read": {"phases": ["serve"], "programs": [program]}}},
        capabilities=[{"name": "CAP_CHOWN", "call": "chown", "program": program, "phases": ["serve"]}],
        files__created=[f"/run/{path}/x", f"/opt/{path}"],
        files__executed=[f"/usr/{path}"],
        files__read=[f"/etc/{path}"],
        recorder__missing=[name],
    )
    found = profile(data)
    files = artefacts(found)
    service = yaml.safe_load(files["compose.override.yaml"])["services"]
    assert list(service) == [name]
    page = list(sections(found))
    assert "<script" not in html(page)
    for shown in markdown(page).split("\n"):
        outside = "".join(shown.split("`")[::2])  # what is not code, as far as fences are single
        if "``" not in shown:
            assert "<script" not in outside
            assert "](" not in outside
    assert found.apparmor is not None
    for rule in found.apparmor.rules:
        assert "\n" not in rule.text
        if rule.text.startswith('"'):
            assert rule.text.count('"') == 2
            assert "@{" not in rule.text


@pytest.mark.parametrize("make_it", [recorded, owned], ids=["root", "user"])
def test_the_same_recordings_give_the_same_bytes(make_it: Callable[[], dict[str, Any]]) -> None:
    first, second = (artefacts(profile(make_it())) for _ in range(2))
    assert first == second
    page = list(sections(profile(make_it())))
    assert html(page) == html(list(sections(profile(make_it()))))


def test_permissions_that_no_recorder_could_observe_are_kept() -> None:
    blind = {"kind": "bpf", "complete": False, "missing": [], "unseen": ["capabilities"]}
    data = recorded(recorder=blind, capabilities=[], ended="2026-11-27T10:00:00Z")
    seeing = recorded()
    assert seeing["capabilities"]
    for found in (profile(data), profile(data, seeing)):  # one that saw them may have been luckier
        assert set(found.capabilities) == CAPABILITIES
        assert found.user is None
        assert "all capabilities are kept" in markdown(sections(found))


def test_the_page_says_that_a_container_itself_was_recorded() -> None:
    restarted = recorded(twin={"network": "original"}, ended="2026-11-27T10:00:00Z")
    sentence = "recorded on the container itself, after a restart"
    assert f"\n{sentence}\n" in markdown(sections(profile(restarted)))
    assert f"\n1 of 2 {sentence}\n" in markdown(sections(profile(restarted, recorded())))
    assert sentence not in markdown(sections(profile(recorded())))


def test_the_page_names_a_fallback_recorder_and_the_reason() -> None:
    other = {"kind": "bpftrace", "instead": "no bpftool", "complete": True, "missing": []}
    found = profile(recorded(recorder=other))
    assert "recorded by `bpftrace: no bpftool`" in markdown(sections(found))
    assert found.capabilities == ("CAP_CHOWN",)


def test_the_page_names_unexercised_phases_and_gaps() -> None:
    page = markdown(
        sections(
            profile(recorded(recorder={"kind": "bpf", "complete": False, "missing": ["3 records lost"]}))
        )
    )
    assert "- `reload`: not exercised: `the image declares no way`" in page
    assert "Not observed: `3 records lost`" in page
    assert "The recording is incomplete." in page


def test_the_page_of_one_recording_advises_a_second_recording() -> None:
    asks = "Record the container again, and name all recordings."
    assert asks in markdown(sections(profile(recorded())))
    assert asks not in markdown(sections(profile(recorded(), recorded(began="2026-11-27T08:10:00Z"))))


def test_the_page_names_the_users_of_files_and_networks() -> None:
    by = {"phases": ["start-empty", "serve"], "programs": ["logger", "web"]}
    data = recorded(files__created=["/run/web/pid", "/srv/x"], files__executed=["/bin/web"])
    data["files"] |= {"used_by": dict.fromkeys(("/run/web/pid", "/srv/x", "/bin/web"), by)}
    data["network"]["families"] = {"AF_INET": by}
    reason = "by logger, web in start-empty, serve (1 of 1)"
    text = markdown(sections(profile(data))).replace("\\", "").replace("`", "")
    for line in (
        "an empty folder in place of /srv would hide files of the image; changed",
        "it was executed: /bin/web",
        "it was written: /srv/x",
        "sockets of this family were requested: AF_INET",
    ):
        assert f"{line} {reason}" in text
    del data["files"]["created"][1:]
    assert f"written: /run/web/pid {reason}" in markdown(sections(profile(data))).replace("\\", "").replace(
        "`", ""
    )


def test_the_page_reports_what_hardener_changes_in_the_default() -> None:
    socket = {"phases": ["serve"], "programs": ["web"]}
    text = markdown(sections(profile(recorded(calls__x86_64__socket=socket)))).replace("\\", "")
    assert "Added by hardener: socket(AF_ALG) is refused, which the default permits" in text
    assert "fail with ENOSYS, as in an older kernel" in text
    with_ciphers = recorded(
        calls__x86_64__socket=socket, network__families={"AF_ALG": socket, "AF_INET": socket}
    )
    assert "Added by hardener" not in markdown(sections(profile(with_ciphers)))
