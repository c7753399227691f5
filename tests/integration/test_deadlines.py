"""Every command that reaches hosts ends although one of them gives no answer, with the results of the others.

The commands are found by the structure of the command line: one that takes an inventory is in one of the two
tables here. What a host may do instead of an answer is in test_hostile_hosts.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import pytest
from click.testing import CliRunner

from hardener.cli import main
from hardener.errors import ExitCode
from hardener.history.home import Home
from hardener.history.journal import Journal
from hardener.workload.profile_document import Document, load
from tests import leftovers
from tests.integration.hostile_sshd import (
    HARDENER,
    SILENT,
    HostileSshd,
    answering,
    ssh_processes,
)
from tests.integration.sshd import Sshd, own_environment
from tests.unit.cli.bridges import ONLY, bridge
from tests.unit.cli.every_command import commands
from tests.unit.workload import profiles

SECONDS = 30  # the deadline, by Ansible's own setting, which a good host keeps on a busy machine too
POLICY = "registries: [{prefix: registry.example.com, nothing: true}]\n"
WAIVERS = """\
waivers:
  - id: W-1
    control: daemon-live-restore
    groups: [all]
    reason: It is replaced
    owner: team-web
    approved_by: J. Doe
    ticket: SEC-1
    created: {today}
    expires: {today}
"""

# What a good host answers, by the function that is called there.
_SCANNED = {"state": "clean", "reason": "", "scanned_at": "", "checked": 1, "packages": [], "more": 0}
_SEEN = {"began": 0, "ended": 1, "entries": [], "lost": {}, "deaf": [], "blind": [], "elsewhere": 0}
_IMAGE = {"id": "sha256:1", "status": "verified", "detail": "by a key", "rule": "registry.example.com"}
ANSWERS: dict[str, Any] = {
    "snapshot.main:collect": {
        "schema": "hardener/snapshot/2",
        "sources": {"hardener.runs": {"state": "ok", "data": {"runs": []}}},
    },
    "scan.main:scan": {
        "format": "hardener/scan/1",
        "scanned_at": "2026-11-28T04:00:00Z",
        "host": {**_SCANNED, "restarts": []},
        "images": {},
        "read": 0,
    },
    "activity.main:listen": {"version": "1", **_SEEN, "record": None, "record_problem": ""},
    "trust.main:verify": {
        "verified_at": "2026-11-28T04:00:00Z",
        "elapsed_ms": 1,
        "images": [{**_IMAGE, "names": ["registry.example.com/web:1"], "containers": []}],
    },
    "converge.main:rollback": {"outcome": "unchanged", "changed": False, "runs": []},
    "converge.main:release": {"outcome": "unchanged", "changed": False},
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that reaches hosts.

    Args:
        options: beside the inventory.
        result: a pattern of what is said of the good host; empty for a command that takes one host.
    """

    options: tuple[str, ...] = ()
    result: str = ""


_AUDITED = "controls on good: not in this snapshot"
REACH_HOSTS = {
    "activity": Command(("--for", "1s"), "good: observed for 1 s"),
    "audit": Command(result=_AUDITED),
    "drift": Command(("--against", "latest"), r"1 host compared: \d+ unchanged"),
    "harden": Command(result=_AUDITED),
    "plan": Command(result=r"good\s+Nothing fails\."),
    "provision": Command(result=_AUDITED),
    "release": Command(result="good: nothing to do"),
    "resume": Command(("latest",), "untouched: good\n"),  # by the inventory of its run
    "rollback": Command(result="good: there is no run to roll back"),
    "scan hosts": Command(result=r"good\s+the host\s+clean"),
    "scan images": Command(result=r"good\s+the host\s+clean"),
    "scan verify": Command(("--policy", "trust.yml"), "registry.example.com/web:1"),
    "workload audit": Command(result="good: engine could not be read: not in this snapshot"),
    "workload prove": Command(("profile", "--run-in", "web", "true")),
    "workload record": Command(("web", "--run-in", "web", "true")),
}
# Commands that only find what is known of an inventory.
CONTACT_NO_HOST = {
    "diff": (),
    "evidence export": ("latest", "--out", "bundle.tar.gz"),
    "report write": ("latest", "--report", "csv=-"),
    "runs baseline": ("latest",),
    "runs list": (),
    "runs trend": (),
    "show": ("latest",),
    "waivers lint": ("waivers.yml",),
    "runs forget": (),  # the last one: nothing is left for the others
}
AFTER = {"audit": "drift"}  # which compares with it
TWICE = ("resume", *AFTER)


@dataclass(frozen=True, slots=True)
class Later:
    """A command whose host answers at first, and then no more.

    Args:
        options: beside the inventory.
        answers: what it answers, by the function that is called there.
        said: a pattern of what is said of its end.
        code: the exit code.
    """

    options: tuple[str, ...]
    answers: Mapping[str, Any]
    said: str
    code: ExitCode = ExitCode.INCOMPLETE


def _begun(document: Document) -> dict[str, Any]:
    parts = {name: getattr(document, name).model_dump(mode="json") for name in ("container", "host")}
    return {"run": "f" * 16, "addresses": {}, "missing": [], "problems": [], **parts}


def later(profile: Path) -> dict[str, Later]:
    """Commands that ask a host again; for changes see tests/system/test_hostile_changes.py.

    Args:
        profile: a folder with a profile.
    """
    profiles.write(profile)
    begun = _begun(load(profile))
    audited, runs = bridge(icc=True).raw, ANSWERS["snapshot.main:collect"]["sources"]
    lost = r"hardener: error: silent: the host gave no answer"
    return {
        "plan": Later(
            ONLY,
            {"snapshot.main:collect": {**audited, "sources": {**audited["sources"], **runs}}},
            r"silent\s+no plan: the host gave no answer",
            ExitCode.CHANGE_FAILED,
        ),
        "workload prove": Later(REACH_HOSTS["workload prove"].options, {"record.prove:begin": begun}, lost),
        "workload record": Later(REACH_HOSTS["workload record"].options, {"record.main:begin": begun}, lost),
    }


@dataclass(frozen=True, slots=True)
class Site:
    """A folder with an inventory and a history of its own."""

    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.json"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def write(self, hosts: Mapping[str, Any]) -> None:
        """Make it, with all that the commands read."""
        (self.folder / "profile").mkdir(parents=True)
        profiles.write(self.folder / "profile")
        (self.folder / "trust.yml").write_text(POLICY)
        self.list(hosts)
        arguments = ["harden", "-i", str(self.inventory)]
        journal = Journal(
            Home(self.home),
            run="f" * 8,
            number=1,
            arguments=arguments,
            folder=str(self.folder),
            hosts=list(hosts),
        )
        journal.begin(list(hosts))
        journal.close(over=False)

    def list(self, hosts: Mapping[str, Any]) -> None:
        """Write the inventory."""
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))

    @property
    def asked(self) -> Path:
        """A file that the silent host makes."""
        return self.folder / "asked"

    def telling(self, code: str) -> str:
        """Code of a host that makes that file first."""
        return f"open({str(self.asked)!r}, 'w').close(); {code}"

    def run(
        self, name: str, gate: AbstractContextManager[Any], *, options: Sequence[str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that reaches hosts.

        Args:
            name: the command.
            options: beside the inventory.
            gate: is passed while it does more than wait for the silent host.
        """
        inventory = () if name == "resume" else ("-i", str(self.inventory))
        self.asked.unlink(missing_ok=True)
        with gate:
            process = self._started([*name.split(), *inventory, *options])
            while process.poll() is None and not self.asked.exists():
                time.sleep(0.05)
        try:
            stdout, stderr = process.communicate(timeout=240)
        finally:
            process.kill()
        return subprocess.CompletedProcess(name, process.returncode, stdout, stderr)

    def _started(self, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*HARDENER, *command],
            cwd=self.folder,
            env=own_environment(
                leftovers.folder("tmp"),  # the next run of the tests removes it
                ANSIBLE_FORKS="2",
                ANSIBLE_TASK_TIMEOUT=str(SECONDS),
                HARDENER_HOME=str(self.home),
                COLUMNS="200",
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


Ended = dict[str, subprocess.CompletedProcess[str]]


def site_of(name: str, tmp_path: Path) -> Site:
    first = next((first for first, after in AFTER.items() if after == name), name)
    return Site(tmp_path / first.replace(" ", "_"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def ended(sshd: Sshd, folder: Path) -> Ended:
    """Every command after it has run: they begin one after another, and wait together."""
    hostile = HostileSshd(sshd)
    answers = answering(ANSWERS)
    # Those that wait twice begin first.
    firsts = [*TWICE, *(name for name in REACH_HOSTS if name not in (*TWICE, *AFTER.values()))]
    for name in firsts:
        site = site_of(name, folder)
        known = site.folder.name
        good = {"good": hostile.host(f"{known}_good", answers)} if REACH_HOSTS[name].result else {}
        site.write({**good, "silent": hostile.host(f"{known}_silent", site.telling(SILENT))})
    gate = BoundedSemaphore(os.cpu_count() or 1)

    def work(first: str) -> Ended:
        names = [first, *([AFTER[first]] if first in AFTER else [])]
        return {
            name: site_of(name, folder).run(name, gate, options=REACH_HOSTS[name].options) for name in names
        }

    with ThreadPoolExecutor(len(firsts)) as pool:
        return {name: each for found in pool.map(work, firsts) for name, each in found.items()}


def test_the_tests_cover_every_command_that_takes_an_inventory() -> None:
    taking = {
        " ".join(words)
        for words, command in commands()
        if any(parameter.name == "inventory" for parameter in command.params)
    }
    assert taking | {"resume"} == REACH_HOSTS.keys() | CONTACT_NO_HOST.keys()
    assert REACH_HOSTS.keys() & CONTACT_NO_HOST.keys() == set()


@pytest.mark.parametrize("name", REACH_HOSTS)
def test_a_command_ends_although_a_host_gives_no_answer(
    name: str, ended: Ended, sshd: Sshd, folder: Path
) -> None:
    found = ended[name]
    said = found.stdout + found.stderr
    assert "Traceback" not in said
    waited = re.search(r"silent: (?:unreachable: )?the host gave no answer within (\d+) s\n", found.stderr)
    assert waited, said
    assert 0 < int(waited[1]) <= SECONDS  # the task may begin with work on this machine
    assert "good: unreachable" not in said
    assert re.search(REACH_HOSTS[name].result, said), said
    changes = name in {"harden", "plan", "provision", "release", "resume", "rollback"}
    assert found.returncode == (ExitCode.CHANGE_FAILED if changes else ExitCode.INCOMPLETE), said
    assert ssh_processes(f"{sshd.root}/cp-{site_of(name, folder).folder.name}_silent") == []


@pytest.mark.parametrize("name", CONTACT_NO_HOST)
def test_a_command_that_needs_no_host_contacts_none(
    name: str, ended: Ended, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ended
    site = site_of("audit", folder)
    (site.folder / "waivers.yml").write_text(WAIVERS.format(today=datetime.now(UTC).date()))
    monkeypatch.chdir(site.folder)
    monkeypatch.setenv("HARDENER_HOME", str(site.home))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = {"ansible_host": "127.0.0.1", "ansible_port": server.getsockname()[1]}
        site.list({"good": address, "silent": address})
        done = CliRunner().invoke(main, [*name.split(), "-i", str(site.inventory), *CONTACT_NO_HOST[name]])
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert done.exit_code == ExitCode.COMPLIANT, done.output


@pytest.mark.slow
def test_a_command_ends_although_a_host_gives_no_further_answer(sshd: Sshd, tmp_path: Path) -> None:
    hostile = HostileSshd(sshd)
    gate = BoundedSemaphore(os.cpu_count() or 1)
    (tmp_path / "profile").mkdir()
    tried = later(tmp_path / "profile")

    def work(name: str) -> subprocess.CompletedProcess[str]:
        site, each = site_of(name, tmp_path), tried[name]
        late = site.telling(answering(each.answers))
        site.write({"silent": hostile.host(f"{site.folder.name}_late", late)})
        return site.run(name, gate, options=each.options)

    with ThreadPoolExecutor(len(tried)) as pool:
        found = dict(zip(tried, pool.map(work, tried), strict=True))
    for name, done in found.items():
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        assert re.search(tried[name].said, said), said
        assert done.returncode == tried[name].code, said
        assert ssh_processes(f"{sshd.root}/cp-{site_of(name, tmp_path).folder.name}_late") == []
