from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import sysctl
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.sysctl import Sysctl
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.host import sysctlfiles

from tests.unit.plugins.module_utils.converge.host import Host

FORWARD, PTRACE = "net.ipv4.ip_forward", "kernel.yama.ptrace_scope"
EVERY = "net.ipv4.conf.*.send_redirects"
ALL = "net/ipv4/conf/all/send_redirects"


class Kernel:
    """A folder that stands for /proc/sys, and another for the host's files."""

    def __init__(self, folder: Path) -> None:
        self.sys = folder / "sys"
        self.etc = folder / "etc"
        self.usr = folder / "usr"
        for each in (self.sys, self.etc, self.usr):
            each.mkdir()
        self.set(PTRACE, "0")
        self.set(FORWARD, "1")
        for interface in ("all", "default", "eth0", "eth0.100"):
            self.set(f"net/ipv4/conf/{interface}/send_redirects", "1")

    def set(self, key: str, value: str) -> None:
        path = self.sys / (key if "/" in key else key.replace(".", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def get(self, key: str) -> str:
        return (self.sys / (key if "/" in key else key.replace(".", "/"))).read_text().strip()


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    folder = tmp_path / "kernel"
    folder.mkdir()
    made = Kernel(folder)
    monkeypatch.setattr(sysctl, "ROOT", str(made.sys))
    monkeypatch.setattr(sysctlfiles, "FOLDERS", (str(made.etc), str(made.usr)))
    monkeypatch.setattr(sysctlfiles, "LAST", str(folder / "sysctl.conf"))
    monkeypatch.setattr(sysctlfiles, "UFW", str(folder / "ufw"))
    return made


def prepared(host: Host, **settings: Any) -> Sysctl:
    activation = Sysctl({"when": [], **settings})
    activation.prepare(host.plan())
    return activation


def test_a_different_effective_value_is_set(host: Host, kernel: Kernel) -> None:
    activation = prepared(host, values={PTRACE: "1", FORWARD: "1"})
    assert activation.reasons == [f"{PTRACE} is 0, should be 1"]
    activation.perform()
    assert kernel.get(PTRACE) == "1"
    assert activation.problems() == []
    assert not prepared(host, values={PTRACE: "1"}).due


def test_a_key_that_the_kernel_lacks_is_ignored(host: Host, kernel: Kernel) -> None:
    activation = prepared(host, values={"kernel.nothing": "1", "net.ipv4.conf.*.nothing": "1"})
    assert not activation.due
    activation.perform()
    assert activation.problems() == []


def test_an_asterisk_matches_interfaces_except_all_and_default(host: Host, kernel: Kernel) -> None:
    activation = prepared(host, values={EVERY: "0"})
    assert activation.reasons == [
        "net.ipv4.conf.eth0/100.send_redirects is 1, should be 0",
        "net.ipv4.conf.eth0.send_redirects is 1, should be 0",
    ]
    activation.perform()
    values = {name: kernel.get(f"net/ipv4/conf/{name}/send_redirects") for name in ("all", "default", "eth0")}
    assert values == {"all": "1", "default": "1", "eth0": "0"}


def test_another_process_restores_the_former_values(host: Host, kernel: Kernel) -> None:
    activation = prepared(host, values={PTRACE: "1", EVERY: "0"})
    saved: list[dict[str, Any]] = []
    activation.save = lambda: saved.append(dict(activation.memory))
    activation.perform()
    (memory,) = saved  # before the first was set
    other = Sysctl({"when": [], "values": {PTRACE: "1", EVERY: "0"}})
    other.memory = memory
    assert other.undo() == []
    assert (kernel.get(PTRACE), kernel.get("net/ipv4/conf/eth0.100/send_redirects")) == ("0", "1")


@pytest.mark.parametrize("soft", [True, False])
def test_an_undo_at_boot_restores_values_only_after_a_soft_reboot(
    host: Host, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, *, soft: bool
) -> None:
    activation = prepared(host, values={PTRACE: "1"})
    activation.perform()
    if not soft:
        monkeypatch.setattr(system, "boot", lambda: "another")
    assert activation.undo_at_boot() == []
    assert kernel.get(PTRACE) == ("0" if soft else "1")


def test_values_that_others_have_set_since_are_kept(host: Host, kernel: Kernel) -> None:
    activation = prepared(host, values={PTRACE: "1"})
    activation.perform()
    kernel.set(PTRACE, "2")
    assert activation.undo() == []
    assert kernel.get(PTRACE) == "2"


def test_a_value_that_the_kernel_refuses_is_an_error_that_names_it(
    host: Host, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    activation = prepared(host, values={PTRACE: "1"})

    def refuse(path: str, value: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(sysctl, "_write", refuse)
    with pytest.raises(Failed, match=f"{PTRACE} cannot be set to 1: Operation not permitted"):
        activation.perform()
    assert activation.undo() == []  # nothing had been set


def test_a_value_that_does_not_take_effect_is_a_problem(host: Host, kernel: Kernel) -> None:
    activation = prepared(host, values={PTRACE: "1"})
    activation.perform()
    kernel.set(PTRACE, "3")
    assert activation.problems() == [f"{PTRACE} is 3 after it was set to 1"]


@pytest.mark.parametrize(("key", "for_good"), [("kexec_load_disabled", True), ("dmesg_restrict", False)])
def test_a_value_that_only_a_reboot_resets_gets_a_note(
    host: Host, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, key: str, for_good: bool
) -> None:
    kernel.set(f"kernel.{key}", "0")
    activation = prepared(host, values={f"kernel.{key}": "1"})
    activation.perform()

    def refuse(path: str, value: str) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(sysctl, "_write", refuse)
    problems = activation.undo()
    assert [bool(problems), bool(activation.pending)] == [not for_good, for_good]


def test_forwarding_is_set_first_and_irreversible_values_last(host: Host, kernel: Kernel) -> None:
    for key in ("kernel.kexec_load_disabled", "kernel.dmesg_restrict"):
        kernel.set(key, "0")
    kernel.set(FORWARD, "0")
    values = {"kernel.kexec_load_disabled": "1", "kernel.dmesg_restrict": "1"}
    activation = prepared(host, values=values, needed={FORWARD: "1"})
    assert [reason.split()[0] for reason in activation.reasons] == [
        FORWARD,
        "kernel.dmesg_restrict",
        "kernel.kexec_load_disabled",
    ]


CONTRADICTIONS = {
    "a later file": ("99-site.conf", "kernel.yama.ptrace_scope=0", True),
    "a later file in the other notation": ("99-site.conf", "kernel/yama/ptrace_scope = 0", True),
    "a later file that ignores errors": ("99-site.conf", "-kernel.yama.ptrace_scope = 0", True),
    "an earlier file": ("10-site.conf", "kernel.yama.ptrace_scope = 0", False),
    "the same value": ("99-site.conf", "kernel.yama.ptrace_scope = 1", False),
    "a comment": ("99-site.conf", "# kernel.yama.ptrace_scope = 0", False),
    "another key": ("99-site.conf", "kernel.yama.ptrace_scope2 = 0", False),
}


@pytest.mark.parametrize(("name", "line", "said"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_file_that_overrides_the_value_at_boot_is_named(
    host: Host, kernel: Kernel, name: str, line: str, said: bool
) -> None:
    own = str(kernel.etc / "60-hardener.conf")
    (kernel.usr / name).write_text(f"{line}\n")
    activation = Sysctl({"when": [own], "values": {PTRACE: "1"}})
    activation.prepare(host.plan({"kind": "file", "path": own, "content": f"{PTRACE} = 1\n"}))
    assert bool(activation.pending) is said
    assert all(str(kernel.usr / name) in note and PTRACE in note for note in activation.pending)


def test_a_file_hides_the_vendors_file_of_the_same_name(host: Host, kernel: Kernel) -> None:
    own = str(kernel.etc / "60-hardener.conf")
    (kernel.usr / "99-vendor.conf").write_text(f"{PTRACE} = 0\n")
    (kernel.etc / "99-vendor.conf").write_text("")
    activation = Sysctl({"when": [own], "values": {PTRACE: "1"}})
    activation.prepare(host.plan({"kind": "file", "path": own, "content": f"{PTRACE} = 1\n"}))
    assert activation.pending == []


def test_an_exact_name_overrides_a_pattern_in_any_order(host: Host, kernel: Kernel) -> None:
    own = str(kernel.etc / "60-hardener.conf")
    (kernel.usr / "10-site.conf").write_text("net.ipv4.conf.eth0.send_redirects = 1\n")
    activation = Sysctl({"when": [own], "values": {EVERY: "0"}})
    activation.prepare(host.plan({"kind": "file", "path": own, "content": f"-{EVERY} = 0\n"}))
    (note,) = activation.pending
    assert "net.ipv4.conf.eth0.send_redirects to 1" in note


def test_a_file_that_disables_a_needed_setting_at_boot_is_reported(host: Host, kernel: Kernel) -> None:
    (kernel.usr / "10-cis.conf").write_text(f"{FORWARD} = 0\n")
    activation = prepared(host, needed={FORWARD: "1"})
    assert not activation.due
    (note,) = activation.pending
    assert f"10-cis.conf sets {FORWARD} to 0" in note


def test_settings_of_ufw_override_all_other_files(host: Host, kernel: Kernel) -> None:
    folder = Path(sysctlfiles.UFW)
    folder.mkdir()
    (folder / "sysctl.conf").write_text("net/ipv4/ip_forward=0\n")
    (folder / "ufw.conf").write_text("ENABLED=no\n")
    assert prepared(host, needed={FORWARD: "1"}).pending == []
    (folder / "ufw.conf").write_text("ENABLED=yes\nLOGLEVEL=low\n")
    assert len(prepared(host, needed={FORWARD: "1"}).pending) == 1


def test_files_that_are_too_large_are_reported_without_a_failure(host: Host, kernel: Kernel) -> None:
    (kernel.usr / "10-huge.conf").write_text("# padding\n" * 300_000)
    activation = prepared(host, values={FORWARD: "0"})
    assert activation.due
    (note,) = activation.pending
    assert "other files may override the kernel settings at the next boot" in note
    assert "10-huge.conf and the files before it are larger than" in note


def test_keys_that_would_leave_proc_sys_are_ignored(host: Host, kernel: Kernel) -> None:
    (kernel.sys.parent / "secret").write_text("1\n")
    activation = prepared(host, values={"/../secret": "0", "kernel/../../secret": "0"})
    assert not activation.due


def test_a_release_restores_the_values_before_the_first_run(host: Host, kernel: Kernel) -> None:
    begun = []
    for value, other in (("1", "3"), ("2", "4")):
        activation = prepared(host, values={PTRACE: value, EVERY: "0", FORWARD: "0", ALL: other})
        activation.perform()
        begun.append(Begun({"when": [f"/{value}"]}, activation.memory))
    kernel.set("net/ipv4/conf/eth0/send_redirects", "7")
    settings, kept, left = Sysctl.former(begun)
    assert settings == {
        "when": ["/1", "/2"],
        "needed": {FORWARD.replace(".", "/"): "1", "net/ipv4/conf/eth0.100/send_redirects": "1", ALL: "1"},
    }
    assert kept == ["net.ipv4.conf.eth0.send_redirects was set to 7 by others meanwhile, and stays so"]
    assert left == [f"{PTRACE} stays 2 until the next boot"]
    activation = Sysctl({**(settings or {}), "when": []})
    activation.prepare(host.plan())
    activation.perform()
    assert activation.problems() == []
    found = [kernel.get(f"net/ipv4/conf/{name}/send_redirects") for name in ("eth0", "eth0.100", "all")]
    assert ([kernel.get(FORWARD), *found], kernel.get(PTRACE)) == (["1", "7", "1", "1"], "2")
    assert activation.undo() == []
    assert kernel.get(FORWARD) == "0"
