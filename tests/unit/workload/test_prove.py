"""Trials are run in their order, and no further than they say anything; the proof is a document."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest

from hardener.errors import HardenerError
from hardener.fleet import Fleet
from hardener.workflows import prove as workflow
from hardener.workflows import twins
from hardener.workflows.try_confinements import TrialRequest, Tried, try_confinements
from hardener.workload import proof as proofs
from hardener.workload.exercise import Exercise
from hardener.workload.profile_document import NAME, Document, load
from hardener.workload.trials import Trial, plan
from tests.unit.workload.observations import answer
from tests.unit.workload.profiles import write
from tests.unit.workload.proofs import proof_of
from tests.unit.workload.schemas import common

SCHEMA = Path(proofs.__file__).with_name("proof.schema.json")
SERVE = {"name": "serve", "exercised": False, "reason": "the command ended with code 7", "seconds": 0.1}
FAILING = "the command ended with code 7"


class Host:
    """A host that answers to each trial what a test says, and remembers what it was told.

    Args:
        document: the profile.
        told: how a trial went, by its key; those without a word went well.
    """

    def __init__(self, document: Document, told: Mapping[str, dict[str, Any]]) -> None:
        self.stages: list[str] = []
        self.seconds: list[int] = []
        self.left: list[float] = []  # seconds for the starts of each trial
        self.tried: list[str] = []
        self.of: list[int] = []
        self.filled: list[tuple[str, str]] = []  # trials, and how their exercise with empty volumes went
        self.volumes = False  # whether the container has any
        self.removed: bool | None = None
        self.problems: list[str] = []
        self.left_behind: list[str] = []
        self.begun: dict[str, Any] = {
            "run": "f" * 16,
            "addresses": {"80": "127.0.0.1:4000"},
            "ssh": [],
            "missing": ["53/sctp is not forwarded: only TCP and UDP are"],
            "container": document.container.model_dump(mode="json"),
            "host": document.host.model_dump(mode="json"),
        }
        self._told = told
        self._under_way = ""

    def stage(
        self,
        _fleet: object,
        playbook: str,
        variables: Mapping[str, Any],
        _listener: object,
        *,
        socket: str = "",
    ) -> Any:
        """What the playbook does."""
        assert playbook == "prove"
        self.stages.append(variables["stage"])
        self.seconds.append(variables["seconds"])
        self.left += [variables["trial"]["seconds"]] if variables.get("trial") else []
        if variables["stage"] == "abandon" and self.left_behind:
            raise HardenerError(f"host: {self.left_behind[0]}")
        if variables["stage"] == "fill":
            self.filled.append((self.tried[-1], variables["exercise"]["problem"]))
            return "host", {"up": True, "problems": []}
        if variables["stage"] != "attempt":
            return "host", self.begun
        ended, self._under_way = self._under_way, self.tried[-1] if variables["trial"] else ""
        return "host", {
            "observed": answer(**self._told.get(ended, {})) if ended else None,
            "up": True,
            "empty": self.volumes and variables["trial"].get("empty", False),
            "problems": [] if variables["trial"] else self.left_behind,
        }

    def trying(self, number: int, of: int, trial: Trial) -> None:
        """Is told that a trial begins."""
        self.tried.append(trial.key)
        assert number == len(self.tried)
        self.of.append(of)

    def warn(self, problems: Sequence[str]) -> None:
        """Is told problems that do not affect the result."""
        self.problems += problems

    def given_up(self, *, removed: bool) -> None:
        """Is told that the trials are interrupted."""
        self.removed = removed

    def event(self, event: object) -> None:
        """Is told what Ansible does."""

    def difference(self, host: str, difference: object) -> None:
        """A proof changes nothing."""
        pytest.fail(f"{host}: {difference}")


Run = Callable[..., tuple[Host, Tried]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the trials of a profile on such a host."""

    def carry_out(
        *,
        told: Mapping[str, dict[str, Any]] | None = None,
        fails: tuple[str, ...] = ("control",),
        seconds: int = 900,
        clock: Callable[[], float] = lambda: 0.0,
        change: Callable[[Host], None] = lambda host: None,
    ) -> tuple[Host, Tried]:
        document = load(write(tmp_path))
        seccomp = json.loads((tmp_path / "seccomp.json").read_text())
        trials = plan(document, seccomp=seccomp)
        host = Host(document, told or {})
        change(host)
        monkeypatch.setattr(twins, "stage", host.stage)

        def exercise(_most: float) -> Callable[[Mapping[str, str]], Exercise]:
            def done(addresses: Mapping[str, str]) -> Exercise:
                assert addresses == {"80": "127.0.0.1:4000"}
                return Exercise(0.1, FAILING if host.tried[-1] in fails else "")

            return done

        tried = try_confinements(
            cast(Fleet, None),
            TrialRequest(seconds=seconds),
            document=document,
            trials=trials,
            exercise=exercise,
            listener=host,
            clock=clock,
        )
        return host, tried

    return carry_out


ALL = ["before", "control", "profile", "capability CAP_CHOWN", "capability CAP_SETUID", "tmpfs /run"]


def test_all_trials_are_run_once(run: Run) -> None:
    host, tried = run()
    assert host.tried == ALL  # the second control is not needed
    assert host.of == [len(ALL)] * len(ALL)
    assert host.stages == ["begin", *["attempt"] * (len(ALL) + 1)]
    assert list(tried.observations) == ALL
    assert tried.missing == ("53/sctp is not forwarded: only TCP and UDP are",)


def test_only_gaps_of_the_trials_before_and_under_the_profile_are_gaps_of_the_proof(run: Run) -> None:
    told = {key: {"missing": [f"{key} lacks it"]} for key in ALL}
    _host, tried = run(told=told)
    assert [each for each in tried.missing if "lacks" in each] == ["before lacks it", "profile lacks it"]


def test_each_stage_gets_the_time_limit_of_the_proof(run: Run) -> None:
    host, _tried = run(seconds=7200)
    assert host.seconds == [7200] * len(host.stages)


def test_the_starts_of_a_trial_may_take_all_the_time_that_is_left(run: Run) -> None:
    now = itertools.count()
    host, _tried = run(seconds=7200, clock=lambda: next(now))
    assert len(host.left) == len(ALL)
    assert host.left == sorted(host.left, reverse=True)
    assert all(7100 < seconds < 7200 for seconds in host.left)


def test_a_second_negative_control_is_tried_if_the_exercise_passes_in_the_first(run: Run) -> None:
    host, _ = run(fails=("second control",))
    assert host.tried == ["before", "control", "second control", *ALL[2:]]
    assert host.of == [len(ALL)] * 2 + [len(ALL) + 1] * (len(ALL) - 1)


def test_an_exercise_that_passes_in_both_negative_controls_ends_the_proof(run: Run) -> None:
    host, tried = run(fails=())
    assert list(tried.observations) == ["before", "control", "second control"]
    assert host.stages[-1] == "abandon"


def test_an_exercise_that_fails_without_the_profile_ends_the_proof(run: Run) -> None:
    host, tried = run(fails=("before",), told={"before": {"phases": [SERVE]}})
    assert list(tried.observations) == ["before"]
    assert host.stages[-1] == "abandon"


@pytest.mark.parametrize("passes", [True, False])
def test_each_trial_but_controls_is_exercised_with_empty_volumes_if_the_first_passes_there(
    run: Run, passes: bool
) -> None:
    def hold(host: Host) -> None:
        host.volumes = True

    phase = {"name": "serve-empty", "exercised": passes, "reason": "", "seconds": 0.1}
    told = {"phases": [*answer()["phases"], phase]}
    host, tried = run(change=hold, told=dict.fromkeys(ALL, told))
    exercised = [key for key in ALL if key != "control"] if passes else ["before"]
    assert host.filled == [(key, "") for key in exercised]
    assert (host.tried, list(tried.observations)) == (ALL, ALL)


def test_a_profile_under_which_the_container_fails_ends_the_proof(run: Run) -> None:
    host, tried = run(told={"profile": {"starts": 19}})
    assert list(tried.observations) == ["before", "control", "profile"]
    assert host.stages[-1] == "abandon"


@pytest.mark.parametrize("removed", [True, False])
def test_an_interruption_removes_the_twin_and_says_so(run: Run, removed: bool) -> None:
    hosts: list[Host] = []

    def interrupt(host: Host) -> None:
        hosts.append(host)
        stage = host.stage

        def interrupted(
            fleet: object, playbook: str, variables: Mapping[str, Any], listener: object, **more: Any
        ) -> Any:
            if len(host.tried) == 2:
                host.tried.clear()
                raise KeyboardInterrupt
            if variables["stage"] == "abandon" and not removed:
                raise HardenerError("there is no answer")
            return stage(fleet, playbook, variables, listener, **more)

        cast(Any, host).stage = interrupted

    with pytest.raises(KeyboardInterrupt):
        run(change=interrupt)
    assert hosts[0].removed is removed


def test_an_interruption_while_the_host_begins_is_reported(run: Run) -> None:
    hosts: list[Host] = []

    def interrupt(host: Host) -> None:
        def interrupted(*_: object, **__: object) -> Any:
            raise KeyboardInterrupt

        hosts.append(host)
        cast(Any, host).stage = interrupted

    with pytest.raises(KeyboardInterrupt):
        run(change=interrupt)
    assert hosts[0].removed is False


@pytest.mark.parametrize(("fails", "end"), [(("control",), "attempt"), ((), "abandon")])
def test_what_cannot_be_removed_is_reported(run: Run, fails: Sequence[str], end: str) -> None:
    def add(host: Host) -> None:
        host.begun["problems"] = ["remains of an earlier run"]
        host.left_behind = ["remains of the run: web"]

    host, _tried = run(change=add, fails=fails)
    assert host.stages[-1] == end
    assert [each.removeprefix("host: ") for each in host.problems] == [
        "remains of an earlier run",
        "remains of the run: web",
    ]


def test_the_end_of_the_time_limit_is_reported(run: Run) -> None:
    moments = iter([0.0, *[1.0] * 6, *[100.0] * 20])
    host, tried = run(seconds=50, clock=lambda: next(moments))
    assert tried.over
    assert "the time limit was reached before the last trial" in tried.missing
    assert len(tried.observations) == len(host.tried) < len(ALL)
    assert host.stages[-1] == "attempt"  # which ends the last one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda host: host.begun["container"].update(digest="sha256:" + "0" * 64),
            "web is not as it was during the recording: image digest was sha256:",
        ),
        (lambda host: host.begun["host"].update(architecture="riscv64"), "architecture was x86_64"),
        *(
            (lambda host, change=change: host.begun["container"].update(change), "take out the settings")
            for change in (
                {"security_options": ["seccomp=sha256:" + "0" * 64]},
                {"capabilities_dropped": ["ALL"]},
                {"capabilities_added": ["CHOWN"]},
                {"read_only": True},
                {"user": "33"},
                {"privileged": True},
            )
        ),
        (lambda host: host.begun.pop("container"), "the description of the container cannot be read"),
        *(
            (lambda host, address=address: host.begun.update(addresses={"80": address}), "is not an address")
            for address in ("10.0.0.1:80", "127.0.0.1:65536", "127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1")
        ),
        (lambda host: host.begun.pop("ssh"), "there is no way to the ports of the twins"),
    ],
)
def test_invalid_answers_of_the_host_end_the_run(
    run: Run, change: Callable[[Host], None], message: str
) -> None:
    with pytest.raises(HardenerError) as refused:
        run(change=change)
    assert message in f"{refused.value} {refused.value.hint}"


def test_the_proof_follows_its_schema(run: Run, tmp_path: Path) -> None:
    assert common(json.loads(SCHEMA.read_text())) == common(proofs.schema())
    _, tried = run()
    document = load(tmp_path)
    trials = plan(document, seccomp=json.loads((tmp_path / "seccomp.json").read_text()))

    def text(ended: str) -> str:
        return proofs.text(
            proof_of(
                trials,
                tried.observations,
                document,
                folder=tmp_path,
                ended=ended,
                host=tried.host,
                container=tried.container,
                missing=tried.missing,
            )
        )

    found = json.loads(text("2026-11-27T10:01:00Z"))
    jsonschema_rs.validator_for(proofs.schema()).validate(found)
    assert found["verdict"] == "safe"
    assert {each["removed"]: each["needed"] for each in found["evidence"]}["capability CAP_CHOWN"] is False
    assert {each["key"] for each in found["trials"] if each["observation"] is None} == {"second control"}
    other = json.loads(text("2026-11-27T10:02:00Z"))
    assert {key for key in found if found[key] != other[key]} == {"ended"}


def test_a_profile_that_is_replaced_during_its_proof_gets_no_proof(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tried = run()

    def replaced(*_: object, **__: object) -> Tried:
        write(tmp_path, allow_extra=("keyctl",))
        return tried

    monkeypatch.setattr(workflow, "try_confinements", replaced)
    request = workflow.ProveRequest(
        folder=tmp_path, seconds=9, starts=20, command="true", home=tmp_path / "home"
    )
    with pytest.raises(HardenerError, match="was replaced during its proof"):
        workflow.prove(cast("Fleet", None), request, listener=cast("Host", None))
    assert not (tmp_path / proofs.NAME).exists()


def test_a_profile_of_hardener_0_2_with_a_limit_of_processes_is_read_and_not_proven(tmp_path: Path) -> None:
    path = write(tmp_path) / NAME
    data = json.loads(path.read_text())
    data["limits"]["pids"] = 32
    path.write_text(json.dumps(data))
    assert load(tmp_path).limits.pids == 32
    request = workflow.ProveRequest(
        folder=tmp_path, seconds=9, starts=20, command="true", home=tmp_path / "home"
    )
    with pytest.raises(HardenerError, match="has a limit of 32 processes from a recording") as refused:
        workflow.prove(cast("Fleet", None), request, listener=cast("Host", None))
    assert "make the profile again" in refused.value.hint
