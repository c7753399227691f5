"""Check the inventory as the user gives it: a file, a folder, a script, or a list such as ``db01,db02``.

Ansible reads it. This module handles only errors that Ansible reports unclearly or ignores: with a missing
file it runs without hosts and succeeds.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hardener.errors import HardenerError
from hardener.text import line

# Hosts for which Ansible does not use ssh, unless the inventory names them.
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def check(inventory: str) -> None:
    """Refuse an invalid inventory.

    Raises:
        HardenerError: it does not exist, or a list names no host or an impossible one.
    """
    if not inventory.strip():
        raise HardenerError(
            "the inventory is empty", hint="give a file, a folder or a list of hosts such as 'db01,'"
        )
    if not _is_list(inventory):
        if not _exists(inventory):
            raise HardenerError(
                f"inventory {line(inventory)} does not exist",
                hint=f"a host is given as a list: -i '{line(inventory)},'",
            )
        # Ansible gets its own terminal, and not our open files.
        if not (Path(inventory).is_file() or Path(inventory).is_dir()):
            raise HardenerError(
                f"inventory {line(inventory)} is neither a file nor a folder",
                hint="write the inventory to a file",
            )
        return
    hosts = _hosts(inventory)
    if not hosts:
        raise HardenerError("the inventory names no host", hint="name a host, such as -i 'db01,'")
    if len(hosts) > 1 and all(map(_exists, hosts)):
        raise HardenerError(
            f"{' and '.join(map(line, hosts[:3]))} are files, and only one inventory is allowed",
            hint="put them into a folder, and give the folder as the inventory",
        )
    for host in hosts:
        if "/" in host:
            raise HardenerError(
                f"{line(repr(host))} is not a host name",
                hint="a list names hosts; an inventory of several files is a folder that contains them",
            )
        if host.startswith("-") or not host.isprintable() or any(letter in host for letter in " *?"):
            raise HardenerError(
                f"{line(repr(host))} is not a host name",
                hint="give single hosts in a list, and patterns in --limit",
            )


def sources(inventory: str, folder: Path) -> list[str]:
    """Return Ansible's inventory sources for the inventory that the user gave.

    In a list, ``localhost`` is the machine that hardener runs on: reached without ssh, as Ansible does where
    no inventory names it. A file in ``folder`` says so; it comes first, so that everything else overrides it.
    """
    local = sorted(_LOCAL.intersection(_hosts(inventory))) if _is_list(inventory) else []
    if not local:
        return [inventory]
    path = folder / "local.json"
    hosts = {host: {"ansible_connection": "local"} for host in local}
    path.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    return [str(path), inventory]


def is_this_machine(inventory: str) -> bool:
    """Return whether a list of hosts contains only the machine that hardener runs on."""
    return _is_list(inventory) and _LOCAL.issuperset(_hosts(inventory))


def inventory_name(inventory: str) -> str:
    """Return a name of the inventory that is independent of the current folder.

    A file or folder is called by its whole path, whether or not it is still there. A list of hosts is its own
    name.
    """
    return inventory if _is_list(inventory) else str(Path(inventory).resolve())


def identify(inventory: str) -> tuple[str, str]:
    """Return the name of the inventory, and the SHA-256 of its content.

    What lies beside a file or a folder in ``group_vars`` and ``host_vars`` counts too; what cannot be read
    counts as empty.
    """
    if _is_list(inventory):
        return inventory, hashlib.sha256(inventory.encode("utf-8", "surrogateescape")).hexdigest()
    path = Path(inventory).resolve()
    root = path if path.is_dir() else path.parent
    sources = [path, root / "group_vars", root / "host_vars"] if path.is_file() else [path]
    files = sorted({file for source in sources for file in (source, *source.rglob("*")) if file.is_file()})
    total = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        total.update(
            f"{file.relative_to(root).as_posix()} {len(content)}\n".encode("utf-8", "surrogateescape")
        )
        total.update(content)
    return str(path), total.hexdigest()


def _is_list(inventory: str) -> bool:
    return "," in inventory and not _exists(inventory)


def _exists(inventory: str) -> bool:
    try:
        return Path(inventory).exists()
    except OSError:  # a long list of hosts exceeds the limit of a file name
        return False


def _hosts(inventory: str) -> list[str]:
    return [name for part in inventory.split(",") if (name := part.strip(" \t"))]
