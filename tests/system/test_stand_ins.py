"""What stands in for systemd in tests/faults does what systemd does with the same commands."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from hardener import lab
from tests.faults.scopes import Scopes
from tests.faults.services import NoEngine, Services
from tests.hosts.workload import shell

TIMER, SERVICE = "hardener-example.timer", "hardener-example.service"
UNITS = "/etc/systemd/system"
TEXTS = {
    TIMER: "[Unit]\nDescription=x\n[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
    SERVICE: "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/true\n",
}
PROPERTIES = "--property=Id,LoadState,ActiveState,UnitFileState"
SHOW = f"systemctl show {PROPERTIES} -- {TIMER}"
RELOAD = f"systemctl show --property=NeedDaemonReload -- {TIMER}"
LATER = "systemd-run --quiet --collect --unit=hardener-later --on-active=3600 -- /bin/true"
WRITE, CHANGE, REMOVE = "write", "change", "remove"  # the units' files
# What a run asks for, in every state that it may find.
COMMANDS = [
    SHOW,
    f"systemctl is-active -- {TIMER}",
    f"systemctl enable -- {TIMER}",
    f"systemctl start -- {TIMER}",
    f"systemctl stop -- {TIMER}",
    f"systemctl reset-failed -- {TIMER}",
    WRITE,
    SHOW,
    RELOAD,
    "systemctl daemon-reload",
    f"systemctl enable --quiet -- {TIMER}",
    SHOW,
    f"systemctl enable -- {TIMER}",
    f"systemctl start -- {TIMER}",
    f"systemctl is-active -- {TIMER}",
    SHOW,
    f"systemctl reload-or-restart -- {SERVICE}",
    f"systemctl is-active -- {SERVICE} {TIMER}",
    f"systemctl restart -- {SERVICE}",
    f"systemctl show {PROPERTIES} -- {SERVICE}",
    CHANGE,
    RELOAD,
    "systemctl daemon-reload",
    RELOAD,
    f"systemctl stop -- {TIMER}",
    f"systemctl is-active -- {TIMER}",
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
    "systemctl is-active -- hardener-later.timer hardener-later.service",
    "systemctl stop -- hardener-later.timer",
    "systemctl stop -- hardener-later.timer",
    "systemctl is-active -- hardener-later.timer hardener-later.service",
    "systemctl kill --signal=KILL -- hardener-no.scope",
    "systemctl stop -- hardener-no.scope",
    "journalctl --identifier=hardener-no --since=@1.0 --lines=20 --quiet --output-fields=MESSAGE,_PID",
]
SCOPE = "hardener-example.scope"
MOVE = (
    "busctl call --quiet org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
    f" StartTransientUnit 'ssa(sv)a(sa(sv))' {SCOPE} fail 2 PIDs au 1 $pid CollectMode s inactive-or-failed 0"
)
STOP, KILL = f"systemctl stop -- {SCOPE}", f"systemctl kill --signal=KILL -- {SCOPE}"
# A process that is moved into a scope, where it is then, and what its end leaves to be ended.
SCOPES = f"""
tell() {{ echo "$1 $2"; }}
for end in stop kill; do
  sleep 300 & pid=$!
  {MOVE}; tell move $?
  for try in $(seq 100); do grep -q {SCOPE} /proc/$pid/cgroup && break; sleep 0.05; done
  tell in "$(grep -c '/{SCOPE}$' /proc/$pid/cgroup)"
  [ $end = stop ] && {{ {STOP}; tell stop $?; }} || {{ {KILL}; tell kill $?; }}
  wait $pid
  for try in $(seq 100); do [ "$(systemctl is-active {SCOPE})" = inactive ] && break; sleep 0.05; done
  {STOP} 2>/dev/null; tell stop $?
  {KILL} 2>/dev/null; tell kill $?
done
"""


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


def test_the_stand_in_behaves_like_systemd(guest: lab.Guest, tmp_path: Path) -> None:
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


def test_the_stand_in_moves_processes_into_scopes_like_systemd(guest: lab.Guest, tmp_path: Path) -> None:
    scopes = Scopes(tmp_path / "groups")
    services = Services(NoEngine(), root=tmp_path, scopes=scopes)
    said = []
    try:
        for end in (STOP, KILL):
            with subprocess.Popen(["sleep", "300"]) as process:
                moved = services.call(shlex.split(MOVE.replace("$pid", str(process.pid)))).code
                groups = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
                said += [f"move {moved}", f"in {sum(line.endswith(f'/{SCOPE}') for line in groups)}"]
                said.append(f"{end.split()[1]} {services.call(shlex.split(end)).code}")
            said += [f"{each.split()[1]} {services.call(shlex.split(each)).code}" for each in (STOP, KILL)]
    finally:
        scopes.close()
    assert shell(guest, SCOPES).splitlines() == said
