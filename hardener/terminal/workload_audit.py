"""Show the containers of an audit of workloads: their privileges, riskiest first, and the recommendations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.checks.lib.capability_sets import CAPABILITIES, DEFAULT
from hardener.checks.lib.filters import Filter, FilterKind
from hardener.checks.lib.labels import Confinement
from hardener.checks.lib.verdicts import count
from hardener.model import Severity
from hardener.terminal.parts import SEVERITY_STYLES
from hardener.text import first, line
from hardener.workload.audit import ContainerAudit, HostAudit, by_risk
from hardener.workload.privileges import Capabilities, Privileges

_ROWS = 15
_GROUPS = 3  # of containers with the same recommendation
_NAMES = 3
_HOSTS = 10
_CONFINED = {
    Confinement.ABSENT: "none",
    Confinement.UNCONFINED: "none",
    Confinement.COMPLAINING: "logs",
    Confinement.DEFAULT: "default",
    Confinement.OWN: "own",
    Confinement.UNKNOWN: "?",
}
_COLUMNS = ("caps", "seccomp", "nnp", "lsm", "user", "host ns", "fs", "no limit")

_Found = Sequence[tuple[str, ContainerAudit]]


def screen(audits: Sequence[HostAudit]) -> Iterator[RenderableType]:
    """Return the parts of the screen of the hosts."""
    found = by_risk(audits)
    hosts = {host for host, _ in found}
    yield Padding(Text(_headline(audits, found), style="bold"), (0, 1))
    if found:
        yield Padding(_table(found[:_ROWS], named=len(hosts) > 1), (1, 1, 0, 1))
    if len(found) > _ROWS:
        yield Padding(Text(f"and {len(found) - _ROWS} more: --json has them all"), (0, 1))
    yield from _to_do(found, named=len(hosts) > 1)
    yield from _profiles(found, named=len(hosts) > 1)
    unknown = [
        f"{line(container.name, 60)}: {part}" for _, container in found for part in container.has.unknown
    ]
    failed = [f"{line(each.host, 60)}: {each.error}" for each in audits if each.error]
    for title, texts in (("Could not be read, and is not counted", unknown), ("Not judged", failed)):
        if texts:
            yield Padding(Text(title, style="magenta"), (1, 1, 0, 1))
            for text in first(texts, _HOSTS):
                yield Padding(Text(line(text)), (0, 1, 0, 3))


def _headline(audits: Sequence[HostAudit], found: _Found) -> str:
    levels = Counter(container.level for _, container in found)
    parts = ", ".join(f"{levels[level]} {level.value}" for level in Severity if levels[level])
    judged = sum(1 for each in audits if not each.error)
    if audits and not judged:
        return "no host reported its containers"
    running = f"{count(len(found), 'container')} on {count(judged, 'host')}"
    return f"{running}: {parts}" if parts else f"{running}: none is running"


def _profiles(found: _Found, *, named: bool) -> Iterator[RenderableType]:
    """List the containers under a requested profile, with their differences from the recording."""
    under = [(host, container, container.use) for host, container in found if container.use]
    if not under:
        return
    yield Padding(Text("Under a profile", style="bold"), (1, 1, 0, 1))
    for host, container, use in under[:_ROWS]:
        text = Text(f"{_name(host, container, named=named)}: {line(use.profile, 80)}: ")
        if use.moved:
            text.append("its identity has changed since the recording", style="magenta")
        else:
            text.append("its identity is as recorded", style="green")
        for axis in use.moved:
            text.append(f"\n  {axis.name}: {line(axis.texts[0], 160)} → {line(axis.texts[1], 160)}")
        if use.unknown:
            text.append(f"\n  not compared: {', '.join(use.unknown)}", style="bright_black")
        yield Padding(text, (0, 1))
    if len(under) > _ROWS:
        yield Padding(Text(f"and {len(under) - _ROWS} more: --json has them all"), (0, 1))


def _table(rows: _Found, *, named: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bright_black")
    table.add_column("risk", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("container", overflow="fold", min_width=9)
    for heading in _COLUMNS:
        table.add_column(heading, no_wrap=True)
    for host, container in rows:
        style = SEVERITY_STYLES[container.level]
        table.add_row(
            Text(container.level.value, style=style),
            Text(f"{container.points}{'+' if container.has.unknown else ''}", style=style),
            Text(_name(host, container, named=named)),
            *(Text(cell) for cell in _cells(container.has)),
        )
    return table


def _name(host: str, container: ContainerAudit, *, named: bool) -> str:
    name = line(container.name, 40)
    return f"{line(host, 40)}: {name}" if named else name


def _cells(has: Privileges) -> Iterator[str]:
    yield _capabilities(has.capabilities)
    yield _filter(has.seccomp)
    yield "yes" if has.no_new_privs else "no"
    yield _CONFINED[has.lsm.confinement]
    yield _user(has)
    yield ",".join(kind for kind in has.host_namespaces if kind != "user") or "-"
    yield "rw" if any(each.kind == "root" for each in has.writable) else "ro"
    limits = {"mem": has.limits.memory, "pids": has.limits.pids, "cpu": has.limits.cpu}
    missing = [name for name, value in limits.items() if value is None]
    yield "any" if len(missing) == len(limits) else ",".join(missing) or "-"


def _capabilities(found: Capabilities) -> str:
    """Format the number of capabilities: ``14+2`` where 2 are beyond the engine's default set."""
    reachable = found.held | found.obtainable
    beyond = reachable - DEFAULT
    if set(CAPABILITIES) - DEFAULT <= reachable:
        return "all"
    return f"{len(reachable & DEFAULT)}+{len(beyond)}" if beyond else str(len(reachable))


def _filter(found: Filter) -> str:
    match found.kind:
        case FilterKind.NONE | FilterKind.WIDE | FilterKind.WIDER | FilterKind.DEFAULT:
            return found.kind.value
        case FilterKind.NARROWER | FilterKind.OTHER:
            return f"{found.calls}" if found.calls is not None else "own"
    return "?"


def _user(has: Privileges) -> str:
    if has.user.host_root:
        return "root"
    if has.user.root:
        return "remapped"
    return f"{has.user.ids[0]}" if has.user.ids else "?"


def _to_do(found: _Found, *, named: bool) -> Iterator[RenderableType]:
    """List the first recommendations, once for all containers that share them."""
    groups: dict[tuple[str, ...], list[tuple[str, ContainerAudit]]] = {}
    for host, container in found:
        if container.first:
            groups.setdefault(container.first, []).append((host, container))
    if groups:
        yield Padding(Text("First recommendations", style="bright_black"), (1, 1, 0, 1))
    shown: Mapping[tuple[str, ...], _Found] = dict(list(groups.items())[:_GROUPS])
    for steps, members in shown.items():
        names = first([_name(host, container, named=named) for host, container in members], _NAMES)
        why = f": {line(members[0][1].gravest)}" if len(members) == 1 else ""
        title = Text.assemble((", ".join(names), "bold"), why, no_wrap=True, overflow="ellipsis")
        yield Padding(title, (0, 1))
        for number, step in enumerate(steps, 1):
            yield Padding(Text(f"{number}. {line(step)}"), (0, 1, 0, 3))
    if len(groups) > _GROUPS:
        rest = sum(len(members) for members in groups.values()) - sum(map(len, shown.values()))
        yield Padding(Text(f"--json has the recommendations for {count(rest, 'other container')}."), (0, 1))
