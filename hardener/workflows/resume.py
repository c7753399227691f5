"""Read the state of the hosts of an unfinished run, before another run continues it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from ansible_collections.hardener.docker.plugins.module_utils.contract import CHANGED

from hardener.errors import HardenerError
from hardener.fleet import Fleet, requests
from hardener.fleet.inventory_cli import members
from hardener.history.journal import Ending, Unfinished
from hardener.snapshot import FactUnavailable, Snapshot
from hardener.workflows.listener import Listener
from hardener.workflows.options import Target
from hardener.workfolder import temporary_folder

_PAUSE_S = 5.0
_LONGEST_S = 900.0  # seconds to wait for hosts that are still at work or wait to be confirmed


class HostState(StrEnum):
    """The state of a host in a run whose controller has ended."""

    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled back"
    UNTOUCHED = "untouched"
    WAITING = "still working, or waiting to be confirmed"
    UNREACHABLE = "cannot be reached"
    GONE = "no longer in the inventory"


class ResumeListener(Listener, Protocol):
    """Receives the states of the hosts of an unfinished run."""

    def host_states(self, run: Unfinished, states: Mapping[str, HostState]) -> None:
        """Report the state of every host of the run."""


def confirmed_before(
    target: Target, fleet: Fleet, listener: ResumeListener, *, in_one: bool = True
) -> frozenset[str]:
    """Return the hosts that are not changed again, because they are confirmed in the run that is resumed.

    Hosts that were begun and of which no confirmation is written are asked; those that are still at work, or
    wait for a confirmation that will not come, are waited for: they roll back by themselves. A host that has
    failed is planned for again even if it has confirmed its transaction: what failed came after that. Hosts
    that were removed from the inventory, such as one whose failure ended the run, are named.

    Args:
        target: the hosts, and the run that is resumed.
        fleet: reaches them.
        listener: receives the state of each host.
        in_one: whether a host has one transaction in a run. Of several, one that the host has confirmed says
            nothing about the others, so such a host is planned for again unless its end was written.
    """
    resumed = target.call.resumed if target.call else None
    if resumed is None:
        return frozenset()
    states = {host: _known(resumed, host) for host in resumed.hosts}
    deadline = time.monotonic() + _LONGEST_S
    asked = resumed.unconfirmed
    if asked:
        present = members(target.inventory).hosts
        states |= dict.fromkeys((host for host in asked if host not in present), HostState.GONE)
        asked = tuple(host for host in asked if host in present)
    while asked:
        states |= _ask(fleet.only(asked), asked, resumed, listener)
        asked = tuple(host for host in asked if states[host] is HostState.WAITING)
        if asked and time.monotonic() > deadline:
            break
        if asked:
            time.sleep(_PAUSE_S)
    listener.host_states(resumed, states)
    if not in_one:
        return resumed.confirmed
    return resumed.confirmed | {host for host in resumed.unknown if states[host] is HostState.CONFIRMED}


def _known(run: Unfinished, host: str) -> HostState:
    """Return the state of a host from the journal, for hosts that have no record of the run."""
    if host in run.confirmed:
        return HostState.CONFIRMED
    if run.ended.get(host) is Ending.ROLLED_BACK:
        return HostState.ROLLED_BACK
    return HostState.UNREACHABLE if host in run.unconfirmed else HostState.UNTOUCHED


def _ask(
    fleet: Fleet, hosts: Sequence[str], run: Unfinished, listener: ResumeListener
) -> dict[str, HostState]:
    """Collect snapshots; return the state of each host after the run, except where it cannot be read."""
    states: dict[str, HostState] = {}
    with (
        temporary_folder() as folder,
        requests.collect(fleet, folder) as answers,
        listener.phase("check the hosts") as phase,
    ):
        for collected in answers.each(phase):
            try:
                snapshot = Snapshot.load(collected.snapshot, name="the answer of the host")
                state = state_of(snapshot, run.number)
            except (HardenerError, FactUnavailable):
                continue
            states[collected.host] = state
    unreached = (host for host in hosts if not answers.outcomes[host].ended_well)
    return dict.fromkeys(unreached, HostState.UNREACHABLE) | states


def state_of(snapshot: Snapshot, number: int) -> HostState:
    """Return the state of a host after a run.

    Args:
        snapshot: of the host.
        number: of the run.

    Raises:
        FactUnavailable: the record of its runs could not be read.
    """
    known = snapshot.fact_or("hardener.runs", {})
    if known.get("unfinished"):
        return HostState.WAITING
    for each in known.get("runs") or ():  # newest first
        if each.get("number") == number:
            return HostState.CONFIRMED if each.get("outcome") == CHANGED else HostState.ROLLED_BACK
    return HostState.UNTOUCHED
