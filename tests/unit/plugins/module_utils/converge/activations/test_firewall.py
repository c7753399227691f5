"""What the activation decides and does around iptables; rules meet a kernel in tests/integration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import chains, liveness, system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import firewall
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.firewall import Firewall
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.liveness import Session
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import Plan
from ansible_collections.hardener.docker.plugins.module_utils.host import processes

from tests.unit.plugins.module_utils.converge.host import Host

EMPTY = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
RULES = "*filter\n:HARDENER-INPUT - [0:0]\n-A HARDENER-INPUT -j DROP\nCOMMIT\n"
LOADED = (
    "*filter\n:INPUT ACCEPT [9:9]\n:FORWARD ACCEPT [0:0]\n:HARDENER-INPUT - [0:0]\n"
    "-A INPUT -j HARDENER-INPUT\n-A HARDENER-INPUT -j DROP\nCOMMIT\n"
)


class Machine:
    """A host whose iptables and systemd are these."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands: list[str] = []
        self.given: list[str] = []
        self.saved = {"iptables": EMPTY, "ip6tables": EMPTY}
        self.codes: dict[str, int] = {}
        self.enabled = folder / "enabled"
        monkeypatch.setattr(firewall, "FOLDER", str(folder))
        monkeypatch.setattr(firewall, "_ENABLED", str(self.enabled))
        monkeypatch.setattr(system, "run", self._run)
        monkeypatch.setattr(system, "installed", lambda _: True)
        monkeypatch.setattr(system, "has_systemd", lambda: True)
        monkeypatch.setattr(chains, "tried", lambda _, text: chains.parse(text))
        monkeypatch.setattr(liveness, "current_session", lambda: None)

    def _run(self, *command: str, given: str = "", **_: object) -> system.Outcome:
        line = " ".join(command)
        self.commands.append(line)
        if given:
            self.given.append(given)
        if command[0].endswith("-save"):
            return system.Outcome(0, self.saved[command[0].removesuffix("-save")], "")
        if command[:2] == ("systemctl", "enable"):
            self.enabled.symlink_to("/dev/null")
        code = next((code for start, code in self.codes.items() if line.startswith(start)), 0)
        return system.Outcome(code, "", "no such rule" if code else "")

    def ran(self, start: str) -> list[str]:
        """The commands that began so."""
        return [command for command in self.commands if command.startswith(start)]


@pytest.fixture
def machine(host: Host, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(host.folder, monkeypatch)


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the boots of the host are called; the last one runs."""
    found = ["first"]
    monkeypatch.setattr(system, "boot", lambda: found[-1])
    return found


def wanted(host: Host) -> Plan:
    return host.plan(host.file("inbound.ipv4", RULES))


def prepared(plan: Plan, **settings: Any) -> Firewall:
    activation = Firewall({"when": [], **settings})
    activation.prepare(plan)
    return activation


def test_a_host_without_loaded_rules_is_not_changed_if_no_rules_are_wanted(
    host: Host, machine: Machine
) -> None:
    assert not prepared(host.plan()).due


def test_missing_rules_are_loaded_now_and_at_boot(host: Host, machine: Machine) -> None:
    activation = prepared(wanted(host))
    assert activation.reasons == [
        "ipv4: HARDENER-INPUT is not loaded",
        "ipv4: INPUT does not jump to HARDENER-INPUT before rules that accept packets",
        "hardener-firewall.service is not started at boot",
    ]
    activation.perform()
    (text,) = machine.given
    assert text == (
        "*filter\n:HARDENER-INPUT - [0:0]\n-I INPUT 1 -j HARDENER-INPUT\n-A HARDENER-INPUT -j DROP\nCOMMIT\n"
    )
    assert machine.ran("systemctl")[-2:] == [
        "systemctl enable --quiet -- hardener-firewall.service",
        "systemctl reload-or-restart -- hardener-firewall.service",
    ]


def test_loaded_rules_with_an_enabled_and_active_unit_need_no_activation(
    host: Host, machine: Machine
) -> None:
    machine.saved["iptables"] = LOADED
    machine.enabled.symlink_to("/dev/null")
    assert not prepared(wanted(host)).due
    machine.codes["systemctl is-active"] = 3
    assert prepared(wanted(host)).reasons == ["hardener-firewall.service has not run"]


def test_unwanted_rules_are_removed_with_their_unit(host: Host, machine: Machine) -> None:
    machine.saved["iptables"] = LOADED
    machine.enabled.symlink_to("/dev/null")
    activation = prepared(host.plan())
    assert activation.reasons == [
        "ipv4: HARDENER-INPUT is still loaded",
        "hardener-firewall.service is still started at boot",
    ]
    activation.perform()
    assert machine.given == [
        "*filter\n:HARDENER-INPUT - [0:0]\n-D INPUT -j HARDENER-INPUT\n-X HARDENER-INPUT\nCOMMIT\n"
    ]
    assert not os.path.lexists(machine.enabled)
    assert "systemctl stop -- hardener-firewall.service" in machine.commands


def test_a_unit_that_does_not_load_the_rules_is_an_error(host: Host, machine: Machine) -> None:
    activation = prepared(wanted(host))
    machine.codes["systemctl reload-or-restart"] = 1
    with pytest.raises(Failed, match="reload-or-restart -- hardener-firewall"):
        activation.perform()


def test_loading_is_retried_once_after_a_concurrent_change(host: Host, machine: Machine) -> None:
    activation = prepared(wanted(host))
    machine.codes["iptables-restore"] = 1
    with pytest.raises(Failed, match="iptables-restore: no such rule"):
        activation.perform()
    assert len(machine.ran("iptables-restore")) == 2


def test_an_undo_in_another_process_removes_all_rules(host: Host, machine: Machine) -> None:
    machine.codes["systemctl is-active"] = 3
    activation = prepared(wanted(host))
    activation.perform()
    later = Firewall({"when": []})
    later.memory = activation.memory
    machine.saved["iptables"] = LOADED
    machine.given.clear()
    assert later.undo() == [
        "ipv4: hardener's chains differ from those before the run"
    ]  # this machine's never change
    assert machine.given[0].endswith("-D INPUT -j HARDENER-INPUT\n-X HARDENER-INPUT\nCOMMIT\n")
    assert not os.path.lexists(machine.enabled)
    assert "systemctl reset-failed -- hardener-firewall.service" in machine.commands


def test_an_undo_restores_former_rules_and_keeps_the_unit(host: Host, machine: Machine) -> None:
    machine.saved["iptables"] = LOADED
    machine.enabled.symlink_to("/dev/null")
    other = host.plan(host.file("inbound.ipv4", RULES.replace("DROP", "RETURN")))
    activation = prepared(other)
    assert activation.reasons == ["ipv4: the loaded HARDENER-INPUT differs from its file"]
    assert activation.undo() == []
    assert "-A HARDENER-INPUT -j DROP\n" in machine.given[-1]
    assert machine.enabled.is_symlink()
    assert not machine.ran("systemctl stop")


def test_an_undo_at_boot_keeps_the_boot_from_loading_the_rules(
    host: Host, machine: Machine, boots: list[str]
) -> None:
    activation = prepared(wanted(host))
    machine.enabled.symlink_to("/dev/null")
    boots.append("another")
    assert activation.undo_at_boot() == []
    assert machine.given == []
    assert not os.path.lexists(machine.enabled)
    machine.enabled.symlink_to("/dev/null")
    activation = prepared(wanted(host))
    activation.undo_at_boot()
    assert machine.enabled.is_symlink()


def test_an_undo_after_a_soft_reboot_removes_the_loaded_rules(
    host: Host, machine: Machine, boots: list[str]
) -> None:
    activation = prepared(wanted(host))
    machine.saved["iptables"] = LOADED
    activation.undo_at_boot()
    (text,) = machine.given
    assert text.endswith("-D INPUT -j HARDENER-INPUT\n-X HARDENER-INPUT\nCOMMIT\n")


@pytest.mark.parametrize(
    ("client", "case"),
    [
        ("192.0.2.7", ([], False)),
        ("192.0.2.7", (["198.51.100.0/24", "192.0.2.0/24"], False)),
        ("::ffff:192.0.2.7", (["192.0.2.0/24"], False)),
        ("2001:db8::1", (["192.0.2.0/24", "2001:db8::/32"], False)),
        ("198.51.100.1", (["192.0.2.0/24"], True)),
        ("unknown", (["192.0.2.0/24"], True)),
    ],
)
def test_rules_that_refuse_the_present_ssh_connection_are_refused(
    host: Host, machine: Machine, monkeypatch: pytest.MonkeyPatch, client: str, case: tuple[list[str], bool]
) -> None:
    sources, refused = case
    monkeypatch.setattr(liveness, "current_session", lambda: Session(client, "10.0.2.15", 22))
    if refused:
        with pytest.raises(Refused, match="not in firewall_ssh_sources"):
            prepared(wanted(host), ssh_ports=[22], ssh_sources=sources)
    else:
        assert prepared(wanted(host), ssh_ports=[22], ssh_sources=sources).due
    with pytest.raises(Refused, match="port 22 of the host, which the rules do not allow"):
        prepared(wanted(host), ssh_ports=[2222], ssh_sources=sources)


def test_a_run_without_inbound_rules_does_not_check_ssh(
    host: Host, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "current_session", lambda: Session("192.0.2.7", "10.0.2.15", 2222))
    assert prepared(wanted(host)).due


def test_the_ssh_connection_is_that_of_the_nearest_process_with_a_valid_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environments = {
        30: {"PATH": "/bin", "SSH_CONNECTION": "nonsense"},
        20: {"SSH_CONNECTION": "fe80::1%eth0 50000 fe80::2%eth0 22", "LANG": "C"},
    }
    monkeypatch.setattr("os.getpid", lambda: 30)
    monkeypatch.setattr(processes, "parent", lambda pid: pid - 10)
    monkeypatch.setattr(processes, "environment", lambda pid: environments.get(pid, {}))
    assert liveness.current_session() == Session("fe80::1", "fe80::2%eth0", 22)
    del environments[20]
    assert liveness.current_session() is None


def test_a_release_removes_all_chains_and_its_undo_enables_the_unit_again(
    host: Host, machine: Machine, boots: list[str]
) -> None:
    before = [{"ipv4": {"user": False}, "ipv6": {"user": True}}, {"ipv4": {"user": True}}]
    begun = [Begun({"when": ["/a"]}, {"before": each}) for each in before]
    settings, kept, left = Firewall.former(begun)
    assert (settings, kept, left) == ({"when": ["/a"], "released": ["ipv4"]}, (), ())
    machine.saved["iptables"] = LOADED
    machine.enabled.symlink_to("/dev/null")
    host.write("inbound.ipv4", RULES)  # a file that somebody else has changed stays, and nothing loads it
    activation = Firewall(settings or {})
    activation.prepare(host.plan())
    assert activation.reasons == [
        "ipv4: HARDENER-INPUT is still loaded",
        "hardener-firewall.service is still started at boot",
    ]
    activation.perform()
    assert machine.given[-1].endswith("-D INPUT -j HARDENER-INPUT\n-X HARDENER-INPUT\nCOMMIT\n")
    assert not os.path.lexists(machine.enabled)
    assert "systemctl stop -- hardener-firewall.service" in machine.commands

    machine.codes["systemctl is-active"] = 3
    later = Firewall({"when": []})
    later.memory = activation.memory
    boots.append("another")
    assert later.undo_at_boot() == []
    unit = "/etc/systemd/system/hardener-firewall.service"
    assert os.readlink(machine.enabled) == unit  # noqa: PTH115 - the path is the point
    machine.enabled.unlink()
    assert later.undo() == []
    assert os.readlink(machine.enabled) == unit  # noqa: PTH115
    assert machine.ran("systemctl")[-2:] == [
        "systemctl daemon-reload",
        "systemctl start -- hardener-firewall.service",
    ]


@pytest.mark.parametrize(("active", "raises"), [(True, True), (False, False)])
def test_a_unit_that_cannot_be_stopped_is_an_error_only_if_it_is_active(
    monkeypatch: pytest.MonkeyPatch, *, active: bool, raises: bool
) -> None:
    said: list[str] = []

    def run(*command: str, **_: object) -> system.Outcome:
        said.append(command[1])
        code = {"stop": 1, "is-active": 0 if active else 3}.get(command[1], 0)
        return system.Outcome(code, "", "no bus")

    monkeypatch.setattr(system, "run", run)
    monkeypatch.setattr(system, "has_systemd", lambda: True)
    if raises:
        with pytest.raises(Failed, match=r"systemctl stop hardener-firewall\.service: no bus"):
            firewall._forget_unit(keep_enabled=True)
    else:
        firewall._forget_unit(keep_enabled=True)
        assert said == ["stop", "is-active", "daemon-reload", "reset-failed"]
