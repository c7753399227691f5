"""The twins of a run, which are each other's company: in which order they start, and where each answers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Collection, Mapping, Sequence

from . import project
from .account import Account
from .forward import Door
from .life import Life
from .subject import Subject


class Part:
    """A twin of a run: its container, its life, and what is recorded of it, if anything."""

    def __init__(
        self, member: project.Member, subject: Subject, life: Life, account: Account | None = None
    ) -> None:
        self.member = member
        self.subject = subject
        self.life = life
        self.account = account
        self.starts = True  # whether it could be started at all


def not_recorded(_identity: str) -> None:
    """Count nothing of a copy."""


def wait_for_others(part: Part, parts: Sequence[Part]) -> None:
    """Wait for what a service needs of others before it starts, as docker compose does."""
    for other in parts:
        condition = part.member.needs.get(other.member.name)
        if condition is None or other is part or not other.starts:
            continue
        problem = other.life.wait(condition)
        if problem:
            part.life.missing.append(f"it was started before {other.member.name} was ready: {problem}")


def doors(parts: Sequence[Part], own: Collection[int], *, others: bool) -> list[Door]:
    """Ports of the twins, by number where that says which one, and by service and number.

    Args:
        parts: the twins.
        own: numbers of those whose ports have the numbers as names, where no other of them has the same.
        others: whether the ports of the rest have them too, where no other twin has the same.
    """
    ours = Counter(port for number in own for port in parts[number].subject.ports())
    every = Counter(port for part in parts for port in part.subject.ports())
    found: list[Door] = []
    taken: set[tuple[str, str]] = set()
    for number, part in enumerate(parts):
        service = re.sub(r"[^A-Za-z0-9_]", "_", part.member.name)[:64]
        for port, protocol in part.subject.ports():
            names = [f"{service}_{port}"] if len(parts) > 1 else []
            single = ours[port, protocol] == 1 if number in own else others and every[port, protocol] == 1
            if single:
                names.append(str(port))
            new = tuple(name for name in names if (name, protocol) not in taken)
            taken.update((name, protocol) for name in new)
            if new:
                found.append(Door(number, port, protocol, new, part.subject.target))
    return found


def reached(number: int, parts: Sequence[Part], carried: Mapping[int, int], *, elsewhere: bool) -> str:
    """How the exercise has reached a twin, in words; empty where it has not.

    Args:
        number: of the twin.
        parts: all of them.
        carried: connections and datagrams that came to each, by its number.
        elsewhere: whether the exercise is a command in a twin, which needs no port.
    """
    if carried.get(number):
        return "the twin was reached"
    if (any(carried.values()) or elsewhere) and len(parts) > 1 and parts[number].life.received():
        return "the exercise reached another twin, and others sent to this one meanwhile"
    return ""
