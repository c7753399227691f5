"""Compare a container under a profile with the recorded container."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import split

from hardener.checks.lib.containers import Container
from hardener.workload.identity import Axis, Identity, difference, recorded
from hardener.workload.observed import as_recorded
from hardener.workload.profile_document import Document, load
from hardener.workload.settings import kept_options, read_seccomp

_REDACTED = "redacted"  # a word of a command that was recorded on a host without its own key
_MOUNTS = "mounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeProfile:
    """A folder that `hardener workload profile` has written."""

    name: str  # path of the folder as the user gave it
    document: Document
    option: str  # security option of a container under the profile; empty where it has no seccomp profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A container under a profile, with its differences from the recorded container."""

    profile: str
    moved: tuple[Axis, ...]
    unknown: tuple[str, ...]  # axes that could not be compared


def made(folder: Path) -> MadeProfile:
    """Read the profile in a folder that `hardener workload profile` has written.

    Raises:
        HardenerError: the folder has none, or one that was changed.
    """
    document = load(folder)
    option = ""
    if document.seccomp is not None:
        # The form in which docker and compose write a file into a container's options.
        compact = json.dumps(read_seccomp(folder), separators=(",", ":"))
        option = f"seccomp=sha256:{sha256(compact.encode()).hexdigest()}"
    return MadeProfile(name=str(folder), document=document, option=option)


def use(container: Container, profiles: tuple[MadeProfile, ...]) -> Use | None:
    """Compare a container with the recording of its profile; return None if it runs under no given profile.

    Raises:
        FactUnavailable: the engine's data about the container do not have the expected form.
    """
    now = as_recorded(container)
    profile = next((each for each in profiles if _is_under(now, each)), None)
    return since_recorded(profile, now) if profile else None


def since_recorded(profile: MadeProfile, now: Identity) -> Use:
    """Return the differences of a container from the recorded container under the profile."""
    document = profile.document
    then = {**recorded(document.container, document.host), **_settings(profile)}
    before = {name: value for name, value in then.items() if _REDACTED not in _list(value)}
    after = {name: _plain(name, value) for name, value in now.items()}
    if _MOUNTS in after:
        folders = {each.path for each in document.root.tmpfs}
        before[_MOUNTS], after[_MOUNTS] = (
            [each for each in side[_MOUNTS] if each["kind"] != "tmpfs" or each["target"] not in folders]
            for side in (before, after)
        )
    return Use(
        profile=profile.name,
        moved=difference(before, after),
        unknown=tuple(name for name in then if not (name in before and name in after)),
    )


def _settings(profile: MadeProfile) -> dict[str, Any]:
    """Return the axes that a profile sets, as a container under it has them."""
    document = profile.document
    confined = bool(document.apparmor and document.apparmor.used)
    options = [
        *([profile.option] if profile.option else []),
        *([f"apparmor={document.apparmor.name}"] if document.apparmor and confined else []),
        *(["no-new-privileges=true"] if document.privileges.no_new_privileges else []),
        *kept_options(document.container.security_options, apparmor=confined),
    ]
    found = {
        "security options": options,
        "capabilities added": list(document.capabilities.kept),
        "capabilities dropped": ["ALL"],
        "read only": document.root.read_only,
        "privileged": False,
        **({"user": str(document.user)} if document.user else {}),
    }
    return {name: _plain(name, value) for name, value in found.items()}


def _plain(name: str, value: Any) -> Any:
    """Return the value of an axis in the one of its forms that an engine and a recording share."""
    match name:
        case "security options":
            return ["=".join(split(each)) for each in _list(value)]
        case "capabilities added" | "capabilities dropped":
            return [each.upper().removeprefix("CAP_") for each in _list(value)]
        case _:
            return value


def _is_under(now: Identity, profile: MadeProfile) -> bool:
    options = _list(now.get("security options"))
    apparmor = profile.document.apparmor
    if profile.option:
        return profile.option in options
    return bool(apparmor and apparmor.used and f"apparmor={apparmor.name}" in options)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
