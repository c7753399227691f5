"""Launch ``ansible-playbook`` with faster start-up and shutdown, for ansible-runner.

ansible-runner runs this file by its path as a script, so that no other module of hardener is imported.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import shutil
import signal
import sys
import time
from functools import wraps
from pathlib import Path
from typing import Any, SupportsIndex

_LIMITS = "ansible_collections.hardener.docker.plugins.plugin_utils.limits"


# They connect to no host: their results come from the control node itself.
_LOCAL = frozenset(
    {"add_host", "assert", "debug", "fail", "group_by", "include_vars", "pause", "set_fact", "set_stats"}
    | {"validate_argument_spec"}
)

# All control characters except tabs and line ends, and those that change the direction of text.
_ACTING = {
    character: chr(character).encode("unicode_escape").decode("ascii")
    for character in (
        *(each for each in range(0x20) if chr(each) not in "\t\n"),
        *range(0x7F, 0xA0),
        0x061C,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
        0xFEFF,
    )
}
# ansible-runner answers this prompt with a password, wherever it appears in the output.
_PROMPT = re.compile(r"^(?=[ \t]*(?:BECOME|Vault) password: )", re.MULTILINE)

_SHORTEST_SLEEP_S = 0.01
_DIE_WITH_PARENT = 1  # prctl(2)


def main() -> None:
    """Run ``ansible-playbook`` with the arguments of this process.

    Before them: a file for its number, and the umask of tasks.
    """
    Path(sys.argv.pop(1)).write_text(str(os.getpid()), encoding="ascii")  # the caller can stop it from now on
    umask = int(sys.argv.pop(1), 8)
    # The terminal hangs up when hardener is killed; a process that ignored it, as under `nohup`, would stay.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.umask(0o077)  # the files contain data of hosts, so only this user may read them
    gc.disable()  # ~500 modules that all stay: collecting garbage is useless
    from ansible.cli.playbook import main as ansible_playbook  # noqa: PLC0415

    make_messages_inert()
    bound_tasks(umask=umask)
    poll_less_often()
    end_workers_with_this_process()
    load_for_workers()
    gc.freeze()
    gc.enable()
    # A worker does one task: scanning the objects that it inherits would copy their pages.
    os.register_at_fork(after_in_child=gc.freeze)
    # The ssh connection plugin looks for the askpass script beside this path.
    sys.argv[0] = shutil.which("ansible-playbook") or "ansible-playbook"
    try:
        ansible_playbook()
    finally:
        gc.freeze()  # skip the garbage collection at exit


def make_messages_inert() -> None:
    """Pass all output of Ansible, except its events, through ``inert``.

    ansible-runner reads the events of Ansible's callbacks out of the same stream, as escape sequences. A host
    whose error message contained some would report on other hosts, or end the run.
    """
    from ansible.utils.display import Display  # noqa: PLC0415

    display = Display.display

    @wraps(display)  # ansible-runner's callback inspects the signature
    def inertly(self: Any, msg: Any, *arguments: Any, **options: Any) -> None:
        display(self, inert(msg) if isinstance(msg, str) else msg, *arguments, **options)

    Display.display = inertly


def inert(text: str) -> str:
    """Return text with terminal controls escaped, and without lines that look like password prompts."""
    return _PROMPT.sub("> ", text.replace("\r\n", "\n").translate(_ACTING))


def bound_tasks(*, umask: int) -> None:
    """Set limits for every task that reaches a host; the forked workers of Ansible inherit them.

    Args:
        umask: for modules; on this machine they write what others have to read, such as lists of packages.
    """
    from ansible.plugins.loader import action_loader  # noqa: PLC0415

    get = action_loader.get

    def bounded(name: str, *arguments: Any, **options: Any) -> Any:
        action = get(name, *arguments, **options)
        limits = importlib.import_module(_LIMITS)  # at that time Ansible starts to look for collections
        if action is not None and not isinstance(action, type) and name.rpartition(".")[2] not in _LOCAL:
            limits.hold(action)
            if not getattr(action, "KEEPS_LIMITS", False):
                os.umask(umask)  # this process is a worker
        return action

    action_loader.get = bounded


def poll_less_often() -> None:
    """Let every sleep last at least 10 ms, except a sleep of 0.

    While all workers are busy, Ansible looks 10,000 times a second whether one of them has ended, and later
    1,000 times a second whether a result has arrived, which takes a large part of a core.
    """
    sleep = time.sleep

    def longer(seconds: float | SupportsIndex, /) -> None:
        sleep(max(float(seconds), _SHORTEST_SLEEP_S) if seconds else 0)

    time.sleep = longer


def end_workers_with_this_process() -> None:
    """Have the kernel terminate each worker when this process ends, however it ends.

    Workers have sessions of their own. Ansible forwards signals to them, but not to a worker that it is just
    forking, and none when it is killed: such a worker would begin its task after the interrupt.
    """
    import ctypes  # noqa: PLC0415 - Ansible has imported it

    from ansible.executor.process.worker import WorkerProcess  # noqa: PLC0415

    run, term, ansible = WorkerProcess.run, WorkerProcess._term, os.getpid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux

    def tied(worker: Any) -> None:
        if prctl is not None:
            prctl(_DIE_WITH_PARENT, signal.SIGTERM)
            if os.getppid() != ansible:
                os._exit(1)
        run(worker)

    def terminated(worker: Any, number: int, frame: Any) -> None:
        # Each thread of Ansible that ends sends one; a second one must not end this before it ends its group.
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])
        term(worker, number, frame)

    WorkerProcess.run, WorkerProcess._term = tied, terminated


def load_for_workers() -> None:
    """Load plugins before Ansible forks a worker for each task, so that no worker loads them itself."""
    from ansible.plugins.loader import become_loader, connection_loader, shell_loader  # noqa: PLC0415

    for loader, name in ((connection_loader, "ssh"), (shell_loader, "sh"), (become_loader, "sudo")):
        loader.get(name, class_only=True)


if __name__ == "__main__":
    main()
