"""Start our launcher on an execution node of a mesh, where only the files of the job are available.

ansible-runner starts this file as a script in the project folder. It imports nothing of hardener.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run ``ansible-playbook`` of this node, with the collection of the job."""
    playbook = shutil.which("ansible-playbook")
    if find_spec("ansible") is None:
        _with_python_of(playbook)
    present = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(
        filter(None, (str(_HERE / "collections"), present))
    )
    os.environ["HARDENER_HOST_TIMES"] = str(_HERE.parent / "times")
    # A service has no USER; the playbooks use it to decide whether to become root.
    with suppress(KeyError):
        os.environ["USER"] = pwd.getpwuid(os.geteuid()).pw_name
    sys.path.insert(0, str(_HERE))
    from ansible_playbook import main as launch  # type: ignore[import-not-found] # noqa: PLC0415

    sys.path.remove(str(_HERE))
    launch()


def _with_python_of(playbook: str | None) -> None:
    """Restart this process with the Python interpreter of ``ansible-playbook``."""
    if playbook is None:
        sys.exit("[ERROR]: this node has no ansible-playbook in the PATH of its work-command")
    with open(playbook, "rb") as file:  # noqa: PTH123 - it is a program's own path
        first = file.readline(4096).decode(errors="replace").strip()
    words = first.removeprefix("#!").split()
    if (
        not first.startswith("#!")
        or not words
        or os.path.realpath(words[0]) == os.path.realpath(sys.executable)
    ):
        sys.exit(f"[ERROR]: this node's Python cannot import ansible, and {playbook} names no other Python")
    os.execv(words[0], [*words, *sys.orig_argv[1:]])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
