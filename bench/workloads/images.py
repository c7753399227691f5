"""Build the images of the workloads from Debian packages only: one root file system, one layer for each.

No registry is asked. mmdebstrap makes the root file system once a month; the cache of the lab keeps it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench.workloads.catalogue import FILES
from hardener.lab import host
from tests.integration.dockerd import Dockerd
from tests.leftovers import scratch

BASE = "workloads:base"
_RELEASE = "trixie"
_PACKAGES = (
    "dnsmasq-base",
    "gosu",
    "gunicorn",
    "libcap2-bin",
    "nginx-light",
    "postgresql",
    "python3-flask",
    "python3-redis",
    "redis-server",
)
_WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def prepare(engine: Dockerd) -> None:
    """Load into an engine the base of all workloads' images.

    Raises:
        subprocess.CalledProcessError: mmdebstrap, the C compiler or Go failed.
    """
    with host.lock("workloads"):
        archive = _root_file_system()
    engine.docker("import", str(archive), BASE)


def programs() -> Mapping[str, bytes]:
    """Build the programs that are compiled from source: the attacks, and the server in Go, all static."""
    sources = b"".join((FILES / name).read_bytes() for name in ("attack.c", "server.go"))
    folder = _folder() / f"programs-{hashlib.sha256(sources).hexdigest()[:16]}"
    attack, server = folder / "attack", folder / "server"
    with host.lock("workloads"):
        if not server.exists():
            folder.mkdir(exist_ok=True)
            _build(attack, server)
    return {"attack": attack.read_bytes(), "server": server.read_bytes()}


def _build(attack: Path, server: Path) -> None:
    with scratch("programs") as folder:
        options = ("-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-Os")
        _run("cc", *options, "-o", str(attack), str(FILES / "attack.c"))
        _run(
            *("env", "CGO_ENABLED=0", f"GOCACHE={host.cache_dir() / 'go'}"),
            *("go", "build", "-trimpath", "-o", str(folder / "server"), str(FILES / "server.go")),
        )
        shutil.move(folder / "server", server)


def _root_file_system() -> Path:
    month = f"{datetime.now(UTC):%Y-%m}"
    recipe = hashlib.sha256(repr((_RELEASE, _PACKAGES, _WITHOUT, month)).encode()).hexdigest()[:16]
    folder = _folder()
    archive = folder / f"{recipe}.tar"
    if not archive.exists():
        for old in folder.glob("*.tar"):
            old.unlink()
        draft = folder / "draft.tar"
        _run(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(_PACKAGES)}",
            '--aptopt=Acquire::Languages "none"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _WITHOUT),
            _RELEASE,
            str(draft),
        )
        draft.rename(archive)
    return archive


def _folder() -> Path:
    folder = host.cache_dir() / "workloads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _run(*words: str) -> None:
    subprocess.run(words, check=True)
