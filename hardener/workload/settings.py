"""Express a profile as settings: the arguments of ``docker run`` and the keys of a compose service.

Text that a person copies into a shell or a compose file is quoted for that place, so that a name from a
recording has no special meaning.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import split

from hardener.workload.filesystem import Folder
from hardener.workload.profile import Profile

SECCOMP = "seccomp.json"
APPARMOR = "apparmor"
# Without a size, a container could fill half of the host's memory; none follows from a recording.
_TMPFS = "rw,nosuid,nodev,size=256m"


def run_arguments(profile: Profile, *, seccomp: str = SECCOMP) -> tuple[str, ...]:
    """Return arguments for ``docker run``, before the image.

    Args:
        profile: the profile.
        seccomp: where the client finds the seccomp profile.
    """
    return tuple(_arguments(profile, seccomp))


def run_text(profile: Profile) -> str:
    """Return the arguments as a file, one on each line, quoted for a shell."""
    return "".join(f"{shlex.quote(argument)}\n" for argument in run_arguments(profile))


def _arguments(profile: Profile, seccomp: str) -> Iterator[str]:
    if profile.merged.one.container.privileged:
        yield "--privileged=false"
    yield "--cap-drop=ALL"
    yield from (f"--cap-add={_short(name)}" for name in profile.capabilities)
    yield from (f"--security-opt={option}" for option in security_options(profile, seccomp))
    if profile.user:
        yield f"--user={profile.user}"
    if profile.read_only:
        yield "--read-only"
        yield from (f"--tmpfs={each}" for each in tmpfs(profile))


def service_keys(profile: Profile, *, seccomp: str) -> dict[str, Any]:
    """Return the keys of a compose service, in the order in which they are written.

    Args:
        profile: the profile.
        seccomp: the seccomp profile's path from the project's folder.
    """
    keys: dict[str, Any] = {}
    if profile.merged.one.container.privileged:
        keys["privileged"] = False
    if profile.user:
        keys["user"] = str(profile.user)
    keys["cap_drop"] = ["ALL"]
    keys["cap_add"] = [_short(name) for name in profile.capabilities]
    keys["security_opt"] = list(security_options(profile, seccomp))
    if profile.read_only:
        keys["read_only"] = True
        if profile.writes.folders:
            keys["tmpfs"] = list(tmpfs(profile))
    return keys


def recorded_keys(profile: Profile) -> dict[str, list[str]]:
    """Return what the recorded container had of the keys to which another compose file may add values."""
    container = profile.merged.one.container
    return {
        "cap_add": list(container.capabilities_added),
        "security_opt": list(container.security_options),
    }


def security_options(profile: Profile, seccomp: str) -> Iterator[str]:
    """Return the security options of the profile, and those of the container that the profile keeps."""
    if profile.seccomp:
        yield f"seccomp={seccomp}"
    if profile.confined_by_apparmor and profile.apparmor:
        yield f"apparmor={profile.apparmor.name}"
    if profile.no_new_privileges:
        yield "no-new-privileges=true"
    yield from kept_options(
        profile.merged.one.container.security_options, apparmor=profile.confined_by_apparmor
    )


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


def tmpfs(profile: Profile) -> Iterator[str]:
    """Return the tmpfs mounts: ``/run:rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=0,gid=0``."""
    for folder in profile.writes.folders:
        yield f"{folder.path}:{_TMPFS},{'exec' if folder.executable else 'noexec'}{_owned(profile, folder)}"


def _owned(profile: Profile, folder: Folder) -> str:
    """Return mode and owner of a tmpfs as options: a runtime copies only the mode of the image's folder."""
    owner, user = folder.owner, profile.user
    if user:
        return f",mode={owner.mode if owner else 0o755:04o},uid={user.uid},gid={user.gid}"
    return f",mode={owner.mode:04o},uid={owner.uid},gid={owner.gid}" if owner else ",mode=1777"


def _short(name: str) -> str:
    return name.removeprefix("CAP_")
