"""Conditions of the judges that no oracle can find inverted, and why.

By module: ``function: source of the condition``, as ``mutants`` prints it, and the reason. A condition that
can change a verdict has no place here: widen what the oracle tries or compares. An entry that is about no
condition is an error, and so is one about a condition that an oracle finds.
"""

from __future__ import annotations

from collections.abc import Mapping

_WORDING = "chooses the words of a sentence"
_EVIDENCE = "chooses what a verdict that passes tells beside itself"
_ROOTLESS = "only a rootless daemon decides it; unit tests have one"
_UNLISTED = (
    "decides whether sockets that the collector could not list are an error; unit tests have such hosts"
)

EXCUSED: Mapping[str, Mapping[str, str]] = {
    "hardener.checks.firewall": {
        "docker_user: each.state == NAMED": _EVIDENCE,
        "docker_user: any((each.state in (NAMED, OPEN, DOUBTFUL) for _, some in found for each in some))": (
            _WORDING
        ),
        "docker_user: each.state in (NAMED, OPEN, DOUBTFUL)": _WORDING,
        "docker_user: refusals": _WORDING,
    },
    "hardener.checks.lib.publication": {
        "_Entrance.__str__: self.proxied": _WORDING,
        "_Entrance.__str__: ':' in self.address": _WORDING,
        "_Entrance.__str__: self.inside": _WORDING,
        "_Entrance.__str__: self.direct": _WORDING,
        "Way._fate: NAMED in states": _EVIDENCE,
        "Way._fate: reason": _WORDING,
    },
    "hardener.checks.lib.packetfilter.passage": {"Flow.through: why": _WORDING},
    "hardener.checks.lib.hostmounts": {
        "HostMount.described: name": _WORDING,
        "HostMount.described: name == self.declared": _WORDING,
        "HostMount.described: self.writable": _WORDING,
    },
    "hardener.checks.runtime.mounts": {
        "_standing_on: number == disk": _WORDING,
        "_described: reached in mount.names": _WORDING,
        "_described: alias": _WORDING,
        "_described: name == reached": _WORDING,
        "_described: same in mount.names": _WORDING,
        "_described: reached": _WORDING,
        "mounted_sockets: any(host_mounts(container))": _UNLISTED,
        "_abstract_sockets: container.shares('net')": _UNLISTED,
        "_sockets: engine.get(key)": "decides on kernels that do not list Unix sockets",
    },
    "hardener.checks.files": {
        "_register.decided: rootless": _ROOTLESS,
        "_summary: len(records) > 3": _WORDING,
    },
    "hardener.checks.lib.settings": {
        "Facts.rootless: engine.get('rootless')": _ROOTLESS,
        "Facts.rootless: engine.get('euid') is not None": _ROOTLESS,
    },
    "ansible_collections.hardener.docker.plugins.module_utils.subjects.host": {
        "Host.api_hosts: len(hosts) < len(declared)": "decides where systemd opens the sockets of the API",
    },
    "hardener.checks.daemon": {
        "default_ulimits: limit == -1": _WORDING,
        "seccomp_profile: profile is None": "decides on kernels without seccomp",
    },
    "hardener.checks.lib.packetfilter.sets": {
        "intersect: len(other) < len(one)": "speed: which of two sets is walked, and which is searched",
    },
}
