"""Read the reports of other scanners: the used parts of Trivy's JSON (schema 2) and Grype's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.text import line

_LARGEST = 256 * 1024 * 1024
_MOST_VALUES = 10_000_000
_ID = re.compile(r"sha256:[0-9a-f]{64}")
_NAMED = 2000  # findings of one image
_LONGEST = 200
_FIRST_YEAR, _LAST_YEAR = 2000, 9999

_Report = Mapping[str, Any]


def load(path: Path) -> dict[str, Any]:
    """Load a report: tool, image id, time, and findings with id, package, versions and severity.

    Raises:
        HardenerError: it cannot be read, or is not a report about an image with an id.
    """
    try:
        raw = parse(read(path, most=_LARGEST), most_values=_MOST_VALUES, strict=False)
    except OSError as error:
        raise HardenerError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise HardenerError(f"{path} is not JSON: {line(str(error))}") from error
    try:
        return _report(raw)
    except (TypeError, KeyError, AttributeError) as error:
        raise HardenerError(
            f"{path} does not have the form that its scanner writes: {line(repr(error))}"
        ) from error
    except ValueError as error:
        raise HardenerError(f"{path}: {line(str(error))}") from error


def _report(raw: object) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise ValueError("is not a report of Trivy or Grype")
    if "SchemaVersion" in raw:
        return _trivy(raw)
    if _table(raw.get("descriptor")).get("name") == "grype":
        return _grype(raw)
    raise ValueError("is not a report of Trivy (--format json) or Grype (-o json)")


def _trivy(raw: _Report) -> dict[str, Any]:
    if raw["SchemaVersion"] != 2:
        raise ValueError(f"has Trivy's schema {repr(raw['SchemaVersion'])[:40]}; only 2 can be read")
    results = raw.get("Results")
    if not results:
        raise ValueError("has no results for the image")
    findings = (
        _finding(
            each["VulnerabilityID"],
            each["PkgName"],
            each.get("InstalledVersion"),
            each.get("FixedVersion"),
            each.get("Severity"),
        )
        for result in results
        for each in result.get("Vulnerabilities") or ()
    )
    about = _table(raw.get("Metadata"))
    said = _table(about.get("OS"))
    ended = (
        f"{said.get('Family') or 'a release'} {said.get('Name') or ''}".strip() if said.get("EOSL") else ""
    )
    return {
        **_as_record("trivy", about.get("ImageID"), raw.get("CreatedAt"), findings),
        "system": any(result.get("Class") == "os-pkgs" for result in results),
        "ended": line(ended, _LONGEST),
    }


def _grype(raw: _Report) -> dict[str, Any]:
    source = raw["source"]
    if source.get("type") != "image":
        raise ValueError(f"is about {str(source.get('type'))[:40]!r}, not about an image")
    findings = (
        _finding(
            each["vulnerability"]["id"],
            each["artifact"]["name"],
            each["artifact"].get("version"),
            " ".join(map(str, _table(each["vulnerability"].get("fix")).get("versions") or ())),
            each["vulnerability"].get("severity"),
        )
        for each in raw["matches"]
    )
    target, descriptor = _table(source.get("target")), raw["descriptor"]
    return {
        **_as_record("grype", target.get("imageID"), descriptor.get("timestamp"), findings),
        "system": bool(_table(raw.get("distro")).get("name")),
        "ended": "",
    }


def _as_record(
    tool: str, image: object, created: object, findings: Iterator[dict[str, str]]
) -> dict[str, Any]:
    """Return a report in the form of a host's record, with the additional keys ``system`` and ``ended``.

    ``system`` is whether it covers packages of the operating system; ``ended`` is a release without updates.

    Raises:
        ValueError: it has no image id or no date.
    """
    if not isinstance(image, str) or not _ID.fullmatch(image):
        raise ValueError(f"has no valid id of the image that it is about: {str(image)[:80]!r}")
    try:
        moment = datetime.fromisoformat(_without_nanoseconds(str(created)))
    except ValueError:
        raise ValueError(f"has no valid creation time: {str(created)[:40]!r}") from None
    if moment.tzinfo is None:
        raise ValueError(f"has no time zone in its creation time {str(created)[:40]!r}")
    if not _FIRST_YEAR <= moment.year < _LAST_YEAR:  # Go writes the year 1 for an unset time
        raise ValueError(f"has no valid creation time: {str(created)[:40]!r}")
    return {
        "tool": tool,
        "image": image,
        "created": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        **_bounded(findings),
    }


def _bounded(findings: Iterable[dict[str, str]]) -> dict[str, Any]:
    # Fixable findings come first: the control is decided by them.
    found = sorted(findings, key=lambda each: (not each["fixed"], each["id"], each["package"]))
    more = found[_NAMED:]
    return {
        "findings": found[:_NAMED],
        "more": len(more),
        "more_fixed": sum(bool(each["fixed"]) for each in more),
    }


def _finding(*values: object) -> dict[str, str]:
    """Return id, package, installed and fixed version, severity; empty where the scanner has no value."""
    texts = ("" if value is None else line(str(value), _LONGEST) for value in values)
    return dict(zip(("id", "package", "installed", "fixed", "severity"), texts, strict=True))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _without_nanoseconds(text: str) -> str:
    """Cut a time to the digits that Python can parse: Go writes nanoseconds."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)
