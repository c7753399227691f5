"""Show a scan, one line for each object: the missing updates, and the CVE ids that they close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.scan.record import Scan, Scanned, ScanState
from hardener.scan.vex import HOST, Match, Statement
from hardener.terminal.parts import heading
from hardener.text import first, line, shorten

_NAMED = 4
_SAID_SHOWN = 50  # VEX statements about one object; the JSON has all
_UNUSED_SHOWN = 20
_STYLES = {
    ScanState.CLEAN: "green",
    ScanState.OUTDATED: "red",
    ScanState.NOT_SCANNED: "yellow",
    ScanState.UNKNOWN: "yellow",
}


def scan_screen(
    found: Mapping[str, Scan],
    *,
    images: bool,
    said: Mapping[str, Sequence[Match]],
    unused: Sequence[Statement],
) -> RenderableType:
    """Return the screen of a scan.

    Args:
        found: the findings of each host.
        images: whether images were scanned.
        said: the VEX statements that apply to the findings of each host.
        unused: the statements that apply to no finding.
    """
    screen = Group(_table(found, images=images), *_statements(found, said))
    if not unused:
        return screen
    title = heading("VEX statements that apply to no finding", len(unused), "yellow")
    lines = first([_statement(each.vulnerability, "", each) for each in unused], _UNUSED_SHOWN)
    return Group(screen, title, Padding(Text("\n".join(lines)), (0, 1)))


def _statements(found: Mapping[str, Scan], said: Mapping[str, Sequence[Match]]) -> Iterator[RenderableType]:
    """List the statements by host and object; they do not change the findings."""
    for host, matches in said.items():
        for name in dict.fromkeys(match.object for match in matches):
            told = [each for each in matches if each.object == name]
            what = name if name == HOST else found[host].names.get(name, name[:19])
            yield heading(f"VEX statements: {line(host, 60)}, {line(what, 80)}", len(told), "cyan")
            lines = [_statement(each.vulnerability, each.package, each.statement) for each in told]
            yield Padding(Text("\n".join(first(lines, _SAID_SHOWN))), (0, 1))


def _statement(vulnerability: str, package: str, statement: Statement) -> str:
    where = f" in {line(package, 60)}" if package else ""
    why = f" ({line(statement.why, 120)})" if statement.why else ""
    text = f": {line(statement.text, 200)}" if statement.text else ""
    about = "" if package else f", about {_products(statement)}"
    source = line(statement.source, 60)
    return f"{line(vulnerability, 60)}{where}: {statement.status}{why}{text}{about} [{source}]"


def _products(statement: Statement) -> str:
    names = [line((*product.parts, *product.names, "?")[0], 80) for product in statement.products]
    return ", ".join(first(names, _NAMED)) or "no product"


def _table(found: Mapping[str, Scan], *, images: bool) -> RenderableType:
    """Return the table of hosts and images with their states and reasons."""
    rows = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name, right in (("host", 0), ("what", 0), ("state", 0), ("packages", 1), ("waiting", 1), ("", 0)):
        rows.add_column(name, justify="right" if right else "left", overflow="fold")
    for host, scan in found.items():
        for name, scanned in ((HOST, scan.host), *(_by_name(scan) if images else ())):
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
    if scanned.state is ScanState.CLEAN:
        return f"according to the index of {line(scanned.index_date[:10])}"
    if scanned.state is not ScanState.OUTDATED:
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
        yield f"runs files that an update has replaced: {shorten(names, 160)}"
    if found := scan.openscap:
        fail = len(found.failed) + found.more
        told = f"{fail} rules of {line(found.profile, 60)} fail, {found.counts.get('pass', 0)} pass"
        yield f"OpenSCAP, {line(found.evaluated_at, 20)}: {line(found.error) if found.error else told}"
    if scan.reboot:
        yield "a reboot is required"
    if scan.engine_error:
        yield f"images were not read: {line(scan.engine_error)}"
    for identity, reports in scan.reports.items():
        for report in reports:
            count = len(report.findings) + report.more
            name = line(scan.names.get(identity, identity[:19]), 80)
            yield f"{name}: {line(report.tool)} found {count} on {line(report.created, 20)}"
