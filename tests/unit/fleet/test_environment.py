from __future__ import annotations

import os
import pwd
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from hardener.content import collections_path
from hardener.fleet.environment import environment, forks

PREFERRED = [
    "ANSIBLE_FORKS",
    "ANSIBLE_HOST_KEY_CHECKING",
    "ANSIBLE_HOST_PATTERN_MISMATCH",
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED",
    "ANSIBLE_INVENTORY_IGNORE_REGEX",
    "ANSIBLE_PIPELINING",
]


@pytest.fixture(autouse=True)
def nobodys_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def settings(present: dict[str, str], cwd: Path = Path("/nowhere")) -> dict[str, str]:
    return environment(present, cwd=cwd, spare=Path("/spare"))


def test_host_keys_are_checked_and_connections_pipelined() -> None:
    given = settings({})
    assert given["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert given["ANSIBLE_PIPELINING"] == "True"
    assert given["ANSIBLE_COLLECTIONS_PATH"].split(":")[0] == str(collections_path())


@pytest.mark.parametrize("name", PREFERRED)
def test_the_users_environment_has_precedence(name: str) -> None:
    assert name in settings({})
    assert name not in settings({name: "x"})


def test_a_single_request_leaves_no_connection_behind_and_uses_an_existing_one() -> None:
    once = environment({}, cwd=Path("/nowhere"), spare=Path("/spare"), one_request=True)["ANSIBLE_SSH_ARGS"]
    assert (
        "-o ControlMaster=no -o ControlPersist=" in once
    )  # Ansible names a socket where it reads ControlPersist
    assert "-o ControlMaster=auto" in settings({})["ANSIBLE_SSH_ARGS"]


def test_the_ansible_of_this_installation_comes_first_in_the_path() -> None:
    assert settings({"PATH": "/usr/bin"})["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"


def test_the_variable_user_is_set_to_the_user_of_the_process() -> None:
    assert settings({"USER": "somebody"})["USER"] == pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize(
    ("present", "changed"),
    [
        ({}, False),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({"LANG": "C.utf8"}, False),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "POSIX"}, True),
        ({"LC_CTYPE": "de_DE", "LANG": "de_DE.UTF-8"}, True),
    ],
)
def test_the_locale_has_an_encoding_that_ansible_accepts(present: dict[str, str], changed: bool) -> None:
    assert ("LC_ALL" in settings(present)) is changed


def test_forks_depend_on_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"kB": 0}
    monkeypatch.setattr(
        Path, "read_text", lambda *_, **__: f"MemTotal: 9 kB\nMemAvailable:  {free['kB']} kB\n"
    )
    for cores, free["kB"], expected in ((4, 10**7, 16), (4, 3 * 64 * 1024, 3), (4, 0, 1), (1000, 10**9, 100)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert forks() == expected


def test_without_proc_forks_have_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setattr(Path, "read_text", missing)
    assert forks() == 4


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[defaults]\nforks = 50\n", "ANSIBLE_FORKS"),
        ("[connection]\npipelining = False\n", "ANSIBLE_PIPELINING"),
        ("[inventory]\nignore_patterns = ^mine$\n", "ANSIBLE_INVENTORY_IGNORE_REGEX"),
        ("[defaults]\ninventory_ignore_patterns = ^mine$\n", "ANSIBLE_INVENTORY_IGNORE_REGEX"),
        ("[ssh_connection]\npipelining = False\n", "ANSIBLE_PIPELINING"),
        ("[inventory]\nhost_pattern_mismatch = warning\n", "ANSIBLE_HOST_PATTERN_MISMATCH"),
        ("[inventory]\nany_unparsed_is_failed = no\n", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"),
    ],
)
def test_the_users_ansible_cfg_has_precedence(tmp_path: Path, text: str, left: str) -> None:
    (tmp_path / "ansible.cfg").write_text(text)
    given = settings({}, tmp_path)
    assert {name for name in PREFERRED if name not in given} == {left}


def test_an_ansible_cfg_in_a_world_writable_folder_is_ignored(tmp_path: Path) -> None:
    """Ansible takes none from there either."""
    (tmp_path / "ansible.cfg").write_text("[inventory]\nany_unparsed_is_failed = no\n")
    tmp_path.chmod(0o1777)
    assert set(PREFERRED) <= set(settings({}, tmp_path))


@pytest.mark.parametrize(
    "name", ["ASK_PASS", "ASK_VAULT_PASS", "BECOME_ASK_PASS", "ENABLE_TASK_DEBUGGER", "NO_LOG"]
)
def test_settings_that_prompt_or_hide_output_are_disabled(name: str) -> None:
    assert settings({f"ANSIBLE_{name}": "True"})[f"ANSIBLE_{name}"] == "False"


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("waivers.yml", True),
        ("trust.yaml", True),
        ("attestations", True),
        ("hosts.yml", False),
        ("trusted.yml", False),
    ],
)
def test_files_of_decisions_are_not_part_of_the_inventory(tmp_path: Path, name: str, ignored: bool) -> None:
    pattern = settings({}, tmp_path)["ANSIBLE_INVENTORY_IGNORE_REGEX"]
    assert bool(re.search(pattern, name)) is ignored


def test_an_ansible_cfg_cannot_disable_the_check_of_host_keys(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nhost_key_checking = False\n")
    assert settings({}, tmp_path)["ANSIBLE_HOST_KEY_CHECKING"] == "True"


@pytest.mark.parametrize("named", ["other.cfg", "folder"])
def test_the_ansible_cfg_named_by_the_environment_has_precedence(tmp_path: Path, named: str) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "other.cfg", tmp_path / "folder" / "ansible.cfg"):
        path.write_text("[defaults]\nforks = 50\n")
    (tmp_path / "ansible.cfg").write_text("[connection]\npipelining = False\n")
    given = settings({"ANSIBLE_CONFIG": str(tmp_path / named)}, tmp_path)
    assert "ANSIBLE_FORKS" not in given
    assert "ANSIBLE_PIPELINING" in given


@pytest.mark.parametrize("text", ["no section = 1", "[defaults\n", "[defaults]\n%(x)s\n", "\x00"])
def test_a_broken_ansible_cfg_has_no_precedence(tmp_path: Path, text: str) -> None:
    (tmp_path / "ansible.cfg").write_text(text)
    assert set(PREFERRED) <= set(settings({}, tmp_path))


def test_ansible_keeps_its_files_in_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "ANSIBLE_HOME" not in settings({})


@pytest.mark.parametrize("home", ["/dev/null", "relative"])
def test_with_an_unwritable_home_ansible_keeps_its_files_in_a_spare_folder(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """A service's user, a container with a number for a user."""
    monkeypatch.setenv("HOME", home)
    assert settings({})["ANSIBLE_HOME"] == "/spare/ansible"
    assert settings({})["ANSIBLE_SSH_CONTROL_PATH_DIR"] == "/spare/cp"
    assert "ANSIBLE_HOME" not in settings({"ANSIBLE_HOME": "/mine"})


def test_a_user_without_name_and_home_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    given = settings({"ANSIBLE_CONFIG": "~/own.cfg"})
    assert given["ANSIBLE_HOME"] == "/spare/ansible"
    assert "USER" not in given
