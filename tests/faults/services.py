"""What stands in for systemd, the kernel's audit system and its settings: as much of them as a run asks for.

The programs of the host (``systemctl``, ``systemd-run``, ``busctl``, ``journalctl``, ``auditctl``,
``augenrules``) hand their arguments to ``Services.call``. What they say and do is compared with the real ones
in tests/system, but for those of the audit system.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

PROGRAMS = ("systemctl", "systemd-run", "busctl", "journalctl", "auditctl", "augenrules")


class Answer(NamedTuple):
    """How a program ends."""

    code: int = 0
    output: str = ""
    error: str = ""


class Engine(Protocol):
    """What ``docker.service`` runs."""

    @property
    def pid(self) -> int:
        """Its process, 0 where none runs."""

    def start(self) -> None:
        """Start it.

        Raises:
            Exception: it does not start.
        """

    def stop(self) -> None:
        """End it."""


class NoEngine:
    """None: what the stand-ins do beside it is compared with the real programs."""

    pid = 0

    def start(self) -> None:
        """Fail: no unit that is compared runs an engine."""
        raise NotImplementedError

    stop = start


class Scopes(Protocol):
    """Where ``busctl`` moves processes; see ``tests.faults.scopes``."""

    def start(self, name: str, pid: int) -> None:
        """Move a process into one."""

    def alive(self, name: str) -> bool:
        """Whether it has processes."""

    def kill(self, name: str) -> None:
        """End all that is in it."""


@dataclass(slots=True)
class Timer:
    """What ``systemd-run --on-active`` waits to run."""

    seconds: float
    command: list[str]


@dataclass(slots=True)
class Services:
    """The manager and the kernel of one host.

    Attributes:
        engine: what ``docker.service`` runs.
        active: units that are.
        failed: units that are: timers whose file was gone when units were read again.
        known: text of the unit files that the manager keeps in memory.
        timers: by unit.
        rules: what the kernel audits.
        root: where its files are.
        scopes: where processes are moved to; None where none may be.
    """

    engine: Engine
    active: set[str] = field(default_factory=lambda: {"docker.service"})
    failed: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    root: Path = Path("/")
    scopes: Scopes | None = None

    @property
    def _units(self) -> tuple[Path, Path]:
        return self.root / "etc/systemd/system", self.root / "usr/lib/systemd/system"

    def call(self, words: Sequence[str]) -> Answer:
        """What a program does."""
        program, *arguments = words
        options = [word for word in arguments if word.startswith("-") and word != "--"]
        names = [word for word in arguments if not word.startswith("-")]
        if program == "systemctl":
            verb = f"_{names[0].replace('-', '_')}"
            act: Callable[[list[str], list[str]], Answer] | None = getattr(self, verb, None)
            if act is None:
                raise NotImplementedError(" ".join(words))
            return act(names[1:], options)
        if program == "systemd-run":
            return self._later(arguments)
        if program == "auditctl":
            return self._auditctl(arguments)
        if program == "augenrules":
            return self._augenrules()
        if program == "busctl":
            return self._move(arguments)
        if program == "journalctl":
            return Answer()
        raise NotImplementedError(" ".join(words))

    # --- systemctl ------------------------------------------------------------------------------------------

    def _show(self, names: list[str], options: list[str]) -> Answer:
        wanted = next(word for word in options if word.startswith("--property=")).partition("=")[2].split(",")
        found = []
        for unit in names:
            there = unit in self.known or self._file(unit) is not None
            properties = {
                "KillMode": "process" if unit == "docker.service" else "control-group",
                "MainPID": str(self.engine.pid) if unit == "docker.service" else "0",
                "TriggeredBy": "",
                "Id": unit,
                "LoadState": "loaded" if there else "not-found",
                "ActiveState": self._state(unit),
                "UnitFileState": self._enabled(unit),
                "NeedDaemonReload": "yes" if self._changed(unit) else "no",
            }
            lines = [f"{name}={value}" for name, value in properties.items() if name in wanted]
            found.append("\n".join(lines) + "\n")
        return Answer(output="\n".join(found))

    def _is_active(self, names: list[str], options: list[str]) -> Answer:
        states = [self._state(unit) for unit in names]
        there = any(unit in self.known or unit in self.failed or self._file(unit) for unit in names)
        code = 0 if "active" in states else 3 if there else 4
        return Answer(code, "".join(f"{state}\n" for state in states))

    def _daemon_reload(self, names: list[str], options: list[str]) -> Answer:
        """Read again what is active and what active units want; the manager forgets all others."""
        self.known = {}
        gone = {
            unit
            for unit in self.active - set(self.timers)
            if unit.endswith(".timer") and not self._file(unit)
        }
        self.active -= gone
        self.failed |= gone
        for folder in self._units[0].glob("*.wants"):
            for link in folder.iterdir():
                self._know(link.name)
        for unit in self.active:
            self._know(unit)
        return Answer()

    def _enable(self, names: list[str], options: list[str]) -> Answer:
        for unit in names:
            text = self._text(unit)
            if text is None:
                return Answer(1, "", f"Failed to enable unit: Unit {unit} does not exist\n")
            said = []
            for target in re.findall(r"(?m)^WantedBy=(\S+)$", text):
                link = self._units[0] / f"{target}.wants" / unit
                link.parent.mkdir(exist_ok=True)
                if not link.is_symlink():
                    link.symlink_to(self._file(unit) or "")
                    said.append(f"Created symlink '{link}' → '{self._file(unit)}'.\n")
        self._daemon_reload([], [])
        return Answer(0, "", "" if "--quiet" in options else "".join(said))

    def _disable(self, names: list[str], options: list[str]) -> Answer:
        said = []
        for unit in names:
            links = self._links(unit)
            if self._file(unit) is None and not links:
                return Answer(1, "", f"Failed to disable unit: Unit {unit} does not exist\n")
            for link in links:
                link.unlink()
                with suppress(OSError):  # others are in it
                    link.parent.rmdir()
                said.append(f"Removed '{link}'.\n")
        self._daemon_reload([], [])
        return Answer(0, "", "" if "--quiet" in options else "".join(said))

    def _start(self, names: list[str], options: list[str]) -> Answer:
        for unit in names:
            if unit in self.active or f"{unit.removesuffix('.service')}.timer" in self.timers:
                continue
            if unit == "docker.service":
                try:
                    self.engine.start()
                except Exception:
                    return _failed(unit)
            elif self._file(unit) is None and unit not in self.known:
                return Answer(5, "", f"Failed to start {unit}: Unit {unit} not found.\n")
            elif not self._run(unit, "ExecStart"):
                return _failed(unit)
            self._know(unit)
            self.active.add(unit)
        return Answer()

    def _stop(self, names: list[str], options: list[str]) -> Answer:
        code, said = 0, ""
        for unit in names:
            if self.scopes and self.scopes.alive(unit):
                self.scopes.kill(unit)
            elif unit in self.timers:
                del self.timers[unit]
            elif f"{unit.removesuffix('.service')}.timer" in self.timers:
                continue
            elif unit not in self.active | self.failed and self._file(unit) is None:
                code, said = 5, said + f"Failed to stop {unit}: Unit {unit} not loaded.\n"
            elif unit == "docker.service" and unit in self.active:
                self.engine.stop()
            elif unit in self.active:
                self._run(unit, "ExecStop")
            self.active.discard(unit)
            if self._file(unit) is None:
                self.known.pop(unit, None)
        return Answer(code, "", said)

    def _restart(self, names: list[str], options: list[str]) -> Answer:
        self._stop(names, options)
        return self._start(names, options)

    def _reload_or_restart(self, names: list[str], options: list[str]) -> Answer:
        for unit in names:
            if unit not in self.active:
                return self._start([unit], options)
            if not self._run(unit, "ExecReload"):
                return _failed(unit)
        return Answer()

    def _reset_failed(self, names: list[str], options: list[str]) -> Answer:
        unknown = [
            unit for unit in names if unit not in self.active | self.failed and self._file(unit) is None
        ]
        self.failed -= set(names)
        said = [f"Failed to reset failed state of unit {unit}: Unit {unit} not loaded.\n" for unit in unknown]
        return Answer(1 if unknown else 0, "", "".join(said))

    def _kill(self, names: list[str], options: list[str]) -> Answer:
        if self.scopes and self.scopes.alive(names[0]):
            self.scopes.kill(names[0])
            return Answer()
        return Answer(1, "", f"Failed to kill unit {names[0]}: Unit {names[0]} not loaded.\n")

    # --- units ----------------------------------------------------------------------------------------------

    def _state(self, unit: str) -> str:
        return "active" if unit in self.active else "failed" if unit in self.failed else "inactive"

    def _file(self, unit: str) -> Path | None:
        return next((folder / unit for folder in self._units if (folder / unit).is_file()), None)

    def _text(self, unit: str) -> str | None:
        """What the manager knows of a unit: what it has read, or what it would read now."""
        if unit in self.known:
            return self.known[unit]
        file = self._file(unit)
        return file.read_text() if file else None

    def _links(self, unit: str) -> list[Path]:
        """What enabling has made, whether or not the unit is still there."""
        links = [folder / unit for folder in self._units[0].glob("*.wants")]
        return [link for link in links if link.is_symlink()]

    def _know(self, unit: str) -> None:
        file = self._file(unit)
        if file is not None:
            self.known[unit] = file.read_text()

    def _changed(self, unit: str) -> bool:
        file = self._file(unit)
        return unit in self.known and (file is None or file.read_text() != self.known[unit])

    @property
    def stale(self) -> set[str]:
        """The units that the manager keeps in memory although nothing of them is left."""
        return {unit for unit in self.known.keys() - self.active if self._file(unit) is None}

    def _enabled(self, unit: str) -> str:
        if unit in self.timers or (self._file(unit) is None and unit not in self.known):
            return ""
        if self._links(unit):
            return "enabled"
        if self._file(unit) is None:
            return ""
        return "disabled" if "[Install]" in (self._text(unit) or "") else "static"

    def _run(self, unit: str, key: str) -> bool:
        """Run what a unit's file says, in its environment."""
        for command in re.findall(rf"(?m)^{key}=(.+)$", self._text(unit) or ""):
            with suppress(FileNotFoundError):
                if subprocess.run(shlex.split(command), capture_output=True, check=False).returncode == 0:
                    continue
            return False
        return True

    # --- systemd-run ----------------------------------------------------------------------------------------

    def _later(self, arguments: list[str]) -> Answer:
        options = dict(word.removeprefix("--").partition("=")[::2] for word in arguments)
        timer = f"{options['unit']}.timer"
        if timer in self.timers:
            return Answer(
                1,
                "",
                f"Failed to start transient timer unit: Unit {timer} was already loaded or has a fragment"
                " file.\n",
            )
        command = arguments[arguments.index("--") + 1 :]
        self.timers[timer] = Timer(float(options["on-active"]), command)
        self.active.add(timer)
        return Answer()

    # --- busctl ---------------------------------------------------------------------------------------------

    def _move(self, arguments: list[str]) -> Answer:
        """``StartTransientUnit`` of a scope for one process."""
        name = next(word for word in arguments if word.endswith(".scope"))
        pid = int(arguments[arguments.index("PIDs") + 3])
        if self.scopes is None:
            raise NotImplementedError("busctl")
        self.scopes.start(name, pid)
        return Answer()

    # --- audit ----------------------------------------------------------------------------------------------

    def _auditctl(self, arguments: list[str]) -> Answer:
        if arguments == ["-s"]:
            return Answer(output="enabled 1\nfailure 1\npid 0\nbacklog_limit 8192\nlost 0\nbacklog 0\n")
        if arguments == ["-l"]:
            return Answer(output="".join(f"{rule}\n" for rule in self.rules) or "No rules\n")
        raise NotImplementedError(f"auditctl {arguments}")

    def _augenrules(self) -> Answer:
        """Join the files into one, which keeps the former one beside it, and load that."""
        folder = self.root / "etc/audit"
        special = dict.fromkeys(("-D", "-b", "-f", "-e"), "")
        rest = []
        for file in sorted((folder / "rules.d").glob("*.rules")):
            for line in file.read_text().splitlines():
                if line[:2] in special:
                    special[line[:2]] = line
                elif line and not line.startswith("#"):
                    rest.append(line)
        header = "## This file is automatically generated from /etc/audit/rules.d"
        lines = [header, special["-D"], special["-b"], special["-f"], *rest, special["-e"]]
        joined, text = folder / "audit.rules", "".join(f"{line}\n" for line in lines)
        said = "/usr/sbin/augenrules: No change\n"
        if not joined.is_file() or joined.read_text() != text:
            said = ""
            if joined.is_file():
                (folder / "audit.rules.prev").write_bytes(joined.read_bytes())
            joined.write_text(text)
            joined.chmod(0o640)
        code, error = self._load_rules(lines)
        return Answer(code, said, error)

    def _load_rules(self, lines: list[str]) -> tuple[int, str]:
        """As ``auditctl -R`` does, up to the first that is refused: the kernel has no rule twice."""
        for number, line in enumerate(lines, 1):
            if line == "-D":
                self.rules.clear()
            elif line.startswith(("-a", "-w")):
                if line in self.rules:
                    return 1, (
                        "Error sending add rule data request (Rule exists)\n"
                        f"There was an error in line {number} of /etc/audit/audit.rules\n"
                    )
                self.rules.append(line)
        return 0, ""

    # --- a reboot -------------------------------------------------------------------------------------------

    def lose(self) -> None:
        """What a reboot takes away."""
        self.active.clear()
        self.failed.clear()
        self.known.clear()
        self.timers.clear()
        self.rules.clear()

    def boot(self) -> None:
        """Start what is enabled, and load what files say."""
        self._daemon_reload([], [])
        self._augenrules()
        for unit in sorted(link.name for link in self._units[0].glob("*.wants/*")):
            if unit not in self.active and unit != "hardener-guard.service":
                self._start([unit], [])
        self._start(["docker.service"], [])


def _failed(unit: str) -> Answer:
    return Answer(
        1,
        "",
        f"Job for {unit} failed because the control process exited with error code.\n"
        f'See "systemctl status {unit}" and "journalctl -xeu {unit}" for details.\n',
    )
