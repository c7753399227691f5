"""Commands over one host that are interrupted: by kills, or by a loss of the host's power."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from hardener import lab
from tests.hosts.guard import JOURNAL, STATE, TIMEOUT, UNCONFIRMED, background, once, settled
from tests.hosts.play import kill
from tests.hosts.reboot import BOOT_ID, wait_for_reboot
from tests.hosts.waiting import until
from tests.hosts.workload import shell

# A restart of the engine, a new file, and the mode of another one.
ONLY = (
    "daemon-live-restore",
    "daemon-no-new-privileges",
    "daemon-seccomp-custom",
    "file-daemon-json-mode",
)
# What hardener runs on a host: the worker in its scope, and the process that waits for it.
PROGRAM = "systemctl kill --signal=KILL 'hardener-*.scope' 2>/dev/null; pkill -KILL python3"
AT_REST = "! pgrep python3"
NEWEST = "cat $(ls -d /var/lib/hardener/backups/*/result.json | tail -n 1)"
BEGUN = {"change": JOURNAL, "confirmation": UNCONFIRMED}  # a span of a command by the condition on the host
SAID = {"changed": "planned", "rolled_back": "before"}  # what the record of the newest run says of the host


class Loop:
    """The command line, killed again and again.

    Args:
        host: the host that is changed.
        folder: where the history of the runs is kept.
    """

    def __init__(self, host: lab.Guest, folder: Path) -> None:
        self._host = host
        self._home = folder / "home"
        self.states: dict[str, str] = {}
        self._seconds: dict[tuple[str, str], float] = {}  # of a span of a command

    def start(self, verb: str) -> subprocess.Popen[str]:
        """Start a command, in a process group of its own."""
        options = ["--confirm-timeout", str(TIMEOUT)] if verb == "harden" else []
        options += [word for slug in ONLY for word in ("--only", slug)] if verb == "harden" else []
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "hardener", verb, "-i", str(self._host.inventory)),
                *("--home", str(self._home), *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, verb: str) -> None:
        """Run a command to its end, see that it succeeds, and remember how long it took."""
        began = time.monotonic()
        process = self.start(verb)
        shell(self._host, once(JOURNAL))
        changing = time.monotonic()
        shell(self._host, once(f"{UNCONFIRMED} || ! {JOURNAL}"))
        confirming = time.monotonic()
        shell(self._host, once(f"! {JOURNAL}"))
        self._seconds["change", verb] = time.monotonic() - changing
        self._seconds["confirmation", verb] = time.monotonic() - confirming
        _, said = process.communicate(timeout=1800)
        self._seconds["run", verb] = time.monotonic() - began
        assert process.returncode == 0, said
        settled(self._host)

    def interrupt(self, verb: str, victim: str, span: str, share: float) -> None:
        """Start a command, and kill a part of it when a share of a span of it is over, as it usually is."""
        process = self.start(verb)
        if span in BEGUN:
            shell(self._host, once(BEGUN[span]))
        time.sleep(share * self._seconds[span, verb])
        if victim != "controller":
            shell(self._host, PROGRAM)
        if victim != "program":
            kill(process)
            return
        _, said = process.communicate(timeout=1800)
        assert process.returncode in (0, 3, 4, 5, 9), said
        assert "Traceback" not in said

    def cut(self, verb: str, span: str, share: float) -> None:
        """Start a command, and cut the power of the host off when a share of a span of it is over."""
        host = self._host
        boot = shell(host, f"cat {BOOT_ID}")
        usual = self._seconds.get((span, verb), self._seconds[span, "harden"])
        background(host, f"{once(BEGUN[span])}; sleep {share * usual:.3f}; echo b >/proc/sysrq-trigger")
        process = self.start(verb)
        wait_for_reboot(host, boot)
        kill(process)

    def state(self, *, recorded: bool = True) -> str:
        """Which of the states the host is in, once nothing is at work any more.

        Args:
            recorded: whether the record of the newest run must agree: a release removes the records.
        """
        until(self._host, AT_REST)  # what was sent to the host may still begin
        settled(self._host)
        found = shell(self._host, STATE)
        names = [name for name, state in self.states.items() if state == found]
        assert names, "\n".join(_difference(self.states, found))
        if recorded:
            assert SAID[json.loads(shell(self._host, NEWEST))["outcome"]] == names[0]
        return names[0]


def _difference(states: Mapping[str, str], found: str) -> list[str]:
    """What differs from each of the states, line by line."""
    return [
        f"{name}: {sign} {line}"
        for name, state in states.items()
        for sign, lines in (
            ("-", set(state.splitlines()) - set(found.splitlines())),
            ("+", set(found.splitlines()) - set(state.splitlines())),
        )
        for line in sorted(lines)
    ]
