from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.goldens import Cases, documents_text
from tests.unit.snapshots import (
    container,
    failed,
    make,
    no_engine,
    only,
    permissive,
    recorded,
    silent_engine,
)


def off(*, parameters: dict[str, str] | None = None, grub: bool = True, **lsm: Any) -> Snapshot:
    """A host whose kernel has AppArmor, and was booted without."""
    apparmor = {"enabled": False, "in_kernel": True, "profiles": only({})}
    boot = {"parameters": only(parameters or {"apparmor": "0"}), "grub": grub}
    return make(lsm={"active": ["capability", "yama"], "apparmor": apparmor, "boot": boot, **lsm})


def loaded(mode: Any = "enforce", *containers: Any, **sources: Any) -> Snapshot:
    """A host with AppArmor on, where the engine's profile is in that mode."""
    apparmor = {
        "enabled": True,
        "in_kernel": True,
        "profiles": only({"docker-default": mode} if mode else {}),
    }
    return make(lsm={"apparmor": apparmor}, **{"docker.containers": only(list(containers)), **sources})


def running(
    name: str, label: str, *options: str, privileged: bool = False, profile: str = ""
) -> dict[str, Any]:
    host_config = {"SecurityOpt": list(options), "Privileged": privileged}
    return container(name, proc={"label": label}, HostConfig=host_config, AppArmorProfile=profile)


UNLOADED = (
    running("confined", "docker-default (enforce)"),
    running("lost", "unconfined"),
    running("declared", "unconfined", profile="docker-default"),
    running("own", "unconfined", "apparmor=site"),
    running("free", "unconfined", "apparmor=unconfined"),
    running("root", "unconfined", privileged=True),
    container("stopped", running=False),
)
NO_POLICY = {"enabled": True, "mode": "permissive", "policy": None}

HOSTS = {
    # The unit loads the profiles, and the engine is asked for its own.
    "AppArmor is on": loaded(),
    "recorded Debian 12": recorded("debian-12"),
    "recorded Debian 13": recorded("debian-13"),
    "recorded Debian testing": recorded("debian-testing"),
    # The engine restarts only where it lacks something.
    "docker-default is not loaded": loaded(None),
    "the engine does not use AppArmor": loaded(
        **{"docker.info": {"SecurityOptions": ["name=seccomp,profile=builtin"]}}
    ),
    "the engine does not answer": silent_engine(),
    # Without an engine that uses it there is only the unit.
    "no engine": no_engine(),
    "a rootless engine": make(engine={"rootless": True}),
    "containers run without the profile that they ask for": loaded("enforce", *UNLOADED),
    "docker-default only complains": loaded("complain"),
    # Where it is off GRUB puts it on at the next boot; the unit would not start yet.
    "AppArmor is off": off(),
    "a module was loaded instead that has no policy": off(
        active=["yama", "selinux", "tomoyo"], selinux=NO_POLICY
    ),
    "the command line has a list of modules": off(parameters={"lsm": "lockdown,yama,selinux"}),
    # Where it cannot be had, the reason is told.
    "no GRUB": off(grub=False),
    "SELinux is in use": off(selinux={"enabled": True, "mode": "enforcing", "policy": "targeted"}),
    "recorded Debian 13 with SELinux": permissive(),
    "the command line asks for another module": off(parameters={"security": "smack"}),
    "the kernel has no AppArmor": off(apparmor={"enabled": False, "in_kernel": False, "profiles": {}}),
    "the host is a container": make(system={"in_container": True}),
    "the modules could not be read": make(lsm=failed("Permission denied")),
}


def test_documents_match_the_golden_file(golden: Callable[[str, str], None]) -> None:
    cases: Cases = {
        **{name: (host, {"enabled": True}) for name, host in HOSTS.items()},
        "switched off": (make(), {"enabled": False}),
    }
    golden("apparmor.txt", documents_text("apparmor", cases))
