"""Show a scan, one line for each object: the missing updates, and the CVE ids that they close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hardener.scan.record import Scan, Scanned, State
from hardener.text import line, shorten

_NAMED = 4
_STYLES = {State.CLEAN: "green", State.OUTDATED: "red", State.NOT_SCANNED: "yellow", State.UNKNOWN: "yellow"}


def table(found: Mapping[str, Scan], *, images: bool) -> RenderableType:
    """Return the table of hosts and images with their states and reasons."""
    rows = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading, right in (("host", 0), ("what", 0), ("state", 0), ("packages", 1), ("waiting", 1), ("", 0)):
        rows.add_column(heading, justify="right" if right else "left", overflow="fold")
    for host, scan in found.items():
        for name, scanned in (("the host", scan.host), *(_by_name(scan) if images else ())):
            waiting = len(scanned.packages) + scanned.more
            rows.add_row(
                Text(line(host)),
                Text(line(name, 80)),
                Text(scanned.state.value, style=_STYLES[scanned.state]),
                Text(str(scanned.checked or "-")),
                Text(str(waiting or "-")),
                Text(_detail(scanned)),
            )
        for text in _remarks(scan):
            rows.add_row(Text(line(host)), Text(""), Text(""), Text(""), Text(""), Text(text))
    return rows


def _by_name(scan: Scan) -> Iterator[tuple[str, Scanned]]:
    for identity in sorted(scan.images, key=scan.names.__getitem__):
        yield scan.names[identity], scan.images[identity]


def _detail(scanned: Scanned) -> str:
    if scanned.state is State.CLEAN:
        return f"by the index of {line(scanned.index_date[:10])}"
    if scanned.state is not State.OUTDATED:
        return line(scanned.reason)
    names = [f"{line(each.name, 60)} {line(each.fixed, 40)}" for each in scanned.packages[:_NAMED]]
    rest = len(scanned.packages) + scanned.more - len(names)
    ids = {cve for each in scanned.packages for cve in each.cves or ()}
    more = [f"and {rest} more"] if rest > 0 else []
    closes = f"; closes {len(ids)} CVE ids" if ids else ""
    besides = f"; {line(scanned.reason)}" if scanned.reason else ""
    return f"{', '.join([*names, *more])}{closes}{besides}"


def _remarks(scan: Scan) -> Iterator[str]:
    """Return remarks that are not about the packages of one object."""
    if scan.restarts:
        names = ", ".join(dict.fromkeys(line(each.unit or each.name, 40) for each in scan.restarts))
        yield f"runs what an update has replaced: {shorten(names, 160)}"
    if found := scan.openscap:
        fail = len(found.failed) + found.more
        told = f"{fail} rules of {line(found.profile, 60)} fail, {found.counts.get('pass', 0)} pass"
        yield f"OpenSCAP, {line(found.evaluated_at, 20)}: {line(found.error) if found.error else told}"
    if scan.reboot:
        yield "a reboot is asked for"
    if scan.engine_error:
        yield f"images were not read: {line(scan.engine_error)}"
    for identity, reports in scan.reports.items():
        for report in reports:
            count = len(report.findings) + report.more
            name = line(scan.names.get(identity, identity[:19]), 80)
            yield f"{name}: {line(report.tool)} found {count} on {line(report.created, 20)}"
