from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import Result

from hardener.history import History
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host

_OPTIONS = {
    "audit": (),
    "drift": (),
    "harden": (),
    "repair": ("--remediate",),
    "check": ("--check",),
    "rollback": (),
    "release": (),
}
_COMMANDS = {"repair": "drift", "check": "harden"}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as a run has to wait for another one."""
    found = threading.Event()
    lock = History.lock

    def observed(
        self: History, inventory: str, *, exclusive: bool, waiting: Callable[[], None]
    ) -> AbstractContextManager[None]:
        def told() -> None:
            waiting()
            found.set()

        return lock(self, inventory, exclusive=exclusive, waiting=told)

    monkeypatch.setattr(History, "lock", observed)
    return found


@pytest.mark.parametrize("what", _OPTIONS)
def test_a_run_waits_for_one_that_changes_its_hosts(
    hardener: Hardener, fleet: FakeFleet, home: Path, waits: threading.Event, what: str
) -> None:
    audited(hardener, fleet, {"a": host()})
    results: list[Result] = []
    arguments = (_COMMANDS.get(what, what), "-i", "inv,", *_OPTIONS[what])
    thread = threading.Thread(target=lambda: results.append(hardener(*arguments)))
    fleet.runs.clear()
    with History(home).lock("inv,", exclusive=True, waiting=pytest.fail):
        thread.start()
        assert waits.wait(60)
        thread.join(0.1)  # it would go on if it only said that it waits
        assert (thread.is_alive(), fleet.runs) == (True, [])
    thread.join(60)
    (result,) = results
    assert "another run over inv, is in progress: waiting for it to finish" in result.stderr
    assert fleet.runs


@pytest.mark.parametrize(
    ("what", "has_to"),
    [("audit", False), ("check", False), ("repair", True), ("rollback", True), ("release", True)],
)
def test_only_runs_that_change_hosts_wait_for_the_end_of_an_audit(
    hardener: Hardener, fleet: FakeFleet, home: Path, waits: threading.Event, what: str, *, has_to: bool
) -> None:
    audited(hardener, fleet, {"a": host()})
    arguments = (_COMMANDS.get(what, what), "-i", "inv,", *_OPTIONS[what])
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(hardener(*arguments)))
    with History(home).lock("inv,", exclusive=False, waiting=pytest.fail):
        thread.start()
        if has_to:
            assert waits.wait(60)
        thread.join(0.1 if has_to else 60)
        assert thread.is_alive() == has_to
    thread.join(60)
    assert ("waiting for it to finish" in results[0].stderr) == has_to


def test_an_audit_without_a_writable_history_folder_continues_with_a_warning(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    result = audited(hardener, fleet, {"a": host()})
    assert result.exit_code == 3
    assert result.stderr.count("warning") == 1
    assert "this run is not recorded" in result.stderr
