"""From recordings to a profile: what is kept, for what, and that nothing else decides it."""

from __future__ import annotations

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

from hardener.reports.profile_page import html, markdown
from hardener.workload import profile_document as document_module
from hardener.workload.artefacts import artefacts
from hardener.workload.page import sections
from hardener.workload.profile import short_name
from hardener.workload.recording import build
from hardener.workload.settings import service_keys
from hardener.workload.syscalls import EXEC_RESERVE, GO_RESERVE, KERNEL_RESERVE, LIBRARY_RESERVE
from tests.unit.workload.engines import CAPABILITIES
from tests.unit.workload.made import calls, owned, part, permitted, profile, recorded, seccomp
from tests.unit.workload.schemas import common

SCHEMA = Path(document_module.__file__).with_name("profile.schema.json")
RESERVE = GO_RESERVE | KERNEL_RESERVE | LIBRARY_RESERVE


def test_calls_of_the_runtime_are_kept() -> None:
    base = {"calls": ["setns", "fchown"], "no_new_privileges": ["fstatfs"], "starts": 20}
    setuid = [{"path": "/bin/su", "uid": 0, "gid": None}]
    data = recorded(
        calls=calls("read"),
        runtime_calls={"capset": {"phases": ["exec"]}},
        runtime_base=base,
        files__created=[],
    )
    # The runtime installs the filter last where no-new-privileges is set: what it needs then was measured.
    assert permitted(profile(data, no_exec=True)) == {"read", "fstatfs"} | RESERVE
    without = profile({**data, "setuid": setuid}, no_exec=True)
    assert permitted(without) == {"read", "fchown", "capset"} | RESERVE
    assert [*part(without).refused] == ["setns"]
    assert permitted(profile({**data, "runtime_base": None}, no_exec=True)) == {"read", "capset"} | RESERVE
    had = recorded(**{**data, "container__security_options": ["no-new-privileges:true"]})
    assert permitted(profile(had, no_exec=True)) == {"read", "fstatfs", "capset"} | RESERVE


def test_calls_of_the_go_runtime_are_not_added_for_crun() -> None:
    data = recorded(calls=calls("read"), runtime_calls={}, runtime_base=None, files__created=[])
    data["host"]["runtime"] = {"name": "crun", "version": "1"}
    assert permitted(profile(data, no_exec=True)) == {"read"} | KERNEL_RESERVE | LIBRARY_RESERVE


def test_calls_of_a_shell_are_permitted_unless_refused_by_request() -> None:
    with_shell, without = (permitted(profile(recorded(), no_exec=refused)) for refused in (False, True))
    assert with_shell - without == {
        name for name in EXEC_RESERVE - without if name in part(profile(recorded())).calls
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


@pytest.mark.parametrize(
    ("created", "reserved"),
    [
        (["/data/wal"], True),
        (["/run/"], True),  # a file came, and was removed
        ([], False),
        (["/data"], False),  # the engine makes the place of a mount
        (["/etc/hosts", "/dev/shm/x"], False),
    ],
)
def test_a_program_that_makes_files_may_replace_and_remove_them(
    created: list[str], *, reserved: bool
) -> None:
    mounts = [{"kind": "volume", "target": "/data", "read_only": False}]
    found = profile(
        recorded(calls=calls("openat"), files__created=created, container__mounts=mounts), no_exec=True
    )
    assert ({"mkdirat", "renameat2", "unlinkat"} <= permitted(found)) is reserved
    assert ({"mkdir", "rename", "unlink"} <= part(found).calls.keys()) is reserved
    assert "linkat" not in part(found).calls


def test_calls_of_another_architecture_are_kept() -> None:
    data = recorded(calls={**calls("read"), "i386": {"waitpid": {"phases": ["serve"], "programs": ["old"]}}})
    found = profile(data)
    narrow = {"clock_gettime64", "clock_nanosleep_time64", "futex_time64", "mmap2", "sigreturn"}
    assert permitted(found) >= {"read", "waitpid"} | narrow
    assert "timer_gettime64" in part(found).answered_not_known
    assert seccomp(found)["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    empty = profile(recorded(calls={**calls("read"), "i386": {}}))
    assert seccomp(empty)["architectures"] == ["SCMP_ARCH_X86_64"]
    assert not narrow & permitted(empty)
    assert "timer_gettime64" not in part(empty).answered_not_known


def test_refused_calls_are_named_and_stay_refused() -> None:
    data = recorded(calls=calls("read", "keyctl", "#467"))
    found = profile(data)
    assert [*part(found).refused] == ["#467", "keyctl"]
    assert "keyctl" in permitted(profile(data, allow_extra=["keyctl"]))
    page = markdown(sections(found))
    assert "## System calls that stay refused" in page
    assert "- `keyctl`: made by `web` in serve (1 of 1)" in page


def test_no_profile_is_made_without_the_engines_default() -> None:
    found = profile(recorded(granted__seccomp=None))
    assert found.document.seccomp is None
    files = artefacts(found.document)
    assert "seccomp.json" not in files
    assert "seccomp" not in files["docker-run.txt"] + files["compose.override.yaml"].partition("services:")[2]


def test_setuid_programs_forbid_no_new_privileges() -> None:
    found = profile(
        recorded(
            setuid=[{"path": "/bin/su", "uid": 0, "gid": None}, {"path": "/bin/w", "uid": None, "gid": 4}]
        )
    )
    assert [(each.path, each.kind) for each in found.document.privileges.hurdles] == [
        ("/bin/su", "set-user-ID"),
        ("/bin/w", "set-group-ID"),
    ]
    assert "no-new-privileges" not in artefacts(found.document)["docker-run.txt"]


@pytest.mark.parametrize("option", ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])
def test_a_container_with_no_new_privileges_keeps_it_where_it_executes_setuid_programs(option: str) -> None:
    data = recorded(setuid=[{"path": "/bin/su", "uid": 0, "gid": None}])
    data["container"]["security_options"] = [option]
    found = profile(data)
    assert found.document.privileges.hurdles == ()
    assert "no-new-privileges=true" in artefacts(found.document)["docker-run.txt"]


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
    files = artefacts(found.document)
    assert not [name for name in ("docker-run.txt", "compose.override.yaml") if AMOUNT.search(files[name])]
    assert not [key for key in service_keys(found.document) if AMOUNT.search(key)]
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
    assert set(part(found).calls) <= {"read", "openat"}
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


def test_capability_and_security_lists_of_the_original_are_replaced() -> None:
    data = recorded(
        container__capabilities_added=["SYS_ADMIN"],
        container__privileged=True,
        container__security_options=["seccomp=unconfined", "apparmor=site", "label=type:x"],
        host__lsm=[],
    )
    files = artefacts(profile(data).document)
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
    options = [
        line for line in artefacts(found.document)["docker-run.txt"].splitlines() if "apparmor" in line
    ]
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
        found = json.loads(artefacts(profile(data).document)["profile.json"])
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
    files = artefacts(found.document)
    service = yaml.safe_load(files["compose.override.yaml"])["services"]
    assert list(service) == [name]
    page = list(sections(found))
    assert "<script" not in html(page)
    for shown in markdown(page).split("\n"):
        outside = "".join(shown.split("`")[::2])  # what is not code, as far as fences are single
        if "``" not in shown:
            assert "<script" not in outside
            assert "](" not in outside
    assert found.document.apparmor is not None
    for rule in found.document.apparmor.rules:
        assert "\n" not in rule.text
        if rule.text.startswith('"'):
            assert rule.text.count('"') == 2
            assert "@{" not in rule.text


@pytest.mark.parametrize("make_it", [recorded, owned], ids=["root", "user"])
def test_the_same_recordings_give_the_same_bytes(make_it: Callable[[], dict[str, Any]]) -> None:
    first, second = (artefacts(profile(make_it()).document) for _ in range(2))
    assert first == second
    page = list(sections(profile(make_it())))
    assert html(page) == html(list(sections(profile(make_it()))))


def test_permissions_that_no_recorder_could_observe_are_kept() -> None:
    blind = {"complete": False, "missing": [], "unseen": ["capabilities"]}
    data = recorded(recorder=blind, capabilities=[], ended="2026-11-27T10:00:00Z")
    seeing = recorded()
    assert seeing["capabilities"]
    for found in (profile(data), profile(data, seeing)):  # one that saw them may have been luckier
        assert set(found.document.capabilities.kept) == CAPABILITIES
        assert found.document.user is None
        assert "all capabilities are kept" in markdown(sections(found))
