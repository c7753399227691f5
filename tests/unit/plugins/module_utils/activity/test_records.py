"""Records as kernels write them, and as somebody would like us to read them."""

from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.activity.records import (
    HIGH,
    Denial,
    classify,
    parse,
)
from ansible_collections.hardener.docker.plugins.module_utils.host.audit import AVC, SECCOMP, serial
from hypothesis import given
from hypothesis import strategies as st

STAMP = "audit(1795616424.246:4711): "
MOUNT = (
    'apparmor="DENIED" operation="mount" class="mount" info="failed perms check" error=-13'
    ' profile="docker-default-audited" name="/mnt/" pid=812 comm="mount" fstype="tmpfs" srcname="tmpfs"'
)
CAPABLE = (
    'apparmor="DENIED" operation="capable" class="cap" profile="snap.x" pid=99 comm="ls" capability=21'
    '  capname="sys_admin"'
)
PTRACE = (
    'apparmor="DENIED" operation="ptrace" class="ptrace" profile="docker-default" pid=77 comm="gdb"'
    ' requested_mask="read" denied_mask="read" peer="unconfined"'
)
OPEN = (
    'apparmor="DENIED" operation="open" class="file" profile="docker-default-audited"'
    ' name="/proc/sysrq-trigger" pid=5 comm="sh" requested_mask="w" denied_mask="w" fsuid=0 ouid=0'
)
NET = (
    'apparmor="DENIED" operation="create" class="net" profile="web" pid=6 comm="ping" family="packet"'
    ' sock_type="raw" protocol=768 requested_mask="create" denied_mask="create" addr=none'
)
SELINUX = (
    'avc:  denied  { read write } for  pid=1234 comm="cat" name="shadow" dev="vda1" ino=1'
    " scontext=system_u:system_r:container_t:s0:c1,c2 tcontext=system_u:object_r:shadow_t:s0 tclass=file"
    " permissive=0"
)
KILLED = (
    'auid=4294967295 uid=0 gid=0 ses=4294967295 pid=4471 comm="python3" exe="/usr/bin/python3.11" sig=31'
    " arch=c000003e syscall=165 compat=0 ip=0x7fa40a8efc17 code=0x80000000"
)


def read(kind: int, body: str) -> Denial:
    found = parse(kind, STAMP + body)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (AVC, MOUNT, ("apparmor", "denied", "mount", "", "/mnt/", "mount", 812, "docker-default-audited")),
        (AVC, CAPABLE, ("apparmor", "denied", "capable", "sys_admin", "", "ls", 99, "snap.x")),
        (AVC, PTRACE, ("apparmor", "denied", "ptrace", "read", "unconfined", "gdb", 77, "docker-default")),
        (
            AVC,
            OPEN,
            ("apparmor", "denied", "open", "w", "/proc/sysrq-trigger", "sh", 5, "docker-default-audited"),
        ),
        (AVC, NET, ("apparmor", "denied", "create", "packet raw", "", "ping", 6, "web")),
        (
            AVC,
            SELINUX,
            (
                "selinux",
                "denied",
                "read write",
                "file",
                "shadow",
                "cat",
                1234,
                "system_u:system_r:container_t:s0:c1,c2",
            ),
        ),
        (SECCOMP, KILLED, ("seccomp", "killed", "mount", "", "", "python3", 4471, "")),
    ],
)
def test_audit_records_of_the_kernel_are_parsed(kind: int, body: str, expected: tuple[object, ...]) -> None:
    assert tuple(read(kind, body)) == (1795616424.246, *expected)
    assert serial(STAMP + body) == 4711


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("0x0", "killed"),
        ("0x80000000", "killed"),
        ("0x7ffc0000", "logged"),
        ("0x00030000", "trapped"),
        ("0x00050001", "denied"),
        ("0x7ff00000", "traced"),
        ("0x12345678", "other"),
    ],
)
def test_actions_of_seccomp_are_parsed(code: str, verdict: str) -> None:
    assert read(SECCOMP, KILLED.replace("0x80000000", code)).verdict == verdict


def test_a_call_number_is_named_by_its_architecture() -> None:
    def called(arch: str) -> str:
        return read(SECCOMP, KILLED.replace("c000003e", arch)).operation

    assert called("c000003e") == "mount"
    assert called("c00000b7") == "syscall 165"
    assert called("40000003") == "syscall 165 (i386)"
    assert called("40000028") == "syscall 165 of architecture 40000028"
    assert called("zz") == "syscall 165"


@pytest.mark.parametrize(
    ("number", "arch", "name"),
    [
        ("21", "40000003", "mount (i386)"),
        ("26", "40000003", "ptrace (i386)"),
        (str(0x40000000 + 165), "c000003e", "mount (x32)"),
        (str(0x40000000 + 521), "c000003e", "ptrace (x32)"),
        (str(0x40000000 + 600), "c000003e", "syscall 600 (x32)"),
    ],
)
def test_alternative_forms_of_a_call_have_the_same_severity(number: str, arch: str, name: str) -> None:
    denial = read(SECCOMP, KILLED.replace("c000003e", arch).replace("syscall=165", f"syscall={number}"))
    assert denial.operation == name
    assert (classify(denial)[1] == HIGH) is not name.startswith("syscall")


def test_complain_mode_is_distinguished_from_a_denial() -> None:
    assert read(AVC, MOUNT.replace("DENIED", "ALLOWED")).verdict == "allowed"
    assert read(AVC, SELINUX.replace("permissive=0", "permissive=1")).verdict == "allowed"


@pytest.mark.parametrize(
    "body",
    [
        'apparmor="STATUS" operation="profile_load" profile="unconfined" name="x" pid=1 comm="load"',
        'apparmor="AUDIT" operation="open" profile="x" name="/y" pid=1 comm="z"',
        'apparmor="DENIED" operation="<script>" profile="x" pid=1',
        'avc:  granted  { read } for  pid=1 comm="x" tclass=file',
        "",
        "avc:  denied  { read } for",
        "=" * 5000,
        '"' * 5000,
    ],
)
def test_records_that_are_not_denials_are_ignored(body: str) -> None:
    assert parse(AVC, STAMP + body) is None


def test_other_record_types_and_missing_stamps_are_ignored() -> None:
    assert parse(1300, STAMP + KILLED) is None
    assert parse(1107, STAMP + SELINUX) is None  # what a program of the host says of itself
    assert parse(AVC, MOUNT) is None
    assert serial("no stamp") == 0


def test_a_hexadecimal_name_cannot_inject_fields() -> None:
    evil = 'x" apparmor="ALLOWED" pid=1 profile="victim'
    body = MOUNT.replace('comm="mount"', f"comm={evil.encode().hex().upper()}")
    found = read(AVC, body)
    assert (found.command, found.pid, found.confinement, found.verdict) == (
        evil,
        812,
        "docker-default-audited",
        "denied",
    )


def test_a_quoted_name_cannot_inject_fields() -> None:
    body = KILLED.replace('comm="python3"', 'comm="pid=1"').replace("pid=4471 ", "pid=4471 ")
    assert (read(SECCOMP, body).pid, read(SECCOMP, body).command) == (4471, "pid=1")


def test_a_network_interface_name_cannot_inject_fields() -> None:
    body = 'avc:  denied  { egress } for  pid=12 comm="x" netif="permissive=1 tclass=netif permissive=0'
    assert read(AVC, body).verdict == "denied"


def test_of_a_repeated_field_the_first_occurrence_is_read() -> None:
    assert read(AVC, f"{MOUNT} pid=1 profile=x").pid == 812


def test_names_with_line_ends_and_invalid_utf8_are_parsed() -> None:
    body = OPEN.replace('"/proc/sysrq-trigger"', b"/a\n\xff\x1b[2J".hex().upper())
    assert read(AVC, body).target == "/a\n\\xff\x1b[2J"


def test_a_huge_record_is_truncated() -> None:
    found = read(AVC, MOUNT.replace('"/mnt/"', '"/' + "a" * 60000 + '"'))
    assert found.target == "" or len(found.target) <= 256
    found = read(AVC, MOUNT.replace('"/mnt/"', '"/' + "a" * 6000 + '"'))
    assert len(found.target) == 256


@pytest.mark.parametrize("number", ["-1", "99999999999999999999999", "0x12", ""])
def test_invalid_process_numbers_are_ignored(number: str) -> None:
    found = parse(AVC, STAMP + MOUNT.replace("pid=812", f"pid={number}"))
    assert found is not None
    assert found.pid in (-1, 99999999999999999999999)


@given(st.text(max_size=300), st.sampled_from([AVC, SECCOMP]))
def test_parsing_arbitrary_records_does_not_crash(body: str, kind: int) -> None:
    for text in (body, STAMP + body, f"{STAMP}avc:  denied  {{ x }} for {body}"):
        found = parse(kind, text)
        assert found is None or len(found.target) <= 256


def denial(operation: str, detail: str = "", target: str = "") -> Denial:
    return Denial(0.0, "apparmor", "denied", operation, detail, target, "x", 1, "")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (denial("mount", target="/mnt"), ("mount", "high")),
        (denial("pivot_root"), ("mount", "high")),
        (denial("ptrace", "read"), ("ptrace", "high")),
        (denial("process_vm_readv"), ("ptrace", "high")),
        (denial("open", "w", "/proc/sysrq-trigger"), ("kernel memory", "high")),
        (denial("open", "r", "/proc/kcore"), ("kernel memory", "high")),
        (denial("capable", "sys_module"), ("capability", "high")),
        (denial("net_admin", "capability"), ("capability", "high")),
        (denial("finit_module"), ("kernel code", "high")),
        (denial("bpf"), ("kernel code", "high")),
        (denial("kexec_load"), ("kernel code", "high")),
        (denial("module_load", "system"), ("kernel code", "high")),
        (denial("open_by_handle_at"), ("file handle", "high")),
        (denial("unshare"), ("namespace", "medium")),
        (denial("userns_create"), ("namespace", "medium")),
        (denial("keyctl"), ("kernel keys", "medium")),
        (denial("open", "w", "/proc/sys/kernel/panic"), ("kernel settings", "medium")),
        (denial("create", "packet raw"), ("raw network", "medium")),
        (denial("open", "w", "/etc/mount"), ("other", "low")),
        (denial("open", "w", "/data/proc/kcore"), ("other", "low")),
        (denial("syscall 83"), ("other", "low")),
    ],
)
def test_each_denial_is_classified_by_kind_and_severity(act: Denial, expected: tuple[str, str]) -> None:
    assert classify(act) == expected
