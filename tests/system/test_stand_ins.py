"""What stands in for systemd in tests/faults does what systemd does with the same commands."""

from __future__ import annotations

import shlex
from pathlib import Path

from hardener import lab
from tests.faults.services import Services
from tests.hosts.workload import shell

TIMER, SERVICE = "hardener-example.timer", "hardener-example.service"
UNITS = "/etc/systemd/system"
TEXTS = {
    TIMER: "[Unit]\nDescription=x\n[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
    SERVICE: "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/true\n",
}
PROPERTIES = "--property=Id,LoadState,ActiveState,UnitFileState"
SHOW = f"systemctl show {PROPERTIES} -- {TIMER}"
RELOAD = f"systemctl show --property=NeedDaemonReload {TIMER}"
LATER = "systemd-run --quiet --collect --unit=hardener-later --on-active=3600 -- /bin/true"
WRITE, CHANGE, REMOVE = "write", "change", "remove"  # the units' files
# What a run asks for, in every state that it may find.
COMMANDS = [
    SHOW,
    f"systemctl is-active {TIMER}",
    f"systemctl enable -- {TIMER}",
    f"systemctl start -- {TIMER}",
    f"systemctl stop -- {TIMER}",
    f"systemctl reset-failed -- {TIMER}",
    WRITE,
    SHOW,
    RELOAD,
    "systemctl daemon-reload",
    f"systemctl enable --quiet {TIMER}",
    SHOW,
    f"systemctl enable -- {TIMER}",
    f"systemctl start -- {TIMER}",
    f"systemctl is-active {TIMER}",
    SHOW,
    f"systemctl reload-or-restart {SERVICE}",
    f"systemctl is-active {SERVICE} {TIMER}",
    f"systemctl restart -- {SERVICE}",
    f"systemctl show {PROPERTIES} -- {SERVICE}",
    CHANGE,
    RELOAD,
    "systemctl daemon-reload",
    RELOAD,
    f"systemctl stop -- {TIMER}",
    f"systemctl is-active {TIMER}",
    f"systemctl start -- {TIMER}",
    REMOVE,
    SHOW,
    RELOAD,
    f"systemctl disable -- {TIMER}",
    f"systemctl stop -- {TIMER} {SERVICE}",
    "systemctl daemon-reload",
    SHOW,
    f"systemctl reset-failed -- {TIMER}",
    WRITE,
    "systemctl daemon-reload",
    f"systemctl disable -- {TIMER}",
    SHOW,
    LATER,
    LATER,
    "systemctl is-active hardener-later.timer hardener-later.service",
    "systemctl stop hardener-later.timer",
    "systemctl stop hardener-later.timer",
    "systemctl is-active hardener-later.timer hardener-later.service",
    "systemctl kill --signal=KILL hardener-no.scope",
]


class NoEngine:
    """The engine is real, and its unit's part in it is none of what is compared."""

    pid = 0

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


def script(command: str) -> str:
    """A command, or what it stands for, for a shell."""
    if command == REMOVE:
        return "rm " + " ".join(f"{UNITS}/{unit}" for unit in TEXTS)
    if command in (WRITE, CHANGE):
        more = "" if command == WRITE else "# changed\n"
        return "; ".join(
            f"printf %s {shlex.quote(text + more)} >{UNITS}/{unit}" for unit, text in TEXTS.items()
        )
    return command


def links(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if "hardener-example" in line)


def test_systemd_and_what_stands_in_for_it_do_the_same(guest: lab.Guest, tmp_path: Path) -> None:
    services = Services(NoEngine(), root=tmp_path)
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (tmp_path / "etc/audit/rules.d").mkdir(parents=True)
    differences = []
    for number, command in enumerate(COMMANDS):
        listing = f"find {UNITS} -path '*.wants/*' -name 'hardener-example*' -printf '%P %l\\n'"
        printed = shell(guest, f'{script(command)} 2>/dev/null; echo "code $?"; {listing}')
        said, _, rest = printed.rpartition("code ")
        code, *found = rest.splitlines()
        real = (int(code), said, links("\n".join(found)))
        if command in (WRITE, CHANGE, REMOVE):
            for unit, text in TEXTS.items():
                if command == REMOVE:
                    (units / unit).unlink()
                else:
                    (units / unit).write_text(text + ("" if command == WRITE else "# changed\n"))
            answer = (0, "")
        else:
            answer = services.call(shlex.split(command))[:2]
        made = [
            f"{link.relative_to(units)} {str(link.readlink()).replace(str(tmp_path), '')}"
            for link in units.glob("*.wants/hardener-example*")
        ]
        stand_in = (*answer, sorted(made))
        if real != stand_in:
            differences.append(f"{number}: {command}: {real} but {stand_in}")
    assert not differences, "\n".join(differences)
