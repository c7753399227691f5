"""Records of scans for tests: an image of Debian 12 that was scanned an hour before the snapshot, changed."""

from __future__ import annotations

from typing import Any

IMAGE = "sha256:" + "ab" * 32
NOW = "2026-11-25T12:00:00Z"
SCANNED = "2026-11-25T11:00:00Z"
INDEXED = "2026-11-24T00:34:34Z"
OPENSSL = {
    "name": "openssl",
    "arch": "amd64",
    "installed": "3.0.1-1",
    "fixed": "3.0.22-1~deb12u2",
    "source": "openssl",
}


def result(*packages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What was found in one root file system."""
    index = {
        "suite": "bookworm-security",
        "date": INDEXED,
        "valid_until": None,
        "state": "fresh",
        "reason": "",
    }
    release = {"distribution": "debian", "version": "12", "codename": "bookworm", "title": "Debian 12"}
    return {
        "state": "outdated" if packages else "clean",
        "reason": "",
        "scanned_at": SCANNED,
        "release": release,
        "kind": "dpkg",
        "index": index,
        "checked": 114,
        "packages": list(packages),
        "more": 0,
        "names": ["old:1"],
        **changes,
    }


def no_database(**changes: Any) -> dict[str, Any]:
    """What a scan says of an image without packages."""
    said = {"state": "unknown", "reason": "no package database", "kind": None, "index": None, "checked": 0}
    return result(**{**said, **changes})


def record(
    images: dict[str, Any] | None = None, *, host: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """A host's record."""
    running = {
        "restarts": [],
        "reboot": {"required": False, "packages": [], "kernel": "6", "newest_kernel": None},
        "packages_changed": 1,
    }
    return {
        "format": "hardener/scan/1",
        "version": "1",
        "scanned_at": SCANNED,
        "elapsed_s": 0.5,
        "read": 1,
        "host": {**(host or result()), **running},
        "images": images or {},
        "imported": {},
        "engine_error": None,
        **changes,
    }


def report(*findings: dict[str, str], created: str = SCANNED, **changes: Any) -> dict[str, Any]:
    """What another scanner found in an image."""
    known = {"tool": "trivy", "image": IMAGE, "created": created, "findings": list(findings)}
    return {**known, "more": 0, "more_fixed": 0, "system": True, "ended": "", **changes}


def finding(package: str = "musl", *, fixed: str = "1.2.4-r1") -> dict[str, str]:
    """One hole that it found."""
    return {
        "id": "CVE-2026-1",
        "package": package,
        "installed": "1.2.4-r0",
        "fixed": fixed,
        "severity": "HIGH",
    }


def trivy(**changes: Any) -> dict[str, Any]:
    """A report of Trivy about the image, changed."""
    hole = {
        "VulnerabilityID": "CVE-2026-2",
        "PkgName": "busybox",
        "InstalledVersion": "1.36.1-r1",
        "Severity": "LOW",
    }
    results = [
        {
            "Target": "a (alpine 3.20)",
            "Class": "os-pkgs",
            "Vulnerabilities": [hole, {**hole, "FixedVersion": "1.36.1-r2"}],
        },
        {"Target": "app", "Class": "lang-pkgs"},
    ]
    head = {"SchemaVersion": 2, "CreatedAt": "2026-11-24T10:00:00.123456789+02:00"}
    return {**head, "Metadata": {"ImageID": IMAGE}, "Results": results, **changes}
