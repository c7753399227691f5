from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.audit import (
    AuditRulesLoad,
    audit_rule,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import (
    Activation,
    Begun,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused

from tests.unit.plugins.module_utils.converge.host import Host


def outcomes(answers: Mapping[tuple[str, str], system.Outcome]) -> Callable[..., system.Outcome]:
    def run(*command: str, **_: object) -> system.Outcome:
        return answers[command[0], command[1]]

    return run


STATUS = ("auditctl", "-s")
LIST = ("auditctl", "-l")
RULE = "-a always,exit -F arch=b64 -F dir=/etc/docker -F perm=wa -F key=docker"


def audit(
    monkeypatch: pytest.MonkeyPatch, loaded: str = "No rules", status: str = "enabled 1\nfailure 1\n"
) -> None:
    answers = {STATUS: system.Outcome(0, status, ""), LIST: system.Outcome(0, loaded, "")}
    monkeypatch.setattr(system, "run", outcomes(answers))
    monkeypatch.setattr(system, "installed", lambda _: True)


def prepared(activation: Activation, host: Host) -> Activation:
    activation.prepare(host.plan())
    return activation


def audit_load(check: bool = False) -> AuditRulesLoad:
    return AuditRulesLoad({"when": [], "rules": [RULE]}, check=check)


def test_rules_missing_in_the_kernel_are_loaded_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    audit(monkeypatch)
    assert prepared(audit_load(), host).reasons == [f"not loaded: {RULE}"]
    audit(monkeypatch, loaded="-w /etc/docker/ -p x -k docker\n")
    assert prepared(audit_load(), host).due
    audit(monkeypatch, loaded="-w /etc/docker/ -p rwa -k docker\n")
    assert not prepared(audit_load(), host).due


def test_locked_audit_rules_are_reported_as_pending_until_the_next_boot(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(monkeypatch, status="enabled 2\nfailure 1\n")
    activation = prepared(audit_load(), host)
    assert not activation.due
    assert "locked: the new ones take effect at the next boot" in activation.pending[0]


def test_a_failure_mode_that_panics_is_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    audit(monkeypatch, status="enabled 1\nfailure 2\n")
    assert "would panic this host" in prepared(audit_load(), host).pending[0]


@pytest.mark.parametrize(
    ("name", "text", "loads"),
    [
        ("audit.rules", "## delete all\n-D\n-b 8192\n", True),
        ("10-site.rules", "-w /etc/passwd -p wa\n  -D \n", True),
        ("10-site.rules", "-w /etc/passwd -p wa\n-D\r\n", True),
        ("10-site.rules", "-D -k site\n-w /etc/passwd -p wa\n", False),
        ("10-site.rules", "# -D\n-w /etc/passwd -p wa -D\n", False),
        ("audit.rules.prev", "-D\n", False),
    ],
)
def test_rules_are_refused_if_no_file_deletes_the_former_ones(
    host: Host, monkeypatch: pytest.MonkeyPatch, name: str, text: str, loads: bool
) -> None:
    audit(monkeypatch)
    host.write(name, text)
    activation = AuditRulesLoad({"when": [host.path("50-docker.rules")], "rules": [RULE]})
    if loads:
        assert prepared(activation, host).due
    else:
        with pytest.raises(Refused, match=r"no rules file in .* has a line -D"):
            prepared(activation, host)


def test_a_kernel_without_audit_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {STATUS: system.Outcome(1, "", "Error - audit support not in kernel")}
    monkeypatch.setattr(system, "run", outcomes(answers))
    monkeypatch.setattr(system, "installed", lambda _: True)
    with pytest.raises(Refused, match=r"cannot be used here .*audit support not in kernel"):
        prepared(audit_load(), host)


def test_before_the_audit_daemon_is_installed_check_mode_predicts_the_load(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "installed", lambda _: False)
    assert prepared(audit_load(check=True), host).due
    with pytest.raises(Refused, match="install the audit daemon"):
        prepared(audit_load(), host)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RULE, "-w /etc/docker -p wa -k docker"),
        (RULE, "-w /etc/docker/ -p wa -k docker"),
        (RULE, "-a always,exit -S open,openat -F dir=/etc/docker -F perm=wa -F key=docker"),
        (RULE, "-a exit,always -F arch=b64 -F dir=/etc/docker -F perm=wa -k docker"),
    ],
)
def test_a_rule_is_recognised_in_every_output_of_auditctl(one: str, other: str) -> None:
    assert audit_rule(other).includes(audit_rule(one))


@pytest.mark.parametrize(
    "other",
    [
        "-w /etc/docker -p x -k docker",
        RULE.replace("perm=wa", "perm=w"),
        RULE.replace("arch=b64", "arch=b32"),
        RULE.replace("always", "never"),
        RULE.replace("/etc/docker", "/etc/docker2"),
        RULE.replace("key=docker", "key=other"),
    ],
)
def test_different_rules_are_not_equal(other: str) -> None:
    assert not audit_rule(other).includes(audit_rule(RULE))


def test_a_release_loads_the_restored_rules_if_audit_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = [Begun({"when": ["/a", "/b"], "rules": [RULE]}, {}), Begun({"when": ["/b", "/c"]}, {})]
    monkeypatch.setattr(system, "installed", lambda _: True)
    assert AuditRulesLoad.former(begun) == ({"when": ["/a", "/b", "/c"]}, (), ())
    monkeypatch.setattr(system, "installed", lambda _: False)
    assert AuditRulesLoad.former(begun).settings is None
