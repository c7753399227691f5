"""Describe a wheel and its dependencies as a software bill of materials (CycloneDX 1.6, JSON).

The wheel depends on ranges of versions. The components are the versions that tests run with: of each
package that the product needs at run time, the one in the file of locked versions, with the hashes of its
files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import BytesParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME = "sbom.cdx.json"
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?: \\\n +--hash=sha256:[0-9a-f]{64})*)", re.MULTILINE)


def document(wheel: Path, version: str, locked: Path) -> str:
    """Return the bill of materials of a wheel, from a file of locked versions with hashes."""
    versions: dict[str, tuple[str, str, list[str]]] = {
        canonicalize_name(name): (name, number, re.findall(r"sha256:([0-9a-f]{64})", hashes))
        for name, number, hashes in _LOCKED.findall(locked.read_text(encoding="utf-8"))
    }
    first = _required(_metadata(wheel).get_all("Requires-Dist", []))
    needed = _needed(first, versions)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    root = _reference("hardener", version)
    references = {name: _reference(name, versions[name][1]) for name in needed}
    return (
        json.dumps(
            {
                "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
                "bomFormat": "CycloneDX",
                "specVersion": "1.6",
                "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'urn:hardener:sbom:{digest}')}",
                "version": 1,
                "metadata": {
                    "lifecycles": [{"phase": "build"}],
                    "component": {
                        **_component("application", "hardener", version, root),
                        "hashes": [{"alg": "SHA-256", "content": digest}],
                        "licenses": [{"license": {"id": "Apache-2.0"}}],
                    },
                },
                "components": [_package(name, versions[name], references[name]) for name in sorted(needed)],
                "dependencies": [
                    {"ref": root, "dependsOn": sorted(references[name] for name in first)},
                    *(
                        {
                            "ref": references[name],
                            "dependsOn": sorted(references[each] for each in needed[name]),
                        }
                        for name in sorted(needed)
                    ),
                ],
            },
            indent=1,
        )
        + "\n"
    )


def _needed(first: set[str], versions: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return every required package, with its own dependencies.

    Raises:
        SystemExit: one of them is not locked, or installed in another version than is locked.
    """
    found: dict[str, set[str]] = {}
    waiting = sorted(first)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in versions:
            raise SystemExit(f"{name} is needed and not locked: make lock")
        found[name] = _installed(name, versions[name][1])
        waiting += sorted(found[name])
    return found


def _installed(name: str, version: str) -> set[str]:
    """Return the dependencies of an installed package."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise SystemExit(f"{name} is needed and not installed: make package installs it") from None
    if found.version != version:
        raise SystemExit(f"{name} {found.version} is installed, and {version} is locked: remove .venv")
    return _required(found.requires or ())


def _required(requirements: Iterable[str]) -> set[str]:
    """Return the names of requirements that apply to this environment, without extras."""
    parsed = [Requirement(each) for each in requirements]
    return {
        canonicalize_name(each.name)
        for each in parsed
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def _metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(archive.read(name))


def _package(name: str, locked: tuple[str, str, list[str]], reference: str) -> dict[str, Any]:
    _, version, digests = locked
    return {
        **_component("library", name, version, reference),
        "scope": "required",
        # One for each file that an installer may take: a wheel for each platform.
        "externalReferences": [
            {
                "type": "distribution",
                "url": reference,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for digest in digests
        ],
    }


def _component(kind: str, name: str, version: str, reference: str) -> dict[str, Any]:
    return {"type": kind, "bom-ref": reference, "name": name, "version": version, "purl": reference}


def _reference(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"
