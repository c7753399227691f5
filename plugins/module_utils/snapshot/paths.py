"""List the files that checks judge on this host."""

from __future__ import annotations

import os

from ..docker import keys, runtimes
from ..host.units import listens
from ..subjects import files as subjects
from ..subjects.host import CONFIG_FOLDER, TLS_FILES, commands, parents
from .filestat import Files

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable
    from typing import Any

    from ..docker.engine import Engine

_FIXED = (
    *subjects.FIXED,
    "/etc/environment",
    "/etc/subgid",
    "/etc/subuid",
    "/run/docker.sock",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/run/docker.sock",
)
# Folders of the system that a host may have elsewhere: recorded where they are symbolic links.
_LINKED = ("/boot", "/etc", "/home", "/root", "/usr", "/var/spool/cron")
_UNIT_FOLDERS = (
    *subjects.UNIT_FOLDERS,
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    # Of `systemctl edit --runtime` and `set-property`, portable services, and generators.
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system.attached",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
)
_MAX_DROP_INS = 64
_MAX_RUNTIMES = 64
_MAX_PLUGINS = 256  # plugin files, and device descriptions
_MAX_OWN = 128


def look(
    files: Files,
    engine: Engine,
    *,
    units: dict[str, dict[str, Any]],
    root: str,
    containerd_socket: str | None,
    devices: list[str],
) -> None:
    """Read the files of the host and of its engine, and the paths behind local volumes."""
    wanted = [*_FIXED, *(path for path in _LINKED if os.path.realpath(path) != path)]
    for unit in units.values():
        wanted += [unit["FragmentPath"], *unit["DropInPaths"]]
        wanted += [entry.partition(" (")[0] for entry in unit["Listen"] if entry.startswith("/")]
        wanted += [entry.partition(" (")[0] for entry in unit["EnvironmentFiles"]]
    for name in subjects.ENGINE_UNITS:
        wanted += _drop_ins(name)
        wanted += [word for argv in commands(units.get(name) or {}) for word in argv]
    wanted += [path for path in engine.binaries.values() if path]
    config = str(engine.config.get("path") or "")
    wanted += [config, os.path.dirname(config)]
    for folder in (CONFIG_FOLDER, os.path.dirname(config)):
        wanted += parents(os.path.realpath(folder)) if folder.startswith("/") else ()
    wanted += _runtimes(engine)
    for path in (*api_sockets(engine, units), *_tls(engine), containerd_socket or ""):
        # A folder that only root can search closes what is below it.
        wanted += [path, *parents(path), *parents(os.path.realpath(path))] if path.startswith("/") else []
    for path in (root, str(engine.declared("data-root") or engine.declared("graph") or "")):
        wanted += [path, os.path.dirname(path)] if path.startswith("/") else []
    for path in (containerd_socket or "", str(engine.declared("seccomp-profile") or "")):
        wanted += [path, os.path.dirname(path)] if path.startswith("/") else []
    wanted += [os.path.dirname(path) for path in ca_files(engine)]
    for path in wanted + devices:
        if path.startswith("/"):
            files.add(path)
    # The engine follows a link in place of a registry's folder.
    files.add_tree(f"{CONFIG_FOLDER}/{subjects.CERTIFICATES}", follow=True)
    for folder in (*cdi_folders(engine), *nri_places(engine)):
        files.add_tree(folder, _MAX_PLUGINS)
        for path in parents(os.path.realpath(folder)):
            files.add(path)
    for path in _made_by_the_daemon(engine, root):
        files.add(path)
    if engine.rootless:
        files.add_tree(f"{os.path.dirname(config)}/{subjects.CERTIFICATES}", follow=True)


def cdi_folders(engine: Engine) -> list[str]:
    """Return the engine's folders of CDI device descriptions, which name mounts of the host."""
    declared = engine.declared("cdi-spec-dirs")
    return _absolute(declared if isinstance(declared, list) and declared else keys.CDI_FOLDERS)


def nri_places(engine: Engine) -> list[str]:
    """Return the folders of NRI plugins and their configuration, and the socket where plugins register."""
    options = keys.nri_options(engine.declared("nri-opts")) or {}
    folders = [options.get(key) or default for key, default in keys.NRI_FOLDERS.items()]
    return _absolute([*folders, options.get(keys.NRI_SOCKET) or ""])


def _absolute(paths: Iterable[object]) -> list[str]:
    return [str(path) for path in paths if str(path).startswith("/")]


def _made_by_the_daemon(engine: Engine, root: str) -> list[str]:
    """Return the paths that the daemon creates when it starts: two levels of folders, and its pid file."""
    found = [str(engine.declared("pidfile") or "/run/docker.pid")]
    folders = [root, str(engine.declared("exec-root") or "/run/docker")]
    for folder in _absolute(folders):
        try:
            names = sorted(os.listdir(folder))[:_MAX_OWN]
        except OSError:
            names = []
        found += [folder, *(f"{folder}/{name}" for name in names)]
    return _absolute(found)


def _drop_ins(unit: str) -> list[str]:
    """Return the folders of units, and the drop-in folders of a unit with their files, loaded or not.

    The drop-ins of its type, in ``service.d``, count too.
    """
    found = []
    for place in filter(os.path.isdir, _UNIT_FOLDERS):
        found.append(place)
        for folder in (f"{place}/{name}" for name in subjects.drop_in_folders(unit)):
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                continue
            files = [f"{folder}/{name}" for name in names if name.endswith(".conf")]
            found += [folder, *files[:_MAX_DROP_INS]]
    return found


def _runtimes(engine: Engine) -> list[str]:
    """Return the programs of runtimes that the daemon's configuration names by path."""
    declared = (engine.config.get("parsed") or {}).get("runtimes")
    return [*runtimes.paths(declared)[:_MAX_RUNTIMES], str(engine.declared("default-runtime") or "")]


def api_sockets(engine: Engine, units: dict[str, dict[str, Any]]) -> list[str]:
    """Return the declared unix sockets of the API, and the one on which it answers."""
    held = [entry for entry in listens(units) if entry.startswith("/")]
    declared = list(engine.flags.get("host") or ())
    hosts = (engine.config.get("parsed") or {}).get("hosts")
    declared += [str(host) for host in hosts] if isinstance(hosts, list) else []
    paths = [host[len("unix://") :] for host in declared if host.startswith("unix:///")]
    return [*paths, *held, *filter(None, [engine.socket])]


def ca_files(engine: Engine) -> list[str]:
    """Return possible paths of the API's client CA."""
    return [path for path in _tls(engine)[:2] if path.startswith("/")]


def _tls(engine: Engine) -> list[str]:
    """Return the declared and the default path of each TLS file of the API."""
    environment = engine.environment
    folder = (
        environment.get("DOCKER_CERT_PATH") or environment.get("DOCKER_CONFIG") or f"{engine.home}/.docker"
    )
    return [path for key, name in TLS_FILES for path in (str(engine.declared(key) or ""), f"{folder}/{name}")]
