from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks import auditrules

# As auditctl 4.0.2 lists `-F arch=b64 -F path=/p -F perm=wa`.
EXPANDED = (
    "-a always,exit -F arch=b64 -S open,bind,truncate,ftruncate,rename,mkdir,rmdir,creat,link,unlink,symlink,"
    "chmod,fchmod,chown,fchown,lchown,mknod,acct,swapon,quotactl,setxattr,lsetxattr,fsetxattr,removexattr,"
    "lremovexattr,fremovexattr,openat,mkdirat,mknodat,fchownat,unlinkat,renameat,linkat,symlinkat,fchmodat,"
    "fallocate,renameat2,openat2 -F path=/p -F perm=wa -F key=docker"
)


@pytest.mark.parametrize(
    ("rule", "path", "needed"),
    [
        ("-w /p -p wa -k docker", "/p", "wa"),
        ("-w /p -k docker", "/p", "wax"),
        ("-w /p", "/p", "wax"),
        ("-w /p/ -p rwxa -k docker", "/p", "wax"),
        ("-w /p -p wa -k docker", "/p/q/r", "wa"),
        ("-w / -p wa", "/p", "wa"),
        ("-w /a dir -p wa -k k", "/a dir", "wa"),
        ("-a always,exit -S all -F dir=/p -F perm=wa -F key=docker", "/p/q", "wa"),
        ("-a exit,always -F path=/p -F perm=wa -k docker", "/p", "wa"),
        ("-A always,exit -F path=/p -F perm=rwxa -F key=a -F key=b", "/p", "wax"),
        ("-a always,exit -F path=/p -F key=h k5", "/p", "wax"),
        (EXPANDED, "/p", "wa"),
        ("-a always,exit -F arch=b64 -S execve -F path=/p -F perm=x -F key=k", "/p", "x"),
        ("-a always,exit -F arch=b64 -S execve -k exec", "/p", "x"),
        ("-w /var/run/docker.sock -p wa", "/run/docker.sock", "wa"),
        ("-w /lib/systemd/system/docker.service -p wa", "/usr/lib/systemd/system/docker.service", "wa"),
        ("-w /sbin/runc", "/usr/sbin/runc", "wax"),
    ],
)
def test_a_rule_covers(rule: str, path: str, needed: str) -> None:
    assert not auditrules.parse([rule]).uncovered(path, needed)


@pytest.mark.parametrize(
    ("rules", "path", "needed", "left"),
    [
        ([], "/p", "wa", "wa"),
        (["No rules"], "/p", "wa", "wa"),
        (["-w /p -p r -k docker"], "/p", "wa", "wa"),
        (["-w /p -p wa -k docker"], "/p", "wax", "x"),
        (["-w /p -p w", "-w /p -p a"], "/p", "wax", "x"),
        (["-w /pq -p wa"], "/p", "wa", "wa"),
        (["-w /p/q -p wa"], "/p", "wa", "wa"),
        (["-a always,exit -F path=/p -F perm=wa"], "/p/q", "wa", "wa"),
        (["-a always,exit -F dir=/p -F perm=wa -F auid>=1000 -F auid!=-1"], "/p", "wa", "wa"),
        (["-a always,exit -F dir=/p -F perm=wa -F success=0"], "/p", "wa", "wa"),
        (["-a always,exit -F dir=/p -F perm=wa -C uid!=euid"], "/p", "wa", "wa"),
        (["-a always,exit -F arch=b32 -F dir=/p -F perm=wa"], "/p", "wa", "wa"),
        (["-a always,exit -F arch=b64 -S open,openat -F path=/p"], "/p", "wa", "wa"),
        (["-a always,exclude -F msgtype=CWD", "-a always,user"], "/p", "wa", "wa"),
        (["-a never,exit -F path=/p", "-w /p"], "/p", "wax", "wax"),
        (["-a exit,never -S all -F dir=/p -F perm=x", "-w /p/q"], "/p/q", "wax", "x"),
        (["-a never,task", "-w /p"], "/p", "wa", "wa"),
        (["-w /p", "-A never,exit -F path=/p"], "/p", "wa", "wa"),
        (["-w /p", "-D"], "/p", "wa", "wa"),
        (["-w /p -p zz"], "/p", "wa", "wa"),
        (["-a always,exit -F nonsense", "-w", "-a", "-F", "\x00", "-w /p -p"], "/q", "wa", "wa"),
    ],
)
def test_a_rule_does_not_cover(rules: list[str], path: str, needed: str, left: str) -> None:
    assert auditrules.parse(rules).uncovered(path, needed) == frozenset(left)


def test_a_rule_for_the_machines_own_system_calls_is_complete() -> None:
    rules = ["-a always,exit -F arch=b32 -F path=/p -F perm=wa"]
    assert not auditrules.parse(rules, native="b32").uncovered("/p", "wa")
    assert auditrules.parse(rules, native="b64").uncovered("/p", "wa")


def test_what_comes_first_decides() -> None:
    rules = auditrules.parse(["-w /p -p wa", "-a never,exit -F path=/p"])
    assert not rules.uncovered("/p", "wa")


def test_a_silence_for_some_does_not_undo_a_rule_for_all() -> None:
    rules = auditrules.parse(["-a never,exit -F exe=/usr/bin/backup", "-w /p -p wa"])
    assert not rules.uncovered("/p", "wa")


def test_a_silence_below_a_tree_does_not_undo_the_tree() -> None:
    rules = auditrules.parse(["-a never,exit -F dir=/p/noise", "-w /p -p wa"])
    assert not rules.uncovered("/p", "wa", tree=True)
    assert rules.uncovered("/p/noise", "wa", tree=True) == {"w", "a"}


def test_a_rule_for_a_directory_entry_is_no_rule_for_its_tree() -> None:
    rules = auditrules.parse(["-a always,exit -F path=/p -F perm=wa"])
    assert not rules.uncovered("/p", "wa")
    assert rules.uncovered("/p", "wa", tree=True) == {"w", "a"}


@pytest.mark.parametrize(
    ("line", "enabled"), [("-e 0", False), ("-e 1", True), ("-e 2", True), ("-b 8192", True)]
)
def test_a_file_can_switch_auditing_off(line: str, enabled: bool) -> None:
    assert auditrules.parse([line]).enabled is enabled


def test_rules_about_a_path_are_those_above_on_and_below_it() -> None:
    rules = auditrules.parse(
        ["-w /etc -p wa", "-w /etc/docker", "-w /etc/docker/daemon.json", "-w /etc/dockers"]
    )
    assert [rule.path for rule in rules.about("/etc/docker")] == [
        "/etc",
        "/etc/docker",
        "/etc/docker/daemon.json",
    ]


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_is_read(lines: list[str]) -> None:
    auditrules.parse(lines).uncovered("/etc/docker", "wa", tree=True)
