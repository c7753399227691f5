from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import updates
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.updates import (
    AutomaticUpdates,
    PendingUpdates,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.system import Outcome

from tests.unit.plugins.module_utils.converge.host import Host

ORIGIN = "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"
EXPECT = {"APT::Periodic::Enable": ["1"], "Unattended-Upgrade::Origins-Pattern::": [ORIGIN], "A::Gone::": []}
SOURCES = "'http://deb.example/dists/trixie-security/InRelease' deb.example_trixie-security_InRelease 0 \n"


class Apt:
    """A package manager that answers what the test says."""

    def __init__(self) -> None:
        self.settings = {
            "APT::Periodic::Enable": ["1"],
            "Unattended-Upgrade::Origins-Pattern::": [ORIGIN] * 2,
        }
        self.sources = Outcome(0, SOURCES, "")
        self.dry_runs: list[Outcome] = []
        self.ran: list[tuple[str, ...]] = []

    def run(self, *command: str, **_: Any) -> Outcome:
        self.ran.append(command)
        if command[0] == "apt-config":
            lines = [f"{name} {value}" for name, values in self.settings.items() for value in values]
            return Outcome(0, "\n".join(lines), "")
        if command == ("apt-get", "--print-uris", "update"):
            return self.sources
        return self.dry_runs.pop(0) if self.dry_runs else Outcome(0, "No packages found\n", "")


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Apt:
    made = Apt()
    monkeypatch.setattr(system, "run", made.run)
    monkeypatch.setattr(system, "installed", lambda program: program == "unattended-upgrade")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return made


@pytest.fixture
def prepared(host: Host, apt: Apt) -> Callable[..., AutomaticUpdates]:
    def make(*, check: bool = False, content: str = "", **settings: Any) -> AutomaticUpdates:
        settings = {"when": [host.path("90hardener")], "manager": "apt", "expect": EXPECT, **settings}
        activation = AutomaticUpdates(settings, check=check)
        activation.prepare(host.plan(*([host.file("90hardener", content)] if content else [])))
        return activation

    return make


Prepared = Callable[..., AutomaticUpdates]


def test_update_settings_that_are_in_effect_need_no_dry_run(prepared: Prepared, apt: Apt) -> None:
    assert not prepared().due
    assert [command[0] for command in apt.ran] == ["apt-config"]


def test_a_changed_file_is_checked_by_a_dry_run(prepared: Prepared, apt: Apt) -> None:
    activation = prepared(content="APT {};\n")
    assert activation.due
    assert activation.problems() == []
    assert apt.ran[-1] == ("unattended-upgrade", "--dry-run", "--verbose")
    assert activation.undo() == []


def test_a_failed_dry_run_is_reported_with_its_reason(prepared: Prepared, apt: Apt) -> None:
    said = (
        "Starting unattended upgrades script\nApt returned an error, exiting\nerror message: E:no such file\n"
    )
    apt.dry_runs = [Outcome(1, said, "")]
    assert prepared(content="x").problems() == [
        (
            "the dry run of unattended-upgrade fails:"
            " Apt returned an error, exiting; error message: E:no such file"
        )
    ]
    apt.dry_runs = [Outcome(3, "", "")]
    assert prepared(content="x").problems()[0].endswith("it ended with code 3")


def test_the_wait_for_another_package_manager_is_limited(
    prepared: Prepared, apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Outcome(1, "Lock could not be acquired (another package manager running?)\n", "")
    apt.dry_runs = [busy, busy]
    assert prepared(content="x").problems() == []
    monkeypatch.setattr(updates, "_PATIENCE", -1)
    apt.dry_runs = [busy]
    assert "try again later" in prepared(content="x").problems()[0]


def test_a_later_file_that_overrides_settings_is_reported(prepared: Prepared, apt: Apt) -> None:
    apt.settings["APT::Periodic::Enable"] = ["0"]
    apt.settings["A::Gone::"] = ["more"]
    activation = prepared()
    assert activation.reasons == ["APT::Periodic::Enable is 0, not 1", "A::Gone:: is more, not not set"]
    (problem,) = activation.problems()
    assert problem.startswith("another file in /etc/apt/apt.conf.d prevails: APT::Periodic::Enable is 0")


def test_a_host_without_a_security_source_is_refused(prepared: Prepared, apt: Apt) -> None:
    apt.sources = Outcome(0, SOURCES.replace("-security", ""), "")
    for check in (True, False):
        with pytest.raises(Refused, match="no package source of this host has security updates"):
            prepared(check=check, content="x")
    assert not prepared().due


def test_unreadable_sources_are_left_to_the_dry_run(prepared: Prepared, apt: Apt) -> None:
    apt.sources = Outcome(100, "", "E: Malformed entry 1 in list file bad.list")
    apt.dry_runs = [Outcome(1, "", "E: Malformed entry 1 in list file bad.list")]
    assert "Malformed entry 1" in prepared(content="x").problems()[0]


def test_a_run_without_the_installer_of_updates_is_refused_except_in_check_mode(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "installed", lambda _: False)
    assert prepared(check=True, content="x").due
    with pytest.raises(Refused, match="unattended-upgrades is not installed"):
        prepared()
    with pytest.raises(Refused, match="no package manager 'pacman'"):
        prepared(manager="pacman")


def test_the_dry_run_of_dnf_uses_the_new_file(
    prepared: Prepared, apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "installed", lambda program: program == "dnf-automatic")
    activation = prepared(manager="dnf", expect={}, configuration="/etc/dnf/x.conf", content="x")
    assert activation.problems() == []
    assert apt.ran == [("dnf-automatic", "/etc/dnf/x.conf", "--no-downloadupdates", "--no-installupdates")]


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ({"updates": ["openssl 1 → 2"], "unknown": ""}, ["openssl 1 → 2 waits"]),
        ({"updates": [], "unknown": "there is no index"}, ["there is no index"]),
        ({"updates": [], "unknown": ""}, []),
    ],
)
def test_pending_updates_are_announced_and_not_installed_by_the_activation(
    host: Host, apt: Apt, settings: dict[str, Any], reasons: list[str]
) -> None:
    activation = PendingUpdates({"when": [], **settings})
    activation.prepare(host.plan())
    assert activation.reasons == reasons
    activation.perform()
    assert (activation.problems(), activation.undo(), apt.ran) == ([], [], [])


@pytest.mark.parametrize("kind", [AutomaticUpdates, PendingUpdates])
def test_a_release_installs_and_removes_no_package(
    kind: type[AutomaticUpdates | PendingUpdates], apt: Apt
) -> None:
    assert kind.former([Begun({"when": ["/a"], "manager": "apt"}, {"was": 1})]) == (None, (), ())
    assert apt.ran == []
