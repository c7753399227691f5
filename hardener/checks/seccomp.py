"""Determine what a seccomp profile permits beyond the engine's default, which refuses some forty calls.

The collector reports which of these calls a profile always permits. The default permits some of them to
containers with more capabilities; the rest is due to the profile.
"""

from __future__ import annotations

from collections.abc import Sequence

from hardener.checks import fields
from hardener.checks.verdicts import listed
from hardener.snapshot import JSONObject

_SHOWN = 6
# Number of a capability -> calls that the default profile permits with it.
_GRANTED = {
    2: "open_by_handle_at",
    16: "delete_module finit_module init_module",
    17: "ioperm iopl",
    20: "acct",
    21: """bpf fanotify_init fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree
        perf_event_open quotactl setdomainname sethostname setns syslog umount2 unshare""",
    22: "reboot",
    25: "clock_settime settimeofday",
    34: "syslog",
    38: "perf_event_open",
    39: "bpf",
}
_MANY = 20  # of the calls that the default refuses: a profile for one program permits a few


def opened_calls(profile: JSONObject, source: str, capabilities: int = 0) -> Sequence[str]:
    """Return the permitted calls that the default profile would refuse with these capabilities."""
    granted = {
        name for number, names in _GRANTED.items() if capabilities >> number & 1 for name in names.split()
    }
    return [name for name in fields.texts(profile, "open", source) if name not in granted]


def filters_nothing(calls: Sequence[str]) -> bool:
    """Return whether a profile refuses almost nothing of what the default refuses."""
    return len(calls) >= _MANY


def sentence(calls: Sequence[str]) -> str:
    """Return ``the engine's default would refuse bpf, keyctl and 30 more``."""
    return f"the engine's default would refuse {listed(list(calls), _SHOWN)}"
