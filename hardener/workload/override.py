"""Write a profile as a compose override file."""

from __future__ import annotations

from collections.abc import Iterator

from hardener.workload.profile import Profile
from hardener.workload.settings import SECCOMP, interpolated, service_keys
from hardener.workload.yamltext import quoted


def override(profile: Profile, *, seccomp: str = f"./{SECCOMP}", service: str = "") -> str:
    """Return a compose override file: ``docker compose -f compose.yaml -f FILE``.

    Args:
        profile: the profile.
        seccomp: the seccomp profile's path from the project's folder.
        service: its name; without, as recorded.
    """
    container = profile.merged.one.container
    name = service or (container.compose.service if container.compose else profile.name)
    replaced = {
        "cap_add": bool(container.capabilities_added),
        "security_opt": bool(container.security_options),
    }
    lines = [
        "# Written by hardener from recordings of one container; profile.md says what each line is for.",
        f"# {SECCOMP} is looked for in the folder of the project's first compose file.",
    ]
    if any(replaced.values()):
        lines.append("# !override replaces a list; docker compose supports it since 2.24.4.")
    lines += ["services:", f"  {quoted(name)}:"]
    for key, value in service_keys(profile, seccomp=seccomp).items():
        tag = " !override" if replaced.get(key) else ""
        if isinstance(value, list):
            lines.append(f"    {key}:{tag}" if value else f"    {key}:{tag} []")
            lines += [f"      - {quoted(interpolated(each))}" for each in value]
        else:
            lines.append(f"    {key}: {quoted(interpolated(value))}")
    lines += [f"    # {each}" for each in comments(profile)]
    return "\n".join(lines) + "\n"


def comments(profile: Profile) -> Iterator[str]:
    """Return comments on values that are known but not set."""
    if profile.memory:
        mebibytes = -(-profile.memory // (1 << 20))
        yield f"mem_limit: not set; the recorded peak was {mebibytes} MiB"
