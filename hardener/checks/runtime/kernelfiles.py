"""Check access to the kernel's files: cgroups, and the paths of /proc and /sys that the engine masks.

The mounts of a running container decide. Stopped containers, and snapshots of earlier collectors, are judged
by the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hardener.docker.plugins.module_utils.docker.runtimes import HIDDEN, KEPT

from hardener.checks.lib import fields
from hardener.checks.lib.containers import SOURCE, Container, container_check, go_bool
from hardener.checks.lib.rule import Note


@container_check(
    "container-cgroups-private", expected="every container has cgroups of its own, and cannot write to them"
)
def _cgroups(container: Container) -> Iterator[str]:
    declared, through = container.declares_host("cgroup")
    if container.shares("cgroup"):
        yield f"is in the host's cgroup namespace{f', through container {through}' if through else ''}"
    elif declared and container.running:
        yield Note("declared in the host's cgroup namespace, but runs in another namespace")
    options = container.security_options("writable-cgroups")
    asked = container.privileged or bool(options and (options[-1] == "" or go_bool(options[-1])))
    writable = (container.facts or {}).get("cgroup_writable")
    if writable is None:
        if asked:
            yield f"is set to have writable cgroups: {_reason(container)}"
    elif writable:
        yield f"can write to its cgroups{f': {_reason(container)}' if asked else ''}"
    elif asked:
        yield Note("is set to have writable cgroups, but they are read-only")


def _reason(container: Container) -> str:
    return "it is privileged" if container.privileged else "writable-cgroups"


@container_check(
    "container-kernel-paths-hidden",
    expected="the paths of /proc and /sys that the engine masks by default are masked",
)
def _paths(container: Container) -> Iterator[str]:
    found = (container.facts or {}).get("open_paths")
    if found is not None:
        paths = fields.texts(container.facts or {}, "open_paths", SOURCE)
        if paths:
            yield f"reaches {', '.join(paths)}{_requested(container)}"
        elif _requested(container):
            yield Note("is set to run without masked paths of /proc and /sys, but they are masked")
    elif _requested(container):
        yield f"is set to run without masked paths of /proc and /sys{_requested(container)}"


def _requested(container: Container) -> str:
    """Return why the engine leaves paths unmasked, as text; empty if no option requests this.

    The engine reports null for unset lists and for privileged containers.
    """
    if container.privileged:
        return ": it is privileged"
    masked, kept = (container.host_config.get(key) for key in ("MaskedPaths", "ReadonlyPaths"))
    if [] in (masked, kept):
        return ": systempaths=unconfined"
    left = [path for path in HIDDEN if masked is not None and path not in masked]
    left += [path for path in KEPT if kept is not None and path not in {*kept, *(masked or ())}]
    return f": its own list of paths omits {', '.join(left)}" if left else ""
