from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history import History


def quiet() -> None:
    pytest.fail("nobody is in the way")


def is_free(history: History, inventory: str, *, exclusive: bool) -> bool:
    """Whether somebody else would have a turn at once."""

    class BusyError(Exception):
        pass

    def busy() -> None:
        raise BusyError

    try:
        with history.lock(inventory, exclusive=exclusive, waiting=busy):
            return True
    except BusyError:
        return False


def test_readers_share_the_lock(history: History) -> None:
    with history.lock("prod", exclusive=False, waiting=quiet):
        assert is_free(history, "prod", exclusive=False)
        assert not is_free(history, "prod", exclusive=True)
    assert is_free(history, "prod", exclusive=True)


def test_a_changing_run_locks_only_its_inventory(history: History) -> None:
    with history.lock("prod", exclusive=True, waiting=quiet):
        assert not is_free(history, "prod", exclusive=False)
        assert not is_free(history, "prod", exclusive=True)
        assert is_free(history, "../prod\n\udc80", exclusive=True)


def test_a_waiting_run_gets_the_lock(history: History) -> None:
    order = []
    waiting = threading.Event()

    def second() -> None:
        with history.lock("prod", exclusive=False, waiting=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with history.lock("prod", exclusive=True, waiting=quiet):
        thread.start()
        assert waiting.wait(20)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_killed_process_is_released(history: History) -> None:
    source = (
        "import os, sys, pathlib; from hardener.history import History\n"
        "with History(pathlib.Path(sys.argv[1])).lock('prod', exclusive=True, waiting=sys.exit):\n"
        "    print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, str(history.path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("held\n", -9)
    assert is_free(history, "prod", exclusive=True)


def test_processes_that_ansible_leaves_do_not_inherit_the_lock(history: History) -> None:
    with history.lock("prod", exclusive=True, waiting=quiet):
        left = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert is_free(history, "prod", exclusive=True)
    finally:
        left.kill()
        left.wait()


def test_a_link_in_place_of_the_lock_file_is_not_followed(history: History, tmp_path: Path) -> None:
    with history.lock("prod", exclusive=True, waiting=quiet):
        pass
    (lock,) = (history.path / "locks").iterdir()
    assert lock.stat().st_mode & 0o777 == 0o600
    lock.unlink()
    lock.symlink_to(tmp_path / "target")
    with pytest.raises(HardenerError, match="the history in"):
        is_free(history, "prod", exclusive=True)
    assert not os.path.lexists(tmp_path / "target")
