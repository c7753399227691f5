"""Section 1.2: check that the engine is a supported release with security fixes.

The version number alone is not enough: a distribution fixes an old version in a package revision. So its
package is judged by the distribution's support, and an upstream package is compared with the releases in
``catalogue/releases.yaml``. What the data cannot tell is left to a person.
"""

from __future__ import annotations

from datetime import date

from hardener.catalogue import known_releases
from hardener.checks import check
from hardener.checks.lib.verdicts import failed, manual, needs_engine, passed
from hardener.checks.updates import pending
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot, version_tuple

_PLUGIN_BYPASS = "CVE-2026-34040"
_PARTS = ("containerd", "runc")  # components of Docker's own packages
UPSTREAM_PACKAGES = ("docker-ce",)
DISTRIBUTION_PACKAGES = ("docker.io", "moby-engine", "docker")
ENGINE_PACKAGES = frozenset(
    {
        *UPSTREAM_PACKAGES,
        *DISTRIBUTION_PACKAGES,
        "containerd",
        "containerd.io",
        "runc",
        "docker-ce-cli",
        "docker-cli",
    }
)
EXPECTED = "the running engine is a supported release with its security fixes"


@check("docker-version-current")
@needs_engine
def version_current(snapshot: Snapshot) -> Verdict:
    """Check that the running engine, not only the installed package, has the security fixes."""
    version = snapshot.fact("docker.version")
    running = str(version.get("Version", ""))
    packages = snapshot.fact("packages")
    installed = packages.get("installed") or {}
    package = _engine_package(installed)
    evidence = [f"running: {running}", *_parts(version)]
    evidence += [f"package: {name} {installed[name]}" for name in sorted(ENGINE_PACKAGES & installed.keys())]
    if not version_tuple(running):
        raise FactUnavailable("docker.version", f"{running!r} is not a version")
    waiting = [
        Offender(
            "package", str(update.get("name")), f"{update.get('candidate')} repairs {update.get('installed')}"
        )
        for update in packages.get("pending_security") or ()
        if update.get("name") in ENGINE_PACKAGES
    ]
    if waiting:
        names = ", ".join(offender.name for offender in waiting)
        return failed(
            EXPECTED, f"security updates are pending: {names}", offenders=waiting, evidence=evidence
        )
    if package and _upstream(installed[package]) > version_tuple(running):
        stale = Offender("package", package, f"{installed[package]} is installed, {running} still runs")
        return failed(EXPECTED, f"{stale.detail}: restart the daemon", offenders=[stale], evidence=evidence)
    if _is_distributions(package, installed, version_tuple(running)):
        return _distribution(snapshot, package, evidence)
    return _upstream_release(snapshot, version, evidence)


def _engine_package(installed: JSONObject) -> str:
    """Return the package of the engine; empty where it is unknown."""
    return next((name for name in (*UPSTREAM_PACKAGES, *DISTRIBUTION_PACKAGES) if name in installed), "")


def _is_distributions(package: str, installed: JSONObject, running: tuple[int, ...]) -> bool:
    """Return whether the engine is a distribution's package, which is fixed in package revisions."""
    return package in DISTRIBUTION_PACKAGES and _upstream(installed[package]) == running


def is_maintained_by_vendors(snapshot: Snapshot) -> bool:
    """Return whether vendors maintain the engine's branch, so that its version does not show the fixes."""
    branch = known_releases.known(snapshot).branch("engine", snapshot.engine_version)
    return branch is not None and bool(branch.by)


def _distribution(snapshot: Snapshot, package: str, evidence: list[str]) -> Verdict:
    system = snapshot.fact("system").get("os") or {}
    name = str(system.get("PRETTY_NAME") or system.get("ID") or "this distribution")
    distributions = known_releases.known(snapshot).distributions
    support = distributions.get((str(system.get("ID")), str(system.get("VERSION_ID"))))
    today = _today(snapshot)
    if support is None:
        return manual(
            EXPECTED,
            f"check whether {name} still updates its package {package}: hardener has no support dates for it",
            evidence=evidence,
        )
    evidence.append(
        f"{name}: security support until {support.regular or '?'}, extended until {support.extended}"
    )
    if today > support.extended:
        offender = Offender("package", package, f"{name} has been out of support since {support.extended}")
        return failed(
            EXPECTED,
            f"{name} has had no security support since {support.extended}",
            offenders=[offender],
            evidence=evidence,
        )
    if not support.regular or today > support.regular:
        return manual(
            EXPECTED,
            f"check whether the extended support of {name} covers {package} (check-support-status)",
            evidence=evidence,
        )
    pending(snapshot)  # an outdated index cannot say that no update is pending
    return passed(EXPECTED, f"{package} of {name}, no security update is pending", evidence=evidence)


def _upstream_release(snapshot: Snapshot, version: JSONObject, evidence: list[str]) -> Verdict:
    known, today = known_releases.known(snapshot), _today(snapshot)
    running = version_tuple(str(version["Version"]))
    evidence.append(f"releases as of {known.as_of}")
    offenders: list[Offender] = []
    unknown: list[str] = []
    for name, part in (("engine", running), *_components(version)):
        branch = known.branch(name, part)
        if branch is None and not known.is_older_than_all(name, part):
            unknown.append(f"{name} {_dotted(part)} is of a branch that hardener does not know")
        elif branch is None or (branch.until and branch.until < today):
            offenders.append(
                Offender("package", name, f"{_dotted(part)} is of a branch that is no longer maintained")
            )
        elif branch.by:
            unknown.append(f"{name} {_dotted(part)} is maintained by {branch.by}: check whether it is theirs")
        if branch and not branch.by:
            lacks, may_lack = known.missing(branch, part)
            if lacks:
                fixed = _dotted(max(fixed for fixed, _fixes in lacks))
                what = "; ".join(fixes for _fixed, fixes in lacks)
                detail = f"{_dotted(part)} has vulnerabilities, fixed in {fixed} ({what})"
                offenders.append(Offender("package", name, detail))
            if may_lack:
                unknown.append(f"{name} {_dotted(part)} may lack fixes: {'; '.join(may_lack)}")
    unknown += _in_index(snapshot, known, running, evidence)
    if today - known.as_of > known_releases.VALID_FOR:
        unknown.append(f"no release after {known.as_of} is known: give a newer file by --releases")
    if offenders:
        found = "; ".join(f"{offender.name}: {offender.detail}" for offender in offenders)
        undecided = Undecided(Status.MANUAL, "; ".join(unknown)) if unknown else None
        return failed(EXPECTED, found, offenders=offenders, evidence=evidence, undecided=undecided)
    if unknown:
        return manual(EXPECTED, f"check for security releases: {'; '.join(unknown)}", evidence=evidence)
    return passed(EXPECTED, f"{_dotted(running)}: no later security release is known", evidence=evidence)


def _in_index(
    snapshot: Snapshot, known: known_releases.Releases, running: tuple[int, ...], evidence: list[str]
) -> list[str]:
    """Return what Docker's package index on the host names and hardener does not know."""
    index = snapshot.fact("packages").get("docker_index")
    if not index:
        return []
    offered = str(index["newest"])
    evidence.append(f"Docker's package index of {index['date'] or 'an unknown day'}: docker-ce {offered}")
    newest = max((each.newest for each in known.branches if each.component == "engine"), default=())
    if _upstream(offered) <= max(running, newest):
        return []
    return [f"docker-ce {offered} is available, which hardener does not know"]


def plugin_bypass(snapshot: Snapshot) -> str:
    """Describe how calls can bypass this engine's authorization plugin; empty if no way is known.

    Of a distribution's package it is not known: ``docker-version-current`` judges that.
    """
    installed = snapshot.fact_or("packages", {}).get("installed") or {}
    row = next(row for row in known_releases.packaged().fixes if row.fixes.startswith(_PLUGIN_BYPASS))
    running = snapshot.engine_version
    if running >= row.fixed[0] or _is_distributions(_engine_package(installed), installed, running):
        return ""
    name, _colon, what = row.fixes.partition(": ")
    return f"is {_dotted(running)}, in which {what} ({name}); fixed in {_dotted(row.fixed[0])}"


def _components(version: JSONObject) -> list[tuple[str, tuple[int, ...]]]:
    found = [(str(each.get("Name")), str(each.get("Version"))) for each in version.get("Components") or ()]
    return [(name, version_tuple(text.partition("~")[0])) for name, text in found if name in _PARTS]


def _parts(version: JSONObject) -> list[str]:
    return [f"running: {name} {_dotted(part)}" for name, part in _components(version)]


def _upstream(package_version: object) -> tuple[int, ...]:
    """Return the upstream version of a package: ``5:29.9.0-1~debian.13~trixie`` is ``(29, 9, 0)``."""
    return version_tuple(str(package_version).rpartition(":")[2].partition("~")[0])


def _today(snapshot: Snapshot) -> date:
    try:
        return date.fromisoformat(snapshot.collected_at[:10])
    except ValueError:
        raise FactUnavailable("collected_at", f"{snapshot.collected_at!r} is not a date") from None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)
