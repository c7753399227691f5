"""Root on the host ends the attempts to roll a run back, by the program that a person runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import abandon as ending
from ansible_collections.hardener.docker.plugins.module_utils.converge import guard, history, rollback
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal

from tests.unit.plugins.module_utils.converge.guarded import Systemd, change, let_time_pass
from tests.unit.plugins.module_utils.converge.host import Host

pytestmark = pytest.mark.usefixtures("missing")


def failing(host: Host) -> str:
    """A run that cannot be rolled back, since what x held is gone."""
    host.write("x", "old")
    run = str(change(host)["run"])
    let_time_pass(host)
    (Path(host.store.backup_folder(run)) / "files" / "0").unlink()
    journal = Journal.find(host.store)
    assert journal is not None
    assert rollback.finished(host.store, journal, "no ssh")["outcome"] == "rollback_failed"
    return run


def program(host: Host, run: str) -> str:
    return str(Path(host.store.backup_folder(run), "guard.pyz"))


def abandon(host: Host, run: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, program(host, run), "abandon"]
    environment = {"SUDO_USER": "ada", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


def test_abandon_ends_the_run_and_lists_paths_that_were_not_restored(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    command = guard.abandoning(host.store.backup_folder(run))
    assert command == f"{sys.executable} {host.store.backup_folder(run)}/guard.pyz abandon"
    done = abandon(host, run)
    lost = Path(host.store.backup_folder(run), "files", "0")
    remains = f"{host.path('x')}: {lost}: No such file or directory"
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"run {run} will no longer be rolled back, and these parts of it remain:\n  {remains}\n"
    )
    record = host.store.record(run)
    assert (record["outcome"], record["problems"]) == ("abandoned", [remains])
    assert record["reason"] == "no ssh; ended on the host by ada"
    assert Journal.find(host.store) is None
    assert not guard.stored(host.store.backup_folder(run))
    hidden = [path for path in host.folder.rglob(".*") if path.name.endswith("~")]
    assert (hidden, host.read("x")) == ([], "new")


def test_an_abandoned_run_allows_new_runs_and_can_be_rolled_back_later(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    with pytest.raises(Refused, match=f"run {run} was interrupted and cannot be rolled back.*pyz abandon"):
        host.converge(host.file("y", "another"))
    abandon(host, run)
    assert host.converge(host.file("y", "another"))["outcome"] == "changed"
    (Path(host.store.backup_folder(run)) / "files" / "0").write_text("old")
    assert history.back_to(host.store, before=run, who="", check=False)["outcome"] == "changed"
    assert host.read("x") == "old"


@pytest.mark.parametrize("harm", ["the journal", "the manifest"])
def test_abandon_ends_a_run_with_a_damaged_backup(host: Host, systemd: Systemd, harm: str) -> None:
    run = failing(host)
    manifest = Path(host.store.backup_folder(run)) / "manifest.json"
    damaged = Path(host.store.journal_file) if harm == "the journal" else manifest
    damaged.write_text("{")
    done = abandon(host, run)
    assert done.returncode == 0, done.stderr
    (problem,) = host.store.record(run)["problems"]
    assert f"{damaged} cannot be read" in problem
    assert host.store.record(run)["outcome"] == "abandoned"
    assert not Path(host.store.journal_file).exists()
    assert not guard.stored(host.store.backup_folder(run))


def test_abandon_refuses_a_run_whose_rollback_has_not_failed(host: Host, systemd: Systemd) -> None:
    host.write("x", "old")
    run = str(change(host)["run"])
    done = abandon(host, run)
    assert done.returncode == 1
    assert f"run {run} cannot be ended: it is unconfirmed for another 1" in done.stderr
    assert (host.read("x"), Journal.find(host.store) is not None) == ("new", True)


def test_abandon_of_an_ended_run_only_removes_the_program_of_its_guard(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    script = Path(program(host, run))
    kept = script.read_bytes()
    journal = Journal.find(host.store)
    assert journal is not None
    rollback.end(host.store, journal)
    script.write_bytes(kept)
    assert (abandon(host, run).returncode, script.exists()) == (0, False)
    assert host.store.record(run)["outcome"] == "rollback_failed"


def test_abandon_removes_the_units_of_the_guard(host: Host, systemd: Systemd) -> None:
    run = failing(host)
    before = len(systemd.said)
    ending.abandon(program(host, run))
    names = [f"hardener-guard-{run}.timer", f"hardener-guard-{run}.service"]
    assert ["systemctl", "stop", "--", *names] in systemd.said[before:]
    assert list(systemd.units.iterdir()) == []


def test_abandon_requires_root(host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    run = failing(host)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="only root"):
        ending.abandon(program(host, run))
