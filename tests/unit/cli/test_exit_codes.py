"""The exit code of a run to which two reasons apply: every pair of them, on two hosts and on one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result
from junitparser import JUnitXml

from hardener.errors import HardenerError, InternalError
from hardener.snapshot import Snapshot
from tests.unit.cli.bridges import ONLY, bridge
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.snapshots import no_engine

Hardener = Callable[..., Result]

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
TABLE = [int(code) for code in re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)]
GOOD, BAD, LOST = bridge(icc=False), bridge(icc=True), "Connection timed out"


class Answer(NamedTuple):
    """What a host answers to its change, and the reason for an exit code that this gives."""

    code: int
    outcome: str
    reason: str = ""

    def result(self) -> dict[str, Any]:
        failed, why = bool(self.reason), self.reason
        return {"outcome": self.outcome, "failed": failed, "msg": why, "reason": why}


CHANGED = Answer(0, "changed")
ANSWERS = [
    CHANGED,
    Answer(9, "refused", "another run is at work on this host"),
    Answer(9, "interrupted", "the process that changes the host was killed"),
    Answer(8, "not_begun", "outside its windows"),
    Answer(5, "rolled_back", "rolled back: docker does not start"),
    Answer(5, "unconfirmed", "not confirmed"),
]
STATES = [(0, GOOD), (3, BAD), (4, LOST)]
ENDINGS = [(130, KeyboardInterrupt()), (1, InternalError("a defect")), (2, HardenerError("no hosts"))]
COMMANDS = [("harden", *ONLY), ("provision", *ONLY), ("drift", "--remediate", "--against", "latest")]


class Host(NamedTuple):
    """A host that one reason applies to."""

    code: int
    answer: Answer
    before: Snapshot | str = BAD
    after: Snapshot | str = GOOD


HOSTS = [
    Host(0, CHANGED),
    Host(3, CHANGED, after=BAD),
    Host(4, CHANGED, after=LOST),
    Host(9, CHANGED, before=LOST, after=LOST),
    *(Host(answer.code, answer) for answer in ANSWERS[1:]),
]


def last(*codes: int) -> int:
    """Return the code that comes last in the table of the README."""
    return max(codes, key=TABLE.index)


def of(command: str, code: int) -> int:
    """Return the exit code of a command: drift names drift in place of failures, and repairs."""
    return {0: 7, 3: 6}.get(code, code) if command == "drift" else code


@pytest.fixture
def run(hardener: Hardener, fleet: FakeFleet, tmp_path: Path) -> Callable[..., Result]:
    """Carry out a command on hosts, and check that its report and the terminal agree with its exit code."""

    def carry_out(command: tuple[str, ...], *hosts: Host) -> Result:
        by_name = {f"web{number}": host for number, host in enumerate(hosts)}
        if command[0] == "drift":
            fleet.snapshots = dict.fromkeys(by_name, GOOD)
            hardener("audit", "-i", "inv,", *ONLY)

        def converge(name: str) -> dict[str, Any]:
            fleet.snapshots[name] = by_name[name].after
            return by_name[name].answer.result()

        fleet.snapshots = {name: host.before for name, host in by_name.items()}
        fleet.converge = converge
        junit = tmp_path / "junit.xml"
        result = hardener(*command, "-i", "inv,", "--junit", str(junit))
        if not fleet.error:
            failures = dict(named(junit))
            for name, host in by_name.items():
                if host.before is not LOST and host.answer.reason:
                    assert host.answer.reason in failures[f"{name} change"]
                    assert f"{name}: " in result.stderr
                    assert host.answer.reason in result.stderr
            if command[0] != "drift":
                assert bool(failures) is bool(result.exit_code)
        return result

    return carry_out


def named(junit: Path) -> Iterator[tuple[str, str]]:
    """Yield host and name of each case that failed or is an error, with the text."""
    for suite in JUnitXml.fromfile(str(junit)):
        for case in suite:
            for each in case.result:
                if type(each).__name__ != "Skipped":
                    yield f"{suite.name} {case.name}", str(each.message)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("one", "other"), list(combinations(HOSTS, 2)))
def test_of_the_reasons_on_two_hosts_the_last_one_in_the_table_of_the_readme_decides(
    run: Callable[..., Result], command: tuple[str, ...], one: Host, other: Host
) -> None:
    # What is not known to have drifted is not to be repaired.
    codes = [4 if command[0] == "drift" and host.before is LOST else host.code for host in (one, other)]
    assert run(command, one, other).exit_code == last(*(of(command[0], code) for code in codes))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("answer", "state"), list(product(ANSWERS, STATES)))
def test_of_the_reasons_on_one_host_the_last_one_in_the_table_of_the_readme_decides(
    run: Callable[..., Result], command: tuple[str, ...], answer: Answer, state: tuple[int, Snapshot | str]
) -> None:
    code, after = state
    result = run(command, Host(0, answer, after=after))
    assert result.exit_code == last(answer.code, of(command[0], code))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_the_command_itself_decides_before_its_changes(
    hardener: Hardener,
    fleet: FakeFleet,
    command: tuple[str, ...],
    answer: Answer,
    ending: tuple[int, BaseException],
) -> None:
    code, error = ending

    def converge(_: str) -> dict[str, Any]:
        fleet.error = error
        return answer.result()

    fleet.snapshots, fleet.converge = {"web1": GOOD}, converge
    hardener("audit", "-i", "inv,", *ONLY)
    fleet.snapshots["web1"] = BAD
    result = hardener(*command, "-i", "inv,")
    assert result.exit_code == last(code, answer.code) == code


@pytest.mark.parametrize("command", ["rollback", "release"])
@pytest.mark.parametrize(("one", "other"), list(combinations(ANSWERS, 2)))
def test_of_two_hosts_that_are_rolled_back_or_released_the_last_reason_in_the_table_decides(
    hardener: Hardener, fleet: FakeFleet, command: str, one: Answer, other: Answer
) -> None:
    answers = {"web1": one, "web2": other}
    fleet.snapshots = dict.fromkeys(answers, "")
    fleet.rollback = fleet.release = lambda host: answers[host].result()
    # A rollback that does not succeed has failed: nothing is rolled back then, and it has no windows.
    codes = [9 if command == "rollback" and each.code else each.code for each in answers.values()]
    assert hardener(command, "-i", "inv,").exit_code == last(*codes)


@pytest.mark.parametrize("command", [("harden", "--check"), ("plan",)])
@pytest.mark.parametrize("answer", ANSWERS[1:3])
def test_a_host_that_refuses_a_prediction_comes_before_a_control_that_fails(
    hardener: Hardener, fleet: FakeFleet, command: tuple[str, ...], answer: Answer
) -> None:
    would = Answer(0, "would_change").result()
    fleet.snapshots = {"web1": BAD, "web2": BAD}
    fleet.converge = lambda host: answer.result() if host == "web1" else would
    assert hardener(*command, "-i", "inv,", *ONLY).exit_code == 9


def test_a_host_that_is_lost_after_the_installation_of_docker_is_not_hardened(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    def install(host: str) -> dict[str, Any]:
        fleet.snapshots[host] = LOST
        return {"msg": "start docker"}

    fleet.snapshots = {"new": no_engine(), "web1": BAD}
    fleet.install, fleet.converge = install, lambda _: Answer(0, "unchanged").result()
    junit = tmp_path / "junit.xml"
    assert hardener("provision", "-i", "inv,", *ONLY, "--junit", str(junit)).exit_code == 9
    assert LOST in dict(named(junit))["new change"]
