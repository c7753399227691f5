"""Section 1.2: check that the engine is a supported release with security fixes.

The version number alone is not enough: a distribution fixes an old version in a package revision. So its
package is judged by the distribution's support, and an upstream package is compared with the upstream
releases known to this file. What the data cannot tell is left to a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from hardener.checks import check
from hardener.checks.lib.distributions import DISTRIBUTIONS
from hardener.checks.lib.verdicts import failed, manual, needs_engine, passed
from hardener.checks.updates import pending
from hardener.model import Offender, Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot, version_tuple

# The date of the data below, and the days for which "nothing newer is known" holds.
AS_OF = date(2026, 11, 25)
DATA_VALID_FOR = timedelta(days=90)

# Upstream's supported branches (project/BRANCHES-AND-TAGS.md of moby) with their newest security releases.
# Mirantis and Amazon support 25.0 for their own packages until December 2026.
MAINTAINED = {29: (29, 9, 0)}
MAINTAINED_BY_VENDORS = frozenset({25})
# The same for the components of Docker's own packages, by branch.
PARTS: Mapping[str, Mapping[tuple[int, ...], tuple[int, ...]]] = {
    "runc": {(1, 1): (1, 3, 6), (1, 2): (1, 3, 6), (1, 3): (1, 3, 6), (1, 4): (1, 4, 3)},
    "containerd": {(1, 7): (1, 7, 29), (2, 0): (2, 0, 7), (2, 1): (2, 1, 5)},
}
# Vulnerabilities of the engine fixed in 2026: the fixing release, names, and effect. A distribution's package
# may have the fix at an older version number: there the package decides.
VULNERABILITIES: Sequence[tuple[tuple[int, ...], str, str]] = (
    ((29, 3, 1), "CVE-2026-34040", "API calls can bypass an authorization plugin"),
    ((29, 4, 3), "CVE-2026-31431", "containers reach the kernel's AF_ALG sockets"),
    ((29, 5, 1), "CVE-2026-41567, -41568, -42306", "docker cp follows links that a container creates"),
    ((29, 9, 0), "vulnerabilities in HTTP/2", "a client of the API can exhaust or mislead the daemon"),
)
_PLUGIN_BYPASS = VULNERABILITIES[0]
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


def is_maintained_by_vendors(running: tuple[int, ...]) -> bool:
    """Return whether vendors maintain the branch, so that the version number does not show the fixes."""
    return running[:1] in {(branch,) for branch in MAINTAINED_BY_VENDORS}


def _distribution(snapshot: Snapshot, package: str, evidence: list[str]) -> Verdict:
    system = snapshot.fact("system").get("os") or {}
    name = str(system.get("PRETTY_NAME") or system.get("ID") or "this distribution")
    support = DISTRIBUTIONS.get((str(system.get("ID")), str(system.get("VERSION_ID"))))
    today = _today(snapshot)
    if support is None:
        return manual(
            EXPECTED,
            f"check whether {name} still updates its package {package}: hardener has no support dates for it",
            evidence=evidence,
        )
    evidence.append(f"{name}: security support until {support.regular}, extended until {support.extended}")
    if today > support.extended:
        offender = Offender("package", package, f"{name} has been out of support since {support.extended}")
        return failed(
            EXPECTED,
            f"{name} has had no security support since {support.extended}",
            offenders=[offender],
            evidence=evidence,
        )
    if today > support.regular:
        return manual(
            EXPECTED,
            f"check whether the extended support of {name} covers {package} (check-support-status)",
            evidence=evidence,
        )
    pending(snapshot)  # an outdated index cannot say that no update is pending
    return passed(EXPECTED, f"{package} of {name}, no security update is pending", evidence=evidence)


def _upstream_release(snapshot: Snapshot, version: JSONObject, evidence: list[str]) -> Verdict:
    running = version_tuple(str(version["Version"]))
    evidence.append(f"upstream as of {AS_OF}: " + ", ".join(_dotted(fixed) for fixed in MAINTAINED.values()))
    branch = running[0]
    old = [
        Offender("package", name, f"{_dotted(part)} has known vulnerabilities, fixed in {_dotted(fixed)}")
        for name, part, fixed in _outdated_parts(version)
    ]
    if branch in MAINTAINED and running < MAINTAINED[branch]:
        old.insert(
            0,
            Offender(
                "package",
                "engine",
                f"{_dotted(running)} has known vulnerabilities, fixed in {_dotted(MAINTAINED[branch])}"
                f"{_named_vulnerabilities(running)}",
            ),
        )
    elif branch < max(MAINTAINED) and branch not in MAINTAINED and not is_maintained_by_vendors(running):
        old.insert(0, Offender("package", "engine", f"{branch}.x is no longer maintained"))
    if old:
        found = "; ".join(f"{offender.name}: {offender.detail}" for offender in old)
        return failed(EXPECTED, found, offenders=old, evidence=evidence)
    if branch not in MAINTAINED:
        return manual(
            EXPECTED, f"check whether the vendor of {_dotted(running)} still maintains it", evidence=evidence
        )
    if _today(snapshot) - AS_OF > DATA_VALID_FOR:
        return manual(
            EXPECTED,
            f"check for security releases after {AS_OF}: this version of hardener does not know later ones",
            evidence=evidence,
        )
    return passed(EXPECTED, f"{_dotted(running)}: no later security release is known", evidence=evidence)


def _named_vulnerabilities(running: tuple[int, ...]) -> str:
    names = [f"{name}: {what}" for fixed, name, what in VULNERABILITIES if running < fixed]
    return f" ({'; '.join(names)})" if names else ""


def plugin_bypass(snapshot: Snapshot) -> str:
    """Describe how calls can bypass this engine's authorization plugin; empty if no way is known.

    Of a distribution's package it is not known: ``docker-version-current`` judges that.
    """
    installed = snapshot.fact_or("packages", {}).get("installed") or {}
    fixed, name, what = _PLUGIN_BYPASS
    running = snapshot.engine_version
    if running >= fixed or _is_distributions(_engine_package(installed), installed, running):
        return ""
    return f"is {_dotted(running)}, in which {what} ({name}); fixed in {_dotted(fixed)}"


def _outdated_parts(version: JSONObject) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    old = []
    for component in version.get("Components") or ():
        name = str(component.get("Name"))
        part = version_tuple(str(component.get("Version")).partition("~")[0])
        fixed = PARTS.get(name, {}).get(part[:2])
        if fixed and part < fixed:
            old.append((name, part, fixed))
    return old


def _parts(version: JSONObject) -> list[str]:
    return [
        f"running: {component.get('Name')} {component.get('Version')}"
        for component in version.get("Components") or ()
        if component.get("Name") in PARTS
    ]


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
