"""Print the packages of a fresh environment with hashes, as a file for pip install --require-hashes.

lock.py REQUIREMENT|--requirement=FILE [CONSTRAINTS]

pip decides: a first call resolves for the Python that runs this; further calls ask which files pip would take
on each platform below. Only wheels are taken: a build from source fetches more, which no hash covers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MACHINES = ("x86_64", "aarch64")
GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_24", "manylinux_2_28", "manylinux_2_34", "linux")

Locked = dict[tuple[str, str], set[str]]  # name and version: SHA-256 of each file


def main(requirement: str, constraints: str = "") -> None:
    """Print the packages with their hashes."""
    narrowed = ("-c", constraints) if constraints else ()
    locked = files(report("--ignore-installed", *narrowed, requirement))
    for machine in MACHINES:
        platforms = (argument for each in GLIBC for argument in ("--platform", f"{each}_{machine}"))
        pins = (f"{name}=={version}" for name, version in locked)
        with tempfile.TemporaryDirectory() as target:
            found = report("--no-deps", "--target", target, *platforms, *pins)
        for package, hashes in files(found).items():
            locked[package] |= hashes
    sys.stdout.write(render(locked))


def files(found: Mapping[str, Any]) -> Locked:
    """Return the packages and hashes in a report of pip, without the project itself.

    Raises:
        SystemExit: a file is no wheel, or has no SHA-256.
    """
    locked: Locked = {}
    for each in found["install"]:
        source = each["download_info"]
        if "dir_info" in source:
            continue
        name, version = each["metadata"]["name"], each["metadata"]["version"]
        digest = source.get("archive_info", {}).get("hashes", {}).get("sha256")
        if not digest or not source["url"].endswith(".whl"):
            raise SystemExit(f"{name}=={version}: no wheel with a SHA-256; require another version")
        locked.setdefault((name, version), set()).add(digest)
    return locked


def render(locked: Mapping[tuple[str, str], Iterable[str]]) -> str:
    """Return a requirements file with these packages and hashes."""
    text = ""
    for (name, version), hashes in sorted(locked.items(), key=lambda each: each[0][0].lower()):
        text += (
            f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{each}" for each in sorted(hashes)) + "\n"
        )
    return text


def report(*arguments: str) -> dict[str, Any]:
    """Return pip's report of the packages that it would install."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        subprocess.run([*command, "--only-binary", ":all:", "--report", str(path), *arguments], check=True)
        found: dict[str, Any] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
