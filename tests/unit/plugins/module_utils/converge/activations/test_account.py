from __future__ import annotations

import grp
import pwd

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.account import Account
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused

from tests.unit.plugins.module_utils.converge.host import Host

Calls = list[tuple[str, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    found: Calls = []
    names: set[str] = set()

    def must(*command: str) -> str:
        found.append(command)
        names.add(command[-1]) if command[0] == "useradd" else names.remove(command[-1])
        return ""

    def by_name(name: str) -> str:
        return {each: each for each in names}[name]

    monkeypatch.setattr(pwd, "getpwnam", by_name)
    monkeypatch.setattr(grp, "getgrnam", by_name)
    monkeypatch.setattr(system, "must", must)
    monkeypatch.setattr(system, "installed", lambda _: True)
    monkeypatch.setattr(system, "read", lambda _: "kept:100000:65536\n")
    return found


@pytest.mark.parametrize(("user", "removed"), [("ns", True), ("kept", False)])
def test_an_account_is_created_once_and_removed_by_a_rollback(
    host: Host, calls: Calls, user: str, removed: bool
) -> None:
    activation = Account({"user": user})
    activation.prepare(host.plan())
    assert activation.reasons == [f"the account {user} does not exist"]
    activation.perform()
    assert (calls[0][:3], calls[0][-1]) == (("useradd", "--system", "--user-group"), user)
    again = Account({"user": user})
    again.prepare(host.plan())
    assert not again.due
    assert Account.former([Begun({}, activation.memory)]).left == [
        f"the account {user} stays: userdel removes it"
    ]
    assert activation.undo() == []
    assert (calls[1:] == [("userdel", "--", user)]) is removed
    assert again.undo() == []


def test_a_run_without_useradd_or_a_valid_name_is_refused(
    host: Host, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="is not the name of an account"):
        Account({"user": "-x"}).prepare(host.plan())
    monkeypatch.setattr(system, "installed", lambda _: False)
    Account({"user": "ns"}, check=True).prepare(host.plan())
    with pytest.raises(Refused, match="useradd is not installed"):
        Account({"user": "ns"}).prepare(host.plan())
    assert calls == []
