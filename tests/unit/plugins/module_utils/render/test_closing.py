"""What is judged is repaired: break a host, render and apply the role's documents, judge again."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import keys
from ansible_collections.hardener.docker.plugins.module_utils.subjects.host import unrepaired
from hypothesis import given, settings
from hypothesis import strategies as st

from hardener import catalogue
from hardener.assess import assess
from hardener.model import Finding, Status
from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.applying import applied
from tests.unit.plugins.module_utils.render.rendering import rendered
from tests.unit.snapshots import RELEASES, absent, make, merge, recorded

ROLES = ("audit_rules", "docker_files")


def record(kind: str = "file", **fields: Any) -> dict[str, Any]:
    base = {"type": kind, "mode": "0644" if kind == "file" else "0755", "uid": 0, "gid": 0, "target": None}
    return {**base, "owner": "root", "group": "root", "acl": [], **fields}


ALICE: dict[str, Any] = {"uid": 1000, "gid": 1000, "owner": "alice", "group": "alice"}
OPEN = "/srv/alice is of uid 1000, mode 0755"
DROP_IN = "/etc/systemd/system/docker.service.d/site.conf"
GENERIC = "/etc/systemd/system/service.d"
TLS = {"tlsverify": True, "tlscacert": "/srv/alice/ca.pem", "tlscert": "/srv/alice/cert.pem"}
TLS["tlskey"] = "/etc/docker/tls/key.pem"
WAITING = [DROP_IN.replace("site", "not-loaded"), "/run/systemd/system/docker.socket.d/x.conf"]


def running(**status: Any) -> dict[str, Any]:
    return {"rules": [], "status": {"enabled": 1, "pid": 1, "rate_limit": 0, **status}, "daemon": {}}


BREAKS: dict[str, dict[str, Any]] = {
    "more runtimes": {
        "daemon.config": {
            "declared": keys.declared(
                {
                    "runtimes": {"nv": {"path": "/usr/bin/nvidia-container-runtime"}, "r": {"path": "crun"}},
                    "default-runtime": "/opt/bin/crun",
                },
                {},
            )
        },
        "files": {
            "/usr/bin/nvidia-container-runtime": record(target="/opt/nvidia"),
            "/opt/bin/crun": record(),
        },
    },
    "a runtime that is not there": {
        "daemon.config": {"declared": keys.declared({"runtimes": {"gone": {"path": "/opt/gone/runsc"}}}, {})},
        "files": {"/opt/gone/runsc": None},
    },
    "a drop-in that leads out of its folder": {
        "units": {"docker.service": {"DropInPaths": [DROP_IN]}},
        "files": {
            DROP_IN: record(target="/opt/site.conf", mode="0666"),
            "/opt/site.conf": record(mode="0666"),
        },
    },
    "folders of drop-ins": {
        "units": {"docker.service": {"DropInPaths": [f"{GENERIC}/all.conf"]}},
        "files": {
            f"{GENERIC}/all.conf": record(**ALICE),
            GENERIC: record("dir", mode="0777"),
            **{path: record(mode="0666") for path in WAITING},
            **{path.rpartition("/")[0]: record("dir", **ALICE) for path in WAITING},
            "/etc/systemd/system": record("dir", mode="0775"),
        },
    },
    "an environment file in an open folder": {
        "units": {"docker.service": {"EnvironmentFiles": ["/srv/alice/env (ignore_errors=yes)"]}},
        "files": {"/srv/alice/env": record(exchangeable=OPEN)},
    },
    "a linked configuration folder": {
        "files": {
            "/etc/docker": record("dir", target="/srv/alice/docker", mode="0777", exchangeable=OPEN),
            "/srv/alice/docker": record("dir", mode="0777", exchangeable=OPEN),
            "/srv/alice": record("dir", **ALICE),
            "/": record("dir", mode="0777"),
            "/etc": record("dir"),
        }
    },
    "TLS files elsewhere": {
        "daemon.config": {"declared": keys.declared(TLS, {})},
        "files": {
            "/etc/docker/tls": record("dir", mode="0777"),
            TLS["tlskey"]: record(mode="0640", exchangeable="/etc/docker/tls is of uid 0, mode 0777"),
            **{TLS[key]: record(mode="0666", exchangeable=OPEN) for key in ("tlscacert", "tlscert")},
        },
    },
    "certificates": {
        "files": {
            "/etc/docker/certs.d/reg/ca.crt": record(**ALICE),
            "/etc/docker/certs.d/reg/out.crt": record(target="/etc/ssl/x.pem", mode="0644"),
            "/etc/docker/certs.d/reg/own.crt": record(
                target="/tmp/x", **ALICE, untrusted="/etc/docker/certs.d/reg/own.crt: remove it"
            ),
        }
    },
    "a data root and a configuration elsewhere": {
        "docker.info": {"DockerRootDir": "/srv/docker/100000.100000"},
        "daemon.config": {"path": "/opt/d.json"},
        "files": {"/opt/d.json": record(mode="0664"), "/opt": record("dir")},
        "audit.loaded": running(),
    },
    "programs of units": {
        "units": {
            "docker.service": {"ExecStartPre": [["/opt/pre"], ["/bin/sh", "/srv/alice/pre.sh"]]},
            "docker.socket": {"ExecStartPost": [["/opt/post", "/etc/key"], ["/usr/bin/sudo", "/opt/no"]]},
        },
        "files": {
            "/opt/pre": record(mode="0777"),
            "/srv/alice/pre.sh": record(**ALICE, exchangeable=OPEN),
            "/opt/post": record(mode="0775", gid=50, group="staff"),
            "/etc/key": record(mode="0640", gid=42, group="shadow"),
            "/usr/bin/sudo": record(mode="4755"),
            "/opt/no": record(acl=[{"tag": "user", "id": 1000, "name": "alice", "perms": "rwx"}]),
        },
    },
    "sockets at the next start": {
        "units": {
            "docker.socket": {"SocketMode": "0666", "SocketUser": "alice"},
            "site.socket": {"LoadState": "loaded", "SocketMode": "0662"},
        }
    },
    "open sockets": {
        "files": {
            "/run/docker.sock": record("socket", mode="0666", **ALICE),
            "/run/containerd/containerd.sock": record("socket", mode="0666", **ALICE),
        }
    },
    "no audit daemon": {"audit.loaded": absent()},
    "auditd.conf": {
        "audit.loaded": {
            **running(),
            "daemon": {"name": "auditd", "write_logs": "no", "local_events": "no"},
        }
    },
    "no log format": {"audit.loaded": {**running(), "daemon": {"log_format": "NOLOG"}}},
    "rules of one file": {
        "audit.loaded": running(),
        "units": {"audit-rules.service": {"ExecStart": [["/sbin/auditctl", "-R", "/etc/audit/audit.rules"]]}},
    },
    "another audit daemon": {"audit.loaded": {**running(), "daemon": {"name": "other"}}},
    "auditing off": {"audit.loaded": running(enabled=0, pid=0)},
    "a rate limit": {"audit.loaded": running(rate_limit=5)},
    "units masked": {
        "units": {
            "audit-rules.service": {"UnitFileState": "masked"},
            "auditd.service": {"UnitFileState": "disabled"},
        }
    },
    "rules of the site": {
        "audit.loaded": running(),
        "audit.persistent": [
            {
                "file": "/etc/audit/rules.d/10-site.rules",
                "lines": ["-D", "-a never,exit -F dir=/etc", "-a always,exclude -F msgtype=PATH", "-r 20"],
            }
        ],
    },
    "everything is open": {},
}
HOSTS = {"docker.io": make(), **{name: recorded(name) for name in RELEASES}}


def broken(snapshot: Snapshot, *names: str) -> Snapshot:
    """A host with these breaks; where two change one value, the later one counts."""
    raw = json.loads(json.dumps(snapshot.raw))
    for name in names:
        for source, change in BREAKS[name].items():
            if change == absent():
                raw["sources"][source] = {"state": "absent", "error": "not on this host"}
            else:
                known = raw["sources"].get(source, {}).get("data")
                raw["sources"][source] = {"state": "ok", "data": merge(known, change)}
    if "everything is open" in names:
        for each in filter(None, raw["sources"]["files"]["data"].values()):
            each.update({**ALICE, "mode": "0777"} if each.get("type") != "link" else {})
    return Snapshot(raw)


CONTROLS = [
    each
    for each in catalogue.load(catalogue.DEFAULT_BENCHMARK)
    if each.remediation and each.remediation.role in ROLES
]


def failing(snapshot: Snapshot) -> list[Finding]:
    found = assess(snapshot, CONTROLS, benchmark=catalogue.DEFAULT_BENCHMARK).findings
    return [each for each in found if each.status is Status.FAIL]


def unexplained(snapshot: Snapshot) -> list[str]:
    """What fails after the roles ran, although neither a refusal nor a note has said so before."""
    documents = {role: rendered(role, snapshot) for role in ROLES}
    after = applied(snapshot, [each for found in documents.values() for each in found])
    notes = {
        role: [note for each in found for note in each.get("notes", ()) if note.startswith(unrepaired(""))]
        for role, found in documents.items()
        if not any("refused" in each for each in found)
    }
    return [
        f"{finding.control.slug}: {offender.name}: {offender.detail}"
        for finding in failing(after)
        for offender in finding.verdict.offenders
        if (role := str(finding.control.remediation and finding.control.remediation.role)) in notes
        and not _named(offender.name, offender.detail, "\n".join(notes[role]))
    ]


def _named(name: str, detail: str, notes: str) -> bool:
    rate = re.search(r"above (\d+) a second", detail)
    culprit = re.search(r"(?:silenced by|suppresses records(?: after a reboot)?:) ([^;]+)", detail)
    reason = f"-r {rate[1]}" if rate and rate[1] != "5" else culprit[1] if culprit else detail
    return reason in notes or name in notes


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", BREAKS)
def test_what_fails_is_repaired_or_named_beforehand(name: str, host: str) -> None:
    before = broken(HOSTS[host], name)
    assert failing(before)
    assert unexplained(before) == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(HOSTS)), st.lists(st.sampled_from(sorted(BREAKS)), unique=True, max_size=6))
def test_breaks_together_are_repaired_or_named_beforehand(host: str, names: list[str]) -> None:
    assert unexplained(broken(HOSTS[host], *names)) == []


# Settings of the engine that fail a control, and what the engine reports with them.
SETTINGS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "daemon-icc-disabled": ("icc", True, {}),
    "daemon-log-level-info": ("debug", True, {"docker.info": {"Debug": True}}),
    "daemon-live-restore": ("live-restore", False, {"docker.info": {"LiveRestoreEnabled": False}}),
    "daemon-no-new-privileges": ("no-new-privileges", False, {}),
    "daemon-userland-proxy-disabled": ("userland-proxy", True, {"engine": {"proxies": 2}}),
    "daemon-iptables-managed": ("iptables", False, {}),
    "daemon-insecure-registries-none": (
        "insecure-registries",
        ["reg:5000"],
        {
            "docker.info": {
                "RegistryConfig": {"IndexConfigs": {"reg:5000": {"Name": "reg:5000", "Secure": False}}}
            }
        },
    ),
    "daemon-experimental-off": (
        "experimental",
        True,
        {"docker.info": {"ExperimentalBuild": True}},
    ),
    "daemon-default-ulimits": ("default-ulimits", {}, {}),
    "daemon-cgroup-parent-default": (
        "cgroup-parent",
        "other.slice",
        {"docker.info": {"CgroupDriver": "systemd"}},
    ),
}
# Controls whose repair no snapshot shows, or that another test closes.
ELSEWHERE = {
    "docker_group": "accounts: converge/activations/test_group.py, system",
    "firewall": "packets: checks/test_firewall.py, checks/test_published_ports.py, tests/oracles",
    "kernel": "test_kernel.py",
    "apparmor": "a boot: molecule",
    "selinux": "a boot: molecule",
    "seccomp": "the engine compiles the profile: test_seccomp.py, tests/system",
    "userns_remap": "another data root: test_userns_remap.py, tests/system",
    "security_updates": "packages, outside of the transaction: test_security_updates.py, tests/system",
}
BESIDE = {
    "daemon-storage-aufs-absent": "another data root: test_docker_daemon.py",
    "daemon-storage-devicemapper-absent": "another data root: test_docker_daemon.py",
    "daemon-base-device-size": "devicemapper alone: test_docker_daemon.py",
    "daemon-authz-plugin": "refused unless the site names a plugin",
    "daemon-central-logging": "refused, or the site names a driver: test_docker_daemon.py",
    "daemon-tls-verify": "certificates of the site: test_docker_daemon_tls.py",
}


def test_every_control_with_a_remediation_is_closed_here_or_elsewhere() -> None:
    for each in catalogue.load(catalogue.DEFAULT_BENCHMARK):
        if each.remediation and each.remediation.role not in (*ROLES, *ELSEWHERE):
            assert (each.slug in SETTINGS) is not (each.slug in BESIDE), each.slug


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("origin", [keys.FILE, "--flag"])
@pytest.mark.parametrize("slug", SETTINGS)
def test_a_failing_setting_is_repaired_or_refused_with_a_reason(slug: str, origin: str, host: str) -> None:
    key, value, facts = SETTINGS[slug]
    raw = json.loads(json.dumps(HOSTS[host].raw))
    for source, change in facts.items():
        raw["sources"][source]["data"] = merge(raw["sources"][source]["data"], change)
    raw["sources"]["daemon.config"]["data"]["declared"][key] = {"value": value, "origin": origin}
    before = Snapshot(raw)
    (control,) = [each for each in catalogue.load(catalogue.DEFAULT_BENCHMARK) if each.slug == slug]
    documents = rendered("docker_daemon", before)
    assert control.remediation
    (mine,) = [each for each in documents if each["name"] == control.remediation.variable]
    after = applied(before, documents)
    (then,) = assess(after, [control], benchmark=catalogue.DEFAULT_BENCHMARK).findings
    told = [*mine.get("notes", ()), mine.get("refused", "")]
    assert (then.status is Status.FAIL) is any("command line" in each for each in told)
