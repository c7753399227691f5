from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import selinux
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.selinux import (
    SelinuxEnforce,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed

from tests.unit.plugins.module_utils.converge.host import Host


@pytest.fixture
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "enforce"
    path.write_text("0")
    monkeypatch.setattr(selinux, "SWITCH", str(path))
    return path


def prepared(host: Host) -> SelinuxEnforce:
    activation = SelinuxEnforce({"when": []})
    activation.prepare(host.plan())
    return activation


def test_selinux_is_switched_to_enforcing_and_another_process_undoes_it(host: Host, switch: Path) -> None:
    activation = prepared(host)
    assert (activation.due, activation.impact) == (True, "connectivity")
    assert activation.problems() == ["SELinux is not in mode enforcing"]
    activation.perform()
    assert switch.read_text() == "1"
    assert activation.problems() == []
    assert not prepared(host).due
    other = SelinuxEnforce({"when": []})
    other.memory = activation.memory
    assert other.undo() == []
    assert switch.read_text() == "0"


def test_an_undo_keeps_enforcing_mode_if_it_was_set_before(host: Host, switch: Path) -> None:
    switch.write_text("1")
    activation = prepared(host)
    assert not activation.due
    activation.perform()
    activation.undo()
    assert switch.read_text() == "1"


def test_a_disabled_selinux_is_not_switched(host: Host, switch: Path) -> None:
    switch.unlink()
    assert not prepared(host).due


def test_a_mode_that_cannot_be_set_fails(host: Host, switch: Path) -> None:
    activation = prepared(host)
    switch.unlink()
    with pytest.raises(Failed, match="SELinux cannot be switched"):
        activation.perform()


@pytest.mark.parametrize(("modes", "permissive"), [("0", True), ("01", True), ("1", False), ("", False)])
def test_a_release_restores_permissive_mode_only_if_it_was_set_before(
    host: Host, switch: Path, modes: str, permissive: bool
) -> None:
    switch.write_text("1")
    settings, kept, left = SelinuxEnforce.former([Begun({"when": ["/a"]}, {"mode": mode}) for mode in modes])
    assert (settings, kept, left) == ({"when": ["/a"], "permissive": True} if permissive else None, (), ())
    if settings is None:
        return
    activation = SelinuxEnforce(settings)
    activation.prepare(host.plan())
    assert (activation.reasons, activation.problems()) == (
        ["SELinux was permissive"],
        ["SELinux is not in mode permissive"],
    )
    activation.perform()
    assert (switch.read_text(), activation.problems()) == ("0", [])
    other = SelinuxEnforce({"when": []})
    other.memory = activation.memory
    assert (other.undo(), switch.read_text()) == ([], "1")


def test_a_release_keeps_a_kernel_that_is_permissive_already(switch: Path) -> None:
    assert SelinuxEnforce.former([Begun({"when": []}, {"mode": "0"})]).settings is None
