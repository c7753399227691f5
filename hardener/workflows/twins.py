"""Run the stages of a recording or a proof on the one host of a fleet."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardener.errors import ExitCode, HardenerError
from hardener.fleet import Fleet, State, requests
from hardener.fleet.answers import Answer, Watcher
from hardener.text import line
from hardener.workload.tunnel import Tunnel

_MAX_PORTS = 1000
_MAX_PROBLEMS = 10
_MAX_TEXT = 1000
_ADDRESS = re.compile(r"127\.0\.0\.1:([1-9][0-9]{0,4})")
_HIGHEST_PORT = 65535
_PORT = re.compile(r"([A-Za-z0-9_]{1,64}_)?[0-9]{1,5}(_udp)?")


class UnreachableError(HardenerError):
    """The host cannot be reached, or gives no answer: nothing is known about the container."""

    exit_code = ExitCode.INCOMPLETE


def stage(
    fleet: Fleet, playbook: str, values: Mapping[str, object], listener: Watcher, *, socket: str = ""
) -> tuple[str, Mapping[str, Any]]:
    """Run a stage on the host; return the host's name and its answer.

    Args:
        fleet: the host.
        playbook: ``record`` or ``prove``.
        values: the parameters of the stage.
        listener: receives the progress.
        socket: the engine's socket; empty where the host finds it.

    Raises:
        UnreachableError: the host cannot be reached, or gave no answer in time.
        HardenerError: it failed there, or the fleet is not exactly one host.
    """
    found: dict[str, Answer] = {}
    with requests.stage(fleet, playbook, values, socket=socket) as answers:
        for answer in answers.each(listener, failures=False):  # the error below has the reason
            found[answer.host] = answer
    if len(answers.outcomes) != 1:
        reasons = dict.fromkeys(outcome.reason for outcome in answers.outcomes.values())
        raise HardenerError(next(filter(None, reasons), "the playbook was not run on one host"))
    ((host, outcome),) = answers.outcomes.items()
    if not outcome.ended_well or host not in found:
        kind = UnreachableError if outcome.state is State.UNREACHABLE else HardenerError
        raise kind(f"{line(host)}: {outcome.reason or 'the host did not answer'}")
    return host, found[host].data


def this_process() -> dict[str, object]:
    """Return pid and start time of this process; when it ends, a run on this machine ends too."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return {"pid": os.getpid(), "started": fields[19]}


def problems(answer: Mapping[str, Any]) -> list[str]:
    """Return the problems that a host reports, each on one line; omit values of other types."""
    found = answer.get("problems")
    texts = found if isinstance(found, list) else []
    return [line(text, _MAX_TEXT) for text in texts[:_MAX_PROBLEMS] if isinstance(text, str)]


def tunnel(host: str, begun: Mapping[str, Any], *, forward: bool) -> Tunnel:
    """Return the ports by which this machine reaches the twins.

    Args:
        host: their host.
        begun: its answer to the stage ``begin``.
        forward: whether the stage was asked to forward ports. The command is of Ansible on this machine.

    Raises:
        HardenerError: the answer has no valid addresses.
    """
    ssh = begun.get("ssh") if forward else []
    if not isinstance(ssh, list):
        raise HardenerError(f"{line(host)}: there is no way to the ports of the twins")
    return Tunnel([str(word) for word in ssh], _addresses(host, begun))


def _addresses(host: str, begun: Mapping[str, Any]) -> dict[str, str]:
    """Return the address of each port of the twins; refuse an answer with anything else."""
    found = begun.get("addresses")
    if not isinstance(found, Mapping) or len(found) > _MAX_PORTS:
        raise HardenerError(f"{line(host)}: the answer has no addresses of twins")
    answer = {}
    for port, address in found.items():
        own = _ADDRESS.fullmatch(str(address))
        if not own or int(own[1]) > _HIGHEST_PORT or not _PORT.fullmatch(str(port)):
            raise HardenerError(f"{line(host)}: {line(str(address), 60)} is not an address of a twin")
        answer[str(port)] = str(address)
    return answer
