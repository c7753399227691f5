"""A fleet of hosts in namespaces, and control nodes that change it by the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from hardener import lab
from hardener.history.home import Home
from hardener.history.journal import Unfinished, unfinished_runs

ICC = ("--only", "daemon-icc-disabled")
BACK = ("rolled_back", "partly_rolled_back")  # outcomes of a transaction that does not stand
_RECORDS = """
import json, pathlib
files = sorted(pathlib.Path("/var/lib/hardener/backups").glob("*/result.json"))
records = [json.loads(each.read_text()) for each in files]
print(json.dumps([[each.get("number"), each.get("outcome")] for each in records]))
"""


class Fleet:
    """The hosts, in the order of their inventory, and control nodes with a history of their own."""

    def __init__(self, hosts: Sequence[lab.Guest], folder: Path) -> None:
        self.hosts = list(hosts)
        self.inventory = folder / "inventory.yml"
        self._folder = folder
        every = [yaml.safe_load(host.inventory.read_text()) for host in hosts]
        merged = {name: each for one in every for name, each in one["all"]["hosts"].items()}
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": merged}}, sort_keys=False))

    def command(self, verb: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "hardener", verb, "-i", str(self.inventory), *options]

    def environment(self, node: str) -> dict[str, str]:
        return {**os.environ, "HARDENER_HOME": str(self._folder / node)}

    def run(self, verb: str, *options: str, node: str = "one") -> subprocess.CompletedProcess[str]:
        of_history = verb in ("resume", "show")
        return subprocess.run(
            [sys.executable, "-m", "hardener", verb, *options]
            if of_history
            else self.command(verb, *options),
            env=self.environment(node),
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )

    def start(self, verb: str, *options: str, node: str = "one") -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(verb, *options),
            env=self.environment(node),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def unfinished(self, node: str = "one") -> list[Unfinished]:
        return list(unfinished_runs(Home(self._folder / node)))

    def not_begun(self, node: str = "one") -> list[str]:
        """The hosts that the last run did not begin, as the history tells it."""
        shown = self.run("show", "--json", "-", node=node)
        return [each["host"] for each in json.loads(shown.stdout)["not_begun"]]

    def daemon(self, host: lab.Guest) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            host.ssh("sh", "-c", "cat /etc/docker/daemon.json 2>/dev/null || echo '{}'").stdout
        )
        return found

    def records(self, host: lab.Guest) -> list[tuple[int, str]]:
        """The runs of a host, oldest first: number and outcome."""
        found = host.ssh("python3", "-c", _RECORDS).stdout
        return [(number, outcome) for number, outcome in json.loads(found)]

    def with_icc(self) -> list[bool]:
        """Whether each host still lets containers talk to each other."""
        return [self.daemon(host).get("icc", True) for host in self.hosts]


def pause(pid: int) -> list[int]:
    """Stop a process and all below it, each before its children are listed: none can start another one."""
    try:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZX")
        below = [
            int(each)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for each in (thread / "children").read_text().split()
        ]
    except OSError:  # it has ended
        return [pid]
    return [pid, *(each for child in below for each in pause(child))]


def until(true: Callable[[], object], *, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(said: str) -> dict[str, str]:
    """What `resume` says of each host."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        state, _, names = line.partition(": ")
        if state in ("untouched", "confirmed", "rolled back"):
            found |= dict.fromkeys(names.split(", "), state)
    return found
