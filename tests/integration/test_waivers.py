"""Waivers with a real Ansible: the groups of an inventory, the files beside it, secrets within."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
TODAY = datetime.now(UTC).date()
# Any host has its kernel's settings, with or without an engine, and nobody has them all by chance.
CONTROL = "host-kernel-settings"

Hardener = Callable[..., subprocess.CompletedProcess[str]]

INVENTORY = {
    "all": {
        "children": {
            "web": {"hosts": {"here": {"ansible_connection": "local"}}},
            "edge": {"children": {"web": {}}},
            "empty": {"hosts": {}},
        }
    }
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An inventory that is a folder, with evidence in it that names no host of ours."""
    folder = tmp_path / "inventory"
    (folder / "group_vars" / "web").mkdir(parents=True)
    (folder / "attestations").mkdir()
    (folder / "attestations" / "notes").write_text("no-host-of-ours\n")
    (folder / "hosts.yml").write_text(json.dumps(INVENTORY))
    return folder


@pytest.fixture
def hardener(tmp_path: Path) -> Hardener:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hardener", *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def waive(folder: Path, hosts: str = "", groups: str = "") -> Path:
    path = folder / "waivers.yml"
    path.write_text(
        f"waivers:\n  - id: W-001\n    control: {CONTROL}\n    hosts: [{hosts}]\n    groups: [{groups}]\n"
        "    reason: r\n    owner: o\n    approved_by: a\n    ticket: t\n"
        f"    created: {TODAY}\n    expires: {TODAY + timedelta(days=90)}\n"
    )
    return path


def encrypt(folder: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("v4ult")
    secret = folder / "group_vars" / "web" / "secret.yml"
    secret.write_text("secret: true\n")
    subprocess.run(
        [BIN / "ansible-vault", "encrypt", "--vault-password-file", password, secret],
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize(("groups", "status"), [("edge", "waived"), ("empty", "fail"), ("all", "waived")])
def test_a_waiver_for_a_group_applies_only_to_hosts_in_this_group(
    hardener: Hardener, folder: Path, tmp_path: Path, groups: str, status: str
) -> None:
    waive(folder, groups=groups)
    report, snapshots = tmp_path / "report.json", tmp_path / "snapshots"
    keep = ("--snapshots", str(snapshots), "--json", str(report))
    result = hardener("audit", "-i", str(folder), "--only", CONTROL, *keep)
    assert result.returncode == (0 if status == "waived" else 3), result.stderr
    (host,) = json.loads(report.read_text())["hosts"]
    assert host["host"] == "here"
    assert host["findings"][0]["status"] == status
    (snapshot,) = snapshots.iterdir()
    assert json.loads(snapshot.read_text())["inventory_groups"] == ["edge", "web"]
    # The same without Ansible, years later.
    again = hardener("assess", str(snapshots), "--only", CONTROL, "--waivers", str(folder / "waivers.yml"))
    assert again.returncode == result.returncode


def test_lint_checks_names_of_an_encrypted_inventory_without_its_secrets(
    hardener: Hardener, folder: Path, tmp_path: Path
) -> None:
    encrypt(folder, tmp_path)
    path = waive(folder, hosts="here, mail1", groups="edge, empty, all, weeb")
    result = hardener("waivers", "lint", str(path), "-i", str(folder))
    assert result.returncode == 2, result.stderr
    assert result.stdout == (
        f"{path}:4: hosts: no host of the inventory matches mail1\n"
        f"{path}:5: groups: the inventory has no group weeb; did you mean web?\n"
    )
    assert (
        hardener(
            "waivers", "lint", str(waive(folder, hosts="h*", groups="web")), "-i", str(folder)
        ).returncode
        == 0
    )


def test_lint_of_an_invalid_inventory_gives_the_reason(hardener: Hardener, folder: Path) -> None:
    path = waive(folder, hosts="here")
    (folder / "hosts.yml").write_text("all: [")
    result = hardener("waivers", "lint", str(path), "-i", str(folder))
    assert result.returncode == 2
    assert "hosts.yml" in result.stderr
    assert len(result.stderr.splitlines()) == 1
