from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import kernels, sysctlfiles
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import nextboot


class Host:
    """Folders that stand for those of a host."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> str:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)

    def module(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = nextboot.read()["modules"][name]
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    etc, usr = str(tmp_path / "etc"), str(tmp_path / "usr")
    monkeypatch.setattr(sysctlfiles, "FOLDERS", (f"{etc}/sysctl.d", f"{usr}/sysctl.d"))
    monkeypatch.setattr(sysctlfiles, "LAST", f"{etc}/sysctl.conf")
    monkeypatch.setattr(sysctlfiles, "UFW", f"{etc}/ufw")
    monkeypatch.setattr(nextboot, "FOLDERS", (f"{etc}/modprobe.d", f"{usr}/modprobe.d"))
    monkeypatch.setattr(nextboot, "FSTAB", f"{etc}/fstab")
    monkeypatch.setattr(kernels, "KERNELS", str(tmp_path / "modules"))
    monkeypatch.setattr(kernels, "LOADED", str(tmp_path / "loaded"))
    monkeypatch.setattr(kernels, "FILES", {"br_netfilter": str(tmp_path / "bridge")})
    monkeypatch.setattr(nextboot, "LISTED", str(tmp_path / "listed"))
    monkeypatch.setattr(nextboot, "CMDLINE", str(tmp_path / "cmdline"))
    made = Host(tmp_path)
    kernel = f"modules/{os.uname().release}"
    made.write(
        f"{kernel}/modules.dep", "kernel/drivers/net/veth.ko.xz:\nkernel/net/bridge/br_netfilter.ko: x\n"
    )
    made.write(f"{kernel}/modules.builtin", "kernel/fs/overlayfs/overlay.ko\nkernel/net/xt-addrtype.ko\n")
    made.write("listed", "bridge 1 0 - Live 0x0\n")
    return made


def test_without_configuration_files_no_setting_and_no_blocked_module_is_reported(host: Host) -> None:
    found = nextboot.read()
    assert found["sysctl"] == {}
    assert found["mounts"] == []
    assert {name: entry["kind"] for name, entry in found["modules"].items()} == {
        "bridge": "module",
        "br_netfilter": "module",
        "veth": "module",
        "overlay": "built-in",
        "xt_addrtype": "built-in",
        **dict.fromkeys(("nf_nat", "xt_conntrack", "xt_MASQUERADE"), "missing"),
    }
    assert [name for name, entry in found["modules"].items() if entry["loaded"]] == [
        "bridge",
        "overlay",
        "xt_addrtype",
    ]
    assert {entry["kept_out"] for entry in found["modules"].values()} == {None}


@pytest.mark.parametrize("folder", ["sysctl.d", "modprobe.d"])
def test_files_that_exceed_the_total_size_are_an_error_and_not_omitted(host: Host, folder: str) -> None:
    for number in range(3):
        host.write(f"etc/{folder}/{number}.conf", "# padding\n" * 100_000)
    with pytest.raises(Failed, match=r"2\.conf and the files before it are larger"):
        nextboot.read()


def test_without_the_list_of_modules_the_kind_of_a_module_is_unknown(host: Host) -> None:
    (host.root / "modules" / os.uname().release / "modules.dep").unlink()
    (host.root / "loaded/overlay").mkdir(parents=True)
    assert host.module("overlay") == {"kind": "built-in", "loaded": True, "kept_out": None}
    assert host.module("veth") == {"kind": None, "loaded": False, "kept_out": None}
    assert host.module("br_netfilter") == {"kind": None, "loaded": False, "kept_out": None}
    (host.root / "bridge").mkdir()
    assert host.module("br_netfilter") == {"kind": "built-in", "loaded": True, "kept_out": None}


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("install veth /bin/false\n", "install"),
        ("install veth /bin/true # none\n", "install"),
        ("install veth\n", "install"),
        ("blacklist veth\n", "blacklist"),
        ("blacklist veth\ninstall veth /bin/false\n", "install"),
        ("install veth /bin/false\nblacklist veth\n", "install"),
        ("  install   veth   /bin/false\n", "install"),
        ("# install veth /bin/false\n", None),
        ("install veth /sbin/modprobe --ignore-install veth; echo\n", None),
        ("install vethx /bin/false\n", None),
        ("options veth x=1\n", None),
        ("install\n", None),
    ],
)
def test_files_that_block_a_module_are_found(host: Host, text: str, by: str | None) -> None:
    file = host.write("etc/modprobe.d/cis.conf", text)
    assert host.module("veth")["kept_out"] == ({"by": by, "file": file} if by else None)


def test_module_names_are_normalised_and_files_of_earlier_folders_hide_later_ones(host: Host) -> None:
    host.write("usr/modprobe.d/cis.conf", "install br-netfilter /bin/false\n")
    assert host.module("br_netfilter")["kept_out"]["by"] == "install"
    host.write("etc/modprobe.d/cis.conf", "")
    assert host.module("br_netfilter")["kept_out"] is None


@pytest.mark.parametrize(
    ("line", "by"), [("module_blacklist=dccp,veth", "install"), ("modprobe.blacklist=veth", "blacklist")]
)
def test_modules_blocked_by_the_kernel_command_line_are_found(host: Host, line: str, by: str) -> None:
    file = host.write("cmdline", f"root=/dev/vda1 {line} quiet\n")
    assert host.module("veth")["kept_out"] == {"by": by, "file": file}


def test_of_several_assignments_of_a_kernel_setting_the_last_is_read(host: Host) -> None:
    host.write("usr/sysctl.d/50-default.conf", "net.ipv4.ip_forward=1\nkernel.sysrq=0\n")
    file = host.write("etc/sysctl.d/99-cis.conf", "net.ipv4.ip_forward = 0\n-user.max_user_namespaces=0\n")
    assert nextboot.read()["sysctl"] == {
        "net.ipv4.ip_forward": {"value": "0", "file": file},
        "user.max_user_namespaces": {"value": "0", "file": file},
    }
    last = host.write("etc/sysctl.conf", "net/ipv4/ip_forward=1\n")
    assert nextboot.read()["sysctl"]["net.ipv4.ip_forward"] == {"value": "1", "file": last}


def test_mounts_contain_no_server_and_no_password(host: Host) -> None:
    host.write(
        "etc/fstab",
        "# comment\n"
        "//nas/share /mnt cifs noexec,username=ann,password=hunter2 0 0\n"
        "proc /proc proc defaults,hidepid=2,gid=proc 0 0\n"
        "/dev/vdb /var/lib/docker xfs rw,noexec,x-initrd.mount 0 2\n"
        "/dev/vdc none swap sw 0 0\n"
        "short line\n",
    )
    found = nextboot.read()["mounts"]
    assert found == [
        {"mount_point": "/mnt", "fstype": "cifs", "options": ["noexec"]},
        {"mount_point": "/proc", "fstype": "proc", "options": ["defaults", "hidepid=2", "gid=proc"]},
        {"mount_point": "/var/lib/docker", "fstype": "xfs", "options": ["rw", "noexec"]},
    ]


def test_an_endless_fstab_is_truncated(host: Host) -> None:
    host.write("etc/fstab", "".join(f"tmpfs /m{i} tmpfs rw 0 0\n" for i in range(1000)))
    assert len(nextboot.read()["mounts"]) == 256
