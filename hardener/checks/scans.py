"""Read the last scan's results on a host's images and packages; an outdated scan counts as unknown.

What a scan cannot decide is left to a person, or is an error; it never makes an image pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import islice

from hardener.catalogue.known_releases import Releases, end_of_support, known
from hardener.checks import check
from hardener.checks.lib import policy
from hardener.checks.lib.containers import containers
from hardener.checks.lib.local_images import NO_IMAGES, Image, images
from hardener.checks.lib.rule import Note, Question, judge_all
from hardener.checks.lib.verdicts import count, needs_engine
from hardener.model import Verdict
from hardener.scan.record import BadRecord, Package, Report, Scan, Scanned, ScanState, parse
from hardener.snapshot import FactUnavailable, FactUnusable, Snapshot

SOURCE = "hardener.scan"
MAX_AGE_DAYS = 7
_NAMED = 3
_DAY = 86400


@dataclass(frozen=True, slots=True)
class LastScan:
    """The record of a host's last scan, judged at the time of the snapshot."""

    scan: Scan
    now: datetime
    oldest: int  # days
    packages_changed: bool  # packages changed on the host since
    releases: Releases

    def age(self, moment: str) -> int:
        """Return the days from a time in the record to the snapshot.

        Raises:
            FactUnavailable: the text is not a time, or is later than the snapshot.
        """
        try:
            passed = (self.now - datetime.fromisoformat(moment)).total_seconds()
        except (ValueError, TypeError):
            raise FactUnavailable(SOURCE, f"{moment[:40]!r} is not a time") from None
        if passed < -_DAY:
            raise FactUnavailable(
                SOURCE, f"the record is of {moment}, later than the snapshot: check the host's clock"
            )
        return int(passed // _DAY)

    def is_current(self, moment: str) -> bool:
        """Return whether results of this time in the record are recent enough to decide."""
        return self.age(moment) <= self.oldest

    def counts(self, scanned: Scanned) -> bool:
        """Return whether a result is valid: neither the scan nor its index is too old."""
        index_age = self.age(scanned.index_date)
        return self.is_current(scanned.scanned_at) and index_age <= max(self.oldest, MAX_AGE_DAYS)

    @property
    def host(self) -> Scanned | None:
        """Return the result for the host itself; None if unknown, too old, or older than the packages."""
        host = self.scan.host
        known = host.state in (ScanState.CLEAN, ScanState.OUTDATED) and not self.packages_changed
        return host if known and self.counts(host) else None


def last_scan(snapshot: Snapshot) -> LastScan | None:
    """Return the record of the last scan; None without one, as in older snapshots.

    Raises:
        FactUnavailable: the record or the policy about it cannot be read.
    """
    source = snapshot.fact_or(SOURCE, None) if snapshot.has(SOURCE) else None
    if source is None:
        return None
    oldest = policy.limit(snapshot, "scan_max_age_days")
    try:
        scan = parse(source.get("record"))
        now = datetime.fromisoformat(snapshot.collected_at)
    except BadRecord as error:
        raise FactUnavailable(SOURCE, str(error)) from None
    except ValueError:
        raise FactUnavailable("collected_at", f"{snapshot.collected_at!r} is not a time") from None
    now = now if now.tzinfo else now.replace(tzinfo=UTC)
    days = MAX_AGE_DAYS if oldest is None else oldest
    return LastScan(scan, now, days, bool(source.get("packages_changed", True)), known(snapshot))


@check("image-vulnerability-scan")
@needs_engine
def vulnerability_scan(snapshot: Snapshot) -> Verdict:
    """Check that every image has a recent scan without open findings; a person judges unscanned images."""
    used = {container.image_id for container in containers(snapshot)}
    last = last_scan(snapshot)
    threshold = _Threshold.of(snapshot)

    def judge(image: Image) -> Iterator[str]:
        use = f"{'in use' if image.id in used else 'unused'}, built {image.created}"
        if last is None:
            yield Question(f"{use}, {image.id or 'no id'}")
        else:
            yield from _judge(image.id, last, threshold, use)

    return judge_all(
        sorted(images(snapshot), key=lambda image: image.created),
        judge,
        expected="every image was scanned recently, and has the security updates that the scan found",
        no_subjects=NO_IMAGES,
        question="check that each image has a recent scan report without open findings",
        evidence=() if last is None else (f"last scan: {last.scan.scanned_at}", *threshold.described_limits),
    )


@dataclass(frozen=True, slots=True)
class _Threshold:
    """The site's limits for pending updates: their number, and the packages to ignore."""

    updates: int
    ignored: Sequence[str]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Threshold:
        updates = policy.limit(snapshot, "image_max_updates")
        return cls(updates or 0, policy.texts(snapshot, "image_ignored_packages") or ())

    @property
    def described_limits(self) -> tuple[str, ...]:
        """Return the limits that differ from the default, as text."""
        waiting = [f"policy allows {self.updates} pending updates in each image"] if self.updates else []
        ignored = [f"policy ignores the packages {', '.join(self.ignored)}"] if self.ignored else []
        return (*waiting, *ignored)

    def counts(self, package: str) -> bool:
        return not any(fnmatchcase(package, glob) for glob in self.ignored)


def _judge(identity: str, last: LastScan, threshold: _Threshold, use: str) -> Iterator[str]:
    """Judge an image by its own scan, and by other scanners' reports on the same id."""
    scanned = last.scan.images.get(identity)
    decided = False
    for report in last.scan.reports.get(identity, ()):
        if last.is_current(report.created):
            decided = decided or report.system or _has_no_system(scanned)
            yield from _report_findings(report, threshold)
        else:
            yield Note(f"the report of {report.tool} is {last.age(report.created)} days old: not counted")
    if scanned is not None and scanned.distribution:
        end = end_of_support(last.releases, scanned.distribution, scanned.release, today=last.now.date())
        if end:
            yield f"is of {scanned.title or scanned.distribution}, without security updates since {end}"
    if scanned is not None and scanned.state in (ScanState.CLEAN, ScanState.OUTDATED):
        if last.counts(scanned):
            yield from _pending_updates(scanned, threshold, use)
            if scanned.reason and not decided:
                yield Question(f"{use}, {scanned.reason}")
        else:
            yield f"was scanned {last.age(scanned.scanned_at)} days ago, at most {last.oldest} are allowed"
    elif not decided:
        yield from _undecided(scanned, use)


def _has_no_system(scanned: Scanned | None) -> bool:
    """Return whether an image was read and has no distribution, such as one built from scratch."""
    return (
        scanned is not None
        and scanned.state is ScanState.UNKNOWN
        and not scanned.could_not
        and not scanned.distribution
    )


def _undecided(scanned: Scanned | None, use: str) -> Iterator[str]:
    """Return the verdict of an unknown image: a question for a person, or an error if the scan failed."""
    if scanned is None:
        yield Question(f"{use}, not scanned yet")
    elif scanned.could_not:
        raise FactUnusable(SOURCE, f"the last scan does not know the state of the image: {scanned.reason}")
    else:
        yield Question(f"{use}, {scanned.state}: {scanned.reason}")


def _pending_updates(scanned: Scanned, threshold: _Threshold, use: str) -> Iterator[str]:
    waiting = [package for package in scanned.packages if threshold.counts(package.name)]
    number = len(waiting) + scanned.more
    if number > threshold.updates:
        told = _first_of(map(_package_text, waiting), number)
        yield f"has {count(number, 'package')} with a security update: {told} ({use})"
    elif number:
        yield Note(f"has {count(number, 'package')} with a security update, which policy allows")


def _package_text(package: Package) -> str:
    ids = f" ({', '.join(package.cves[:2])})" if package.cves else ""
    return f"{package.name} {package.installed} → {package.fixed}{ids}"


def _report_findings(report: Report, threshold: _Threshold) -> Iterator[str]:
    """Judge another scanner's report: a release without updates, and findings for which a fix exists."""
    if report.ended:
        yield f"is of {report.ended}, which no longer gets security updates, according to {report.tool}"
    if not report.system:
        yield Note(f"the report of {report.tool} does not cover packages of the operating system")
    open_findings = [
        each for each in report.findings if each.get("fixed") and threshold.counts(str(each.get("package")))
    ]
    number = len(open_findings) + report.more_fixed
    if number > threshold.updates:
        told = _first_of((f"{each.get('id')} in {each.get('package')}" for each in open_findings), number)
        what = count(number, "vulnerability", "vulnerabilities")
        yield f"has {what} with an available fix, as {report.tool} found on {report.created[:10]}: {told}"


def _first_of(names: Iterable[str], number: int) -> str:
    """Join the first names; append the number of the omitted names."""
    told = list(islice(names, _NAMED))
    more = [f"{number - len(told)} more"] if number > len(told) else []
    return " and ".join([*([", ".join(told)] if told else []), *more])
