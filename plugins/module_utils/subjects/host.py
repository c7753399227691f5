"""Find the engine's paths by the facts of a snapshot: the view that judges and renderers share."""

from __future__ import annotations

import posixpath
import re

from ..docker.keys import DEFAULT_PATH, boolean, default_of

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CONFIG_FOLDER = "/etc/docker"
COMMANDS = ("ExecStartPre", "ExecStart", "ExecStartPost")  # of a unit, in the order of its start
TLS_FILES = (("tlscacert", "ca.pem"), ("tlscert", "cert.pem"), ("tlskey", "key.pem"))
_REMAPPED = re.compile(r"/\d+\.\d+$")


class Host:
    """The facts of a host; a judge raises an error where a fact could not be read, a renderer does not."""

    def data(self, source: str) -> Any:
        """Return the data of a source; an empty mapping if there is none."""
        raise NotImplementedError

    def setting(self, key: str) -> Any:
        """Return the declared value of a key, from the command line or daemon.json; None if it is not set."""
        raise NotImplementedError

    def flag(self, key: str) -> str:
        """Return the flag that sets a key; empty if the command line does not set it."""
        raise NotImplementedError

    @property
    def config_path(self) -> str:
        """Return the path of daemon.json."""
        return str(self.data("daemon.config").get("path") or DEFAULT_PATH)

    @property
    def info(self) -> Mapping[str, Any]:
        """Return the engine's answer to /info; an empty mapping without an answer."""
        found: Mapping[str, Any] = self.data("docker.info")
        return found

    @property
    def rootless(self) -> bool:
        """Return whether the engine runs as an ordinary user."""
        return bool(self.data("engine").get("rootless"))

    @property
    def hosts(self) -> list[str]:
        """Return the declared addresses of the API."""
        return [str(host) for host in self.setting("hosts") or ()]

    def exists(self, path: str) -> bool:
        """Return whether a path exists; a file below a folder proves that the folder exists."""
        files = self.data("files")
        if path in files:
            return bool(files[path])
        return any(files[name] and name.startswith(f"{path}/") for name in files)

    def real(self, path: str) -> str:
        """Resolve the symbolic links in a path that the collector has recorded."""
        return str((self.data("files").get(path) or {}).get("target") or path)

    def unit(self, name: str) -> Mapping[str, Any]:
        """Return the properties of a loaded systemd unit; none for other units."""
        found: Mapping[str, Any] = self.data("units").get(name) or {}
        return found if found.get("LoadState") == "loaded" else {}

    def unit_files(self, name: str) -> list[str]:
        """Return the file and the drop-ins of a systemd unit; none for a missing unit."""
        unit = self.unit(name)
        return [str(path) for path in (unit.get("FragmentPath"), *(unit.get("DropInPaths") or ())) if path]

    def environment_files(self, name: str) -> list[str]:
        """Return the files from which a unit reads its environment."""
        return [str(entry).partition(" (")[0] for entry in self.unit(name).get("EnvironmentFiles") or ()]

    def closed_folder(self, _path: str) -> str:
        """Return the folder above a path that no other user can search; empty if none is known."""
        return ""

    @property
    def binaries(self) -> Mapping[str, Any]:
        """Return the paths of the engine's programs, by name."""
        found: Mapping[str, Any] = self.data("engine").get("binaries") or {}
        return found

    @property
    def config_folder(self) -> str:
        """Return the daemon's configuration folder: ``/etc/docker``, or that of a rootless daemon's user."""
        return posixpath.dirname(self.config_path) if self.data("engine").get("rootless") else CONFIG_FOLDER

    @property
    def data_root(self) -> str:
        """Return the engine's data root, without the folder that userns-remap adds.

        From the running engine; from its configuration where it does not answer.
        """
        found = self.info.get("DockerRootDir")
        root = found or self.real(str(self.setting("data-root") or default_of("data-root")))
        return _REMAPPED.sub("", str(root))

    @property
    def containerd_socket(self) -> str:
        """Return the socket of the engine's containerd; empty if containerd is part of the daemon."""
        engine = self.data("engine")
        if engine.get("containerd_pid") is None and self._embeds_containerd():
            return ""
        return str(engine.get("containerd_socket") or CONTAINERD_SOCKET)

    def _embeds_containerd(self) -> bool:
        """Return whether containerd may be part of the daemon's process, as engines from 29.7 on allow."""
        features = self.setting("features")
        if isinstance(features, list):
            given = dict(str(feature).partition("=")[::2] for feature in features)
            features = {name: not value or boolean(value) for name, value in given.items()}
        return isinstance(features, dict) and features.get("embedded-containerd") is True

    def api_hosts(self) -> list[str]:
        """Return the declared addresses of the API, with ``fd://`` resolved to systemd's sockets.

        ``unix:///run/docker.sock``, ``tcp://0.0.0.0:2375``; the engine's default where nothing is declared.
        """
        declared = [host.strip() for host in self.hosts] or ["unix://"]
        hosts = [_with_scheme(host) for host in declared if not host.startswith("fd://")]
        if len(hosts) < len(declared):
            hosts += self.socket_unit_hosts()
        return list(dict.fromkeys(hosts))

    def socket_unit_hosts(self) -> list[str]:
        """Return the addresses of the engine's socket units, in the form of ``--host``."""
        units = self.data("units")
        sockets = [unit or {} for name, unit in units.items() if name.endswith(".socket")]
        found = []
        for entry in (entry for unit in sockets for entry in unit.get("Listen") or ()):
            address = str(entry).partition(" (")[0].strip()
            if address.startswith("/"):
                found.append(f"unix://{address}")
            elif address.startswith("vsock:"):
                continue  # the daemon cannot use it
            elif ":" in address or address.isdigit():
                found.append(f"tcp://{address}" if ":" in address else f"tcp://[::]:{address}")
        return found

    @property
    def socket_group(self) -> str:
        """Return the group that the configuration gives the API's sockets, by name or number."""
        activated = any(host.startswith("fd://") for host in self.hosts)
        held = self.unit("docker.socket").get("SocketGroup") if activated else ""
        declared = self.setting("group")
        return str(held or (default_of("group") if declared is None else declared))

    def api_sockets(self) -> list[str]:
        """Return the existing Unix sockets of the API: the one that answers, and the declared ones."""
        declared = [host[len("unix://") :] for host in self.api_hosts() if host.startswith("unix://")]
        answering = self.data("engine").get("socket")
        sockets: dict[str, str] = {}
        for path in ([str(answering)] if answering else []) + declared:
            if self.exists(path):
                sockets.setdefault(self.real(path), path)
        return list(sockets.values())

    def tls_paths(self) -> dict[str, str]:
        """Return the paths of the API's TLS files by key, the way dockerd resolves them; empty for none.

        The default paths count only where the command line or ``DOCKER_TLS_VERIFY`` turned TLS on
        (cmd/dockerd/options.go): with TLS from daemon.json alone, a path that is not set is empty.
        """
        environment = self.data("daemon.config").get("environment") or {}
        home = self.data("engine").get("home") or "/root"
        folder = environment.get("DOCKER_CERT_PATH") or environment.get("DOCKER_CONFIG") or f"{home}/.docker"
        by_default = self.flag("tls") or self.flag("tlsverify") or environment.get("DOCKER_TLS_VERIFY")
        return {
            key: str(self.setting(key) or (f"{folder}/{name}" if by_default else ""))
            for key, name in TLS_FILES
        }

    @property
    def uses_tls(self) -> bool:
        """Return whether the API on TCP has TLS: setting ``tlsverify`` to anything turns it on."""
        return self.setting("tlsverify") is not None or bool(self.setting("tls"))


class Subject:
    """What controls demand of the paths of one subject.

    Args:
        name: of its controls.
        words: what it is.
        demanded: the accesses that audit rules must record, or the most permissive mode.
        find: returns its paths on a host, none if it is not there.
        programs: returns the files that its commands name, which may be executable.
    """

    __slots__ = ("demanded", "find", "name", "programs", "words")

    def __init__(
        self,
        name: str,
        words: str,
        demanded: Any,
        find: Callable[[Host], Sequence[Any]],
        programs: Callable[[Host], Sequence[str]] = lambda _: (),
    ) -> None:
        self.name = name
        self.words = words
        self.demanded = demanded
        self.find = find
        self.programs = programs


def commands(unit: Mapping[str, Any], keys: Sequence[str] = COMMANDS) -> list[Sequence[str]]:
    """Return the arguments of the commands of a unit."""
    return [argv for key in keys for argv in unit.get(key) or ()]


def parents(path: str) -> Iterator[str]:
    """Yield the folders above a path: a user who can write to one of them can replace the path."""
    path = posixpath.normpath(path)
    while path not in ("/", ".", ""):
        path = posixpath.dirname(path)
        yield path


def unrepaired(what: str) -> str:
    """Return the note by which a plan says beforehand that a control still fails once it was applied."""
    return f"no role can repair this here: {what}"


def _with_scheme(host: str) -> str:
    """Add the scheme to an address of ``--host``, as dockerd does."""
    if host in ("", "unix://"):
        return "unix:///var/run/docker.sock"
    return host if "://" in host else f"tcp://{host}"
