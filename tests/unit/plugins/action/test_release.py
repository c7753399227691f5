from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from tests.unit.plugins.action.answering import Clock, Host
from tests.unit.plugins.loading import action

LOST = AnsibleConnectionFailure("Failed to connect to the host via ssh: Timeout, server h not responding.")
KEPT = "/etc/docker/daemon.json: icc was changed by others meanwhile, and stays so"
CHANGES = [{"path": "/etc/sysctl.d/60-hardener.conf", "what": "remove", "documents": ["release"]}]
ACTIVATIONS = [{"name": "sysctl", "action": "set kernel settings", "why": []}]


@pytest.mark.parametrize(
    ("result", "role", "said"),
    [
        (
            {"outcome": "changed", "changes": CHANGES, "activations": ACTIVATIONS},
            "",
            "the host is restored: remove /etc/sysctl.d/60-hardener.conf; set kernel settings",
        ),
        (
            {"outcome": "changed", "kept": [KEPT], "changes": CHANGES},
            "docker_daemon",
            (
                "what the role docker_daemon owns is restored, except what was changed on the host"
                f" meanwhile ({KEPT}): remove /etc/sysctl.d/60-hardener.conf"
            ),
        ),
        ({"outcome": "would_change"}, "", "the host is to be restored"),
        ({"outcome": "unchanged"}, "", "nothing to do: hardener has no changes on this host"),
        ({"outcome": "unchanged"}, "kernel", "nothing to do: the role kernel has no changes on this host"),
        ({"outcome": "refused", "reason": "why"}, "", "nothing was changed: why"),
        (
            {"outcome": "rolled_back", "reason": "web is gone"},
            "",
            "rolled back, everything is as it was before: web is gone",
        ),
    ],
)
def test_the_outcome_is_summarised_in_one_line(result: dict[str, Any], role: str, said: str) -> None:
    assert action("release")._summary(result, role=role) == said


UNCONFIRMED = {"outcome": "unconfirmed", "run": "r", "kept": [], "left": ["a"]}


def guarded(host: Host, *, role: str = "") -> dict[str, Any]:
    found: dict[str, Any] = host.made("release")._guarded(
        {"role": role}, task_vars={}, entry="main:release", forgets=not role
    )
    return found


def test_a_run_is_confirmed_over_a_new_connection(clock: Clock) -> None:
    host = Host(clock, UNCONFIRMED, {"outcome": "changed", "run": "r", "notes": []})
    found = guarded(host)
    assert [entry for entry, _ in host.asked] == ["main:release", "main:confirm"]
    assert (found["outcome"], found["changed"], found["left"]) == ("changed", True, ["a"])


def test_an_unknown_run_after_a_lost_confirmation_means_a_confirmed_release(clock: Clock) -> None:
    found = guarded(Host(clock, UNCONFIRMED, LOST, {"outcome": "unknown"}))
    assert (found["outcome"], found.get("failed")) == ("changed", None)


def test_a_release_of_one_role_is_unconfirmed_if_the_host_has_no_record_of_it(clock: Clock) -> None:
    found = guarded(Host(clock, UNCONFIRMED, LOST, {"outcome": "unknown"}), role="kernel")
    assert (found["outcome"], found["failed"]) == ("unconfirmed", True)


def test_a_release_that_never_began_is_a_failure(clock: Clock) -> None:
    host = Host(clock, LOST, {"outcome": "unknown"}, {"outcome": "would_change"})
    with pytest.raises(AnsibleConnectionFailure):
        guarded(host)
    assert [entry for entry, _ in host.asked] == ["main:release", "main:confirm", "main:release"]
    assert host.asked[1][1]["forgets"] is True
    assert host.asked[-1][1] == {"role": "", "check": True}


@pytest.mark.parametrize("answers", [[LOST], [LOST, LOST, LOST]], ids=["once", "again and again"])
def test_a_release_whose_answers_were_lost_succeeds_if_check_mode_finds_no_more_changes(
    clock: Clock, answers: list[Exception]
) -> None:
    found = guarded(Host(clock, *answers, {"outcome": "unknown"}, {"outcome": "unchanged"}))
    assert (found["outcome"], found["changed"], found.get("failed")) == ("changed", True, None)
    assert "nothing is left to do" in found["notes"][0]


def test_a_release_with_an_unknown_outcome_is_reported_as_unknown(clock: Clock) -> None:
    host = Host(clock, LOST, {"outcome": "unknown"}, LOST)
    found = guarded(host)
    assert (found["outcome"], found["failed"]) == ("unconfirmed", True)
    assert "whether it finished is not known" in action("release")._summary(found, role="")


@pytest.mark.parametrize("check", [True, False])
def test_a_host_that_gives_no_prediction_is_not_released(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    arguments = {"role": "", "allow": "reload", "socket": ""}
    monkeypatch.setattr(ActionBase, "run", lambda *_, **__: {})
    monkeypatch.setattr(ActionBase, "validate_argument_spec", lambda *_, **__: (None, dict(arguments)))
    host = Host(clock, LOST)
    made = host.made("release")
    made._task = SimpleNamespace(check_mode=check, diff=False)
    with pytest.raises(AnsibleConnectionFailure):
        made.run(None, {})
    assert [asked["check"] for _, asked in host.asked] == [True]
