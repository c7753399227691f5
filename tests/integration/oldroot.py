"""A root file system with old packages, and what apt itself says of them.

Nothing is unpacked: apt resolves what it would install into an empty root from a release without its
security updates, and the stanzas of those packages become dpkg's status. The mirror is the one that apt of
this machine uses; its simulation with nothing but the security updates is the truth for a scan.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("bash", "ca-certificates", "curl", "git", "libc6", "nginx", "openssl", "python3", "vim", "wget")
_NUMBERS = {"bookworm": "12", "trixie": "13"}
_INST = re.compile(r"^Inst (\S+) (?:\[(\S+)\] )?\((\S+) [^[]*\[(\S+)\]\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OldRoot:
    """A release's packages as of its last point release; ``folder`` is apt's."""

    folder: Path
    codename: str

    @property
    def os_release(self) -> bytes:
        """What the root says that it is."""
        number = _NUMBERS[self.codename]
        title = f"Debian GNU/Linux {number} ({self.codename})"
        names = f'ID=debian\nVERSION_ID="{number}"\nVERSION_CODENAME={self.codename}\n'
        return f'PRETTY_NAME="{title}"\n{names}'.encode()

    def status(self) -> bytes:
        """dpkg's status of what apt would install without any security update."""
        self._update("base", *_mirror(security=False), suite=self.codename)
        nothing = self.folder / "nothing"
        nothing.touch()
        install = ("apt-get", "--simulate", "--no-install-recommends", "install", *_PACKAGES)
        resolved = self._apt("base", nothing, *install)
        wanted = [
            f"{name}={version}" if arch == "all" else f"{name}:{arch}={version}"
            for name, _, version, arch in _INST.findall(resolved)
        ]
        stanzas = self._apt("base", nothing, "apt-cache", "show", *wanted).strip().split("\n\n")
        return "\n\n".join(f"{stanza}\nStatus: install ok installed" for stanza in stanzas).encode() + b"\n"

    def upgrades(self, status: bytes) -> dict[str, str]:
        """The security updates that apt would install there: name to version."""
        self._update("security", *_mirror(security=True), suite=f"{self.codename}-security")
        path = self.folder / "status"
        path.write_bytes(status)
        simulated = self._apt("security", path, "apt-get", "--simulate", "dist-upgrade")
        return {name: version for name, old, version, _ in _INST.findall(simulated) if old}

    def _update(self, name: str, uri: str, signed_by: str, *, suite: str) -> None:
        for folder in (f"{name}/lists/partial", f"{name}/sources", f"{name}/archives/partial"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        source = f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {signed_by}\n"
        (self.folder / name / "sources" / "x.sources").write_text(source)
        self._apt(name, Path("/dev/null"), "apt-get", "update")

    def _apt(self, name: str, status: Path, *command: str, folder: Path | None = None) -> str:
        own = self.folder / name
        settings = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": own / "sources",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": own / "lists",
            "Dir::State::status": status,
            "Dir::Cache": own,
            "Debug::NoLocking": "1",
            "APT::Update::Error-Mode": "any",
            "Acquire::Retries": "5",
        }
        options = [f"--option={key}={value}" for key, value in settings.items()]
        program, *arguments = command
        done = subprocess.run(
            [program, *options, *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def package_of(folder: Path, suite: str, package: str) -> Path:
    """The package file of a release, downloaded by apt of this machine."""
    root = OldRoot(folder, suite)
    root._update("later", *_mirror(security=False), suite=suite)
    downloads = folder / "downloads"
    downloads.mkdir()
    root._apt("later", Path("/dev/null"), "apt-get", "download", package, folder=downloads)
    (archive,) = downloads.iterdir()
    return archive


def content_of(folder: Path, suite: str, package: str) -> Path:
    """The SCAP content in a package of a release, unpacked and not installed."""
    archive = package_of(folder, suite, package)
    subprocess.run(["dpkg-deb", "--extract", archive, folder / "unpacked"], check=True)
    return folder / "unpacked" / "usr/share/xml/scap/ssg/content"


def _mirror(*, security: bool) -> tuple[str, str]:
    """Address and keys of an archive, as apt of this machine has them."""
    form = "$(REPO_URI) $(CODENAME) $(SIGNED_BY)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in listed:
        uri, codename, signed_by = (*line.split(), "")[:3]
        if codename.endswith("-security") is security and not uri.startswith("file:"):
            return uri, signed_by
    raise AssertionError(f"apt of this machine has no {'security' if security else 'main'} archive")
