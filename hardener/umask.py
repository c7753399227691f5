"""Keep the files of this process private to its user, independent of its initial umask.

The files of hardener would help an attacker. Its own files have explicit modes; files that libraries open
(artifacts of ansible-runner) get their mode only from the umask.
"""

from __future__ import annotations

import os

_PRIVATE = 0o077
_given = 0o022


def restrict() -> None:
    """Set the umask so that new files are accessible to this user only."""
    global _given  # noqa: PLW0603 - the umask belongs to the process
    _given = os.umask(_PRIVATE)


def given() -> int:
    """Return the initial umask of this process, for other programs; it never lets other users write."""
    return _given | 0o022
