"""Rules that record nothing, which auditctl prints as watches."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import netlink
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.kernel_rules import spelled_out

from hardener.checks.lib import auditrules

NEVER, ALWAYS = 0, 2
PERM, WATCH, DIR, KEY = 106, 105, 107, 210
READ, WRITE, EXECUTE, CHANGE = 4, 2, 1, 8


def rule(action: int, *fields: tuple[int, int | str]) -> bytes:
    """A rule as the kernel answers it: struct audit_rule_data of linux/audit.h."""
    texts = b"".join(value.encode() for _, value in fields if isinstance(value, str))
    numbers = [value if isinstance(value, int) else len(value.encode()) for _, value in fields]
    padding = [0] * (64 - len(fields))
    return (
        struct.pack("=3I", 4, action, len(fields))
        + struct.pack("=64I", *[0xFFFFFFFF] * 64)
        + struct.pack("=64I", *(field for field, _ in fields), *padding)
        + struct.pack("=64I", *numbers, *padding)
        + struct.pack("=64I", *[0] * 64)
        + struct.pack("=I", len(texts))
        + texts
    )


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        ("-p w", [(PERM, WRITE)], "-a never,exit -F perm=w"),
        (
            "-w /etc/docker -p wa",
            [(DIR, "/etc/docker"), (PERM, WRITE | CHANGE)],
            "-a never,exit -F dir=/etc/docker -F perm=wa",
        ),
        (
            "-w /usr/bin/runc -p rwxa -k a key",
            [(WATCH, "/usr/bin/runc"), (PERM, READ | WRITE | EXECUTE | CHANGE), (KEY, "a key")],
            "-a never,exit -F path=/usr/bin/runc -F perm=rwxa -F key=a key",
        ),
        (
            "-p x-k k-w /usr/bin/runc",
            [(PERM, EXECUTE), (KEY, "k"), (WATCH, "/usr/bin/runc")],
            "-a never,exit -F perm=x -F key=k -F path=/usr/bin/runc",
        ),
    ],
)
def test_a_never_rule_that_auditctl_prints_as_a_watch_is_spelled_out(
    line: str, fields: list[tuple[int, int | str]], expected: str
) -> None:
    watch = "-w /etc/docker -p wa -k docker"
    kernel = [
        rule(NEVER, *fields),
        rule(ALWAYS, (DIR, "/etc/docker"), (PERM, WRITE | CHANGE), (KEY, "docker")),
    ]
    lines = spelled_out([line, watch], lambda: kernel)
    assert lines == [expected, watch]
    always = expected.replace("never", "always") if line.startswith("-p") else line
    assert spelled_out([line, watch], lambda: [rule(ALWAYS, *fields), kernel[1]]) == [always, watch]


def test_a_watch_after_a_never_rule_does_not_cover_its_path() -> None:
    fields: list[tuple[int, int | str]] = [(DIR, "/etc/docker"), (PERM, WRITE | CHANGE)]
    listed = ["-w /etc/docker -p wa", "-w /etc/docker -p wa -k docker"]
    kernel = [rule(NEVER, *fields), rule(ALWAYS, *fields, (KEY, "docker"))]
    assert auditrules.parse(listed).uncovered("/etc/docker", "wa", tree=True) == frozenset()
    known = auditrules.parse(spelled_out(listed, lambda: kernel))
    assert known.uncovered("/etc/docker", "wa", tree=True) == frozenset("wa")


def test_a_rule_for_a_folder_itself_is_spelled_out(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, spelled in ((tmp_path, True), (file, False), (tmp_path / "absent", False)):
        line = f"-w {path} -p wa"
        kernel = [rule(ALWAYS, (WATCH, str(path)), (PERM, WRITE | CHANGE))]
        expected = f"-a always,exit -F path={path} -F perm=wa" if spelled else line
        assert spelled_out([line], partial(list, kernel)) == [expected]


def test_audit_rules_that_change_while_they_are_read_are_an_error() -> None:
    with pytest.raises(ValueError, match="auditctl lists 1 audit rules, and the kernel has 2"):
        spelled_out(["-w /etc -p wa"], lambda: [rule(ALWAYS, (PERM, WRITE))] * 2)


def test_the_kernel_is_not_queried_about_rules_without_watches() -> None:
    lines = ["-a always,exit -S all -F path=/etc/shadow -F perm=wa -F key=k"]
    assert spelled_out(lines, lambda: pytest.fail("asked")) == lines


def test_the_kernel_lists_its_rules_over_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(protocol: int, kind: int, *, least: int) -> list[bytes]:
        assert (protocol, kind, least) == (9, 1013, len(rule(NEVER)))  # NETLINK_AUDIT, AUDIT_LIST_RULES
        return [rule(NEVER, (WATCH, "/etc/shadow"), (PERM, READ))]

    monkeypatch.setattr(netlink, "ask", ask)
    assert spelled_out(["-w /etc/shadow -p r"]) == ["-a never,exit -F path=/etc/shadow -F perm=r"]
