"""Keep the files of this process private to its user, whatever umask it was started with.

What hardener writes tells an attacker where to begin. Its own files have explicit modes; those that libraries
open (ansible-runner's artifacts) have none but this.
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
    """Return the umask at the start of this process, for other programs; it denies others to write."""
    return _given | 0o022
