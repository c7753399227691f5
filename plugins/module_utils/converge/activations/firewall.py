"""Load hardener's packet filter chains, now and at every boot.

The files hold the rules; ``chains.HOOKS`` defines from where the kernel's chains jump to them; at boot the
role's loader does that. The loaded rules are compared with the files: flushed or changed rules are loaded
again.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any, Iterable, Mapping, Sequence

from ...docker.losses import NETWORKS, PORTS, SERVICES
from ...host import atomic, layout
from .. import chains, liveness, system
from ..errors import Failed, Refused
from ..liveness import Session
from ..planning import Plan
from ..serving import Finder
from .interface import Activation, Begun, Former, united

FOLDER = layout.FIREWALL
PARTS = ("inbound", "forwarded", "neighbours")  # one file per part and address family
UNIT = "hardener-firewall.service"
TOOLS = {"ipv4": "iptables", "ipv6": "ip6tables"}

_ENABLED = f"/etc/systemd/system/sysinit.target.wants/{UNIT}"


class Firewall(Activation):
    """Make the loaded chains equal to the files, in one atomic step per address family.

    Settings: ``ssh_ports`` and ``ssh_sources``, through which this connection has to be accepted;
    ``released``: remove all chains of hardener, whatever the files say, and the DOCKER-USER chains that a run
    created in those families.
    """

    name = "firewall"
    touches = (SERVICES, PORTS, NETWORKS)
    action = "load the packet filter's rules"
    known = frozenset({"when", "ssh_ports", "ssh_sources", "released"})
    cuts_off = True

    def __init__(
        self, settings: Mapping[str, Any], *, check: bool = False, finder: Finder | None = None
    ) -> None:
        super().__init__(settings, check=check, finder=finder)
        self._wanted: dict[str, chains.Tables] = {}
        self._expected: dict[str, chains.Tables] = {}
        self._ssh: Session | None = None

    # --- prepare --------------------------------------------------------------------------------------------

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a file changes, or if the chains or the boot unit must be changed."""
        super().prepare(plan)
        self._ssh = liveness.current_session()
        self._reachable()
        before = {}
        for family, tool in TOOLS.items():
            paths = [f"{FOLDER}/{part}.{family}" for part in PARTS]
            contents = [plan.after(path).content for path in paths]
            text = b"".join(content for content in contents if content).decode()
            loaded = chains.dump(tool) if system.installed(f"{tool}-save") else {}
            if text and not self._releases:
                self._wanted[family] = chains.parse(text)
                self._expected[family] = chains.tried(tool, text)
            elif not chains.ours(loaded):
                continue
            found = chains.differences(loaded, self._expected.get(family, {}))
            self.reasons += [f"{family}: {difference}" for difference in found]
            before[family] = _memory(loaded)
        unit = {"enabled": os.path.islink(_ENABLED), "active": _active()}
        if system.has_systemd():
            wanted = bool(self._wanted)
            if unit["enabled"] is not wanted:
                self.reasons.append(f"{UNIT} is {'not' if wanted else 'still'} started at boot")
            elif wanted and not unit["active"]:
                self.reasons.append(f"{UNIT} has not run")
        self.memory = {"before": before, "unit": unit, "boot": system.boot()}

    @property
    def _releases(self) -> bool:
        return "released" in self.settings

    def _reachable(self) -> None:
        """Verify that the rules would accept the current ssh connection if it were a new one.

        Raises:
            Refused: the rules would not.
        """
        if self._ssh is None or "ssh_ports" not in self.settings:
            return
        if self._ssh.port not in self.settings["ssh_ports"]:
            raise Refused(
                f"this ssh connection came to port {self._ssh.port} of the host, which the rules do not"
                " allow: add it to firewall_ssh_ports"
            )
        sources = self.settings.get("ssh_sources") or []
        if sources and not _within(self._ssh.client, sources):
            raise Refused(
                f"this ssh connection comes from {self._ssh.client}, which is not in firewall_ssh_sources"
            )

    # --- perform --------------------------------------------------------------------------------------------

    def perform(self) -> None:
        """Load the rules, and enable the unit that loads them at boot."""
        for family, tool in self._families():
            chains.load(tool, self._wanted.get(family, {}))
            if family in self.settings.get("released", ()):
                _take_user_chain_away(tool)
        if system.has_systemd():
            self._set_unit(enabled=bool(self._wanted))

    def _families(self) -> list[tuple[str, str]]:
        return [(family, tool) for family, tool in TOOLS.items() if family in self.memory["before"]]

    def _set_unit(self, *, enabled: bool) -> None:
        """Enable the boot unit and run it once as a test on this host; if not ``enabled``, disable it."""
        if enabled:
            system.must("systemctl", "enable", "--quiet", "--", UNIT)
            system.must("systemctl", "reload-or-restart", "--", UNIT)
        else:
            _forget_unit()

    def problems(self) -> list[str]:
        """Return the chains that differ from the files, and the run's ssh port if it is unreachable."""
        found = [
            f"{family}: {difference}"
            for family, tool in self._families()
            for difference in chains.differences(chains.dump(tool), self._expected.get(family, {}))
        ]
        if self._ssh is not None and "ssh_ports" in self.settings:
            try:
                socket.create_connection((self._ssh.address, self._ssh.port), timeout=5).close()
            except OSError as error:
                place = f"port {self._ssh.port} of {self._ssh.address}"
                found.append(f"ssh cannot be reached any more at {place}: {error.strerror or error}")
        return found

    # --- undo ----------------------------------------------------------------------------------------------

    def undo(self) -> list[str]:
        """Restore hardener's chains as they were, or remove them if there were none."""
        unit = self.memory["unit"]
        if system.has_systemd() and not unit["active"]:
            _forget_unit(keep_enabled=unit["enabled"])
        elif system.has_systemd() and not _active():
            _remember_unit(enabled=unit["enabled"])
        found = []
        for family, tool in self._families():
            before = self.memory["before"][family]
            chains.load(tool, before["tables"], hooks=before["hooks"])
            if not before["user"]:
                _take_user_chain_away(tool)
            if chains.ours(chains.dump(tool)) != before["tables"]:
                found.append(f"{family}: hardener's chains differ from those before the run")
        return found

    def undo_at_boot(self) -> list[str]:
        """Restore the boot unit's links; after a soft reboot, which keeps the chains, undo everything."""
        if not self.memory["unit"]["enabled"]:
            _disable()
        elif not os.path.lexists(_ENABLED):
            _enable()
        return self.undo() if self.memory["boot"] == system.boot() else []

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the settings that remove hardener's chains, and DOCKER-USER if there was none before."""
        user: dict[str, bool] = {}
        for each in begun:
            for family, before in each.memory.get("before", {}).items():
                user.setdefault(family, bool(before["user"]))
        return Former({"when": united(begun), "released": [name for name in user if not user[name]]})


def _memory(loaded: chains.Tables) -> dict[str, Any]:
    """Return the data from which an undo restores the present chains."""
    return {
        "tables": chains.ours(loaded),
        "hooks": [
            hook.rule for hook in chains.HOOKS if hook.rule in loaded.get(hook.table, {}).get(hook.parent, [])
        ],
        "user": chains.USER in loaded.get("filter", {}),
    }


def _take_user_chain_away(tool: str) -> None:
    """Remove the DOCKER-USER chain that hardener created, unless it has rules or jumps of other programs."""
    filters = chains.dump(tool).get("filter", {})
    jumps = [rule for rules in filters.values() for rule in rules if rule.endswith(f"-j {chains.USER}")]
    if filters.get(chains.USER) == [] and set(jumps) <= {f"-A FORWARD -j {chains.USER}"}:
        lines = [*(chains.deletion(rule) for rule in jumps), f"-X {chains.USER}"]
        chains.restore(tool, "\n".join(["*filter", *lines, "COMMIT", ""]))


def _active() -> bool:
    return system.has_systemd() and system.attempt("systemctl", "is-active", "--", UNIT).code == 0


def _forget_unit(*, keep_enabled: bool = False) -> None:
    """Stop the boot unit, and disable it unless ``keep_enabled``; its file may have been removed already."""
    stopped = system.attempt("systemctl", "stop", "--", UNIT)
    if stopped.code != 0 and _active():  # else systemd does not know the unit any more
        raise Failed(f"systemctl stop {UNIT}: {stopped.said or f'ended with code {stopped.code}'}")
    if not keep_enabled:
        _disable()
    system.must("systemctl", "daemon-reload")
    system.attempt("systemctl", "reset-failed", "--", UNIT)


def _remember_unit(*, enabled: bool) -> None:
    """Start the boot unit again, and enable it if it was enabled; its file has been restored."""
    if enabled:
        _enable()
    system.must("systemctl", "daemon-reload")
    system.must("systemctl", "start", "--", UNIT)


def _enable() -> None:
    atomic.make_folders(os.path.dirname(_ENABLED))
    atomic.make_link(f"/etc/systemd/system/{UNIT}", _ENABLED)


def _disable() -> None:
    atomic.remove(_ENABLED)


def _within(address: str, networks: Iterable[str]) -> bool:
    """Return whether an address is in one of the networks; an IPv4 address may be mapped into IPv6."""
    try:
        client = ipaddress.ip_address(address)
        client = getattr(client, "ipv4_mapped", None) or client
        return any(client in ipaddress.ip_network(network) for network in networks)
    except ValueError:
        return False
