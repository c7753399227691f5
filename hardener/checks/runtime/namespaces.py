"""Check which namespaces of the host containers use.

For a running container the kernel's namespace ids decide, for any other its declaration, also where it
borrows the namespace of a neighbour that has the host's.
"""

from __future__ import annotations

from collections.abc import Iterator

from hardener.checks.lib.containers import Container, container_check
from hardener.checks.lib.rule import Note


@container_check("container-no-host-network", expected="no container is in the host's network namespace")
def _network(container: Container) -> Iterator[str]:
    yield from _shared(container, "net", "network")


@container_check("container-no-host-pid", expected="no container is in the host's process namespace")
def _process(container: Container) -> Iterator[str]:
    yield from _shared(container, "pid", "process")


@container_check("container-no-host-ipc", expected="no container is in the host's IPC namespace")
def _ipc(container: Container) -> Iterator[str]:
    yield from _shared(container, "ipc", "IPC")


@container_check("container-no-host-uts", expected="no container is in the host's UTS namespace")
def _uts(container: Container) -> Iterator[str]:
    yield from _shared(container, "uts", "UTS")


def _shared(container: Container, namespace: str, title: str) -> Iterator[str]:
    declared, through = container.declares_host(namespace)
    if container.shares(namespace):
        path = f", through container {through}" if through else ""
        surprise = "" if declared else ", which its configuration does not declare"
        yield f"is in the host's {title} namespace{path}{surprise}"
    elif declared:
        # "host" on a rootless engine is the namespace of the engine, not of the host.
        yield Note(f"declared in the host's {title} namespace, but runs in another namespace")


@container_check(
    "container-no-host-userns", expected="root in a container is not root in the host's user namespace"
)
def _user(container: Container) -> Iterator[str]:
    """Judge the user namespace: without remapping every container is in the host's.

    UsernsMode alone would pass them all: it can only opt out of a remapping that exists.
    """
    opted_out = container.host_config.get("UsernsMode") == "host"
    remaps = bool({"userns", "rootless"} & container.snapshot.security_options)
    if opted_out:
        reason = "declared by userns=host"
    else:
        reason = "nothing in its configuration says why" if remaps else "the engine does not remap users"
    if not container.running:
        if opted_out or not remaps:
            yield f"is set to run in the host's user namespace: {reason}"
    elif container.shares("user"):
        yield f"is in the host's user namespace: {reason}"
    elif _host_root(container):
        yield "has a user namespace of its own whose root is the host's root"
    elif opted_out:
        yield Note("declared userns=host, but runs in another user namespace")


def _host_root(container: Container) -> bool:
    """Return whether uid 0 inside is uid 0 of the host; each line of the map is (inside, outside, length)."""
    return any(
        inside == 0 and outside == 0 and length > 0 for inside, outside, length in container.fact("uid_map")
    )
