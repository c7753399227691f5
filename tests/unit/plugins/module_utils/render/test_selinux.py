from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.goldens import Cases, documents_text
from tests.unit.snapshots import container, failed, make, only, permissive, recorded

FEDORA = {"os": only({"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.6"})}
CONFIG = {"SELINUX": "permissive", "SELINUXTYPE": "targeted", "AUTORELABEL": "0"}


def host(
    mode: Any = "permissive",
    *containers: Any,
    config: Any = None,
    parameters: Any = None,
    info: Any = None,
    **sources: Any,
) -> Snapshot:
    """A host of the Red Hat family in that mode; None: SELinux is off."""
    lsm = {
        "active": ["capability", "yama", *(["selinux"] if mode else [])],
        "apparmor": {"enabled": False, "profiles": only({})},
        "selinux": {
            "enabled": mode is not None,
            "mode": mode,
            "policy": "targeted",
            "config": config or CONFIG,
        },
        "boot": {"parameters": only(parameters or {}), "grub": True},
    }
    options = info or {"SecurityOptions": ["name=seccomp,profile=builtin"]}
    changed = {"docker.info": options, "docker.containers": only(list(containers)), **sources}
    return make(system=FEDORA, lsm=lsm, **changed)


def flag(value: str) -> Any:
    """The engine's option on its command line."""
    return {"daemon.config": {"flags": {"selinux-enabled": [value]}}}


ENGINELESS = make(system=FEDORA, lsm=host().raw["sources"]["lsm"]["data"], engine={"installed": False})
LABELLED = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=selinux"]}
NO_POLICY = {"enabled": True, "mode": "permissive", "policy": None}

HOSTS = {
    # It enforces now and at boot, and the engine labels containers.
    "permissive": host(),
    "enforcing, and permissive from the next boot on": host("enforcing"),
    "enforcing, and the file says so": host("enforcing", config={**CONFIG, "SELINUX": "enforcing"}),
    "a parameter undoes it": host(parameters={"enforcing": "0"}),
    # By way of permissive; the engine's part comes when SELinux is on.
    "SELinux is off": host(None, config={**CONFIG, "SELINUX": "disabled"}),
    # Those that would lose what they mount are named.
    "containers run without labels": host("enforcing", container("db"), container("web")),
    "containers run with labels": host("enforcing", container("db"), info=LABELLED),
    "the engine's command line says so": host("enforcing", **flag("true")),
    "the engine's command line says otherwise": host("enforcing", **flag("false")),
    "recorded Debian 13, permissive": permissive(),
    "recorded Debian 13, enforcing": recorded("debian-13-selinux-enforcing"),
    "no engine": ENGINELESS,
    # Where it cannot be had, the reason is told.
    "recorded Debian 12 with AppArmor": recorded("debian-12"),
    "recorded Debian 13 with AppArmor": recorded("debian-13"),
    "recorded Debian testing with AppArmor": recorded("debian-testing"),
    "the command line says selinux=0": host(None, parameters={"selinux": "0"}),
    "the command line has other modules": host(None, parameters={"lsm": "yama,bpf"}),
    "no policy is installed": host(None, config={"SELINUX": "disabled"}),
    "a Debian without SELinux": make(lsm={"apparmor": {"enabled": False, "profiles": only({})}}),
    "a Debian without a policy": make(lsm={"apparmor": {"enabled": False}, "selinux": NO_POLICY}),
    "the host is a container": make(system={"in_container": True}),
    "the modules could not be read": make(lsm=failed("timed out")),
}


def test_documents_match_the_golden_file(golden: Callable[[str, str], None]) -> None:
    both = {"enforcing": True, "docker": True}
    cases: Cases = {
        **{name: (snapshot, both) for name, snapshot in HOSTS.items()},
        "enforcing is all that is wanted": (host(), {**both, "docker": False}),
        "labels are all that is wanted": (host(), {**both, "enforcing": False}),
    }
    golden("selinux.txt", documents_text("selinux", cases))
