from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks.lib import auditrules

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
        ("-a always,exit -F arch=x86_64 -F path=/p -F perm=wa", "/p", "wa"),
        ("-w /var/run/docker.sock -p wa", "/run/docker.sock", "wa"),
        ("-w /lib/systemd/system/docker.service -p wa", "/usr/lib/systemd/system/docker.service", "wa"),
        ("-w /sbin/runc", "/usr/sbin/runc", "wax"),
    ],
)
def test_each_form_of_an_audit_rule_covers_its_path(rule: str, path: str, needed: str) -> None:
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
        ([EXPANDED.replace(",truncate", "").replace("perm=wa", "perm=rwxa")], "/p", "wa", "w"),
        ([EXPANDED.replace(",renameat2", "")], "/p", "wa", "w"),
        ([EXPANDED.replace(",fchmod,", ",")], "/p", "wa", "a"),
        (["-a always,exit -F arch=i686 -F dir=/p -F perm=wa"], "/p", "wa", "wa"),
        (["-a always,exit -F arch=0x40000003 -F dir=/p -F perm=wa"], "/p", "wa", "wa"),
        (["-a always,exclude -F msgtype=CWD", "-a always,user"], "/p", "wa", "wa"),
        (["-a never,exit -F path=/p", "-w /p"], "/p", "wax", "wax"),
        (["-a exit,never -S all -F dir=/p -F perm=x", "-w /p/q"], "/p/q", "wax", "x"),
        (["-a never,task", "-w /p"], "/p", "wa", "wa"),
        (["-w /p", "-A never,exit -F path=/p"], "/p", "wa", "wa"),
        (["-w /p", "-D"], "/p", "wa", "wa"),
        (["-w /p -p zz"], "/p", "wa", "wa"),
        (["-a always,exit -F dir=/p -F perm=w -F perm=a"], "/p", "wa", "wa"),
        (["-w /p -p w -p a"], "/p", "wa", "wa"),
        (["-a never,exit -F dir=/p -F perm=w -F perm=a", "-w /p"], "/p", "wax", "wa"),
        (["-a always,exit -F nonsense", "-w", "-a", "-F", "\x00", "-w /p -p"], "/q", "wa", "wa"),
    ],
)
def test_a_rule_does_not_cover_other_accesses(rules: list[str], path: str, needed: str, left: str) -> None:
    assert auditrules.parse(rules).uncovered(path, needed) == frozenset(left)


def test_a_rule_for_32_bit_calls_covers_a_path_only_on_a_32_bit_machine() -> None:
    rules = ["-a always,exit -F arch=b32 -F path=/p -F perm=wa"]
    assert not auditrules.parse(rules, native="b32").uncovered("/p", "wa")
    assert auditrules.parse(rules, native="b64").uncovered("/p", "wa")


def test_a_never_rule_for_the_folder_itself_hides_that_a_file_is_replaced() -> None:
    never = "-a never,exit -F path=/p"
    for watch in ("-w /p/q -p wa", "-a always,exit -F path=/p/q -F perm=wa"):
        for lines in ([never, watch], [watch, never]):
            rules = auditrules.parse(lines)
            assert rules.uncovered("/p/q", "wa") == {"w"}
            assert rules.silencing("/p/q", "w") == [never]
            assert never in [rule.text for rule in rules.about("/p/q")]
    assert not auditrules.parse(["-w /p -p wa", never]).uncovered("/p/q", "wa")
    first = "-a always,exit -F path=/p"
    rules = auditrules.parse([first, never, "-w /p/q -p wa"])
    assert not rules.uncovered("/p/q", "wa")
    assert first in [rule.text for rule in rules.about("/p/q")]  # it decides
    assert auditrules.parse([never, "-w /p -p wa"]).uncovered("/p/q", "wa") == {"w"}
    some = "-a always,exit -F dir=/p -F uid=0"
    assert auditrules.parse([some, never, "-w /p/q -p wa"]).uncovered("/p/q", "wa") == {"w"}
    assert not auditrules.parse(["-w /p/q -p wa", f"{never} -F perm=a"]).uncovered("/p/q", "wa")


def test_a_rule_that_records_before_a_never_rule_covers_its_path() -> None:
    rules = auditrules.parse(["-w /p -p wa", "-a never,exit -F path=/p"])
    assert not rules.uncovered("/p", "wa")


@pytest.mark.parametrize(
    "condition",
    [
        *("exe=/usr/bin/backup", "auid=1000", "auid>=1000", "auid!=unset", "uid!=0", "subj_type=crond_t"),
        *("success=0", "exit=-EPERM", "pid=7", "a0=1", "perm=wa", "filetype=file", "sessionid=1"),
    ],
)
def test_a_conditional_never_rule_leaves_a_gap_unless_it_comes_later(condition: str) -> None:
    never = f"-a never,exit -F {condition}"
    for rules in ([never, "-w /p -p wa"], ["-w /p -p wa", never.replace("-a", "-A")]):
        assert auditrules.parse(rules).uncovered("/p", "wa") == {"w", "a"}
        assert auditrules.parse(rules).silencing("/p", "wa") == [next(r for r in rules if "never" in r)]
    assert not auditrules.parse(["-w /p -p wa", never]).uncovered("/p", "wa")


@pytest.mark.parametrize(
    ("never", "left"),
    [
        ("-a never,exit -F arch=b64 -S adjtimex,clock_settime -F auid=unset -F uid=chrony", ""),
        ("-a never,exit -F arch=b32 -S all", ""),
        ("-a never,exit -F arch=i686 -S all", ""),
        ("-a never,exit -F arch=x86_64 -S all", "wa"),
        ("-a never,exit -F arch=0xC000003E -S all", "wa"),
        ("-a never,exit -F arch=b64 -S fchmodat -F perm=wa", "wa"),
        ("-a never,exit -F arch=b64 -S fchmodat -F perm=x", ""),
        ("-a never,exit -F dir=/dev/shm", ""),
        ("-a never,exit -F path=/pp", ""),
        ("-a never,user -F subj_type=crond_t", ""),
        ("-a always,task", ""),
        ("-a never,filesystem -F fstype=debugfs", ""),
        ("-a never,exit -F arch=b64 -S openat", "w"),
        ("-a never,exit -S chmod", "a"),
        ("-a never,exit -S 90", "wa"),
        ("-a never,exit -F perm=x", ""),
        ("-a never,exit -F dir=/p/noise", "wa"),
        ("-a never,exit -F path=/p/q", "wa"),
        ("-a never,task -F uid=1000", "wa"),
        ("-A task,never", "wa"),
    ],
)
def test_a_never_rule_before_a_watched_tree_leaves_a_gap(never: str, left: str) -> None:
    assert auditrules.parse([never, "-w /p -p wa"]).uncovered("/p", "wa", tree=True) == frozenset(left)


@pytest.mark.parametrize(
    ("rule", "loses"),
    [
        ("-a always,exclude -F msgtype=SYSCALL", True),
        ("-a never,exclude -F msgtype=PATH", True),
        ("-a exclude,always -F msgtype=1302", True),
        ("-a always,exclude -F msgtype>=1300", True),
        ("-a always,exclude -F msgtype!=USER_LOGIN", True),
        ("-a always,exclude -F msgtype=SYSCALL -F auid=1000", True),
        ("-a always,exclude -F uid=0", True),
        ("-a never,filesystem -F fstype=0xEF53", True),
        ("-r 1", True),
        ("-r1", True),
        ("-a always,exclude", False),
        ("-a always,exclude -F msgtype=CWD", False),
        ("-a always,exclude -F msgtype=CRYPTO_KEY_USER", False),
        ("-a always,exclude -F msgtype>1400", False),
        ("-a always,exclude -F msgtype=PATH -F msgtype=CWD", False),
        ("-a never,filesystem -F fstype=tracefs", False),
        ("-r 0", False),
        ("-r 1000", False),
    ],
)
def test_rules_that_suppress_records_are_found(rule: str, loses: bool) -> None:
    found = (rule,) if loses else ()
    assert auditrules.parse(["-w /p", rule]).suppressing == found
    assert auditrules.parse([rule, "-D"]).suppressing == (found if rule.startswith("-r") else ())
    undone = rule.replace("-a", "-d") if rule.startswith("-a") else "-r 0"
    assert not auditrules.parse([rule, undone]).suppressing


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("permissions", ["wa", "rwxa", "x", "aw"])
@pytest.mark.parametrize("path", ["/etc/docker", "/a-b/-c", "/x/é"])
def test_rule_options_with_and_without_a_space_are_parsed_equally(
    blank: str, permissions: str, path: str
) -> None:
    watch = f"-w{blank}{path} -p{blank}{permissions} -k{blank}docker"
    rules = [f"-a{blank}always,exit -F{blank}dir={path} -F{blank}perm={permissions} -k{blank}docker", watch]
    rules.append(
        f"-a{blank}always,exit -S{blank}all -F{blank}dir={path} -F{blank}perm={permissions} -F key=d"
    )
    for rule in rules:
        (found,) = auditrules.parse([rule]).rules
        assert (found.path, found.permissions, found.always) == (path, frozenset(permissions), True)
        assert not found.conditions
        assert auditrules.parse([rule]).has(auditrules.parse([watch]).rules[0])


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (["-w /p -p wa -k a", "-W /p -p wa -k a"], "wa"),
        (["-w /p -p wa", "-W /q -p wa"], ""),
        (["-a always,exit -F path=/p -F perm=wa", "-d always,exit -F path=/p -F perm=wa"], "wa"),
        (["-w /p -p wa", "-a never,exit -F path=/p", "-d never,exit -F path=/p"], ""),
        (["-A never,exit -F path=/p", "-w /p -p wa", "-d never,exit -F path=/p"], ""),
        (["-a never,task", "-d never,task", "-w /p -p wa"], ""),
        (["-w /p -p wa", "-d always,exit -F path=/p -F perm=wa"], "wa"),
        (["-a always,exit -F path=/p -F perm=wa", "-W /p -p wa"], "wa"),
        (["-a never,exit -F dir=/p", "-d never,exit -F path=/p", "-w /p -p wa"], "wa"),
        (
            [
                "-a always,exit -F path=/p -F perm=wa",
                "-a never,exit -F dir=/p",
                "-w /p -p wa",
                "-d always,exit -F dir=/p -F perm=wa",  # the watch of a folder, not the rule for a path
            ],
            "",
        ),
        (
            [
                "-a always,exit -F arch=b64 -S all -F path=/p",
                "-a never,exit -F path=/p",
                "-w /p -p rwxa",
                "-d always,exit -F path=/p -F perm=rwxa",  # the watch of a file, which has the same fields
            ],
            "",
        ),
    ],
)
def test_a_rule_can_be_deleted_by_a_later_line(rules: list[str], left: str) -> None:
    assert auditrules.parse(rules).uncovered("/p", "wa") == frozenset(left)


@pytest.mark.parametrize(
    ("loaded", "declared", "known"),
    [
        ("-w /p -p wa -k a", "-a always,exit -F path=/p -F perm=wa -k a", True),
        ("-w /p -p rwxa", "-w /p -p wa", True),
        ("-w /p -p w", "-w /p -p wa", False),
        ("-a always,exit -F path=/p -F perm=wa", "-a always,exit -F dir=/p -F perm=wa", False),
        ("-a never,exit -F dir=/p", "-a never,exit -F path=/p", False),
        ("-a always,exit -S all -F dir=/p -F auid!=-1", "-a always,exit -F dir=/p -F auid!=unset", True),
        ("-a never,exit -S all -F filetype=16384", "-a never,exit -F filetype=dir", True),
        ("-a always,exit -F arch=b64 -S all -F dir=/p", "-a always,exit -F arch=x86_64 -F dir=/p", True),
    ],
)
def test_a_declared_rule_is_found_in_the_notation_of_the_kernel(
    loaded: str, declared: str, known: bool
) -> None:
    (rule,) = auditrules.parse([declared]).rules
    assert auditrules.parse([loaded]).has(rule) is known


def test_a_rule_for_a_directory_entry_does_not_cover_its_tree() -> None:
    rules = auditrules.parse(["-a always,exit -F path=/p -F perm=wa"])
    assert not rules.uncovered("/p", "wa")
    assert rules.uncovered("/p", "wa", tree=True) == {"w", "a"}


@pytest.mark.parametrize(
    ("line", "enabled"), [("-e 0", False), ("-e 1", True), ("-e 2", True), ("-b 8192", True)]
)
def test_a_file_can_switch_auditing_off(line: str, enabled: bool) -> None:
    assert auditrules.parse([line]).enabled is enabled


def test_rules_about_a_path_include_its_parents_and_children() -> None:
    rules = auditrules.parse(
        ["-w /etc -p wa", "-w /etc/docker", "-w /etc/docker/daemon.json", "-w /etc/dockers"]
    )
    assert [rule.path for rule in rules.about("/etc/docker")] == [
        "/etc",
        "/etc/docker",
        "/etc/docker/daemon.json",
    ]


@given(st.lists(st.text(max_size=60), max_size=5))
def test_parsing_arbitrary_text_does_not_crash(lines: list[str]) -> None:
    auditrules.parse(lines).uncovered("/etc/docker", "wa", tree=True)


LINKED = ["-a never,exit -F path=/usr/bin/p", "-w /usr/bin/p -p wa", "-a never,exit -F path=/bin/p"]


@pytest.mark.parametrize(("deleted", "left"), [("/bin/p", "wa"), ("/usr/bin/p", "")])
def test_a_rule_is_deleted_only_with_the_spelling_of_its_path(deleted: str, left: str) -> None:
    rules = auditrules.parse([*LINKED, f"-d never,exit -F path={deleted}"])
    assert rules.uncovered("/usr/bin/p", "wa") == frozenset(left)


@pytest.mark.parametrize(
    ("ahead", "never", "left"),
    [
        ("-w /t/f -p wa", "path=/t/f", ""),
        ("-w /t/f -p a", "path=/t/f", "w"),
        ("-w /t/g -p wa", "path=/t/f", "wa"),
        ("-w /t/f -p wa", "dir=/t/f", ""),
        ("-a always,exit -F path=/t/f -F perm=wa", "dir=/t/f", "wa"),
        ("-a always,exit -F dir=/t/f -F perm=wa -F uid=0", "path=/t/f", "wa"),
        ("-w /t/f -p wa", "dir=/t", "wa"),
    ],
)
def test_a_gap_that_a_never_rule_makes_in_a_tree_depends_on_the_rules_before_it(
    ahead: str, never: str, left: str
) -> None:
    rules = auditrules.parse([ahead, f"-a never,exit -F {never}", "-w /t -p wa"])
    assert rules.uncovered("/t", "wa", tree=True) == frozenset(left)
