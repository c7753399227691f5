"""Read folders of the controller within limits, and write its files atomically.

The counterpart on hosts is `module_utils/host/atomic.py`, which protects against other users' folders. Here
the folders belong to the user who runs Ansible, on any operating system.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ansible.errors import AnsibleActionFail

_MOST_FILES = 50
_MOST_BYTES = 4 << 20  # of all files of a folder


def folder(path: str) -> dict[str, str]:
    """Return the text of each file in a folder by its name, without subfolders.

    Raises:
        AnsibleActionFail: it is not an absolute path, cannot be read, or has too many or too large files.
    """
    if not path.startswith("/"):
        raise AnsibleActionFail(
            f"{path} is not an absolute path: begin it with '{{{{ inventory_dir }}}}/', such as"
            f" '{{{{ inventory_dir }}}}/{path}'"
        )
    found: dict[str, str] = {}
    left = _MOST_BYTES
    try:
        for each in sorted(Path(path).iterdir()):
            if not each.is_file():
                continue
            with each.open("rb") as file:
                data = file.read(left + 1)
            left -= len(data)
            if left < 0 or len(found) == _MOST_FILES:
                raise AnsibleActionFail(
                    f"{path} has more than {_MOST_FILES} files or {_MOST_BYTES} bytes: name the folder of one"
                    " profile"
                )
            found[each.name] = data.decode()
    except OSError as error:
        raise AnsibleActionFail(f"{error.filename} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AnsibleActionFail(f"a file in {path} is not text: {error}") from error
    return found


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
