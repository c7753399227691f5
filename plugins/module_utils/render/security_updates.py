"""Render the documents of the role security_updates: automatic installation of security updates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..contract import CONTAINERS_STOP, DAEMON_RESTART, NONE, exceeds
from ..subjects.owners import APT_TIMERS, DNF_TIMERS
from .hostview import HostView

_AUTOMATIC, _ENGINE_TOO = "security_updates_automatic", "security_updates_engine"
_APT = "/etc/apt/apt.conf.d/90hardener-security-updates"
_APT_ENGINE = f"{_APT}-engine"
_DNF = "/etc/dnf/hardener-automatic.conf"
_DNF_DROP_IN = "/etc/systemd/system/dnf-automatic-install.service.d/50-hardener.conf"
_PERIODIC = {
    "APT::Periodic::Enable": "1",
    "APT::Periodic::Update-Package-Lists": "1",
    "APT::Periodic::Unattended-Upgrade": "1",
}

# Names of security repositories and of all others, by distribution.
_ORIGINS = {
    "debian": (
        (
            "origin=Debian,codename=${distro_codename}-security,label=Debian-Security",
            "origin=Debian,codename=${distro_codename},label=Debian-Security",
        ),
        (
            "origin=Debian,codename=${distro_codename},label=Debian",
            "origin=Debian,codename=${distro_codename}-updates,label=Debian",
        ),
    ),
    "ubuntu": (
        (
            "origin=Ubuntu,archive=${distro_codename}-security",
            "origin=UbuntuESMApps,archive=${distro_codename}-apps-security",
            "origin=UbuntuESM,archive=${distro_codename}-infra-security",
        ),
        ("origin=Ubuntu,archive=${distro_codename}", "origin=Ubuntu,archive=${distro_codename}-updates"),
    ),
}
# Docker's own repository has all releases in one archive.
_DOCKER = "origin=Docker"
# Packages whose upgrade restarts the engine or its containerd.
_ENGINE = (
    "containerd",
    "containerd.io",
    "docker-ce",
    "docker-engine",
    "docker.io",
    "moby-containerd",
    "moby-engine",
)
_BY_HAND = "dnf upgrade docker-ce docker-ce-cli containerd.io"
_SPEAKABLE = re.compile(r'[^"\x00-\x1f\x7f]+')  # values that an option of apt or dnf can hold
_PLAIN = re.compile(r"[\w .+~-]+")  # fields of an index that a pattern can name
_HOUR = 3600
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
# Variables that a document depends on, beside the one that it is named after.
DECIDED_BY = {"automatic": ("all", "apply", "exclude", "origins", "reboot", "reboot_window")}


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the documents from the role's variables, and the worst allowed impact (``allow``)."""
    host = HostView(snapshot)
    apply, engine, reboot = variables["apply"], variables["engine"], variables["reboot"]
    origins, exclude = variables["origins"], variables["exclude"]
    reason = (
        _unfit(host)
        or _unquotable("origins", origins)
        or _unquotable("exclude", exclude)
        or _window_error(variables["reboot_window"])
    )
    if reason:
        return [{"name": "security_updates", "refused": reason}]
    cost = _restart_costs(host)
    # The installer must not have an impact either that this run must not have.
    with_engine = engine and not exceeds(cost, variables["allow"])
    choice = _Choice(
        automatic=variables["automatic"],
        everything=variables["all"],
        origins=origins,
        exclude=exclude,
        engine=with_engine,
        reboot_at=variables["reboot_window"][:5] if reboot else "",
    )
    document = {
        "name": _AUTOMATIC,
        "impact": NONE,
        **(_apt(host, choice) if _manager(host) == "apt" else _dnf(host, choice)),
        "notes": _notes(host, apply=apply, engine=engine, reboot=reboot),
    }
    if apply:
        document["activations"].append(_installation(host, engine=False))
    return [document, *_engine(host, engine=engine, cost=cost, apply=apply)]


class _Choice(NamedTuple):
    """The site's choices that are stored in files."""

    automatic: bool
    everything: bool
    origins: Sequence[str]
    exclude: Sequence[str]
    engine: bool
    reboot_at: str  # a time of day; empty for never


def _manager(host: HostView) -> str:
    return str(host.data("packages").get("manager"))


def _updates(host: HostView, *, engine: bool) -> list[Mapping[str, Any]]:
    """Return pending updates: of packages that restart the engine, or security updates of all others."""
    pending = [*(host.data("packages").get("pending_security") or ()), *(_of_docker(host) if engine else ())]
    return [update for update in pending if (update["name"] in _ENGINE) is engine]


def _of_docker(host: HostView) -> Sequence[Mapping[str, Any]]:
    """Return newer versions in Docker's own repository, which has no security archive."""
    updates: Sequence[Mapping[str, Any]] = (host.data("packages").get("docker_index") or {}).get(
        "updates"
    ) or ()
    return updates


def _installation(host: HostView, *, engine: bool) -> dict[str, Any]:
    """Return the activation with the updates to install after the transaction."""
    updates = [_update_text(update) for update in _updates(host, engine=engine) if not update.get("held")]
    return {"name": "pending-updates", "when": [], "updates": updates, "unknown": _unknown(host)}


def _unknown(host: HostView) -> str:
    """Return why pending updates are unknown; empty if they are known."""
    if host.data("packages").get("pending_error"):
        return str(host.data("packages")["pending_error"])
    age: int | None = host.data("packages").get("index_age_s")
    if age is None:  # dnf-automatic fetches it itself
        return "there is no index of security updates yet" if _manager(host) == "apt" else ""
    return f"the index of security updates is {age // _HOUR} hours old" if age > 24 * _HOUR else ""


def _notes(host: HostView, *, apply: bool, engine: bool, reboot: bool) -> list[str]:
    """Return notes about pending updates and what they affect."""
    notes = []
    for update in [*_updates(host, engine=False), *(_updates(host, engine=True) if engine else ())]:
        if update.get("held"):
            notes.append(f"{_update_text(update)}: held by this host's administrator, and not installed")
        elif not apply:
            notes.append(f"{_update_text(update)}: not installed, since security_updates_apply is false")
    why = _awaits_reboot(host)
    if why:
        who = "security_updates_reboot reboots it in its window" if reboot else "automatic reboots are off"
        notes.append(f"this host waits for a reboot: {why}; {who}")
    return notes


def _awaits_reboot(host: HostView) -> str:
    """Return why the host needs a reboot; empty if it needs none."""
    running = str(host.system.get("kernel"))
    newest = host.data("packages").get("newest_kernel")
    if newest and newest != running:
        return f"kernel {newest} is installed, {running} runs"
    if host.data("packages").get("reboot_required"):
        names = ", ".join(host.data("packages").get("reboot_packages") or ())
        return f"{names} requested it" if names else "/run/reboot-required says so"
    return ""


def _restart_costs(host: HostView) -> str:
    """Return the impact of the pending updates that restart the engine."""
    if not _updates(host, engine=True):
        return NONE
    if host.info.get("ContainersRunning") and not host.info.get("LiveRestoreEnabled"):
        return CONTAINERS_STOP
    return DAEMON_RESTART


def is_open(now: str, window: str) -> bool:
    """Return whether a time of day, ``HH:MM``, is in a window such as ``22:00-04:00``, on the same clock."""
    begin, _separator, end = window.partition("-")
    return begin <= now < end if begin <= end else now >= begin or now < end


def returning(snapshot: Mapping[str, Any]) -> list[str]:
    """Return ids of running containers that the engine starts again after a reboot."""
    return [
        str(inspect["Id"])
        for inspect in HostView(snapshot).containers
        if inspect.get("State", {}).get("Running")
        and ((inspect.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name")
        in ("always", "unless-stopped")
    ]


def _unfit(host: HostView) -> str:
    """Return why the role cannot be applied to this host; empty if it can."""
    reason = host.unread("system", "packages")
    if reason:
        return reason
    manager = host.data("packages").get("manager")
    if manager not in ("apt", "dnf"):
        return f"security updates of {manager or 'this package manager'} are not set up: not apt or dnf"
    if manager == "apt" and not _origins(host)[0]:
        name = host.os.get("PRETTY_NAME") or "this distribution"
        return f"the security repository of {name} is not known"
    version = str(host.os.get("VERSION_ID") or "0").partition(".")[0]
    if host.os.get("ID") == "fedora" and int(version or 0) >= 41:
        return "this Fedora has dnf5, whose automatic updates are configured differently"
    return ""


def _origins(host: HostView) -> tuple[Sequence[str], Sequence[str]]:
    """Return patterns of the security archives, and of others by the same origins.

    Of another distribution they are known by the indexes that its hosts have fetched.
    """
    known = _ORIGINS.get(str(host.os.get("ID")))
    if known:
        return known
    found: dict[bool, list[str]] = {True: [], False: []}
    indexes = [
        index for index in host.data("packages").get("indexes") or () if _PLAIN.fullmatch(index["suite"])
    ]
    origins = {
        index["origin"] for index in indexes if index["security"] and _PLAIN.fullmatch(index["origin"])
    }
    for index in indexes:
        if index["origin"] in origins:
            found[index["security"]].append(f"origin={index['origin']},archive={index['suite']}")
    return found[True], found[False]


def _unquotable(variable: str, values: Iterable[str]) -> str:
    for value in values:
        if not _SPEAKABLE.fullmatch(value):
            return f"security_updates_{variable}: {value!r} has a quote or a control character"
    return ""


def _window_error(window: str) -> str:
    if _WINDOW.fullmatch(window):
        return ""
    return f"security_updates_reboot_window is {window!r}; two times of day such as '02:00-05:00' are needed"


def _apt(host: HostView, choice: _Choice) -> dict[str, Any]:
    """Return the document with apt's settings; a second file holds back the engine unless permitted."""
    security, others = _origins(host)
    docker = [_DOCKER] if choice.engine and "docker-ce" in host.data("packages")["installed"] else []
    origins = [*security, *(others if choice.everything else ()), *docker, *choice.origins]
    settings = {
        "Unattended-Upgrade::Automatic-Reboot": "true" if choice.reboot_at else "false",
        **({"Unattended-Upgrade::Automatic-Reboot-Time": choice.reboot_at} if choice.reboot_at else {}),
        **(_PERIODIC if choice.automatic else {}),
    }
    lines = [
        *(f'{name} "{value}";' for name, value in settings.items()),
        # A list of apt is extended by each file: the distribution's own entries would allow more.
        "#clear Unattended-Upgrade::Allowed-Origins;",
        "#clear Unattended-Upgrade::Origins-Pattern;",
        *(f'Unattended-Upgrade::Origins-Pattern:: "{origin}";' for origin in origins),
        *(f'Unattended-Upgrade::Package-Blacklist:: "{name}";' for name in choice.exclude),
    ]
    expected = {name: [value] for name, value in settings.items()}
    expected["Unattended-Upgrade::Origins-Pattern::"] = origins
    expected["Unattended-Upgrade::Allowed-Origins::"] = []
    resources = [_file(_APT, lines, "//")]
    if not choice.engine:
        waits = [f'Unattended-Upgrade::Package-Blacklist:: "{re.escape(name)}$";' for name in _ENGINE]
        why = "An upgrade of these packages restarts the engine: an administrator has to choose the time."
        resources.append(_file(_APT_ENGINE, waits, "//", why))
    when = [resource["path"] for resource in resources]
    return {
        "resources": resources,
        "activations": [
            *_timers(APT_TIMERS, choice),
            {"name": "automatic-updates", "when": when, "manager": "apt", "expect": expected},
        ],
    }


def _dnf(host: HostView, choice: _Choice) -> dict[str, Any]:
    """Return the document with the only file that dnf-automatic reads, and its unit."""
    excluded = [*(() if choice.engine else _ENGINE), *choice.exclude]
    lines = [
        "[commands]",
        f"upgrade_type = {'default' if choice.everything else 'security'}",
        "random_sleep = 0",
        "network_online_timeout = 60",
        "download_updates = yes",
        "apply_updates = yes",
        f"reboot = {'when-needed' if choice.reboot_at else 'never'}",
        *([f"reboot_command = shutdown -r {choice.reboot_at}"] if choice.reboot_at else []),
        "[emitters]",
        "emit_via = stdio",
        "[base]",
        *([f"excludepkgs = {','.join(excluded)}"] if excluded else []),
    ]
    drop_in = ["[Service]", "ExecStart=", f"ExecStart=/usr/bin/dnf-automatic {_DNF} --timer --installupdates"]
    return {
        "impact": _restart_costs(host) if choice.engine else NONE,
        "resources": [_file(_DNF, lines, "#"), _file(_DNF_DROP_IN, drop_in, "#")],
        "activations": [
            {"name": "systemd-reload", "when": [_DNF_DROP_IN]},
            *_timers(DNF_TIMERS, choice),
            {"name": "automatic-updates", "when": [_DNF], "manager": "dnf", "configuration": _DNF},
        ],
    }


def _timers(names: Sequence[str], choice: _Choice) -> list[dict[str, Any]]:
    if not choice.automatic:
        return []
    return [
        {"name": "units", "when": [], "units": {name: {"enabled": True, "active": True} for name in names}}
    ]


def _engine(host: HostView, *, engine: bool, cost: str, apply: bool) -> list[dict[str, Any]]:
    """Return the document that refuses or permits updates that restart the engine, if one is needed."""
    updates = _updates(host, engine=True)
    if not engine:
        waiting = ", ".join(map(_update_text, updates))
        reason = f"{waiting}: restarts the engine; set security_updates_engine: true to install it"
        # The site excludes them.
        return [{"name": _ENGINE_TOO, "refused": reason, "asked": False}] if updates else []
    if _manager(host) != "apt":
        # dnf-automatic selects by advisories, which Docker's repository lacks.
        waiting = ", ".join(map(_update_text, _of_docker(host)))
        reason = f"{waiting}: dnf does not know security updates of docker-ce: run `{_BY_HAND}` on the host"
        return [{"name": _ENGINE_TOO, "refused": reason, "asked": False}] if waiting else []
    return [
        {
            "name": _ENGINE_TOO,
            "impact": cost,
            "resources": [{"kind": "absent", "path": _APT_ENGINE}],
            "activations": [
                {"name": "automatic-updates", "when": [_APT_ENGINE], "manager": "apt"},
                *([_installation(host, engine=True)] if apply else []),
            ],
        }
    ]


def _file(path: str, lines: Sequence[str], comment: str, why: str = "") -> dict[str, Any]:
    heading = [f"{comment} Written by hardener.", *([f"{comment} {why}"] if why else [])]
    return {"kind": "file", "path": path, "content": "\n".join([*heading, *lines, ""])}


def _update_text(update: Mapping[str, Any]) -> str:
    return f"{update['name']} {update.get('installed') or '?'} → {update.get('candidate')}"
