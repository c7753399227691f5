"""Order the twins of a run by their dependencies, and assign addresses to their ports."""

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
    """A container of a run, or the twin of one: its container, its life, and its recording, if any."""

    def __init__(
        self, member: project.Member, subject: Subject, life: Life, account: Account | None = None
    ) -> None:
        self.member = member
        self.subject = subject
        self.life = life
        self.account = account
        self.starts = True  # whether it could be started at all


def not_recorded(_identity: str) -> None:
    """Do nothing: the twins of other services are not recorded."""


def wait_for_others(part: Part, parts: Sequence[Part]) -> None:
    """Wait for a service's dependencies before it starts, as docker compose does."""
    for other in parts:
        condition = part.member.needs.get(other.member.name)
        if condition is None or other is part or not other.starts:
            continue
        problem = other.life.wait(condition)
        if problem:
            part.life.missing.append(f"the twin was started before {other.member.name} was ready: {problem}")


def doors(parts: Sequence[Part], own: Collection[int], *, others: bool) -> list[Door]:
    """Return the ports of the twins, named by service and number, and by number alone if it is unique.

    Args:
        parts: the twins.
        own: twins whose ports are named by number, unless another of them has the same.
        others: whether the ports of the others are named by number too, unless another twin has the same.
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
    """Return how the exercise has reached a twin, in words; empty if it has not.

    Args:
        number: of the twin.
        parts: all twins.
        carried: connections and datagrams to each, by its number.
        elsewhere: whether the exercise is a command in a twin, which needs no port.
    """
    if carried.get(number):
        return f"connections reached the {parts[number].life.noun}"
    if (any(carried.values()) or elsewhere) and len(parts) > 1 and parts[number].life.received():
        return "the exercise reached another twin, and this one received packets meanwhile"
    return ""
