from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.systemd import (
    SystemdReload,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused

from tests.unit.plugins.module_utils.converge.conftest import Host


def test_without_systemd_there_is_nothing_to_tell_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    plan = host.plan(host.file("x.service", ""))
    activation = SystemdReload({"when": [host.path("x.service")]})
    activation.prepare(plan)
    assert not activation.due


def test_a_setting_that_an_activation_does_not_know_is_refused() -> None:
    with pytest.raises(Refused, match="unknown modules"):
        SystemdReload({"when": [], "modules": []})
