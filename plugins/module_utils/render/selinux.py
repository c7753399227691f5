"""From a snapshot to the documents that have SELinux enforce, and the engine label its containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CONFIG_FILE = "/etc/selinux/config"
RELABEL_FILE = "/.autorelabel"

_ENFORCING, _DOCKER = "selinux_enforcing", "selinux_docker"
_KEY = "selinux-enabled"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_NAMED = 10


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents by the role's variables."""
    host = _Host(snapshot)
    reason = host.unfit()
    if reason:
        return [{"name": "selinux", "refused": reason}]
    found = [_enforcing(host)] if variables["enforcing"] else []
    return [*found, *_docker(host)] if variables["docker"] else found


class _Host:
    """What the documents depend on."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._sources: Mapping[str, Any] = snapshot["sources"]
        lsm = self.data("lsm")
        self._selinux: Mapping[str, Any] = lsm.get("selinux") or {}
        self._apparmor = bool((lsm.get("apparmor") or {}).get("enabled"))
        self.parameters: Mapping[str, str] = (lsm.get("boot") or {}).get("parameters") or {}
        self.mode = self._selinux.get("mode")
        # A kernel that has AppArmor off takes SELinux though nobody has installed a policy.
        self.on = self.mode == "enforcing" or bool(self.mode and self._selinux.get("policy"))
        self.config: Mapping[str, str] = self._selinux.get("config") or {}
        self.engine = self.data("engine")
        self.daemon = self.data("daemon.config")
        self.info = self.data("docker.info")

    def data(self, source: str) -> Any:
        """Data of a source; empty where there is none."""
        return self._sources.get(source, {}).get("data") or {}

    def unfit(self) -> str:
        """Why SELinux cannot be had here; empty where it can."""
        for source in ("system", "lsm"):
            entry = self._sources.get(source, {})
            if entry.get("state") != "ok":
                return f"{source} could not be read: {entry.get('error') or 'not collected'}"
        system = self.data("system")
        if system.get("in_container") or system.get("in_init_userns") is False:
            return "this host is a container: SELinux belongs to the host that runs it"
        if self.on:
            return ""
        if self._apparmor:
            return "AppArmor is this host's security module: use the role apparmor"
        release = self.data("system").get("os") or {}
        if "debian" in f"{release.get('ID')} {release.get('ID_LIKE')}":
            return "SELinux is off: install selinux-basics, run selinux-activate, and reboot"
        if not self.config.get("SELINUXTYPE"):
            return f"SELinux is off, and no policy is installed ({CONFIG_FILE} names none): install one first"
        off = [f"{name}={value}" for name, value in self.parameters.items() if _keeps_off(name, value)]
        if off:
            return (
                f"SELinux is off by the kernel's command line ({' '.join(off)}): take it away there"
                " (grubby --update-kernel=ALL --remove-args=selinux), and reboot"
            )
        return ""

    @property
    def uses_it(self) -> bool:
        """Whether the engine labels containers."""
        options = self.info.get("SecurityOptions") or ()
        return any("name=selinux" in str(option).split(",") for option in options)

    @property
    def containers(self) -> list[str]:
        """Names of all containers: they keep what they were created with."""
        found = self.data("docker.containers") or ()
        return sorted(str(container["inspect"].get("Name", "?")).lstrip("/") for container in found)


def _keeps_off(name: str, value: str) -> bool:
    """Whether a parameter of the kernel keeps SELinux from starting."""
    if name == "selinux":
        return value == "0"
    return (name == "security" and value != "selinux") or (
        name == "lsm" and "selinux" not in value.split(",")
    )


def _enforcing(host: _Host) -> dict[str, Any]:
    """Now and at every boot; from off by way of permissive, which labels the disk and denies nothing."""
    # Also where nothing is to be written: a document without a resource decides nothing.
    resources = [
        {"kind": "attributes", "path": CONFIG_FILE, "owner": "root", "group": "root", "at_most": "0644"}
    ]
    declared = host.config.get("SELINUX")
    if not host.on:
        if declared not in ("enforcing", "permissive"):
            resources.append(_file(CONFIG_FILE, _config(host.config, "permissive")))
        return {
            "name": _ENFORCING,
            "impact": "reboot",
            "costs": "SELinux is off: the next boot labels the whole disk, and the run after it enforces",
            "resources": [*resources, _file(RELABEL_FILE, "")],
            "notes": ["SELinux starts at the next boot; see ausearch -m avc for what it would deny"],
        }
    if declared != "enforcing":
        resources.append(_file(CONFIG_FILE, _config(host.config, "enforcing")))
    enforces, undone = host.mode == "enforcing", host.parameters.get("enforcing") == "0"
    return {
        "name": _ENFORCING,
        "impact": "none" if enforces else "connectivity",
        "costs": "" if enforces else "what the policy denies is only logged now, and will be refused",
        "resources": resources,
        "activations": [{"name": "selinux-enforce", "when": [CONFIG_FILE]}],
        "notes": ["enforcing=0 on the kernel's command line undoes it at the next boot"] if undone else [],
    }


def _config(config: Mapping[str, str], mode: str) -> str:
    """The file with the mode, and all that it said beside."""
    lines = {"SELINUX": mode, **{key: value for key, value in config.items() if key != "SELINUX"}}
    text = "\n".join(f"{key}={value}" for key, value in lines.items())
    return f"# Written by hardener; what stood here before is in its backup.\n{text}\n"


def _file(path: str, content: str) -> dict[str, Any]:
    return {"kind": "file", "path": path, "content": content}


def _docker(host: _Host) -> list[dict[str, Any]]:
    """The engine labels containers, where SELinux is on and there is an engine."""
    if not host.engine.get("installed") or host.engine.get("rootless") or not host.on:
        return []
    if not host.daemon:
        return [{"name": _DOCKER, "refused": "daemon.config could not be read"}]
    flags = host.daemon.get("flags") or {}
    given = flags.get(_KEY)
    if given and given[-1] not in _TRUE:
        reason = f"--{_KEY}={given[-1]} stands on the engine's command line: take it out of its unit"
        return [{"name": _DOCKER, "refused": reason}]
    config = str(host.daemon.get("path") or "/etc/docker/daemon.json")
    activation = {
        "name": "docker",
        "when": [config],
        "config": config,
        "dockerd": (host.engine.get("binaries") or {}).get("dockerd") or "",
        "argv": host.daemon.get("argv") or [],
        "flags": flags,
        "socket": host.engine.get("socket") or "/run/docker.sock",
        "unit": "docker.service",
        "expect": {"security": ["selinux"]},
    }
    document = {
        "name": _DOCKER,
        "impact": "daemon-restart",
        "resources": [{"kind": "json", "path": config, "keys": {} if given else {_KEY: True}}],
        "activations": [activation],
    }
    if host.containers and not host.uses_it:
        # An unlabelled one goes on; one that is created anew gets a label, and loses what it mounts.
        document |= {
            "impact": "containers-recreate",
            "costs": (
                "a container that is started or created from then on is denied every host folder that is not"
                f" labelled for it (mount it with :z or :Z); here are {_listed(host.containers)}"
            ),
        }
    return [document]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
