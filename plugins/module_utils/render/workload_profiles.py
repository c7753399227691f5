"""Render the document of the role workload_profiles: compose services run under proven profiles."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..contract import CONTAINERS_RECREATE
from ..host import layout
from .hostview import HostView, name_of

FOLDER = f"{layout.SETTINGS}/workloads"

_NAME = "workload_profiles_folders"
_DOCUMENT, _PROOF, _OVERRIDE = "profile.json", "proof.json", "compose.override.yaml"
_SECCOMP, _APPARMOR = "seccomp.json", "apparmor"
_SAFE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,100}")  # names of compose projects and services, in lower case
_WORD = re.compile(r"([\w.-]+)")
_SHORT = 12  # characters of a digest in the name of an AppArmor profile


class _Profile(NamedTuple):
    """A proven profile, and the service that is to run under it."""

    project: str
    service: str
    document: Mapping[str, Any]
    files: Mapping[str, str]
    digest: str

    @property
    def key(self) -> str:
        return f"{self.project}/{self.service}"

    @property
    def path(self) -> str:
        """Return the path of its files on a host, without their endings."""
        return f"{FOLDER}/{self.project}-{self.service}"


def documents(snapshot: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the document.

    Args:
        snapshot: of the host.
        variables: the role's, and ``files`` of the folders, by folder and name.

    Raises:
        ValueError: a folder is not that of a proven profile.
    """
    if not variables["folders"]:
        return []
    profiles = [_profile(folder, variables["files"][folder]) for folder in variables["folders"]]
    keys = [each.key for each in profiles]
    if doubled := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"{_NAME}: two profiles are for {doubled[0]}")
    host = HostView(snapshot)
    reason = host.unread("engine", "docker.containers", "lsm") or host.unread_containers()
    reason = reason or next(filter(None, (_unfit(host, each) for each in profiles)), "")
    if reason:
        return [{"name": _NAME, "refused": reason}]
    resources: list[dict[str, Any]] = []
    loaded: dict[str, str] = {}
    for profile in profiles:
        resources += _resources(profile, loaded)
    activations: list[dict[str, Any]] = [
        {
            "name": "recreate",
            "when": [each["path"] for each in resources],
            "services": {each.key: f"{each.path}.yaml" for each in profiles},
        }
    ]
    if loaded:
        activations.append({"name": "apparmor-load", "when": sorted(loaded), "profiles": loaded})
    return [
        {
            "name": _NAME,
            "impact": CONTAINERS_RECREATE,
            "costs": f"recreates {', '.join(sorted(keys))}: their writable layers are lost",
            "resources": resources,
            "activations": activations,
            "notes": [
                f"{each.key}: later commands of docker compose keep the profile only with {each.path}.yaml as"
                " the last --file, or as the last one in COMPOSE_FILE"
                for each in profiles
            ],
        }
    ]


def _profile(folder: str, files: Mapping[str, str]) -> _Profile:
    """Check that the files of a folder belong together, and that the proof is of this profile."""

    def require(holds: object, what: str) -> None:
        if not holds:
            raise ValueError(f"{_NAME}: {folder}: {what}")

    for name in (_DOCUMENT, _PROOF, _OVERRIDE):
        require(
            name in files,
            f"{name} is missing: only a profile that `hardener workload prove` has proven is applied",
        )
    try:
        document, proof = json.loads(files[_DOCUMENT]), json.loads(files[_PROOF])
        digest = _digest(files[_DOCUMENT])
        named = dict(document["files"])
        compose = document["container"]["compose"]
        verdict, of = str(proof["verdict"]), proof["profile"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{_NAME}: {folder} is not the folder of a proven profile ({error!r})") from None
    require(of == digest, f"the proof is not of this {_DOCUMENT}: prove the profile again")
    require(verdict == "safe", f"the verdict of the proof is {verdict}, not safe")
    for name, value in named.items():
        require(
            _digest(files.get(name, "")) == value,
            f"{name} is missing or was changed after {_DOCUMENT} was written",
        )
    require(
        compose,
        "the container was not created by docker compose: add the lines of docker-run.txt to its command, and"
        " create it again",
    )
    project, service = str(compose["project"]), str(compose["service"])
    require(
        _SAFE.fullmatch(project) and _SAFE.fullmatch(service.lower()),
        f"{project}/{service} is not a name of docker compose",
    )
    return _Profile(project, service, document, files, digest)


def _unfit(host: HostView, profile: _Profile) -> str:
    """Return why a profile cannot be applied on this host; empty if it can."""
    found = list(_containers(host, profile))
    if not found:
        return f"{profile.key}: this host has no container of this compose service: deploy it first"
    image = str(profile.document["container"]["digest"])
    for each in found:
        if each.get("Image") != image:
            return (
                f"{profile.key}: proven for {image[:19]}, but {name_of(each)} runs"
                f" {str(each.get('Image'))[:19]}: record and prove it again"
            )
    apparmor = host.data("lsm").get("apparmor") or {}
    if _apparmor(profile) and not apparmor.get("enabled"):
        return f"{profile.key}: the profile was proven with AppArmor, which this host has not enabled"
    return ""


def _containers(host: HostView, profile: _Profile) -> Iterator[Mapping[str, Any]]:
    for each in host.containers:
        labels = (each.get("Config") or {}).get("Labels") or {}
        names = [labels.get(f"com.docker.compose.{key}") for key in ("project", "service")]
        if names == [profile.project, profile.service] and labels.get("com.docker.compose.oneoff") != "True":
            yield each


def _apparmor(profile: _Profile) -> Mapping[str, Any]:
    """Return the AppArmor part of a profile; empty if it uses none."""
    found = profile.document.get("apparmor") or {}
    return found if found.get("used") else {}


def _resources(profile: _Profile, loaded: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the files of a profile; add its AppArmor profile to ``loaded``, by its file."""
    override = profile.files[_OVERRIDE]
    if _SECCOMP in profile.document["files"]:
        path = f"{profile.path}.seccomp.json"
        yield {"kind": "file", "path": path, "content": profile.files[_SECCOMP]}
        override = _replaced(
            override, f"seccomp={profile.document['seccomp_path']}", f"seccomp={path}", profile
        )
    if found := _apparmor(profile):
        # Running containers keep the profile by its name until they are recreated.
        name = f"{found['name']}-{profile.digest.partition(':')[2][:_SHORT]}"
        path = f"/etc/apparmor.d/{found['name']}"
        yield {
            "kind": "file",
            "path": path,
            "content": _renamed(profile.files[_APPARMOR], str(found["name"]), name),
        }
        override = _replaced(override, f"apparmor={found['name']}", f"apparmor={name}", profile)
        loaded[path] = name
    # The label distinguishes two profiles whose settings are the same, but not their filters.
    override += f"    labels:\n      hardener.profile: {json.dumps(profile.digest)}\n"
    yield {"kind": "file", "path": f"{profile.path}.yaml", "content": override}


def _replaced(text: str, old: str, new: str, profile: _Profile) -> str:
    """Replace what a file of a profile has once.

    Raises:
        ValueError: it has not, as in profiles of other versions.
    """
    if text.count(old) != 1:
        raise ValueError(f"{_NAME}: the profile of {profile.key} has no {old}: make it again")
    return text.replace(old, new)


def _renamed(text: str, old: str, new: str) -> str:
    """Replace the name of an AppArmor profile, which its rules for signals name too."""
    return "".join(new if word == old else word for word in _WORD.split(text))


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
