"""Load AppArmor profiles for the twins of a run under names of the run, and remove them at its end."""

from __future__ import annotations

import os
import re
from typing import Any, Mapping

from ..host.errors import Failed, describe
from ..host.read import read_or
from ..host.run import find_program, run

_ENABLED = "/sys/module/apparmor/parameters/enabled"
_LOADED = "/sys/kernel/security/apparmor/profiles"
_PREFIX = "hardener-twin-"
_OURS = re.compile(rf"^{_PREFIX}([0-9a-f]{{16}}) \(", re.MULTILINE)
_TIMEOUT = 60


def problem() -> str:
    """Return why no profile can be loaded on this host; empty if one can be."""
    if not read_or(_ENABLED, "").startswith("Y"):
        return "AppArmor is not enabled in the kernel"
    if find_program("apparmor_parser") is None:
        return "there is no apparmor_parser: apt-get install apparmor"
    return ""


def name(run_: str) -> str:
    """Return the name of a run's profile."""
    return f"{_PREFIX}{run_}"


def renamed(text: str, old: str, run_: str) -> str:
    """Return a profile's text with a name of the run in place of its own."""
    return text.replace(f'"{old}"', f'"{name(run_)}"')


def load(run_: str, profile: Mapping[str, Any]) -> None:
    """Load a profile under the name of a run.

    Args:
        run_: the run.
        profile: ``name`` and ``text``.

    Raises:
        Failed: it cannot be loaded.
    """
    _parse("--replace", renamed(str(profile["text"]), str(profile["name"]), run_))


def unload(run_: str) -> list[str]:
    """Remove the profile of a run, if any; return what could not be removed."""
    if run_ not in runs():
        return []
    try:
        _parse("--remove", f'profile "{name(run_)}" {{}}\n')
    except Failed as error:
        return [describe(error)]
    return []


def runs() -> set[str]:
    """Return the runs that have a profile in the kernel."""
    return set(_OURS.findall(read_or(_LOADED, "")))


def _parse(action: str, text: str) -> None:
    descriptor = os.memfd_create("apparmor")
    try:
        os.write(descriptor, text.encode("utf-8", "surrogateescape"))
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        run("apparmor_parser", "--skip-cache", action, path, timeout=_TIMEOUT)
    finally:
        os.close(descriptor)
