from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import units
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.units import (
    SystemdReload,
    Units,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.system import Outcome

from tests.unit.plugins.module_utils.converge.host import Host

WISH = {"enabled": True, "active": True}


class Systemd:
    """A service manager of a few units, that knows no more than what its callers rely on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units: dict[str, dict[str, str]] = {}
        self.fails: set[str] = set()
        self.calls: list[str] = []

    def unit(self, name: str, active: str, file: str, load: str = "loaded") -> None:
        self.units[name] = {"Id": name, "LoadState": load, "ActiveState": active, "UnitFileState": file}

    def state(self, name: str) -> tuple[str, str]:
        return self.units[name]["ActiveState"], self.units[name]["UnitFileState"]

    def run(self, *command: str, **_: Any) -> Outcome:
        program, verb, *rest = command
        assert program == "systemctl"
        if verb == "daemon-reload":
            self.calls.append(verb)
            return Outcome(0, "", "")
        name = rest[-1]
        unit = self.units.get(
            name, {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
        )
        if verb == "show":
            return Outcome(0, "\n".join(f"{key}={value}" for key, value in unit.items()), "")
        self.calls.append(f"{verb} {name}")
        if verb in self.fails or name not in self.units:
            return Outcome(1, "", f"{verb} {name} failed")
        link = self.folder / "timers.target.wants" / name
        if verb == "enable":
            unit["UnitFileState"] = "enabled"
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(f"/usr/lib/systemd/system/{name}")
        elif verb == "disable":
            unit["UnitFileState"] = "disabled"
            link.unlink()
        elif verb == "unmask":
            unit.update(LoadState="loaded", UnitFileState="disabled")
        elif verb == "mask":
            unit.update(LoadState="masked", UnitFileState="masked")
        else:
            unit["ActiveState"] = {"start": "active", "stop": "inactive"}.get(verb, unit["ActiveState"])
        return Outcome(0, "", "")

    def must(self, *command: str, **_: Any) -> str:
        outcome = self.run(*command)
        if outcome.code:
            raise Failed(outcome.error)
        return outcome.output


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(tmp_path)
    monkeypatch.setattr(units, "_LINKS", str(tmp_path))
    monkeypatch.setattr(system, "has_systemd", lambda: True)
    monkeypatch.setattr(system, "run", made.run)
    monkeypatch.setattr(system, "must", made.must)
    return made


@pytest.fixture
def prepared(host: Host, systemd: Systemd) -> Callable[..., Units]:
    def make(*names: str, check: bool = False) -> Units:
        activation = Units({"when": [], "units": dict.fromkeys(names, WISH)}, check=check)
        activation.prepare(host.plan())
        return activation

    return make


Prepared = Callable[..., Units]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (("inactive", "disabled", "loaded"), "a.timer is disabled"),
        (("inactive", "enabled", "loaded"), "a.timer is inactive"),
        (("inactive", "masked", "masked"), "a.timer is masked"),
        (("active", "disabled", "loaded"), "a.timer is disabled"),
    ],
)
def test_a_disabled_unit_is_enabled_and_an_undo_restores_its_state(
    prepared: Prepared, systemd: Systemd, tmp_path: Path, before: tuple[str, str, str], reason: str
) -> None:
    systemd.unit("a.timer", *before)
    systemd.unit("b.timer", "active", "enabled")
    activation = prepared("a.timer", "b.timer")
    assert activation.reasons == [reason]
    assert activation.describe()["action"] == "enable and start a.timer"
    activation.perform()
    assert systemd.state("a.timer") == ("active", "enabled")
    assert activation.problems() == []
    assert not prepared("a.timer", "b.timer").due

    another = Units({"when": [], "units": {"a.timer": WISH}})  # maybe the next run's
    another.memory = activation.memory
    assert another.undo() == []
    unit = systemd.units["a.timer"]
    assert (unit["ActiveState"], unit["UnitFileState"], unit["LoadState"]) == before
    assert systemd.state("b.timer") == ("active", "enabled")
    assert not [path for path in tmp_path.glob("*/a.timer") if before[1] != "enabled"]


def test_an_enabled_unit_is_not_changed(prepared: Prepared, systemd: Systemd) -> None:
    systemd.unit("a.service", "active", "static")
    assert not prepared("a.service").due
    assert systemd.calls == []


def test_an_undo_removes_the_links_of_a_unit_without_a_file(
    prepared: Prepared, systemd: Systemd, tmp_path: Path
) -> None:
    activation = prepared("new.service")  # its file is only about to be written
    assert activation.reasons == ["new.service does not exist"]
    systemd.unit("new.service", "inactive", "disabled")
    activation.perform()
    del systemd.units["new.service"]
    assert activation.undo() == []
    assert list(tmp_path.glob("*/new.service")) == []
    assert systemd.calls[-1] == "daemon-reload"


def test_units_that_do_not_start_and_failed_undos_are_reported_as_problems(
    prepared: Prepared, systemd: Systemd
) -> None:
    systemd.unit("a.timer", "inactive", "enabled")
    activation = prepared("a.timer")
    systemd.fails = {"start"}
    with pytest.raises(Failed, match=r"start a\.timer"):
        activation.perform()
    assert activation.problems() == ["a.timer is inactive"]
    systemd.units["a.timer"]["ActiveState"] = "active"
    systemd.fails = {"stop"}
    assert activation.undo() == ["stop a.timer failed"]


def test_check_mode_does_not_wait_for_units(prepared: Prepared) -> None:
    assert prepared("a.timer", check=True).reasons == ["a.timer does not exist yet"]


def test_without_systemd_a_note_names_the_units(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    activation = prepared("a.timer")
    assert not activation.due
    assert "start a.timer by other means" in activation.pending[0]


@pytest.mark.parametrize("name", ["--now", "a", "a b.service", "../a.service"])
def test_a_unit_name_cannot_be_an_option(prepared: Prepared, name: str) -> None:
    with pytest.raises(Refused, match="is not the name of a unit"):
        prepared(name)


def test_a_request_to_disable_a_unit_is_refused(host: Host) -> None:
    activation = Units({"when": [], "units": {"a.timer": {"enabled": False}}})
    with pytest.raises(Refused, match="can only have enabled: true and active: true"):
        activation.prepare(host.plan())


@pytest.mark.parametrize("before", [("inactive", "disabled", "loaded"), ("inactive", "masked", "masked")])
def test_an_undo_at_boot_restores_links_without_calling_systemd(
    prepared: Prepared, systemd: Systemd, tmp_path: Path, before: tuple[str, str, str]
) -> None:
    systemd.unit("a.timer", *before)
    activation = prepared("a.timer")
    activation.perform()
    link = tmp_path / "timers.target.wants" / "a.timer"
    assert link.is_symlink()
    systemd.calls.clear()
    another = Units({"when": [], "units": {"a.timer": WISH}})
    another.memory = activation.memory
    assert another.undo_at_boot() == []
    assert not link.is_symlink()
    mask = tmp_path / "a.timer"
    assert (str(mask.readlink()) if mask.is_symlink() else "") == ("/dev/null" if "masked" in before else "")
    assert systemd.calls == []


@pytest.mark.parametrize("at_boot", [False, True])
@pytest.mark.parametrize("before", [("inactive", "disabled", "loaded"), ("inactive", "masked", "masked")])
def test_a_release_restores_the_former_state_and_its_undo_the_present_one(
    host: Host,
    prepared: Prepared,
    systemd: Systemd,
    before: tuple[str, str, str],
    at_boot: bool,
) -> None:
    systemd.unit("a.timer", *before)
    begun = []
    for _ in range(2):
        activation = prepared("a.timer")
        activation.perform()
        begun.append(Begun({"when": ["/a"]}, activation.memory))
    begun.append(Begun({"when": []}, {"--now": {}}))
    settings, kept, left = Units.former(begun)
    assert (kept, left) == ((), ())
    released = Units(settings or {})
    released.prepare(host.plan())
    assert released.describe()["action"] == "restore a.timer"
    assert released.reasons[0] == "a.timer is active, but was not before the run"
    released.perform()
    unit = systemd.units["a.timer"]
    assert (unit["ActiveState"], unit["UnitFileState"], unit["LoadState"]) == before
    assert released.problems() == []
    link = systemd.folder / "timers.target.wants" / "a.timer"
    assert not link.is_symlink()

    another = Units({"when": []})
    another.memory = released.memory
    assert (another.undo_at_boot() if at_boot else another.undo()) == []
    assert str(link.readlink()) == "/usr/lib/systemd/system/a.timer"
    assert unit["ActiveState"] == "active"


def test_a_release_without_systemd_changes_no_unit(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = [Begun({"when": []}, {"a.timer": {}})]
    assert Units.former(begun).settings == {"when": [], "former": {"a.timer": {}}}
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    assert Units.former(begun).settings is None


@pytest.mark.parametrize(("after", "again"), [("failed", True), ("inactive", False)])
def test_an_undo_reports_a_unit_that_stays_failed(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, after: str, *, again: bool
) -> None:
    before = {"ActiveState": "inactive", "UnitFileState": "", "LoadState": "not-found", "links": []}
    systemd.unit("a.timer", "failed", "")
    systemd.fails = {"reset-failed"}
    run = systemd.run

    def stopped(*command: str, **options: Any) -> Outcome:
        outcome = run(*command, **options)
        if command[1] == "stop":  # what has failed stays so until it is reset, or forgotten
            systemd.units["a.timer"]["ActiveState"] = after
        return outcome

    monkeypatch.setattr(system, "run", stopped)
    monkeypatch.setattr(system, "must", lambda *command, **_: stopped(*command).output)
    activation = Units({"when": [], "units": {"a.timer": WISH}})
    activation.memory = {"a.timer": before}
    assert activation.undo() == (
        ["systemctl reset-failed a.timer: reset-failed a.timer failed"] if again else []
    )


def test_a_unit_returns_to_the_state_that_the_first_run_found(prepared: Prepared) -> None:
    first = prepared("a.service", "b.service").found(["b.service"])
    assert [*first] == ["a.service"]
    memory = {"a.service": {"ActiveState": "failed"}, "b.service": {"ActiveState": "failed"}}
    assert Units.as_found(memory, first) == {**memory, **first}


def test_without_systemd_its_units_are_not_reloaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    plan = host.plan(host.file("x.service", ""))
    activation = SystemdReload({"when": [host.path("x.service")]})
    activation.prepare(plan)
    assert not activation.due


def test_the_failed_state_of_a_removed_unit_is_reset(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(system, "must", lambda *command: told.append(command))
    monkeypatch.setattr(system, "run", lambda *command: told.append(command))
    host.write("here.service", "")
    here, gone = host.path("here.service"), host.path("gone.service")
    SystemdReload({"when": [here, gone, host.path("gone.conf")]}).perform()
    assert told == [("systemctl", "daemon-reload"), ("systemctl", "reset-failed", "--", "gone.service")]
    told.clear()
    SystemdReload({"when": [here]}).perform()
    assert told == [("systemctl", "daemon-reload")]


def test_an_unknown_setting_of_an_activation_is_refused() -> None:
    with pytest.raises(Refused, match="unknown settings: modules; known: "):
        SystemdReload({"when": [], "modules": []})


def test_a_release_reloads_the_units_of_all_runs() -> None:
    begun = [Begun({"when": ["/a", "/b"]}, {"was": 1}), Begun({"when": ["/b", "/c"]}, {})]
    assert SystemdReload.former(begun) == ({"when": ["/a", "/b", "/c"]}, (), ())
