"""A host's folders of apt, in which the programs of this machine's apt tell what rendered files cause."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

needs_apt = pytest.mark.skipif(not shutil.which("apt-cache"), reason="asks the apt of this machine")
needs_unattended_upgrades = pytest.mark.skipif(
    not shutil.which("unattended-upgrade") or os.geteuid() != 0, reason="asks unattended-upgrades, as root"
)
_FOLDERS = [
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
    "var/lib/dpkg/updates",
    "run",
    "var/run",
    "var/log",
]
# The program of the package, in other folders than this machine's.
_UNATTENDED = """
import importlib.machinery, importlib.util, sys, types
loader = importlib.machinery.SourceFileLoader("unattended", "/usr/bin/unattended-upgrade")
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("unattended", loader))
loader.exec_module(module)
module.LOCK_FILE = sys.argv[1] + "/run/lock"
options = types.SimpleNamespace(
    download_only=False, dry_run=True, debug=True, apt_debug=False, verbose=True, minimal_upgrade_steps=True)
sys.exit(module.main(options, rootdir=sys.argv[1]))
"""


class AptHost:
    """A host with fetched indexes and installed packages, none of which exists."""

    def __init__(self, root: Path, installed: Mapping[str, str], *, hold: str = "") -> None:
        """Install packages of these versions, of which one may be held."""
        self.root = root
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True)
        status = (
            f"{_stanza(name, version)}Status: {'hold' if name == hold else 'install'} ok installed\n"
            for name, version in installed.items()
        )
        (root / "var/lib/dpkg/status").write_text("\n".join(status))

    def fetch(self, address: str, release: Mapping[str, str], packages: Iterable[tuple[str, str]]) -> None:
        """Add an index of a repository as apt stores it, and a source where it is not there yet."""
        suite, component = release["Codename"], release["Components"]
        prefix = f"{address.rpartition('://')[2].rstrip('/').replace('/', '_')}_dists_{suite}"
        lists = self.root / "var/lib/apt/lists"
        text = "".join(f"{key}: {value}\n" for key, value in release.items())
        (lists / f"{prefix}_InRelease").write_text(f"{text}Date: Mon, 23 Nov 2026 11:22:38 UTC\n")
        stanzas = "\n".join(
            f"{_stanza(name, version)}Filename: {name}.deb\nSize: 1\nSHA256: {'0' * 64}\n"
            for name, version in packages
        )
        (lists / f"{prefix}_{component}_binary-amd64_Packages").write_text(stanzas)
        sources = self.root / "etc/apt/sources.list.d"
        if not any(address in path.read_text() for path in sources.iterdir()):
            (sources / f"{prefix}.list").write_text(f"deb {address} {suite} {component}\n")

    def write(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Write the files of documents."""
        for resource in (each for document in documents for each in document.get("resources", ())):
            path = self.root / resource["path"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if resource["kind"] == "file":
                path.write_text(resource["content"])
            else:
                path.unlink(missing_ok=True)

    def candidate(self, package: str) -> str:
        """Return the version that apt would install; ``(none)`` for none."""
        found = re.search(r"Candidate: (\S+)", self.run("apt-cache", "policy", package))
        return found[1] if found else ""

    def installs(self, *packages: str) -> set[tuple[str, str]]:
        """Return names and versions that apt would install for these names."""
        said = self.run("apt-get", "--simulate", "--no-install-recommends", "install", *packages)
        return set(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", said, re.MULTILINE))

    def upgrades(self) -> set[str]:
        """Return the packages that unattended-upgrades would upgrade."""
        said = self.run("/usr/bin/python3", "-c", _UNATTENDED, str(self.root), check=False)
        found = re.search(r"pkgs that look like they should be upgraded: ((?:[a-z0-9.+-]*\n)*)", said)
        assert found, said
        return set(found[1].split())

    def run(self, *command: str, check: bool = True) -> str:
        """Return what a program of apt prints on this host."""
        configuration = self.root / "apt.conf"
        configuration.write_text(
            f'Dir "{self.root}";\nDir::State::status "{self.root}/var/lib/dpkg/status";\n'
            'APT::Architecture "amd64";\nAPT::Architectures "amd64";\nAcquire::Retries "0";\n'
        )
        environment = {"PATH": os.environ["PATH"], "APT_CONFIG": str(configuration), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def _stanza(name: str, version: str) -> str:
    return f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: x\nDescription: x\n"
