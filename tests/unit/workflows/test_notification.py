from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.history import History
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept

DRIFT = ("drift", "-i", "inv,")


class Told:
    """A command that keeps what it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        source = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
        self.option = ("--notify-command", shlex.join([sys.executable, "-c", source, str(path)]))

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.path.read_text().splitlines()] if self.path.exists() else []


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "told")


def test_drift_sends_a_notification_and_no_drift_does_not(
    hardener: Hardener, fleet: FakeFleet, home: Path, told: Told
) -> None:
    audited(hardener, fleet, {"a": host()})
    assert hardener(*DRIFT, *told.option).exit_code == 0
    assert told.messages() == []
    fleet.snapshots["a"] = host("0666")
    result = hardener(*DRIFT, *told.option)
    assert (result.exit_code, result.stderr.count("warning")) == (6, 0)
    (message,) = told.messages()
    after, _, before = kept(home)
    assert (message["event"], message["inventory"]) == ("drift", "inv,")
    assert (message["run"], message["against"]) == (after.id, before.id)
    assert [each["hosts"] for each in message["found"]["moved"]] == [["a"]]


def test_a_notification_of_a_repair_lists_the_repaired_controls(
    hardener: Hardener, fleet: FakeFleet, home: Path, told: Told
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = host("0666")

    def repair(name: str) -> dict[str, Any]:
        fleet.snapshots[name] = host()
        return {"outcome": "changed", "changed": True, "msg": "changed"}

    fleet.converge = repair
    assert hardener(*DRIFT, "--remediate", *told.option).exit_code == 7
    (message,) = told.messages()
    assert (message["event"], len(message["found"]["moved"]), message["left"]["moved"]) == ("repaired", 1, [])


def test_an_unreachable_host_sends_a_notification(
    hardener: Hardener, fleet: FakeFleet, home: Path, told: Told
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = "timed out"
    assert hardener(*DRIFT, *told.option).exit_code == 4
    assert told.messages()[0]["event"] == "incomplete"


def test_a_host_that_stays_away_is_notified_once(
    hardener: Hardener, fleet: FakeFleet, home: Path, told: Told
) -> None:
    audited(hardener, fleet, {"a": host(), "b": host(), "c": host()})

    def night(**snapshots: Any) -> int:
        fleet.snapshots = snapshots
        hardener(*DRIFT, *told.option)
        return len(told.messages())

    assert night(a="timed out", b=host(), c=host()) == 1
    assert night(a="timed out", b=host(), c=host()) == 1
    assert night(a="timed out", b="timed out", c=host()) == 2  # another one
    assert night(a="timed out", b=host(), c=host()) == 2
    assert night(a="timed out", b=host("0666"), c=host()) == 3  # drift beside it
    assert night(a="timed out", b=host(), c=host()) == 4  # the last comparison was not only incomplete
    assert night(a=host(), b=host(), c=host()) == 4
    assert night(a="timed out", b=host(), c=host()) == 5  # it was back
    assert night(a="timed out", b=host()) == 6  # c is not in the inventory any more
    assert night(a="timed out", b=host()) == 6
    assert night(a="timed out", b=host(), d=host()) == 7  # a new one, which no audit knows
    assert night(a="timed out", b=host(), d=host()) == 7


def test_a_failed_run_sends_a_notification_and_still_fails(
    hardener: Hardener, fleet: FakeFleet, home: Path, told: Told
) -> None:
    assert hardener(*DRIFT, *told.option).exit_code == 2
    audited(hardener, fleet, {"a": host()})
    for error, code in ((HardenerError("no such vault"), 2), (RuntimeError("a defect"), 1)):
        fleet.error = error
        result = hardener(*DRIFT, *told.option)
        assert (result.exit_code, str(error) in result.stderr) == (code, True)
    fleet.error = KeyboardInterrupt()
    assert hardener(*DRIFT, *told.option).exit_code == 130
    assert [(each["event"], each["exit_code"]) for each in told.messages()] == [
        ("failed", 2),
        ("failed", 2),
        ("failed", 1),
    ]
    assert "there is no run over all hosts and controls" in told.messages()[0]["error"]
    assert told.messages()[1]["error"] == "no such vault"


def test_a_failed_delivery_is_a_warning_without_secrets(
    hardener: Hardener, fleet: FakeFleet, home: Path, told: Told
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = host("0666")
    url = "http://ops:geheim@127.0.0.1:9/geheim?token=geheim"
    for given in ({"HARDENER_NOTIFY_URL": url}, {}):
        options = () if given else ("--notify-url", url)
        result = hardener("-v", *DRIFT, *options, *told.option, env=given)
        assert result.exit_code == 6
        assert "geheim" not in result.stdout + result.stderr
        (warning,) = [each for each in result.stderr.splitlines() if "warning" in each]
        assert warning == "hardener: warning: http://127.0.0.1:9 was not notified: Connection refused"
    assert len(told.messages()) == 2


@pytest.mark.parametrize(
    ("option", "value"), [("--notify-url", "http://hooks.example/geheim"), ("--notify-command", "'geheim")]
)
def test_an_invalid_target_is_refused_before_the_run(
    hardener: Hardener, fleet: FakeFleet, home: Path, option: str, value: str
) -> None:
    result = hardener(*DRIFT, option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': " in result.stderr
    assert "geheim" not in result.stdout + result.stderr
    assert fleet.runs == []


def test_the_notification_command_can_lock_and_read_the_history(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    fleet.snapshots["a"] = host("0666")
    source = (
        "import pathlib, sys; from hardener.history import History\n"
        "with History(pathlib.Path(sys.argv[1])).lock('inv,', exclusive=True, waiting=sys.exit):\n"
        "    open(sys.argv[2], 'w').write(History(pathlib.Path(sys.argv[1])).run('latest').id)"
    )
    out = tmp_path / "out"
    command = shlex.join([sys.executable, "-c", source, str(home), str(out)])
    assert hardener(*DRIFT, "--notify-command", command).exit_code == 6
    assert out.read_text() == History(home).run("latest").id
