"""Render every file of a profile except its pages: for people to copy, and for programs to read."""

from __future__ import annotations

import json

from hardener.workload import profile_document
from hardener.workload.override import override
from hardener.workload.profile import Profile
from hardener.workload.settings import APPARMOR, SECCOMP, run_text

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
