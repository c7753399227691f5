"""Split the security options of a container, such as ``seccomp=unconfined``."""

from __future__ import annotations

from typing import Any, Mapping


def split(option: str) -> tuple[str, str]:
    """Return kind and value of an option; ``true`` is the value of one without a value.

    The engine splits at ``=``, or else at ``:``: the value of a label can contain colons.
    """
    kind, separator, value = option.partition("=" if "=" in option else ":")
    return kind, value if separator else "true"


def value(host: Mapping[str, Any], kind: str) -> str:
    """Return the value of the last option of a kind, which is the effective one; empty without one.

    Args:
        host: HostConfig of the container.
        kind: such as ``apparmor``.
    """
    options = [split(str(option)) for option in host.get("SecurityOpt") or ()]
    return next((value for found, value in reversed(options) if found == kind), "")
