"""The rules of AppArmor profiles, and the patterns in them."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.workload.apparmor import AppArmor, pattern, plain, usable
from hardener.workload.profile import make
from hardener.workload.recording import build
from tests.unit.workload.recordings import document


def made(*, capabilities: tuple[str, ...] = ("CAP_CHOWN",), **files: Any) -> AppArmor:
    data = document()
    data["files"] |= {"read": [], **{key: value for key, value in files.items() if key in data["files"]}}
    data["network"]["families"] = {
        name: {"phases": ["serve"], "programs": ["web"]} for name in files.get("families", ["AF_INET"])
    }
    data["container"]["mounts"] = files.get("mounts", [])
    data["calls"]["x86_64"] = {
        name: {"phases": ["serve"], "programs": ["web"]} for name in files.get("calls", ["read"])
    }
    data["capabilities"] = [
        {"name": name, "call": None, "program": "web", "phases": []} for name in capabilities
    ]
    for each in data["identities"]:
        each["bounding"] = [*capabilities]
    found = make([("x", build(data, name="x"))]).document.apparmor
    assert found is not None
    return found


def rules(found: AppArmor) -> list[str]:
    return [rule.text for rule in found.rules]


# Writes that no recording can see.
UNRECORDED = [
    "/dev/shm/** rwkl",
    "/ w",
    "owner @{PROC}/[0-9]*/{,task/[0-9]*/}comm rw",
    "owner @{PROC}/[0-9]*/{coredump_filter,oom_score_adj,timerslack_ns} rw",
]


def recorded_writes(found: AppArmor) -> list[str]:
    """The rules for paths that were written."""
    return [rule for rule in rules(found) if rule.endswith("rwkl") and rule not in UNRECORDED]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/nginx/nginx.conf", "/etc/nginx/nginx.conf"),
        ("/usr/lib/x86_64-linux-gnu/libz.so.1.3.1", "/usr/lib/*-linux-*/lib*.so{,.*}"),
        ("/usr/lib/aarch64-linux-gnu/libz.so.1", "/usr/lib/*-linux-*/lib*.so{,.*}"),
        ("/lib/ld-musl-x86_64.so.1", "/lib/ld-*.so{,.*}"),
        ("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/lib/*-linux-*/ld-*.so{,.*}"),
        ("/usr/lib/libssl.so.3", "/usr/lib/lib*.so{,.*}"),
        ("/usr/lib/postgresql/16.4/lib/dict.so", "/usr/lib/postgresql/[0-9]*/lib/dict.so"),
        ("/usr/lib/python3.13/os.py", "/usr/lib/python[0-9]*/os.py"),
        ("/srv/libx.so.1", "/srv/libx.so.1"),
        ("/proc/17/task/18/stat", "/proc/[0-9]*/task/[0-9]*/stat"),
        ("/proc/sys/net/core/somaxconn", "/proc/sys/net/core/somaxconn"),
        ("/dev/pts/3", "/dev/pts/[0-9]*"),
    ],
)
def test_a_path_pattern_matches_other_versions_and_process_ids(path: str, expected: str) -> None:
    assert pattern(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a*b?[c]{d}^", "/a\\*b\\?\\[c\\]\\{d\\}\\^"),
        ("/a\\", "/a?"),
        ('/"a" rwk,', "/?a? rwk,"),
        ("/@{HOME}/x", "/@\\{HOME\\}/x"),
        ("/\\xff.txt", "/{?,??,???,????}.txt"),
        ("/a\\n", "/a{?,??,???,????}"),
        ("/\\u200b/\\U0001f3ff", "/{?,??,???,????}/{?,??,???,????}"),
        ("/\\xag", "/?xag"),
    ],
)
def test_special_characters_in_a_path_are_escaped(path: str, expected: str) -> None:
    """What could end the quotes, and what the recorder has escaped, stands as any one character."""
    assert plain(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("/a", True), ("a", False), ("/a\n", False), ("/a (deleted)", False)]
)
def test_paths_that_no_rule_can_express_are_omitted(path: str, expected: bool) -> None:
    assert usable(path) is expected


def test_only_executed_files_are_executable() -> None:
    found = made(executed=["/usr/sbin/nginx"], read=["/bin/sh", "/etc/x"], created=["/run/x"])
    executable = [rule for rule in rules(found) if not rule.startswith("audit deny") and rule.endswith("ix")]
    assert executable == ['"/usr/sbin/nginx" mrix', '"/entrypoint.sh" mrix']


def test_a_program_that_was_executed_by_a_link_of_proc_has_no_rule() -> None:
    found = made(executed=["/bin/busybox", "/proc/self/exe", "/proc/7/fd/3"])
    assert [rule for rule in rules(found) if "/proc/" in rule] == []


def test_writes_that_leave_no_file_are_permitted_in_every_container() -> None:
    found = made(created=[])
    assert recorded_writes(found) == []
    assert set(UNRECORDED) <= set(rules(found))


def test_a_created_path_may_be_a_folder() -> None:
    found = made(created=["/etc/app", "/usr/bin/tool"], written=["/etc/x"], read=["/usr/bin/other", "/etc/y"])
    assert recorded_writes(found) == ['"/etc/app{,/}" rwkl', '"/etc/x" rwkl', '"/usr/bin/tool{,/}" rwkl']
    found = made(created=["/etc/app@"])
    assert recorded_writes(found) == ['"/etc/app[@]{,/}" rwkl']  # no variable


def test_only_written_paths_are_writable() -> None:
    mounts = [
        {"kind": "volume", "target": "/data", "read_only": False},
        {"kind": "bind", "target": "/conf", "read_only": True},
    ]
    found = made(created=["/run/x"], written=["/etc/x"], read=["/conf/y"], mounts=mounts)
    assert recorded_writes(found) == ['"/run/**" rwkl', '"/data/**" rwkl', '"/etc/x" rwkl']
    folders = [rule for rule in rules(found) if rule.endswith('/" rw')]
    assert folders == ['"/run/" rw', '"/data/" rw']  # whose owner and mode may change


@pytest.mark.parametrize(
    ("families", "capabilities", "expected"),
    [
        (["AF_INET"], (), ["network inet stream", "network inet dgram"]),
        (["AF_INET"], ("CAP_NET_RAW",), ["network inet"]),
        (["AF_UNIX", "AF_NETLINK"], (), ["network netlink", "network unix"]),
        (["AF_#77", "AF_X Y"], (), []),
    ],
)
def test_only_requested_socket_families_are_allowed(
    families: list[str], capabilities: tuple[str, ...], expected: list[str]
) -> None:
    found = made(families=families, capabilities=capabilities)
    assert [rule for rule in rules(found) if rule.startswith("network")] == expected
    denied = "audit deny network packet" in rules(found)
    assert denied == (not capabilities)


SECRETS = {
    "/etc/{,g}shadow{,-}": ["/etc/shadow", "/etc/gshadow-"],
    "/etc/ssl/private/**": ["/etc/ssl/private/site/key.pem"],
    "/etc/ssh/ssh_host_*_key": ["/etc/ssh/ssh_host_ed25519_key"],
    "/{root,home/*}/.{ssh,gnupg,aws,azure,docker,kube}/**": ["/root/.ssh/id", "/home/me/.aws/credentials"],
}


@pytest.mark.parametrize(("rule", "path"), [(rule, path) for rule in SECRETS for path in SECRETS[rule]])
def test_secrets_are_denied_unless_one_of_them_was_read_or_mounted(rule: str, path: str) -> None:
    def mounted(target: str) -> list[str]:
        return rules(made(mounts=[{"kind": "bind", "target": target, "read_only": True}]))

    denied = f"audit deny {rule} rwklx"
    assert denied in rules(made(read=["/etc/passwd", "/etc/ssh/ssh_host_rsa_key.pub", "/root/.ssh.old/id"]))
    assert denied not in rules(made(read=[path]))
    assert denied not in rules(made(created=[path]))
    folder = path.rpartition("/")[0]
    for target in {path, folder, f"{folder}/", folder.rpartition("/")[0] or "/etc"}:
        assert denied not in mounted(target), target
    assert denied in mounted("/srv")
    # Where reads could not be recorded, a denial could break the container.
    assert denied not in rules(made(read=None))


def test_all_other_files_can_be_read() -> None:
    for read in (None, [], ["/etc/passwd"]):
        assert {'"/" r', '"/**" mr'} <= set(rules(made(read=read)))


def test_names_with_many_signs_that_no_rule_can_express_are_omitted() -> None:
    few, many = '/w/"a"', '/w/"""'
    found = made(created=[few, many])
    assert found.left_out == (many,)


def test_tracing_is_denied_unless_it_was_recorded() -> None:
    assert "audit deny ptrace (trace, tracedby)" in rules(made())
    assert 'ptrace (trace, tracedby) peer="hardener-web"' in rules(made(calls=["process_vm_readv"]))


def test_without_an_executed_file_there_is_no_profile() -> None:
    data = document()
    data["files"]["executed"] = []
    assert make([("x", build(data, name="x"))]).document.apparmor is None


def test_all_denials_of_the_engines_profile_are_kept() -> None:
    text = made().text
    for path in (
        "/sys/firmware/**",
        "@{PROC}/kcore",
        "@{PROC}/sysrq-trigger",
        "/sys/devices/virtual/powercap/**",
    ):
        assert f"  audit deny {path} rwklx,\n" in text
    assert "  audit deny mount,\n" in text
    assert text.startswith("# Written by hardener")
    assert "abi <abi/3.0>,\n" in text


def test_paths_that_get_no_rule_are_listed() -> None:
    found = made(executed=["/usr/sbin/nginx", "memfd:runc", "/tmp/x (deleted)"])
    assert found.left_out == ("/tmp/x (deleted)", "memfd:runc")
    assert "memfd" not in found.text
