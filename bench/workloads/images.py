"""Build the images of the workloads: one root file system of Debian packages, and a layer for each image.

No registry is asked. mmdebstrap makes the root file system once a month; the cache of the lab keeps it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench.workloads.catalogue import FILES
from hardener.lab import host
from tests.integration.dockerd import Engine
from tests.leftovers import scratch

_RELEASE = "trixie"
# By the name of a base: the packages of its root file system.
_PACKAGES = {
    "base": """dnsmasq-base gosu gunicorn libcap2-bin nginx-light postgresql python3-flask python3-redis
        redis-server""",
    "others": """apache2 bind9 busybox-static cron haproxy libcap2-bin lighttpd mariadb-server memcached
        mosquitto nodejs openjdk-21-jdk-headless openssh-server php8.4-fpm prometheus python3 rsyslog slapd
        squid supervisor unbound varnish""",
    "strangers": "busybox-static dovecot-imapd exim4-daemon-light libcap2-bin ngircd procps python3",
}
_WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def prepare(engine: Engine, bases: Iterable[str] = ("base",)) -> None:
    """Load the bases of workloads' images into an engine.

    Raises:
        subprocess.CalledProcessError: mmdebstrap failed.
    """
    for name in bases:
        engine.docker("import", str(base(name)), f"workloads:{name}")


def base(name: str) -> Path:
    """Return the tar archive of a base image from the cache; build it if it is not there."""
    with host.lock("workloads"):
        return _root_file_system(name)


def programs() -> Mapping[str, bytes]:
    """Build the static programs: the attacks, a 32-bit server in C, and a server in Go."""
    sources = b"".join((FILES / name).read_bytes() for name in ("attack.c", "server32.c", "server.go"))
    folder = _folder() / f"programs-{hashlib.sha256(sources).hexdigest()[:16]}"
    with host.lock("workloads"):
        if not (folder / "server").exists():
            folder.mkdir(exist_ok=True)
            _build(folder)
    return {name: (folder / name).read_bytes() for name in ("attack", "server32", "server")}


def _build(into: Path) -> None:
    options = ("-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-Os")
    _run("cc", *options, "-o", str(into / "attack"), str(FILES / "attack.c"))
    _run("cc", "-m32", "-no-pie", *options, "-o", str(into / "server32"), str(FILES / "server32.c"))
    with scratch("programs") as folder:
        _run(
            *("env", "CGO_ENABLED=0", f"GOCACHE={host.cache_dir() / 'go'}"),
            *("go", "build", "-trimpath", "-o", str(folder / "server"), str(FILES / "server.go")),
        )
        shutil.move(folder / "server", into / "server")


def _root_file_system(name: str) -> Path:
    month, packages = f"{datetime.now(UTC):%Y-%m}", _PACKAGES[name].split()
    recipe = hashlib.sha256(repr((_RELEASE, packages, _WITHOUT, month)).encode()).hexdigest()[:16]
    folder = _folder()
    archive = folder / f"{name}-{recipe}.tar"
    if not archive.exists():
        for old in folder.glob(f"{name}-*.tar"):
            old.unlink()
        draft = folder / "draft.tar"
        _run(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(packages)}",
            '--aptopt=Acquire::Languages "none"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _WITHOUT),
            '--essential-hook=mkdir -p "$1"/usr/share/man/man1',  # Java's links are an error without it
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
