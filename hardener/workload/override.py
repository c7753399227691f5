"""Write a profile as a compose override file."""

from __future__ import annotations

from hardener.workload.compose_nodes import OVERRIDE
from hardener.workload.profile_document import Document
from hardener.workload.settings import SECCOMP, interpolated, recorded_keys, service_keys
from hardener.workload.yamltext import entry, quoted


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
        lines += entry(key, value, lead="    ", tag=OVERRIDE if key in replaced else "")
    return "\n".join(lines) + "\n"
