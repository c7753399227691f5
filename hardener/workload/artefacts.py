"""Render every file of a profile except its pages: for people to copy, and for programs to read."""

from __future__ import annotations

import json

from hardener.workload import profile_document
from hardener.workload.compose_nodes import OVERRIDE as OVERRIDE_TAG
from hardener.workload.compose_nodes import entry, quoted
from hardener.workload.profile import Profile
from hardener.workload.settings import APPARMOR, SECCOMP, interpolated, recorded_keys, run_text, service_keys

OVERRIDE = "compose.override.yaml"
RUN = "docker-run.txt"


def artefacts(profile: Profile, *, seccomp: str = f"./{SECCOMP}", service: str = "") -> dict[str, str]:
    """Return the files of a profile except its pages, in the order of writing; ``profile.json`` comes last.

    Args:
        profile: the profile.
        seccomp: the seccomp profile's path from the folder of the compose file.
        service: of the compose file; without, as recorded.
    """
    files = {}
    if profile.seccomp:
        files[SECCOMP] = json.dumps(profile.seccomp.document, indent=1) + "\n"
    if profile.apparmor:
        files[APPARMOR] = profile.apparmor.text
    files[RUN] = run_text(profile)
    files[OVERRIDE] = override(profile, seccomp=seccomp, service=service)
    return {**files, profile_document.NAME: profile_document.text(profile_document.document(profile, files))}


def override(profile: Profile, *, seccomp: str = f"./{SECCOMP}", service: str = "") -> str:
    """Return a compose override file: ``docker compose -f compose.yaml -f FILE``.

    Args:
        profile: the profile.
        seccomp: the seccomp profile's path from the project's folder.
        service: its name; without, as recorded.
    """
    container = profile.merged.one.container
    name = service or (container.compose.service if container.compose else profile.name)
    recorded = recorded_keys(profile)
    keys = interpolated(service_keys(profile, seccomp=seccomp))
    replaced = {key for key, values in recorded.items() if values}
    lines = [
        "# Written by hardener from recordings of one container; profile.md says what each line is for.",
        f"# {SECCOMP} is looked for in the folder of the project's first compose file.",
    ]
    if replaced:
        lines.append("# !override replaces a list; docker compose supports it since 2.24.4.")
    lines += ["services:", f"  {quoted(name)}:"]
    for key, value in keys.items():
        lines += entry(key, value, lead="    ", tag=OVERRIDE_TAG if key in replaced else "")
    return "\n".join(lines) + "\n"
