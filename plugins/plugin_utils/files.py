"""Write files on the controller atomically.

The counterpart on hosts is `module_utils/host/atomic.py`, which protects against other users' folders. Here
the folders belong to the user who runs Ansible, on any operating system.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, content: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace or create a file; readers see the old file or the new one.

    Args:
        path: the file; its folder exists.
        content: the new content.
        mode: of the file, whatever the umask is.
        durable: whether it must survive a crash of this machine.

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
