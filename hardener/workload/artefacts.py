"""Render every file of a profile except its pages: for people to copy, and for programs to read."""

from __future__ import annotations

import json
from typing import Any

from hardener.errors import HardenerError
from hardener.workload.compose_nodes import OVERRIDE as OVERRIDE_TAG
from hardener.workload.compose_nodes import entry, quoted
from hardener.workload.profile_document import NAME, Document, SeccompPart, digest, text
from hardener.workload.seccomp import AF_ALG, narrowed
from hardener.workload.settings import APPARMOR, SECCOMP, interpolated, recorded_keys, run_text, service_keys

OVERRIDE = "compose.override.yaml"
RUN = "docker-run.txt"


def artefacts(profile: Document) -> dict[str, str]:
    """Return the files of a profile except its pages in the order of writing, ``profile.json`` last."""
    files = derived(profile)
    digests = {name: digest(each.encode()) for name, each in files.items()}
    return {**files, NAME: text(profile.model_copy(update={"files": digests}))}


def derived(profile: Document) -> dict[str, str]:
    """Return the files that follow from a ``profile.json``, in the order of writing.

    Raises:
        HardenerError: its seccomp profile does not follow from it.
    """
    files = {}
    if profile.seccomp:
        files[SECCOMP] = json.dumps(_seccomp(profile.seccomp, profile.capabilities.kept), indent=1) + "\n"
    if profile.apparmor:
        files[APPARMOR] = profile.apparmor.text
    return {**files, RUN: run_text(profile), OVERRIDE: override(profile)}


def override(profile: Document) -> str:
    """Return a compose override file: ``docker compose -f compose.yaml -f FILE``."""
    recorded = recorded_keys(profile)
    keys = interpolated(service_keys(profile))
    replaced = {key for key, values in recorded.items() if values}
    lines = [
        "# Written by hardener from recordings of one container; profile.md says what each line is for.",
        f"# {SECCOMP} is looked for in the folder of the project's first compose file.",
    ]
    if replaced:
        lines.append("# !override replaces a list; docker compose supports it since 2.24.4.")
    lines += ["services:", f"  {quoted(profile.service)}:"]
    for key, value in keys.items():
        lines += entry(key, value, lead="    ", tag=OVERRIDE_TAG if key in replaced else "")
    return "\n".join(lines) + "\n"


def _seccomp(part: SeccompPart, capabilities: tuple[str, ...]) -> dict[str, Any]:
    """Narrow the recorded default to the calls of a profile."""
    if part.basis is None:
        raise HardenerError("it does not say what its seccomp profile was narrowed from")
    default = part.basis.default
    found = narrowed(
        default,
        wanted=part.calls.keys() | part.refused.keys(),
        capabilities=capabilities,
        architectures=part.architectures,
        extra=part.extra,
        crypto_sockets=AF_ALG not in part.socket_families_refused,
    )
    for what, said, follows in (
        ("calls", tuple(part.calls), found.permitted),
        ("refused", tuple(part.refused), found.refused),
        ("default_calls", part.default_calls, len(default.permitted(capabilities))),
        ("answered_not_known", part.answered_not_known, found.not_known),
        ("socket_families_refused", part.socket_families_refused, found.families_refused),
    ):
        if said != follows:
            raise HardenerError(f"the field {what} of its seccomp profile does not follow from the others")
    return found.document
