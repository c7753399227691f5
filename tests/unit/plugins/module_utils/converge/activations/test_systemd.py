from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.systemd import (
    SystemdReload,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused

from tests.unit.plugins.module_utils.converge.host import Host


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
