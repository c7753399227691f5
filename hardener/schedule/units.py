"""Write a service and its timer as the text of unit files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import ExitCode, HardenerError
from hardener.schedule import quoting
from hardener.schedule.job import Job
from hardener.text import line

MARK = "# Written by `hardener schedule install`; `hardener schedule remove` takes it away."

_CALENDAR = re.compile(r"[A-Za-z0-9*:.,/~+_ -]{1,200}")
_SPAN = re.compile(r"[a-z0-9. ]{1,50}")

# Restrictions that need no other view of the file system. Ansible and ssh start processes, open sockets
# and terminals; getaddrinfo asks the kernel for its addresses by netlink.
_CONFINED = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
"""
# The view of the file system for root's service. ~/.ssh is read-only: a timer adds no host keys. A user's
# manager needs a user namespace for it, where ssh finds its files owned by the user nobody.
_CONFINED_VIEW = """\
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
"""
_PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - paths that the service must not see


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The times of a timer: ``calendar`` as in systemd.time(7), and the greatest random delay as a time span.

    Raises:
        HardenerError: this is not a time or not a time span.
    """

    calendar: str
    jitter: str

    def __post_init__(self) -> None:
        """Refuse text that would be several values in a unit file; systemd checks whether it is a time.

        Raises:
            HardenerError: it would.
        """
        for text, pattern in ((self.calendar, _CALENDAR), (self.jitter, _SPAN)):
            if not pattern.fullmatch(text):
                raise HardenerError(f"{line(repr(text))} is not a time for systemd", hint="man systemd.time")


def timer(job: Job, times: Times) -> str:
    """Return the timer of a job. A run that was missed while the machine was off starts after the boot."""
    return f"""\
{MARK}
[Unit]
Description={_description(job)}

[Timer]
OnCalendar={times.calendar}
RandomizedDelaySec={times.jitter}
Persistent=yes

[Install]
WantedBy=timers.target
"""


def service(job: Job, *, user: bool) -> str:
    """Return the service of a job.

    Args:
        job: the command.
        user: whether it is for the manager of a user, not of the machine.

    Raises:
        HardenerError: a path or an argument cannot be written into a unit file, or the service could not
            access it.
    """
    return "".join(_service(job, user=user))


def _service(job: Job, *, user: bool) -> Iterator[str]:
    view = job.confined and not user
    if view:
        _require_visible(job)
    yield f"{MARK}\n[Unit]\nDescription={_description(job)}\n"
    if not user:  # a user's manager has no network target
        yield "Wants=network-online.target\nAfter=network-online.target\n"
    yield "\n[Service]\nType=oneshot\n"
    if not user:
        yield "User=root\n"  # gives the service root's HOME, and so ~/.ssh
    words = [quoting.program(job.command[0]), *map(quoting.argument, job.command[1:])]
    yield f"WorkingDirectory={quoting.path(job.folder)}\n"
    yield f"Environment={quoting.word(f'HARDENER_HOME={job.home}')}\n"
    yield f"EnvironmentFile=-{quoting.path(job.environment_file, pattern=True)}\n"
    yield f"ExecStart={' '.join(words)}\n"
    yield f"SuccessExitStatus={int(ExitCode.REPAIRED)}\n"
    yield "TimeoutStartSec=1d\nUMask=0077\n"
    if job.confined:
        yield _CONFINED
    if view:
        yield _CONFINED_VIEW
        for folder in dict.fromkeys((job.home, *job.writes)):
            yield f"ReadWritePaths={quoting.word(str(folder))}\n"


def _require_visible(job: Job) -> None:
    for path in (job.folder, job.home, *job.reads, *job.writes):
        if any(path.is_relative_to(private) for private in _PRIVATE):
            raise HardenerError(
                f"the service could not access {line(str(path), 1000)}",
                hint="the service has a private /tmp; move the file or folder elsewhere",
            )


def _description(job: Job) -> str:
    return quoting.value(f"hardener schedule {job.name}")
