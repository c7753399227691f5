from __future__ import annotations

import glob
import grp
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import group
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.group import GroupMembers
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused

from tests.unit.plugins.module_utils.converge.host import Host


class Accounts:
    """A host's accounts, and a gpasswd that changes them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.members = ["alice", "eve", "bob"]
        self.by_directory: list[str] = []
        self.primary: list[str] = []
        self.accounts = {"alice": 1000, "eve": 1001, "bob": 1002}
        self.refuses = ""
        self.write()

    def write(self) -> None:
        self.file.write_text(f"root:x:0:\ndocker:x:103:{','.join(self.members)}\n")

    def must(self, *command: str) -> str:
        program, option, end, name = command
        assert (program, end, name) == ("gpasswd", "--", "docker")
        action, _, user = option.partition("=")
        if user == self.refuses:
            raise Failed(f"gpasswd: {user} is not known")
        if action == "--delete":
            self.members.remove(user)
        else:
            assert action == "--add"
            self.members.append(user)
        self.write()
        return ""

    def group(self, _: str) -> Any:
        return SimpleNamespace(gr_gid=103, gr_mem=[*self.members, *self.by_directory])

    def everybody(self) -> list[Any]:
        return [
            SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=103 if name in self.primary else 1000)
            for name, uid in self.accounts.items()
        ]

    def by_name(self, name: str) -> Any:
        return (
            next(user for user in self.everybody() if user.pw_name == name)
            if name in self.accounts
            else _none()
        )

    def by_number(self, uid: int) -> Any:
        return next((user for user in self.everybody() if user.pw_uid == uid), None) or _none()


def _none() -> Any:
    raise KeyError


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    made = Accounts(tmp_path / "group")
    monkeypatch.setattr(group, "_GROUPS", str(made.file))
    monkeypatch.setattr(glob, "glob", lambda _: sorted(str(path) for path in tmp_path.glob("*.status")))
    monkeypatch.setattr(grp, "getgrnam", made.group)
    monkeypatch.setattr(pwd, "getpwall", made.everybody)
    monkeypatch.setattr(pwd, "getpwnam", made.by_name)
    monkeypatch.setattr(pwd, "getpwuid", made.by_number)
    monkeypatch.setattr(system, "must", made.must)
    monkeypatch.setattr(system, "installed", lambda _: True)
    return made


@pytest.fixture
def prepared(host: Host, accounts: Accounts) -> Callable[..., GroupMembers]:
    def make(*members: str, check: bool = False) -> GroupMembers:
        activation = GroupMembers({"when": [], "group": "docker", "members": list(members)}, check=check)
        activation.prepare(host.plan())
        return activation

    return make


Prepared = Callable[..., GroupMembers]


def test_unapproved_members_are_removed_and_an_undo_adds_them_again(
    prepared: Prepared, accounts: Accounts
) -> None:
    activation = prepared("alice")
    assert activation.describe() == {
        "name": "group-members",
        "action": "take eve, bob out of the group docker",
        "why": ["eve is not approved", "bob is not approved"],
    }
    activation.perform()
    assert accounts.members == ["alice"]
    assert activation.problems() == []
    assert not prepared("alice").due

    another = GroupMembers({"when": [], "group": "docker", "members": ["alice"]})  # maybe the next run's
    another.memory = activation.memory
    assert another.undo() == []
    assert sorted(accounts.members) == ["alice", "bob", "eve"]


def test_an_approved_user_is_not_added_and_root_is_not_removed(
    prepared: Prepared, accounts: Accounts
) -> None:
    accounts.members = ["root"]
    accounts.write()
    assert not prepared("alice").due


def test_an_interrupted_run_has_stored_the_removed_members(prepared: Prepared, accounts: Accounts) -> None:
    activation = prepared()
    saved: list[list[str]] = []
    activation.save = lambda: saved.append(list(activation.memory["removed"]))
    accounts.refuses = "eve"
    with pytest.raises(Failed):
        activation.perform()
    assert saved == [["alice"], ["alice", "eve"]]
    assert activation.undo() == []
    assert accounts.members == ["eve", "bob", "alice"]


def test_a_removed_account_is_not_added_again(prepared: Prepared, accounts: Accounts) -> None:
    activation = prepared("alice", "bob")
    activation.perform()
    del accounts.accounts["eve"]
    assert activation.undo() == []
    assert accounts.members == ["alice", "bob"]


def test_a_primary_group_is_kept_and_reported(prepared: Prepared, accounts: Accounts) -> None:
    accounts.members, accounts.primary, accounts.by_directory = [], ["eve"], ["ldapuser"]
    accounts.write()
    activation = prepared("alice")
    assert not activation.due
    assert "docker is the primary group of eve" in activation.pending[0]
    assert "ldapuser is in the group docker through a directory service" in activation.pending[1]
    assert prepared("eve", "ldapuser").pending == []


def test_running_sessions_that_keep_the_group_are_reported(
    prepared: Prepared, accounts: Accounts, tmp_path: Path
) -> None:
    def process(number: int, uid: int, groups: str, pids: str) -> None:
        (tmp_path / f"{number}.status").write_text(
            f"Uid:\t{uid}\t0\nGid:\t7\t7\nGroups:\t{groups}\nNSpid:\t{pids}\n"
        )

    process(1, 1001, "4 103", "1")  # eve's
    process(2, 1001, "103", "2")
    process(3, 1001, "4", "3")  # without the group
    process(4, 1000, "103", "4")  # alice's, approved
    process(5, 0, "103", "5")  # root's
    process(6, 1002, "103", "6\t1")  # in a container, where the numbers mean other people
    activation = prepared("alice", "bob")
    wanted = "eve is still in the group docker in 2 running processes: end the session, or the service"
    assert activation.pending == [wanted]
    activation.perform()
    assert activation.problems() == []
    assert activation.pending == [wanted]


def test_a_run_without_gpasswd_is_refused_except_in_check_mode(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "installed", lambda _: False)
    assert prepared("alice", check=True).due
    with pytest.raises(Refused, match="gpasswd is not installed"):
        prepared("alice")


def test_a_group_name_cannot_be_an_option(host: Host) -> None:
    with pytest.raises(Refused, match="is not the name of a group"):
        GroupMembers({"when": [], "group": "--root", "members": []}).prepare(host.plan())


def test_a_release_adds_the_removed_members_that_still_have_an_account(
    host: Host, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.members = ["alice"]
    accounts.write()
    begun = [
        Begun({"when": []}, {"group": "docker", "removed": ["eve", "gone", "back"], "added": []}),
        Begun({"when": []}, {"group": "docker", "removed": ["bob"], "added": ["back"]}),
    ]
    settings, kept, left = GroupMembers.former(begun)
    assert (settings, kept, left) == (
        {"when": [], "group": "docker", "restored": ["eve", "gone", "bob"]},
        (),
        [],
    )
    activation = GroupMembers(settings or {})
    activation.prepare(host.plan())
    assert activation.reasons == ["eve was in the group", "bob was in the group"]
    assert activation.problems() == ["eve is not in the group docker", "bob is not in the group docker"]
    activation.perform()
    assert (accounts.members, activation.problems()) == (["alice", "eve", "bob"], [])

    another = GroupMembers({"when": [], "group": "docker"})
    another.memory = activation.memory
    assert (another.undo(), accounts.members) == ([], ["alice"])

    monkeypatch.setattr(system, "installed", lambda _: False)
    assert GroupMembers.former(begun[1:]) == (
        None,
        (),
        ["bob stays out of the group docker: gpasswd is not installed"],
    )


def test_a_release_after_a_change_of_the_group_restores_the_last_group(accounts: Accounts) -> None:
    begun = [
        Begun({}, {"group": name, "removed": [user]}) for name, user in (("old", "eve"), ("docker", "bob"))
    ]
    settings, _, left = GroupMembers.former(begun)
    assert settings == {"when": [], "group": "docker", "restored": ["bob"]}
    assert left == ["eve stays out of the group old"]


@pytest.mark.parametrize("group", ["--root", "", "docker --"])
def test_a_group_with_an_invalid_name_is_not_released(accounts: Accounts, group: str) -> None:
    assert GroupMembers.former([Begun({}, {"group": group, "removed": ["eve"]})]).settings is None


def test_accounts_that_joined_after_the_first_run_are_not_added_again(
    prepared: Prepared, accounts: Accounts
) -> None:
    first = prepared("alice").found(())
    assert first == {"docker": ["alice", "eve", "bob"]}
    assert prepared("alice").found(["docker"]) == {}
    memory = {"group": "docker", "removed": ["eve", "mallory"], "added": []}
    assert GroupMembers.as_found(memory, first) == {**memory, "removed": ["eve"]}
    assert GroupMembers.as_found(memory, {"other": []}) == memory
