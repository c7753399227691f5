"""What the engine says of its containers, images, networks, volumes, plugins and swarm; without secrets."""

from __future__ import annotations

from json import JSONEncoder, loads

from host_snapshot import containerproc, history
from host_snapshot.bounds import Absent, Failed, read_bytes
from host_snapshot.httpunix import NotFound, parse

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator
    from typing import Any

    from host_snapshot.engine import Engine
    from host_snapshot.redact import Redactor

LIMIT = 30  # seconds for one source
_MAX_TEXT = 128 * 1024 * 1024  # of all containers or all images together

encode = JSONEncoder(separators=(",", ":")).encode


class Encoded(str):
    """JSON text, ready: a large source is encoded object by object, so that two copies never exist at once."""

    __slots__ = ()


def info(engine: Engine, redactor: Redactor) -> dict[str, Any]:
    """The source `docker.info`."""
    connection = engine.connect(LIMIT)
    try:
        data = connection.get(f"{engine.api}/info")
    finally:
        connection.close()
    found: dict[str, Any] = redactor.options(data, "engine")
    return found


class Containers:
    """The source `docker.containers`, and what others want to know of it."""

    def __init__(self, engine: Engine, redactor: Redactor, host: containerproc.Host) -> None:
        self.bind_sources: list[str] = []
        self.listening: list[dict[str, Any]] = []
        self._redactor = redactor
        texts, size = [], 0
        for identity, raw, inspect in _each(engine, "/containers/json?all=1", "/containers/%s/json"):
            text = encode(self._one(identity, raw, inspect, host))
            size += len(text)
            if size > _MAX_TEXT:
                raise Failed(f"the containers' facts are larger than {_MAX_TEXT} bytes")
            texts.append(text)
        self.text = Encoded("[" + ",".join(texts) + "]")

    def _one(
        self, identity: str, raw: bytes, inspect: dict[str, Any], host: containerproc.Host
    ) -> dict[str, Any]:
        for mount in inspect.get("Mounts") or ():
            if mount.get("Type") == "bind" and mount.get("Source"):
                self.bind_sources.append(str(mount["Source"]))
        state = inspect.get("State") or {}
        pid = state.get("Pid")
        running = isinstance(pid, int) and pid > 0
        proc = containerproc.read(pid, identity, host) if running else None
        if proc and "net" not in proc["host_namespaces"]:
            self.listening += [{**entry, "netns": identity} for entry in proc["listening"]]
        name = str(inspect.get("Name") or identity).lstrip("/")
        return {"inspect": redact_container(inspect, raw, self._redactor, f"container {name}"), "proc": proc}


def redact_container(inspect: dict[str, Any], raw: bytes, redactor: Redactor, where: str) -> dict[str, Any]:
    """``/containers/ID/json`` without its secrets."""
    host_config = inspect.get("HostConfig") or {}
    log_config = host_config.get("LogConfig") or {}
    if log_config.get("Config"):
        log_config["Config"] = redactor.options(log_config["Config"], f"{where} log option")
    if host_config.get("Mounts"):
        host_config["Mounts"] = redactor.options(host_config["Mounts"], f"{where} mount")
    inspect["Path"] = redactor.text(str(inspect.get("Path") or ""), where)
    inspect["Args"] = redactor.words(inspect.get("Args"), f"{where} command")
    health = (inspect.get("State") or {}).get("Health") or {}
    if health.get("Log"):
        health["Log"] = []  # output of programs: no fact for us, and anything may be in it
    _redact_config(inspect.get("Config") or {}, redactor, where)
    found: dict[str, Any] = redactor.forms(inspect, raw, where)
    return found


def _redact_config(config: dict[str, Any], redactor: Redactor, where: str) -> None:
    """The ``Config`` of a container or an image, in place."""
    if config.get("Env"):
        config["Env"] = redactor.assignments(config["Env"], where)
    for key in ("Cmd", "Entrypoint", "Shell"):
        if config.get(key):
            config[key] = redactor.words(config[key], f"{where} {key}")
    if config.get("OnBuild"):
        config["OnBuild"] = [
            history.instruction(str(line), [], [], redactor, f"{where} OnBuild") for line in config["OnBuild"]
        ]
    if config.get("Labels"):
        config["Labels"] = redactor.options(config["Labels"], f"{where} label")
    healthcheck = config.get("Healthcheck") or {}
    if healthcheck.get("Test"):
        healthcheck["Test"] = redactor.words(healthcheck["Test"], f"{where} healthcheck")


def images(engine: Engine, redactor: Redactor) -> Encoded:
    """The source `docker.images`."""
    connection = engine.connect(LIMIT)
    try:
        listed = connection.get(f"{engine.api}/images/json")
        identities = list(dict.fromkeys(str(image["Id"]) for image in listed))
        paths = (
            f"{engine.api}/images/{identity}/{what}"
            for identity in identities
            for what in ("json", "history")
        )
        bodies = connection.get_all(paths)
        texts, size = [], 0
        for identity, inspected, layers in zip(identities, bodies, bodies):
            if isinstance(inspected, NotFound) or isinstance(layers, NotFound):
                continue  # removed since it was listed
            where = f"image {identity}"
            inspect, entries = parse(_body(inspected)), parse(_body(layers))
            environment = (inspect.get("Config") or {}).get("Env")
            cleaned = history.redact(entries, environment, redactor, where)
            for key in ("Config", "ContainerConfig"):
                _redact_config(inspect.get(key) or {}, redactor, where)
            document = {
                "inspect": redactor.forms(inspect, _body(inspected), where),
                "history": redactor.forms(cleaned, _body(layers), where),
            }
            text = encode(document)
            size += len(text)
            if size > _MAX_TEXT:
                raise Failed(f"the images' facts are larger than {_MAX_TEXT} bytes")
            texts.append(text)
    finally:
        connection.close()
    return Encoded("[" + ",".join(texts) + "]")


def networks(engine: Engine, redactor: Redactor) -> list[dict[str, Any]]:
    """The source `docker.networks`."""
    found = []
    for _, _, network in _each(engine, "/networks", "/networks/%s"):
        for key in ("Options", "Labels", "IPAM"):
            network[key] = redactor.options(network.get(key), f"network {network.get('Name')} {key.lower()}")
        found.append(network)
    return found


def volumes(engine: Engine, redactor: Redactor) -> list[dict[str, Any]]:
    """The source `docker.volumes`."""
    connection = engine.connect(LIMIT)
    try:
        listed = connection.get(f"{engine.api}/volumes").get("Volumes") or []
    finally:
        connection.close()
    return [
        {
            "Name": volume.get("Name"),
            "Driver": volume.get("Driver"),
            "Mountpoint": volume.get("Mountpoint"),
            "Options": redactor.options(volume.get("Options"), f"volume {volume.get('Name')} option"),
        }
        for volume in listed
    ]


def bind_devices(listed: list[dict[str, Any]]) -> list[str]:
    """Host folders that local volumes stand for (``o=bind``): a bind mount in disguise."""
    found = []
    for volume in listed:
        options = volume["Options"] or {}
        if "bind" in str(options.get("o", "")).split(",") and str(options.get("device", "")).startswith("/"):
            found.append(str(options["device"]))
    return found


def plugins(engine: Engine) -> list[dict[str, Any]]:
    """The source `docker.plugins`: what a plugin is and may do, not how it is configured."""
    connection = engine.connect(LIMIT)
    try:
        listed = connection.get(f"{engine.api}/plugins")
    finally:
        connection.close()
    found = []
    for plugin in listed or ():
        config = plugin.get("Config") or {}
        kept = ("Interface", "Linux", "Network", "PidHost", "IpcHost", "PropagatedMount")
        found.append(
            {
                **{key: plugin.get(key) for key in ("Id", "Name", "Enabled", "PluginReference")},
                "Config": {key: config[key] for key in kept if key in config},
            }
        )
    return found


def swarm(engine: Engine, known: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The source `docker.swarm`.

    Args:
        engine: the engine.
        known: the source `docker.info`.
        redactor: replaces secrets.

    Raises:
        Absent: swarm is inactive.
        Failed: it is active and does not answer, or is locked.
    """
    state = (known.get("Swarm") or {}).get("LocalNodeState") or "inactive"
    if state == "inactive":
        raise Absent("swarm is inactive")
    local = _local_node(str(known.get("DockerRootDir") or ""))
    if state != "active":
        raise Failed(f"swarm is {state}")
    if not known["Swarm"].get("ControlAvailable"):
        return {"worker": True, "local": local}
    connection = engine.connect(LIMIT)
    try:
        cluster, nodes, services, secrets = (
            connection.get(f"{engine.api}/{name}") for name in ("swarm", "nodes", "services", "secrets")
        )
    finally:
        connection.close()
    cluster.pop("JoinTokens", None)
    for service in services:
        _redact_service(service, redactor)
    return {
        "worker": False,
        "local": local,
        "swarm": redactor.options(cluster, "swarm"),
        "nodes": redactor.options(nodes, "node"),
        "services": redactor.options(services, "service"),
        "secrets": [
            {
                "ID": secret.get("ID"),
                "Name": (secret.get("Spec") or {}).get("Name"),
                "CreatedAt": secret.get("CreatedAt"),
                "UpdatedAt": secret.get("UpdatedAt"),
            }
            for secret in secrets
        ],
    }


def _redact_service(service: dict[str, Any], redactor: Redactor) -> None:
    for key in ("Spec", "PreviousSpec"):
        spec = service.get(key) or {}
        container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
        where = f"service {spec.get('Name')}"
        if container.get("Env"):
            container["Env"] = redactor.assignments(container["Env"], where)
        for words in ("Command", "Args"):
            if container.get(words):
                container[words] = redactor.words(container[words], f"{where} command")


def _local_node(root: str) -> dict[str, Any]:
    """Addresses of this node, which no API tells: ``{}`` where the file is not there."""
    try:
        state = loads(read_bytes(f"{root}/swarm/docker-state.json", 65536))
    except (OSError, Failed, ValueError):
        return {}
    return {key: state.get(key, "") for key in ("ListenAddr", "AdvertiseAddr", "DataPathAddr")}


def _each(engine: Engine, listing: str, detail: str) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Id, raw text and document of everything in a list; what was removed meanwhile is left out."""
    connection = engine.connect(LIMIT)
    try:
        identities = [str(item["Id"]) for item in connection.get(f"{engine.api}{listing}")]
        bodies = connection.get_all(f"{engine.api}{detail % identity}" for identity in identities)
        for identity, body in zip(identities, bodies):
            if not isinstance(body, NotFound):
                raw = _body(body)
                document = parse(raw)
                if not isinstance(document, dict):
                    raise Failed(f"the engine's answer about {identity[:64]} is no object")
                yield identity, raw, document
    finally:
        connection.close()


def _body(answer: bytes | Failed) -> bytes:
    if isinstance(answer, Failed):
        raise answer
    return answer
