from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from hardener.content import content_dir
from hardener.errors import HardenerError, InternalError
from hardener.fleet import Credentials, Execution, Fleet, Job, ansible_version, local


class Kept:
    """An executor that keeps the job, and gives the options of ansible-runner for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: dict[str, Any] = {}

    def start(self, job: Job) -> Execution:
        own = Path(mkdtemp(dir=self.folder))  # each run has a folder of its own
        self.options = local.options(own, job=job)
        return local.LocalExecutor().start(job)


def options(
    folder: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    check: bool = False,
    diff: bool = False,
    **given: Any,
) -> dict[str, Any]:
    kept = Kept(folder)
    fleet = Fleet(**{"inventory": "db01,", **given}, executor=kept)
    part = fleet if only is None else fleet.only(only)
    part.run("audit", variables=variables or {}, check=check, diff=diff)
    return kept.options


def flags(given: dict[str, Any]) -> list[str]:
    return shlex.split(given["cmdline"] or "")


def test_our_playbook_runs_on_the_users_inventory(tmp_path: Path) -> None:
    given = options(tmp_path, inventory="db01,db02", limit="db*")
    assert given["playbook"] == str(content_dir() / "playbooks" / "audit.yml")
    assert (given["inventory"], given["limit"]) == (["db01,db02"], "db*")
    assert flags(given) == []


def test_ansible_runs_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that ./ansible.cfg, and paths in it, mean what they mean for ansible-playbook."""
    monkeypatch.chdir(tmp_path)
    assert options(tmp_path)["project_dir"] == str(tmp_path)


def test_variables_are_passed_in_a_file(tmp_path: Path) -> None:
    """A plan for a thousand hosts is longer than an argument may be."""
    variables = {"hardener_plan": {f"host{number}": ["docker_daemon"] for number in range(10_000)}}
    given = options(tmp_path, variables=variables)
    path = Path(given["extravars"])
    assert path.parent.parent == tmp_path
    assert path.stat().st_size > 128 * 1024


def test_variables_are_not_templated(tmp_path: Path) -> None:
    """A folder may be called like one, and what is read from it would run here."""
    name = "{{ lookup('pipe', 'id') }}"
    variables = {"a": name, "b": [name, 1], "c": {name: name}, "d": None, "e": True}
    given = options(tmp_path, variables=variables)
    literal = {"__ansible_unsafe": name}
    assert json.loads(Path(given["extravars"]).read_text()) == {
        "a": literal,
        "b": [literal, 1],
        "c": {name: literal},
        "d": None,
        "e": True,
    }


def test_check_mode_and_diff_are_passed_to_ansible(tmp_path: Path) -> None:
    assert flags(options(tmp_path, check=True, diff=True)) == ["--check", "--diff"]
    assert flags(options(tmp_path, diff=True)) == ["--diff"]


def test_passwords_are_passed_only_as_answers_to_prompts(tmp_path: Path) -> None:
    credentials = Credentials(become_password="s3cret", vault_password="v4ult")
    given = options(tmp_path, credentials=credentials)
    assert flags(given) == ["--ask-become-pass", "--ask-vault-pass"]
    assert set(given.pop("passwords").values()) == {"s3cret", "v4ult"}
    assert "s3cret" not in str(given)
    assert "v4ult" not in str(given)
    assert "s3cret" not in repr(credentials)
    assert not any("s3cret" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_an_empty_password_is_passed_to_ansible(tmp_path: Path) -> None:
    given = options(tmp_path, credentials=Credentials(become_password=""))
    assert flags(given) == ["--ask-become-pass"]


def test_a_vault_password_file_may_have_any_name(tmp_path: Path) -> None:
    credentials = Credentials(vault_password_file=Path("my vault; rm -rf"))
    given = options(tmp_path, credentials=credentials)
    assert flags(given) == ["--vault-password-file", "my vault; rm -rf"]


def test_a_missing_inventory_is_refused_before_anything_starts() -> None:
    with pytest.raises(HardenerError, match="does not exist"):
        Fleet(inventory="nowhere")


def test_missing_ansible_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "ansible", raising=False)
    with pytest.raises(InternalError, match="ansible-core is missing"):
        Fleet(inventory="db01,").run("audit", variables={})


def test_the_version_of_ansible_is_read() -> None:
    assert ansible_version().startswith("2.")


def test_a_folder_of_artifacts_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fleet = Fleet(inventory="db01,", artifacts=tmp_path / "file" / "kept")
    with pytest.raises(HardenerError, match=r"cannot keep artifacts in .*/file/kept: Not a directory"):
        fleet.run("audit", variables={})


def test_a_removed_current_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(HardenerError, match="cannot work in the current folder: No such file"):
        Fleet(inventory="db01,")


NAMES = ("web1", "!web1", "&web1", "~web1", "@web1", "web[0]", "web*", "2001:db8::1", "web1,web2", "ü")
ODD = ("a\nb", "a\rb", "nb", "a\x85b", " a", "a ", "a b", "~a b\n", "\\n", "\ta")


def test_a_part_of_the_fleet_has_exactly_the_chosen_hosts(tmp_path: Path) -> None:
    """Whatever they are called: Ansible takes some names for patterns."""
    inventory = InventoryManager(loader=DataLoader(), sources=["db01,"])
    for name in (*NAMES, *ODD):
        inventory.add_host(name)
    inventory.reconcile_inventory()
    for name in (*NAMES, *ODD):
        inventory.subset(options(tmp_path, limit="no-such-host", only=[name])["limit"])
        assert [str(host) for host in inventory.get_hosts("all")] == [name]


def test_a_fleet_with_fewer_hosts_leaves_the_original_unchanged(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    whole = Fleet(inventory="db01,db02", limit="db*", executor=kept)
    whole.only([f"host{number}" for number in range(30_000)]).run("audit", variables={})
    file = Path(kept.options["limit"].removeprefix("@"))
    assert len(file.read_text().split("\n")) == 30_000
    whole.run("audit", variables={})
    assert kept.options["limit"] == "db*"
