from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.goldens import Cases, documents_text
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import absent, failed, make, no_engine

VARIABLES = {"enabled": True, "backlog": 8192, "exclude": []}


def document(snapshot: Snapshot, **variables: Any) -> dict[str, Any]:
    (found,) = documents_of("audit_rules")(snapshot.raw, **{**VARIABLES, **variables})
    return found


def rules(snapshot: Snapshot) -> list[str]:
    (activation,) = document(snapshot)["activations"]
    return list(activation["rules"])


def written(document: dict[str, Any]) -> dict[str, str]:
    return {resource["path"]: resource["content"] for resource in document["resources"]}


REGULAR = {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "target": None}
DROP_IN = "/etc/systemd/system/docker.socket.d/mode.conf"
HOSTS: dict[str, dict[str, Any]] = {
    "as the package made it": {},
    "data root elsewhere and remapped": {"docker.info": {"DockerRootDir": "/srv/docker/100000.100000"}},
    "configuration elsewhere": {
        "daemon.config": {"path": "/opt/d.json"},
        "files": {"/opt/d.json": REGULAR},
    },
    "a drop-in": {
        "units": {"docker.socket": {"LoadState": "loaded", "DropInPaths": [DROP_IN]}},
        "files": {DROP_IN: REGULAR},
    },
}
OTHER_BINARIES = {"engine": {"binaries": {"dockerd": "/opt/bin/dockerd", "containerd-shim": None}}}


@pytest.mark.parametrize("sources", [*HOSTS.values(), OTHER_BINARIES], ids=[*HOSTS, "other binaries"])
def test_no_path_is_watched_twice(sources: dict[str, Any]) -> None:
    lines = rules(make(**sources))
    assert len(lines) == len(set(lines))


def test_the_file_with_the_audit_limits_of_the_site_is_loaded_first() -> None:
    files = written(document(make(), backlog=16384))
    (limits,) = [path for path in files if "limits" in path]
    assert files[limits].endswith("-b 16384\n-f 1\n")
    assert sorted(files)[0] == limits


CONTAINERD = "/run/docker/containerd"
SESSION = "/run/user/1000/docker.sock"
ENVIRONMENT = "/etc/docker-site.env"
DOCUMENTS_OF = {
    # The folder of a rule exists when the rules are loaded at boot: tmpfiles.d makes it.
    **HOSTS,
    "other binaries": OTHER_BINARIES,
    "a path that no rule can name": {"docker.info": {"DockerRootDir": "/srv/my docker\n-D"}},
    "a folder that is not there yet": {"docker.info": absent(), "files": {"/var/lib/docker": None}},
    "a data root behind a link": {
        "docker.info": absent(),
        "files": {"/var/lib/docker": {"target": "/srv/docker"}},
    },
    "folders below /run": {
        "engine": {"containerd_socket": f"{CONTAINERD}/containerd.sock"},
        "files": {
            CONTAINERD: {"type": "dir", "mode": "0711", "target": None},
            f"{CONTAINERD}/containerd.sock": {"type": "socket", "mode": "0660", "target": None},
        },
    },
    "a socket in a user's session": {
        "engine": {"socket": SESSION, "rootless": True},
        "files": {SESSION: {"type": "socket", "mode": "0660", "uid": 1000, "target": None}},
    },
    "a file that the units read": {
        "units": {"docker.service": {"EnvironmentFiles": [f"{ENVIRONMENT} (ignore_errors=no)"]}},
        "files": {ENVIRONMENT: REGULAR},
    },
    "a machine of 32 bits": {"system": {"arch": "armv7l"}},
    "an audit daemon that is not installed yet": {"audit.loaded": absent()},
    # Where there can be no rules, the reason is told.
    "a kernel without audit": {"audit.loaded": failed("audit support not in kernel")},
    "the host is a container": {"system": {"in_container": True}},
    "files that could not be read": {"files": failed("timed out")},
    "units that could not be read": {"units": failed("x")},
}
EXCLUDED = "/var/lib/docker/volumes/mail"
NOT_EXCLUDED = (
    "/",
    "/etc",
    "~/x",
    "/var/lib/docker",
    "/var/lib/docker/my data",
    "/var/lib/docker/x\n-D",
    "/var/lib/docker/../x",
)


def test_documents_match_the_golden_file(golden: Callable[[str, str], None]) -> None:
    cases: Cases = {
        **{name: (make(**sources), VARIABLES) for name, sources in DOCUMENTS_OF.items()},
        "no engine": (no_engine(), VARIABLES),
        "a longer backlog": (make(), {**VARIABLES, "backlog": 16384}),
        "a negative backlog": (make(), {**VARIABLES, "backlog": -1}),
        "an excluded folder": (make(), {**VARIABLES, "exclude": [EXCLUDED]}),
        **{
            f"{path!r} cannot be excluded": (make(), {**VARIABLES, "exclude": [EXCLUDED, path]})
            for path in NOT_EXCLUDED
        },
        "switched off": (make(), {**VARIABLES, "enabled": False}),
    }
    golden("audit_rules.txt", documents_text("audit_rules", cases))
