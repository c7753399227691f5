"""Keep what this process writes to its user, whatever umask it was started with.

What hardener writes tells an attacker where to begin. Its own files have explicit modes; those that libraries
open (ansible-runner's artifacts) have none but this.
"""

from __future__ import annotations

import os

_PRIVATE = 0o077
_given = 0o022


def restrict() -> None:
    """Take all permissions of others from files that this process makes from now on."""
    global _given  # noqa: PLW0603 - it is the process's own
    _given = os.umask(_PRIVATE)


def given() -> int:
    """The umask that this process was started with, for other programs; none lets others write."""
    return _given | 0o022
