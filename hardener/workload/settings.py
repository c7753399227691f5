"""Express a profile as settings: the arguments of ``docker run`` and the keys of a compose service.

Text that a person copies into a shell or a compose file is quoted for that place, so that a name from a
recording has no special meaning.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import split

from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.profile_document import MOST, MOST_VALUES, Document

SECCOMP = "seccomp.json"
APPARMOR = "apparmor"


def run_arguments(profile: Document) -> tuple[str, ...]:
    """Return arguments for ``docker run``, before the image; its client is in the folder of the profile."""
    return tuple(_arguments(profile))


def run_text(profile: Document) -> str:
    """Return the arguments as a file, one on each line, quoted for a shell."""
    return "".join(f"{shlex.quote(argument)}\n" for argument in run_arguments(profile))


def _arguments(profile: Document) -> Iterator[str]:
    if profile.container.privileged:
        yield "--privileged=false"
    yield "--cap-drop=ALL"
    yield from (f"--cap-add={_short(name)}" for name in profile.capabilities.kept)
    yield from (f"--security-opt={option}" for option in _security_options(profile, SECCOMP))
    if profile.user:
        yield f"--user={profile.user}"
    if profile.root.read_only:
        yield "--read-only"
        yield from (f"--tmpfs={each.path}:{each.options}" for each in profile.root.tmpfs)


def service_keys(profile: Document) -> dict[str, Any]:
    """Return the keys of a compose service, in the order in which they are written."""
    keys: dict[str, Any] = {}
    if profile.container.privileged:
        keys["privileged"] = False
    if profile.user:
        keys["user"] = str(profile.user)
    keys["cap_drop"] = ["ALL"]
    keys["cap_add"] = [_short(name) for name in profile.capabilities.kept]
    keys["security_opt"] = list(_security_options(profile, profile.seccomp_path))
    if profile.root.read_only:
        keys["read_only"] = True
        if profile.root.tmpfs:
            keys["tmpfs"] = [f"{each.path}:{each.options}" for each in profile.root.tmpfs]
    return keys


def recorded_keys(profile: Document) -> dict[str, list[str]]:
    """Return what the recorded container had of the keys to which another compose file may add values."""
    container = profile.container
    return {
        "cap_add": list(container.capabilities_added),
        "security_opt": list(container.security_options),
    }


def _security_options(profile: Document, seccomp: str) -> Iterator[str]:
    """Return the security options of the profile, and those of the container that the profile keeps."""
    if profile.seccomp:
        yield f"seccomp={seccomp}"
    confined = profile.apparmor is not None and profile.apparmor.used
    if profile.apparmor and confined:
        yield f"apparmor={profile.apparmor.name}"
    if profile.privileges.no_new_privileges:
        yield "no-new-privileges=true"
    yield from kept_options(profile.container.security_options, apparmor=confined)


def kept_options(options: Iterable[str], *, apparmor: bool) -> Iterator[str]:
    """Return the security options of a container that a profile does not replace.

    Args:
        options: those of the container.
        apparmor: whether the profile has one for AppArmor.
    """
    for option in options:
        kind, _ = split(option)
        if (kind == "label" or (kind == "apparmor" and not apparmor)) and "unconfined" not in option:
            yield option


def interpolated(value: Any) -> Any:
    """Escape a value for a compose file, where a dollar sign begins a variable."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list):
        return [interpolated(each) for each in value]
    if isinstance(value, Mapping):
        return {key: interpolated(each) for key, each in value.items()}
    return value


def read_seccomp(folder: Path) -> Any:
    """Read the seccomp profile in a folder.

    Raises:
        HardenerError: it cannot be read.
    """
    path = folder / SECCOMP
    try:
        return parse(read(path, most=MOST), most_values=MOST_VALUES)
    except (OSError, ValueError) as error:
        raise HardenerError(f"cannot read {line(str(path))}: {line(str(error), 200)}") from error


def _short(name: str) -> str:
    return name.removeprefix("CAP_")
