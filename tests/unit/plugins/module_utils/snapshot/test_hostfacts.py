"""The small sources: what the kernel's and the tools' own formats become."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import runtimes
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import (
    accounts,
    audit,
    daemonconfig,
    enginestate,
    firewall,
    kernel,
    kernel_rules,
    mounts,
    sockets,
    system,
)


def test_mounts_are_read() -> None:
    text = (
        "22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw\n"
        "30 27 254:1 /sub /with\\040space rw,nosuid shared:1 master:2 - ext4 /dev/vda1 rw\n"
        "31 27 0:5 / /private ro - tmpfs tmpfs rw\n"
        "32 27 0:6 / /slave rw master:3 propagate_from:1 - tmpfs none rw\n"
        "garbage\n"
    )
    found = mounts.parse(text)
    assert [mount["mount_point"] for mount in found] == ["/proc", "/with space", "/private", "/slave"]
    assert [mount["propagation"] for mount in found] == ["shared", "shared,slave", "private", "slave"]
    assert found[1] == {
        "id": 30,
        "parent": 27,
        "mount_point": "/with space",
        "root": "/sub",
        "device": "254:1",
        "fstype": "ext4",
        "source": "/dev/vda1",
        "options": "rw,nosuid",
        "propagation": "shared,slave",
    }


@pytest.mark.parametrize(
    ("options", "folders"),
    [
        ("rw,lowerdir=/a:/b,upperdir=/c,workdir=/w", ["/a", "/b", "/c"]),
        ("ro,lowerdir=/a\\040b:/c\\134:d::/data,xino=off", ["/a b", "/c:d", "/data"]),
        ("rw,lowerdir+=/a:b,lowerdir+=/c,datadir+=/d", ["/a:b", "/c", "/d"]),
        ("rw,size=1k", []),
    ],
)
def test_layers_of_an_overlay_are_read(options: str, folders: list[str]) -> None:
    assert mounts.layers(options) == folders


def test_container_mounts_that_may_reach_the_host_are_read() -> None:
    text = (
        "100 50 0:48 / / rw - overlay overlay rw,lowerdir=/l:/m,upperdir=/u,workdir=/w\n"
        "101 100 0:50 / /proc rw - proc proc rw\n"
        "102 100 0:51 / /dev rw - tmpfs tmpfs rw\n"
        "103 102 0:52 / /dev/pts rw - devpts devpts rw\n"
        "104 102 8:1 /srv /dev/data rw - ext4 /dev/sda1 rw\n"
        "105 100 0:6 / /host/dev rw - devtmpfs udev rw\n"
        "106 100 0:60 / /d rw - overlay overlay rw,lowerdir=/:/srv\n"
        "107 100 0:61 / /e rw - overlay overlay rw,lowerdir=/:/srv\n"
    )
    found, cut = mounts.in_container(text, ("/host/dev",), frozenset({"0:61"}))
    assert [mount["mount_point"] for mount in found] == ["/", "/dev", "/dev/data", "/host/dev", "/d", "/e"]
    assert [mount.get("layers") for mount in found] == [None, None, None, None, ["/", "/srv"], None]
    assert cut is False
    many = text + "".join(f"{number} 100 0:70 / /d/{number} rw - tmpfs t rw\n" for number in range(200, 1400))
    found, cut = mounts.in_container(many, (), frozenset())
    assert (len(found), cut) == (mounts.MAX_MOUNTS, True)


def test_block_devices_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks, numbers = tmp_path / "devices", tmp_path / "numbers"
    for name, number in (("sda", "8:0"), ("sda/sda1", "8:1"), ("dm-0", "253:0"), ("loop0", "7:0")):
        (disks / name / "slaves").mkdir(parents=True)
        (disks / name / "dev").write_text(f"{number}\n")
        numbers.mkdir(exist_ok=True)
        (numbers / number).symlink_to(disks / name)
    (disks / "sda/sda1/partition").write_text("1\n")
    (disks / "dm-0/slaves/sda1").symlink_to(disks / "sda/sda1")
    (disks / "loop0/loop").mkdir()
    (disks / "loop0/loop/backing_file").write_text("/srv/disk.img\n")
    monkeypatch.setattr(system, "_FOLDER", str(numbers))
    assert system.block_devices() == {
        "8:0": {"name": "sda"},
        "8:1": {"name": "sda1", "disk": "8:0"},
        "253:0": {"name": "dm-0", "stands_on": ["8:1"]},
        "7:0": {"name": "loop0", "file": "/srv/disk.img"},
    }


MOUNTED = (
    "100 50 0:48 / / rw - overlay overlay rw\n"
    "101 100 0:50 / /proc rw - proc proc rw\n"
    "102 100 0:51 / /sys ro - sysfs sysfs ro\n"
    "103 102 0:52 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    "104 102 0:53 / /sys/firmware ro - tmpfs tmpfs ro\n"
)
HIDDEN = "".join(
    f"{200 + i} 101 0:6 /null {path} rw - tmpfs t rw\n" for i, path in enumerate(runtimes.HIDDEN[:-1])
)
KEPT = "".join(
    f"{300 + i} 101 0:50 {path[5:]} {path} ro - proc proc rw\n" for i, path in enumerate(runtimes.KEPT)
)


def kernel_access(mountinfo: str) -> dict[str, Any]:
    return mounts.of_the_kernel(mountinfo, mounts.exposed)


def test_reachable_kernel_paths_of_a_container_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/proc/acpi")
    assert kernel_access(MOUNTED + HIDDEN + KEPT) == {"cgroup_writable": False, "open_paths": []}
    unmasked = kernel_access(MOUNTED)
    assert unmasked["open_paths"] == [*runtimes.HIDDEN[1:-1], *runtimes.KEPT]
    for line in (HIDDEN + KEPT).splitlines():
        path = line.split()[4]
        found = kernel_access((MOUNTED + HIDDEN + KEPT).replace(f"{line}\n", ""))
        assert found["open_paths"] == ([] if path == "/proc/acpi" else [path])
    privileged = MOUNTED.replace("/sys/fs/cgroup ro", "/sys/fs/cgroup rw").replace(
        "/sys/firmware ro", "/x ro"
    )
    found = kernel_access(privileged)
    assert found["cgroup_writable"] is True
    assert "/sys/firmware" in found["open_paths"]
    first = kernel_access(MOUNTED + "105 102 0:54 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
    assert first["cgroup_writable"] is True
    assert kernel_access("100 50 0:48 / / rw - overlay overlay rw\n")["open_paths"] == []
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/proc/sysrq-trigger")
    assert "/proc/sysrq-trigger" not in kernel_access(MOUNTED)["open_paths"]
    read_only = MOUNTED.replace("/proc rw", "/proc ro")
    assert not set(kernel_access(read_only)["open_paths"]) & set(runtimes.KEPT)


@pytest.mark.parametrize(
    ("more", "paths"),
    [
        # a part that is writable above a tree that is not; parts, and a whole tree, elsewhere
        ("400 1 0:50 /sys/kernel /proc/sys/kernel rw - proc proc rw\n", ["/proc/sys/kernel"]),
        ("400 1 0:50 /sys/kernel /k rw - proc proc rw\n", ["/k"]),
        ("400 1 0:50 /sys/kernel /k ro - proc proc rw\n", []),
        ("400 1 0:50 /kcore /core ro - proc proc rw\n", ["/core"]),
        ("400 1 0:51 /firmware/efi /efi ro - sysfs sysfs rw\n", ["/efi"]),
        ("400 1 0:50 /fs/nfsd /n\\040fsd rw - proc proc rw\n", ["/n fsd"]),
        ("400 1 0:50 /self /s rw - proc proc rw\n", []),
        ("400 1 0:77 / /p ro - proc proc rw\n", [f"/p{path[5:]}" for path in runtimes.HIDDEN[:-1]]),
        ("400 1 0:77 / /p ro - proc proc rw\n401 400 0:78 / /p/scsi rw - tmpfs t rw\n", None),
    ],
)
def test_the_kernels_paths_are_found_wherever_they_are_mounted(
    monkeypatch: pytest.MonkeyPatch, more: str, paths: list[str] | None
) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    expected = [f"/p{path[5:]}" for path in runtimes.HIDDEN[:-1] if path != "/proc/scsi"]
    found = kernel_access(MOUNTED + HIDDEN + KEPT + more)["open_paths"]
    assert found == (expected if paths is None else paths)


def test_unicode_line_separators_in_a_mount_path_do_not_end_its_line() -> None:
    line = "101 100 8:1 /srv/a\x0b\x85b /d\u2028\x1cx rw - ext4 /dev/sda1 rw\n"
    (shown,) = mounts.parse(line)
    assert (shown["root"], shown["mount_point"]) == ("/srv/a\x0b\x85b", "/d\u2028\x1cx")
    found, cut = mounts.in_container(line, ("/d\u2028\x1cx",), frozenset())
    assert [mount["mount_point"] for mount in found] == ["/d\u2028\x1cx"]
    assert not cut


def test_a_folder_of_the_host_mounted_below_dev_is_reported_and_dev_shm_is_not() -> None:
    text = (
        MOUNTED + "400 101 0:26 / /dev/thing rw - tmpfs tmpfs rw\n401 101 0:27 / /dev/shm rw - tmpfs shm rw\n"
    )
    found, _ = mounts.in_container(text, (), frozenset({"0:26", "0:27"}))
    assert "/dev/thing" in {mount["mount_point"] for mount in found}
    assert "/dev/shm" not in {mount["mount_point"] for mount in found}
    assert "/dev/thing" not in {
        mount["mount_point"] for mount in mounts.in_container(text, (), frozenset())[0]
    }


@pytest.mark.parametrize(
    ("point", "fstype", "reported"),
    [
        ("/proc", "proc", False),
        ("/proc/bus", "proc", False),
        ("/dev/x", "proc", True),
        ("/dev/x", "sysfs", True),
        ("/sys/fs/cgroup", "cgroup2", False),
        ("/dev/cgroup", "cgroup2", True),
        ("/dev/mqueue", "mqueue", False),
        ("/proc/kcore", "tmpfs", False),
    ],
)
def test_kernel_file_systems_are_reported_only_at_paths_where_no_runtime_mounts_them(
    point: str, fstype: str, reported: bool
) -> None:
    found, _ = mounts.in_container(f"{MOUNTED}400 101 0:39 / {point} rw - {fstype} x rw\n", (), frozenset())
    assert (point in {mount["mount_point"] for mount in found}) is reported


def test_the_folders_of_an_overlay_that_is_not_reported_are_not_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = []

    def look(path: str) -> str:
        looked_at.append(path)
        return path

    monkeypatch.setattr(mounts, "_real", look)
    overlay = "- overlay overlay rw,lowerdir=/l/{0},upperdir=/u/{0}\n"
    text = "".join(
        f"{20 + number} 20 0:{number} / {point} rw {overlay.format(number)}"
        for number, point in enumerate(("/", "/known", "/other"))
    )
    found, _ = mounts.in_container(text, (), frozenset({"0:1"}))
    assert [mount.get("layers") for mount in found] == [None, None, ["/l/2", "/u/2"]]
    assert looked_at == ["/l/2", "/u/2"]


def test_proc_mounts_with_hidepid_are_found() -> None:
    (shown,) = mounts.parse("20 1 0:5 / /proc rw,nosuid - proc proc rw,hidepid=invisible,gid=1001\n")
    assert shown["hides"] == ["hidepid=invisible", "gid=1001"]
    (plain,) = mounts.parse("20 1 0:5 / /proc rw,nosuid - proc proc rw\n")
    assert "hides" not in plain


@pytest.mark.parametrize(
    ("kinds", "version"), [(["cgroup2"], 2), (["cgroup"], 1), (["cgroup", "cgroup2"], "hybrid"), ([], 2)]
)
def test_the_cgroup_version_is_read(kinds: list[str], version: int | str) -> None:
    assert (
        system.cgroup_version([{"mount_point": "/sys/fs/cgroup/x", "fstype": kind} for kind in kinds])
        == version
    )


def test_facts_of_this_host_are_read() -> None:
    found = system.read(mounts.read())
    assert found["hostname"] == os.uname().nodename
    assert found["uptime_s"] > 0
    settings = kernel.sysctl()
    assert settings["net.ipv4.ip_forward"] in ("0", "1")
    assert list(settings) == list(kernel.SETTINGS)
    assert kernel.modules().keys() == set(kernel.MODULES)
    assert kernel.lsm()["seccomp"] is True
    assert any(mount["mount_point"] == "/" for mount in mounts.read())


def test_unreadable_apparmor_profiles_are_not_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "read_or", lambda path, default: "Y" if "apparmor" in path else default)

    def refuse(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(kernel, "read_text", refuse)
    with pytest.raises(PermissionError):
        kernel.lsm()


def test_apparmor_profiles_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "/sys/module/apparmor/parameters/enabled": "Y",
        "/sys/kernel/security/lsm": "lockdown,apparmor",
        "/sys/kernel/security/lockdown": "none [integrity] confidentiality",
    }
    monkeypatch.setattr(kernel, "read_or", values.get)
    monkeypatch.setattr(
        kernel, "read_text", lambda _: "docker-default (enforce)\n/usr/bin/a (b)//c (complain)\n"
    )
    found = kernel.lsm()
    assert found["apparmor"]["profiles"] == {"docker-default": "enforce", "/usr/bin/a (b)//c": "complain"}
    assert (found["active"], found["lockdown"]) == (["lockdown", "apparmor"], "integrity")


def test_booted_and_declared_security_modules_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/vda apparmor=0 rd.iscsi.password=secret quiet",
        "/etc/selinux/config": "# SELINUX=disabled\nSELINUX=permissive\nSELINUXTYPE=default\n",
    }
    monkeypatch.setattr(kernel, "read_or", values.get)
    monkeypatch.setattr(os.path, "exists", lambda path: path.startswith(("/boot/grub", "/etc/default")))
    found = kernel.lsm()
    assert found["boot"] == {"parameters": {"apparmor": "0"}, "grub": True}
    assert found["selinux"]["config"] == {"SELINUX": "permissive", "SELINUXTYPE": "default"}
    assert found["selinux"]["policy"] == "default"
    monkeypatch.setattr(kernel, "read_or", {"/proc/cmdline": "root=/dev/vda apparmor=1"}.get)
    assert kernel.lsm()["boot"] == {"parameters": {"apparmor": "1"}, "grub": False}


@pytest.mark.parametrize(
    "text",
    [
        "enabled 1\nfailure 1\npid 812\nlost 0\nloginuid_immutable 0 unlocked\n",
        "AUDIT_STATUS: enabled=1 flag=1 pid=812 lost=0\n",
    ],
)
def test_the_audit_status_of_new_and_old_auditctl_is_parsed(text: str) -> None:
    status = audit.parse_status(text)
    assert (status["enabled"], status["failure"], status["pid"], status["lost"]) == (1, 1, 812, 0)


def test_loaded_audit_rules_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"-l": "-w /etc/docker -p wa -k docker\n", "-s": "enabled 2\n"}
    monkeypatch.setattr(audit, "run", lambda _, option: answers[option])
    monkeypatch.setattr(kernel_rules, "spelled_out", list)
    found = audit.loaded()
    assert found["rules"] == ["-w /etc/docker -p wa -k docker"]
    assert found["status"] == {"enabled": 2}
    assert found["daemon"]["name"] is None
    answers["-l"] = "No rules\n"
    assert audit.loaded()["rules"] == []


def test_the_audit_daemon_and_its_configuration_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "812").mkdir()
    (tmp_path / "812" / "comm").write_text("auditd\n")
    monkeypatch.setattr(audit, "_PROC", str(tmp_path))
    monkeypatch.setattr(audit, "_DAEMON", str(tmp_path / "auditd.conf"))
    unset = dict.fromkeys(
        (
            *("write_logs", "local_events", "log_format", "max_log_file_action", "disk_full_action"),
            *("space_left_action", "admin_space_left_action"),
        )
    )
    assert audit.daemon(812) == {"name": "auditd", **unset}
    text = "# write_logs = yes\nWRITE_LOGS=no # for now\n local_events = yes\nlog_format = ENRICHED\n"
    (tmp_path / "auditd.conf").write_text(text)
    told = {"write_logs": "no", "local_events": "yes", "log_format": "ENRICHED"}
    assert audit.daemon(813) == {"name": None, **unset, **told}
    assert audit.daemon(0)["name"] is None
    assert audit.daemon(None)["name"] is None


def test_persistent_audit_rules_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, tmpfiles = tmp_path / "rules.d", tmp_path / "tmpfiles.d"
    folder.mkdir()
    (folder / "10-b.rules").write_text("# comment\n\n  -w /a -p wa\n-w /b -p wa")
    (folder / "9-a.rules").write_text("-D\r\n")
    (folder / "20-c.rules").write_text(" -k b\n-w /c")
    for name in ("ignored.rules~", ".ignored.rules", "ignored too.rules"):
        (folder / name).write_text("-w /b\n")
    monkeypatch.setattr(audit, "_RULES", str(tmp_path / "none"))
    monkeypatch.setattr(audit, "_FOLDER", str(folder))
    monkeypatch.setattr(audit, "TMPFILES_FOLDERS", (str(tmpfiles), str(tmp_path / "vendor")))
    none = {"file": str(tmpfiles), "lines": []}
    assert audit.persistent() == [
        {"file": str(folder), "lines": []},
        {"file": str(folder / "9-a.rules"), "lines": ["-D"]},
        {"file": str(folder / "10-b.rules"), "lines": ["-w /a -p wa"]},
        {"file": str(folder / "20-c.rules"), "lines": ["-w /b -p wa -k b", "-w /c"]},
        none,
    ]
    monkeypatch.setattr(audit, "_FOLDER", str(tmp_path / "none"))
    assert audit.persistent() == [none]
    (tmp_path / "none").write_bytes(b"# comment\r\n-w /a\r\n\r\n \n\t-w /b\n")
    assert audit.persistent()[0]["lines"] == ["-w /a\r", "\r", "\t-w /b"], "as auditctl reads them"
    (tmp_path / "none").unlink()
    for place, text in (
        (tmpfiles, "# d /run/docker\nd /run/containerd 0711\nd /run/other\n"),
        (tmp_path / "vendor", "d"),
    ):
        place.mkdir()
        (place / "engine.conf").write_text(text)
    made = {"file": str(tmpfiles / "engine.conf"), "lines": ["d /run/containerd 0711"]}
    assert audit.persistent() == [none, made]


def test_mounts_get_the_time_at_which_systemd_saw_them() -> None:
    text = "".join(
        f"3{n} 27 0:{n} / {point} rw - tmpfs x rw\n" for n, point in enumerate(("/a", "/b", "/b", "/c"))
    )
    found = mounts.dated(mounts.parse(text), {"/a": 7, "/b": 8, "/d": 9})
    assert [mount.get("since") for mount in found] == [7, None, None, None]


def programs(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> None:
    def run(name: str, *_: str) -> str:
        answer = answers.get(name, Absent(f"there is no {name}"))
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(firewall, "run", run)


def test_firewall_rules_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = "# Generated by iptables-save v1.8.11 (nf_tables) on Wed Nov 25\n*filter\nCOMMIT\n"
    programs(
        monkeypatch, {"iptables-save": saved, "ip6tables-save": "", "nft": '{"nftables": [{"table": {}}]}'}
    )
    found = firewall.read()
    assert found["iptables"] == {"variant": "nf_tables", "ipv4": saved, "ipv6": ""}
    assert (found["nft"], found["errors"]) == ([{"table": {}}], {})


def test_firewalls_without_rules_and_legacy_iptables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, {"iptables-save": "", "ip6tables-save": "", "iptables": "iptables v1.8.9 (legacy)"})
    found = firewall.read()
    assert (found["iptables"]["variant"], found["nft"], found["errors"]) == ("legacy", None, {})


def test_legacy_tables_beside_those_of_nftables_and_named_ipsets_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tmp_path / "names"
    names.write_text("filter\n")
    monkeypatch.setattr(firewall, "_LEGACY", {"ipv4": str(names), "ipv6": str(tmp_path / "none")})
    saved = "# Generated by iptables-save v1.8.11 (nf_tables)\n*filter\nCOMMIT\n"
    naming = "*filter\n-A INPUT -m set --match-set friends src -j ACCEPT\nCOMMIT\n"
    answers = {"iptables-save": saved, "iptables-legacy-save": naming, "ipset": "create friends hash:ip"}
    programs(monkeypatch, answers)
    found = firewall.read()
    assert (found["legacy"], found["ipsets"]) == ({"ipv4": naming, "ipv6": None}, "create friends hash:ip")
    programs(monkeypatch, {"iptables-save": saved})
    found = firewall.read()
    assert (found["legacy"]["ipv4"], found["ipsets"]) == (None, None)
    assert "no iptables-legacy-save to show them" in found["errors"]["iptables-legacy-save"]
    programs(monkeypatch, {"iptables-save": naming, "iptables": "iptables v1.8.9 (legacy)"})
    assert firewall.read()["legacy"] == {"ipv4": None, "ipv6": None}


def test_a_failing_firewall_front_end_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, {"iptables-save": Failed("iptables-save: denied"), "nft": "{}"})
    with pytest.raises(Failed, match="denied"):
        firewall.read()
    programs(
        monkeypatch,
        {"iptables-save": "", "nft": Failed("nft: denied"), "iptables": "iptables v1 (nf_tables)"},
    )
    assert firewall.read()["errors"] == {"nft": "nft: denied"}
    programs(monkeypatch, {})
    with pytest.raises(Absent):
        firewall.read()


def test_nftables_configurations_that_flush_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, {"nft": '{"nftables": []}'})
    flushing, keeping = tmp_path / "flushing", tmp_path / "keeping"
    flushing.write_text("#!/usr/sbin/nft -f\n\n  flush ruleset\n")
    keeping.write_text("# flush ruleset\ntable inet mine {}\n")
    monkeypatch.setattr(firewall, "_NFTABLES", (str(flushing), str(keeping), str(tmp_path / "none")))
    assert firewall.read()["flushing"] == [str(flushing)]


@pytest.mark.parametrize(
    ("environments", "port"),
    [
        ({30: {}, 20: {"SSH_CONNECTION": "192.0.2.1 50000 10.0.2.15 2222"}, 10: {}}, 2222),
        ({30: {"SSH_CONNECTION": "2001:db8::1 50000 2001:db8::2 22"}}, 22),
        ({30: {"SSH_CONNECTION": "set by somebody"}, 20: {}}, None),
        ({30: {}}, None),
    ],
)
def test_the_port_of_the_current_ssh_connection_is_read(
    environments: dict[int, dict[str, str]], port: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def environment(pid: int) -> dict[str, str]:
        try:
            return environments[pid]
        except KeyError:
            raise PermissionError from None

    monkeypatch.setattr("os.getpid", lambda: 30)
    monkeypatch.setattr(processes, "environment", environment)
    monkeypatch.setattr(processes, "parent", lambda pid: pid - 10)
    assert system.ssh_port() == port


def test_accounts_are_read() -> None:
    assert accounts.groups([0])["root"]["gid"] == 0
    assert "root" in accounts.groups(["root"])["root"]["primary"]
    assert accounts.groups(["no-such-group", 4_000_000]) == {}
    assert "root" in accounts.users("")["root"]
    assert set(accounts.users("")["subordinate"]) == {"subuid", "subgid"}


def test_ids_in_use_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [SimpleNamespace(pw_name="a", pw_uid=each, pw_gid=0) for each in (0, 1000, 200_000, 70_000)]
    monkeypatch.setattr("pwd.getpwall", lambda: users)
    monkeypatch.setattr(
        "grp.getgrall", lambda: [SimpleNamespace(gr_gid=65536), SimpleNamespace(gr_gid=65535)]
    )
    assert accounts.users("")["high"] == {"uids": [70_000, 200_000], "gids": [65536]}


def test_subordinate_id_ranges_are_read(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("root:100000:65536\n0:200000:1\nother:1:2\nbroken\nroot:x:y\n")
    assert accounts.subordinate_ids(str(path), "root") == [[100000, 65536], [200000, 1]]
    assert accounts.subordinate_ids(str(tmp_path / "none"), "root") == []
    assert accounts.subordinate(str(path)) == [("root", 100000, 65536), ("0", 200000, 1), ("other", 1, 2)]


def test_a_non_empty_data_root_means_the_engine_has_run(tmp_path: Path) -> None:
    assert not enginestate.ever_ran(str(tmp_path / "none"))
    assert not enginestate.ever_ran(str(tmp_path))
    (tmp_path / "lost+found").mkdir()
    assert not enginestate.ever_ran(str(tmp_path))
    (tmp_path / "engine-id").touch()
    assert enginestate.ever_ran(str(tmp_path))
    assert enginestate.ever_ran(str(tmp_path / "engine-id"))  # no folder: nobody knows


def test_global_content_trust_settings_are_found() -> None:
    text = "\n".join(
        (
            "export DOCKER_CONTENT_TRUST=1",
            "# DOCKER_CONTENT_TRUST=0",
            "  DOCKER_CONTENT_TRUST_SERVER='https://notary.example.org'",
            'DOCKER_CONTENT_TRUST="0"; x',
            "MY_DOCKER_CONTENT_TRUST=1",
        )
    )
    assert accounts.assignments(text) == [
        ("DOCKER_CONTENT_TRUST", "1"),
        ("DOCKER_CONTENT_TRUST_SERVER", "https://notary.example.org"),
        ("DOCKER_CONTENT_TRUST", "0"),
    ]


def test_programs_that_forward_the_api_are_found(tmp_path: Path) -> None:
    api = str(tmp_path / "docker.sock")
    program = tmp_path / "socat"  # the kernel calls a process by the file that it runs
    program.symlink_to(sys.executable)
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    told = [f"UNIX-CONNECT:{api}", "UNIX-CONNECT:/run/other.sock"]
    relays = [
        subprocess.Popen(
            [program, "-c", f"{code}; input()", each],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in told
    ]
    try:
        ports = [int(relay.stdout.readline()) for relay in relays if relay.stdout]
        running = {relay.pid: "socat" for relay in relays}
        known: Any = SimpleNamespace(socket=api)
        found = enginestate._passed_on(dict(enginestate._relays(known, running)), sockets.Holders())
    finally:
        for relay in relays:
            relay.communicate("\n")
    assert [(entry["port"], name) for entry, name in found] == [(ports[0], "socat")]


def test_public_and_site_certificate_authorities_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pem(*names: str) -> str:
        return "".join(f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n" for name in names)

    (tmp_path / "bundle").write_text(pem("PUBLIC1", "PUBLIC2", "SITE"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own/site.crt").write_text(pem("SITE"))
    monkeypatch.setattr(daemonconfig, "_BUNDLES", (str(tmp_path / "bundle"), str(tmp_path / "none")))
    monkeypatch.setattr(daemonconfig, "_OWN", (str(tmp_path / "own"),))
    (tmp_path / "ca.pem").write_text(pem("SITE", "OTHER"))
    paths = [str(tmp_path / name) for name in ("bundle", "ca.pem", "gone")]
    assert daemonconfig.authorities(paths) == {
        paths[0]: {"certificates": 3, "public": 2},
        paths[1]: {"certificates": 2, "public": 0},
    }
