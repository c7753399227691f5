"""Find the paths to which a container can write."""

from __future__ import annotations

from dataclasses import dataclass

from hardener.checks.lib import fields
from hardener.checks.lib.containers import SOURCE, Container
from hardener.checks.lib.hostmounts import host_mounts
from hardener.snapshot import JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class WritablePath:
    """A place where a container can write."""

    path: str
    kind: str  # root, tmpfs, volume or bind
    source: str = ""  # the host's path of a bind mount, the name of a volume


def root_is_writable(container: Container) -> bool:
    """Return whether a running container's root is writable: by the kernel, else by its configuration."""
    shown = fields.rows(container.facts or {}, "mounts", SOURCE)
    roots = [str(mount.get("options")).split(",") for mount in shown if mount.get("mount_point") == "/"]
    if roots:
        return "ro" not in roots[-1]
    return container.host_config.get("ReadonlyRootfs") is not True


def writable(container: Container) -> tuple[WritablePath, ...]:
    """Return the writable places of a running container, as the kernel reports them.

    Raises:
        FactUnavailable: they could not be read.
    """
    facts: JSONObject = container.facts or {}
    found: dict[str, WritablePath] = {}
    for mount in fields.rows(facts, "mounts", SOURCE):
        options = str(mount.get("options")).split(",")
        point = str(mount.get("mount_point"))
        found.pop(point, None)  # hides earlier mounts there
        if "ro" not in options and point != "/" and mount.get("fstype") == "tmpfs":
            found[point] = WritablePath(path=point, kind="tmpfs")
    if root_is_writable(container):
        found["/"] = WritablePath(path="/", kind="root")
    for row in fields.rows(container.inspect, "Mounts", SOURCE):
        if row.get("Type") == "volume" and row.get("RW") is not False:
            path = fields.text(row, "Destination", SOURCE)
            found[path] = WritablePath(path=path, kind="volume", source=fields.text(row, "Name", SOURCE))
    for shown in host_mounts(container):
        known = found.get(shown.destination)
        own = known is not None and (
            known.kind == "volume" or not shown.names
        )  # no path of the host shows it
        if shown.writable and not own:
            found[shown.destination] = WritablePath(
                path=shown.destination, kind="bind", source=shown.declared
            )
    return tuple(found[path] for path in sorted(found))
