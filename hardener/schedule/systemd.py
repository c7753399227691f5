"""Install, show and remove schedules as systemd units."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import HardenerError
from hardener.files import write_text
from hardener.schedule.job import Job, require_name
from hardener.schedule.units import MARK, Times, service, timer
from hardener.text import line

RUNNING = Path("/run/systemd/system")  # exists where systemd is process 1: sd_booted(3)
SYSTEM_UNITS = Path("/etc/systemd/system")

_PREFIX = "hardener-schedule-"
_FOR_EVERYBODY = 0o644  # readable by all users, as other units: systemd shows them anyway
_NO_CRON = "`hardener schedule cron` prints a line for cron"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A schedule as systemd reports it; times are systemd's texts, empty where there is none.

    ``result`` is ``success``, ``exit-code``, ``timeout``, ``signal`` …; ``code`` the exit code.
    """

    name: str
    active: bool
    running: bool
    next: str
    last: str
    ended: str
    result: str
    code: int


class Systemd:
    """The systemd manager of the machine, or of a user.

    Args:
        units: folder of its unit files.
        user: whether it is the manager of a user.
    """

    def __init__(self, units: Path, *, user: bool) -> None:
        self._units = units
        self.user = user

    @classmethod
    def here(cls) -> Systemd:
        """Return the manager for this user: the machine's for root, else the user's own.

        Raises:
            HardenerError: systemd does not run here.
        """
        if not RUNNING.is_dir():
            raise HardenerError("systemd does not run on this machine", hint=_NO_CRON)
        if os.geteuid() == 0:
            return cls(SYSTEM_UNITS, user=False)
        configured = os.environ.get("XDG_CONFIG_HOME", "")
        base = Path(configured) if configured.startswith("/") else Path.home() / ".config"
        return cls(base / "systemd" / "user", user=True)

    def install(self, job: Job, times: Times) -> bool:
        """Write and start a schedule; return whether anything changed.

        Raises:
            HardenerError: systemd refuses it, or units of these names exist that hardener did not write.
        """
        _require_times(times)
        texts = {
            self._path(job.name, "service"): service(job, user=self.user),
            self._path(job.name, "timer"): timer(job, times),
        }
        present = {path: self._own(path) for path in texts}
        changed = [path for path, text in texts.items() if present[path] != text]
        for path in changed:
            write_text(path, texts[path], mode=_FOR_EVERYBODY)
        if changed:
            self._systemctl("daemon-reload")
        started = self._show(f"{_PREFIX}{job.name}.timer", "ActiveState", "UnitFileState")
        stands = started["ActiveState"] == "active" and started["UnitFileState"] == "enabled"
        if changed or not stands:
            self._systemctl("enable", f"{_PREFIX}{job.name}.timer")
            self._systemctl("restart", f"{_PREFIX}{job.name}.timer")
        return bool(changed) or not stands

    def status(self) -> Iterator[Scheduled]:
        """Return the installed schedules by name.

        Raises:
            HardenerError: systemd does not answer.
        """
        for path in sorted(self._units.glob(f"{_PREFIX}*.timer")):
            if _is_own(path):
                yield self._status(path.stem.removeprefix(_PREFIX))

    def remove(self, name: str) -> bool:
        """Stop a schedule and remove its units; a current run continues to its end.

        Returns:
            Whether there was one.

        Raises:
            HardenerError: systemd refuses it, or units of these names exist that hardener did not write.
        """
        require_name(name)
        timers, services = f"{_PREFIX}{name}.timer", f"{_PREFIX}{name}.service"
        paths = [self._path(name, "timer"), self._path(name, "service")]
        there = [path for path in paths if self._own(path) is not None]
        if not there:
            return False
        if paths[0] in there:
            self._systemctl("disable", "--now", timers)
            self._systemctl("clean", "--what=state", timers, check=False)  # time of the last start
        for path in there:
            path.unlink(missing_ok=True)
        self._systemctl("daemon-reload")
        self._systemctl(
            "reset-failed", timers, services, check=False
        )  # an error message where nothing failed
        return True

    def lingers(self) -> bool:
        """Return whether the timers of this user run while the user is not logged in."""
        command = ["loginctl", "show-user", str(os.geteuid()), "--property=Linger", "--value"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return False
        return done.stdout.strip() == "yes"

    def _status(self, name: str) -> Scheduled:
        timers = self._show(
            f"{_PREFIX}{name}.timer", "ActiveState", "NextElapseUSecRealtime", "LastTriggerUSec"
        )
        services = self._show(
            f"{_PREFIX}{name}.service", "ActiveState", "Result", "ExecMainStatus", "ExecMainExitTimestamp"
        )
        code = services["ExecMainStatus"]
        return Scheduled(
            name=name,
            active=timers["ActiveState"] == "active",
            running=services["ActiveState"] == "activating",
            next=_moment(timers["NextElapseUSecRealtime"]),
            last=_moment(timers["LastTriggerUSec"]),
            ended=_moment(services["ExecMainExitTimestamp"]),
            result=services["Result"],
            code=int(code) if code.isdecimal() else 0,
        )

    def _show(self, unit: str, *properties: str) -> Mapping[str, str]:
        """Return properties of a unit; properties that systemd does not know are empty."""
        shown = self._systemctl("show", unit, f"--property={','.join(properties)}")
        pairs = (text.partition("=") for text in shown.splitlines())
        return dict.fromkeys(properties, "") | {name: value for name, _, value in pairs}

    def _path(self, name: str, kind: str) -> Path:
        return self._units / f"{_PREFIX}{name}.{kind}"

    def _own(self, path: Path) -> str | None:
        """Return the text of a unit that hardener wrote; None where there is none.

        Raises:
            HardenerError: hardener did not write it.
        """
        if not os.path.lexists(path):
            return None
        if not _is_own(path):
            raise HardenerError(
                f"{path} was not written by hardener", hint="give the schedule another --name"
            )
        return path.read_text(encoding="utf-8")

    def _systemctl(self, *arguments: str, check: bool = True) -> str:
        command = ["systemctl", *(["--user"] if self.user else []), "--no-pager", *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise HardenerError(f"cannot start systemctl: {error.strerror}", hint=_NO_CRON) from error
        if check and done.returncode:
            said = done.stderr.strip().splitlines()
            raise HardenerError(f"systemctl {arguments[0]} failed: {line(said[-1] if said else 'no reason')}")
        return done.stdout


def _is_own(path: Path) -> bool:
    """Return whether hardener wrote a unit; False for a symbolic link, as of a masked unit."""
    try:
        return path.is_file() and not path.is_symlink() and path.read_text(encoding="utf-8").startswith(MARK)
    except (OSError, ValueError):
        return False


def _require_times(times: Times) -> None:
    """Refuse times that systemd would refuse, before anything is written.

    Raises:
        HardenerError: systemd says that it is not a time.
    """
    analyze = shutil.which("systemd-analyze")
    if analyze is None:  # part of systemd on nearly all machines
        return
    for verb, text in (("calendar", times.calendar), ("timespan", times.jitter)):
        done = subprocess.run(
            [analyze, verb, "--", text],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise HardenerError(f"{line(repr(text))} is not a time for systemd", hint="man systemd.time")


def _moment(text: str) -> str:
    return "" if text in ("n/a", "0", "infinity") else line(text)
