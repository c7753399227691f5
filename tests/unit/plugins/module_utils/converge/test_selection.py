from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import activations
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Activation
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import Plan

from tests.unit.plugins.module_utils.converge.host import Host


class Restart(Activation):
    """Costs what the host makes it cost, where somebody needs it by its path."""

    name = "docker"
    known = frozenset({"when", "wants"})
    dear = "containers-stop"

    def prepare(self, plan: Plan) -> None:
        super().prepare(plan)
        if "a missing rule" in self.settings.get("wants", ()):
            self.reasons.append("a rule is missing")
        if self.reasons:
            self.impact, self.costs = self.dear, "web would stop"


@pytest.fixture(autouse=True)
def restart(monkeypatch: pytest.MonkeyPatch) -> type[Restart]:
    class Mine(Restart):
        pass

    monkeypatch.setattr(activations, "KINDS", {"docker": Mine})
    return Mine


def document(host: Host, name: str, impact: str, **more: Any) -> dict[str, Any]:
    when = {"name": "docker", "when": [host.path(name)]}
    return {
        "name": name,
        "impact": impact,
        "resources": [host.file(name, "wanted")],
        "activations": [when] if impact != "none" else [],
        **more,
    }


def becomes(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["name"]: (each["state"], each["impact"]) for each in result["documents"]}


def test_a_document_with_a_higher_impact_than_allowed_is_held(host: Host) -> None:
    done = host.converge_all(document(host, "files", "none"), document(host, "userns", "data-hidden"))
    assert becomes(done) == {"files": ("change", "none"), "userns": ("held", "data-hidden")}
    assert done["documents"][1]["reason"] == "allow data-hidden to apply it"
    assert done["documents"][1]["paths"] == [host.path("userns")]
    assert Path(host.path("files")).exists()
    assert not Path(host.path("userns")).exists()


def test_a_document_without_changes_is_not_held(host: Host) -> None:
    host.write("userns", "wanted")
    Path(host.path("userns")).chmod(0o644)
    done = host.converge_all(document(host, "userns", "data-hidden"))
    assert becomes(done) == {"userns": ("unchanged", "data-hidden")}


def test_a_restart_with_a_higher_impact_holds_the_documents_that_need_it(host: Host) -> None:
    documents = [
        document(host, "icc", "daemon-restart"),
        document(host, "live_restore", "reload"),
        document(host, "files", "none"),
    ]
    held = host.converge_all(*documents, check=True, allow="daemon-restart")
    # Also what says that it needs a reload only: here, the engine would be restarted for it.
    assert becomes(held) == {
        "icc": ("held", "containers-stop"),
        "live_restore": ("held", "containers-stop"),
        "files": ("change", "none"),
    }
    assert held["documents"][0]["reason"] == "web would stop; allow containers-stop to apply it"
    allowed = host.converge_all(*documents, allow="containers-stop")
    assert becomes(allowed)["icc"] == ("change", "containers-stop")
    assert Path(host.path("icc")).exists()


def test_documents_that_request_a_restart_are_held_first(
    host: Host, restart: type[Restart], monkeypatch: pytest.MonkeyPatch
) -> None:
    icc = host.path("icc")

    def prepare(self: Restart, plan: Plan) -> None:
        Activation.prepare(self, plan)
        self.impact = "containers-stop" if plan.changed([icc]) else "reload"

    monkeypatch.setattr(restart, "prepare", prepare)
    done = host.converge_all(
        document(host, "icc", "daemon-restart"), document(host, "live_restore", "reload"), check=True
    )
    assert becomes(done) == {"icc": ("held", "containers-stop"), "live_restore": ("change", "reload")}


def test_a_document_whose_files_match_but_whose_effect_is_missing_is_a_change(
    host: Host, restart: type[Restart]
) -> None:
    restart.dear = "none"
    host.write("rules", "wanted")
    Path(host.path("rules")).chmod(0o644)
    rules = document(host, "rules", "reload")
    rules["activations"][0]["wants"] = ["a missing rule"]
    done = host.converge_all(rules, document(host, "files", "none"), check=True)
    assert becomes(done) == {"rules": ("change", "reload"), "files": ("change", "none")}


def test_a_held_document_keeps_its_earlier_settings_in_the_file(host: Host) -> None:
    def userns(value: str) -> dict[str, Any]:
        return {
            "name": "userns",
            "impact": "data-hidden",
            "resources": [host.json("d.json", {"userns": value})],
        }

    icc = {"name": "icc", "resources": [host.json("d.json", {"icc": False})]}
    host.converge_all(userns("default"), icc, allow="data-hidden")
    host.converge_all(userns("another"), icc)
    host.converge_all(icc)
    assert '"userns": "default"' in host.read("d.json")


def test_auxiliary_documents_are_not_reported(host: Host) -> None:
    serving = {"name": "engine", "activations": [{"name": "docker", "wants": []}]}
    done = host.converge_all(serving, document(host, "files", "none"), check=True)
    assert list(becomes(done)) == ["files"]


def test_a_higher_impact_than_allowed_that_no_document_causes_refuses_the_run(host: Host) -> None:
    serving = {"name": "engine", "activations": [{"name": "docker", "wants": ["a missing rule"]}]}
    with pytest.raises(Refused, match="web would stop; allow containers-stop"):
        host.converge_all(serving)


def test_a_refused_document_is_left_out_with_its_reason(
    host: Host, restart: type[Restart], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, icc = host.path("log_driver"), host.path("icc")

    def prepare(self: Restart, plan: Plan) -> None:
        Activation.prepare(self, plan)
        if plan.changed([log]):
            raise Refused("the log target is silent")
        if plan.changed([icc]) and plan.changed([host.path("proxy")]):
            raise Refused("icc and proxy exclude each other")

    monkeypatch.setattr(restart, "prepare", prepare)
    log_driver = document(host, "log_driver", "daemon-restart")
    done = host.converge_all(document(host, "icc", "daemon-restart"), log_driver)
    assert becomes(done) == {"icc": ("change", "daemon-restart"), "log_driver": ("refused", "daemon-restart")}
    assert done["documents"][1]["reason"] == "the log target is silent"
    assert done["refused"] == ["log_driver: the log target is silent"]
    assert Path(icc).exists()
    assert not Path(log).exists()
    with pytest.raises(Refused, match="the log target is silent"):  # nothing else is asked for
        host.converge_all(log_driver)
    Path(icc).unlink()
    with pytest.raises(Refused, match="exclude each other"):  # no one of them is to blame
        host.converge_all(document(host, "icc", "daemon-restart"), document(host, "proxy", "daemon-restart"))
    dear = host.converge_all(document(host, "log_driver", "data-hidden"), document(host, "files", "none"))
    assert becomes(dear)["log_driver"] == ("refused", "data-hidden")
