"""Write files on the control node whole or not at all.

On hosts that is `module_utils/host/atomic.py`, which trusts no folder that others than root can write to.
Here the folders are those of the user who runs Ansible, on whatever system that is.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, content: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace a file, or make it; a reader sees the old one or the new one.

    Args:
        path: the file; its folder exists.
        content: what it is to hold.
        mode: of the file, whatever the umask is.
        durable: whether it has to be there after a crash of this machine too.

    Raises:
        OSError: it cannot be written; what was there is still there, whole.
    """
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, mode)
            if durable:
                file.flush()
                os.fsync(descriptor)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
