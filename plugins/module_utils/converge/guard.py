"""Arm and disarm the guard: systemd rolls back a run that is not confirmed in time.

    armed       the sources of this program are stored beside the backup; a systemd timer (monotonic clock)
                runs them when the run's time is over, a unit at the next boot, before anything starts
                that reads what hardener wrote
    disarmed    all three are removed

The program runs ``guard_main``. Only the journal decides whether there is anything to roll back: a timer or
unit that remains after a crash finds no journal, and removes itself. A rollback that fails is retried, also
after a boot, until it succeeds or root on the host ends it with ``guard.pyz abandon``.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Sequence

from ..host import atomic
from ..host.layout import GUARD
from ..host.sources import PACKAGE, sources
from . import files, system
from .errors import Failed, Refused
from .files import FILE, State

UNITS = "/etc/systemd/system"
BOOT_UNIT = "hardener-guard.service"
_WANTS = "sysinit.target.wants"

# DefaultDependencies=no, as in the units that this one must precede: audit, firewalls, kernel parameters.
_BOOT = """\
[Unit]
Description=Roll back the changes of a hardener run that was not confirmed before this boot
DefaultDependencies=no
RequiresMountsFor={folder} {python} /etc
After=local-fs.target systemd-remount-fs.service
Before=sysinit.target shutdown.target systemd-sysctl.service apparmor.service
Before=audit-rules.service auditd.service
Before=network-pre.target hardener-firewall.service nftables.service netfilter-persistent.service ufw.service
Before=firewalld.service containerd.service docker.socket docker.service
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart={boot}
ExecStopPost=-{booted}
TimeoutStartSec={limit}
"""
_MAIN = """\
import os
import sys

try:
    from {package}.converge import guard_main
except (ImportError, OSError):
    if os.path.exists(sys.argv[0]):
        raise
    sys.exit(2)  # removed since the run is over: so does Python end where it finds no program at all
guard_main.main()
"""
RETRY = 20  # seconds until a guard that was killed, or could not act, tries again
BOOT_PATIENCE = 60  # seconds that the boot unit waits for the lock
_BOOT_WORK = 120  # seconds that it has for the rollback itself


def possible() -> bool:
    """Return whether a guard is possible: it needs systemd."""
    return system.has_systemd()


def arm(folder: str, run: str, *, backup: str, seconds: float) -> None:
    """Make systemd roll a run back after some seconds, or at the next boot if that comes first.

    Args:
        folder: hardener's folder on this host.
        run: the run.
        backup: the folder of its backup.
        seconds: the time until the rollback.

    Raises:
        Refused: that is not possible, and the run must not begin.
    """
    script = _script(backup)
    try:
        if not os.path.isabs(sys.executable or ""):
            raise OSError(f"the path of this Python is unknown ({sys.executable!r})")
        files.replace(script, files.own(_packed()))
        _write_boot_unit(folder, run, backup)
    except OSError as error:
        disarm(run, backup=backup)
        where = error.filename or script
        raise Refused(f"the guard cannot be armed: {where}: {error.strerror or error}") from error
    outcome = _set_timer(folder, run, backup=backup, seconds=seconds)
    if outcome.code != 0:
        disarm(run, backup=backup)
        raise Refused(f"the guard cannot be armed: systemd-run: {outcome.said}")


def insist(folder: str, run: str, backup: str) -> str:
    """Make systemd retry a failed rollback, whether or not the run had a guard.

    Returns:
        What the host does about it, and how root ends that.
    """
    way_out = f"to leave the host as it is: {abandoning(backup)}"
    try:
        if not stored(backup):
            files.replace(_script(backup), files.own(_packed()))
        if not possible():
            return f"the next run on this host retries the rollback; {way_out}"
        if run not in system.read(os.path.join(UNITS, BOOT_UNIT)):
            _write_boot_unit(folder, run, backup)
    except OSError as error:  # a full disk: what is armed already continues
        reason = f"{error.filename or backup}: {error.strerror}"
        if not stored(backup):
            return f"the next run on this host retries the rollback, the guard cannot be armed: {reason}"
    # Its timer may run for long, and the service may exist already and wait between two attempts.
    if system.run("systemctl", "start", "--no-block", "--", f"{_timer(run)}.service").code != 0:
        retry(folder, run, backup)
    return f"the host itself retries the rollback; {way_out}"


def retry(folder: str, run: str, backup: str) -> None:
    """Make systemd retry the rollback of a run whose timer is gone, as after a boot."""
    _set_timer(folder, run, backup=backup, seconds=RETRY)


def stop(run: str) -> None:
    """Stop the service that waits for the next attempt; the service itself must not call this."""
    if possible():
        system.run("systemctl", "stop", "--", f"{_timer(run)}.timer", f"{_timer(run)}.service")


def abandoning(backup: str) -> str:
    """Return the command with which root on the host ends the attempts to roll a run back."""
    return f"{sys.executable or 'python3'} {_script(backup)} abandon"


def stored(backup: str) -> bool:
    """Return whether the guard's program is stored beside a backup."""
    return os.path.exists(_script(backup))


def _set_timer(folder: str, run: str, *, backup: str, seconds: float) -> system.Outcome:
    """Start the timer of a run, also during boot."""
    return system.run(
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={_timer(run)}",
        f"--description=Roll back run {run} of hardener unless it is confirmed",
        f"--on-active={seconds:.0f}",
        "--timer-property=AccuracySec=1s",
        # Else it would wait for sysinit.target, which waits for this unit.
        "--timer-property=DefaultDependencies=no",
        "--timer-property=Conflicts=shutdown.target",
        "--timer-property=Before=shutdown.target",
        "--property=Restart=on-failure",
        f"--property=RestartSec={RETRY}",
        # Python ends so where it finds no program: a run that is confirmed while this one starts removes it.
        "--property=RestartPreventExitStatus=2",
        "--",
        *_command("expired", folder, run, backup),
    )


def _command(occasion: str, folder: str, run: str, backup: str) -> list[str]:
    return [sys.executable, "-IBS", _script(backup), occasion, folder, run]


def disarm(run: str, *, backup: str) -> None:
    """Disarm the guard. A unit that cannot be removed does nothing later, since it finds no journal.

    Where systemd cannot be told, the timer and its program stay, and do the rest when the time is over.
    """
    unit = os.path.join(UNITS, BOOT_UNIT)
    paths = [files.temporary_name(unit)]
    if run in system.read(unit):  # it may belong to another run by now
        paths = [os.path.join(UNITS, _WANTS, BOOT_UNIT), unit, *paths]
    _remove(paths)
    if possible():
        try:
            _forget()
            system.attempt("systemctl", "stop", "--", f"{_timer(run)}.timer")
        except Failed:
            return
    with suppress(OSError):
        atomic.remove(_script(backup))


def clear_up(folder: str) -> None:
    """Remove remains of a guard that could not be disarmed, while no run is unfinished.

    Args:
        folder: hardener's folder on this host; a guard of another one stays.
    """
    unit, link = os.path.join(UNITS, BOOT_UNIT), os.path.join(UNITS, _WANTS, BOOT_UNIT)
    draft = files.temporary_name(unit)
    paths = [path for path in (unit, draft) if _word(folder) in system.read(path)]
    if os.path.lexists(draft) and "ExecStart=" not in system.read(draft):  # cut off while it was written
        paths.append(draft)
    if unit in paths or (os.path.lexists(link) and not os.path.exists(link)):
        paths.append(link)
    if paths:
        _remove(paths)
    if possible():
        with suppress(Failed):
            _forget()  # a run that could not start programs removed the unit, and could not say so


def _remove(paths: Sequence[str]) -> None:
    for path in paths:
        with suppress(OSError):
            atomic.remove(path)
    with suppress(OSError):  # other units may be in it
        atomic.remove_folder(os.path.join(UNITS, _WANTS))


def _forget() -> None:
    """Reload systemd if it still knows the removed unit.

    Raises:
        Failed: the programs could not be run to their ends.
    """
    known = system.attempt("systemctl", "show", "--property=NeedDaemonReload", "--", BOOT_UNIT)
    if known.output.strip() == "NeedDaemonReload=yes":
        system.attempt("systemctl", "daemon-reload")


def kill_worker(run: str) -> None:
    """Kill the worker of a run and its child processes."""
    system.run("systemctl", "kill", "--signal=KILL", "--", f"hardener-{run}.scope")


def _timer(run: str) -> str:
    return f"hardener-guard-{run}"


def _script(backup: str) -> str:
    return os.path.join(backup, GUARD)


def _write_boot_unit(folder: str, run: str, backup: str) -> None:
    unit = os.path.join(UNITS, BOOT_UNIT)
    commands = {
        occasion: " ".join(map(_word, _command(occasion, folder, run, backup)))
        for occasion in ("boot", "booted")
    }
    text = _BOOT.format(
        folder=_word(folder), python=_word(sys.executable), limit=BOOT_PATIENCE + _BOOT_WORK, **commands
    )
    files.replace(unit, State(FILE, text.encode(), 0o644, os.geteuid(), os.getegid()))
    wants = os.path.join(UNITS, _WANTS)
    atomic.make_folders(wants)
    atomic.make_link(unit, os.path.join(wants, BOOT_UNIT))


def _word(text: str) -> str:
    """Escape a word for a unit file."""
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        text = text.replace(special, escaped)
    return f'"{text}"'


def _packed() -> bytes:
    """Return the sources of this program as a zip file that Python can run."""
    from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo  # imported on demand: only armed runs need it

    texts = {f"{PACKAGE}/{name}": text for name, text in sources("converge").items()}
    texts["__main__.py"] = _MAIN.format(package=PACKAGE)
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, text in texts.items():  # with the date of a ZipInfo: a clock may show one before 1980
            archive.writestr(ZipInfo(name), text, ZIP_DEFLATED)
    return buffer.getvalue()
