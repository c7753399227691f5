"""What a proof tries, and what it says of what was observed."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from hardener.errors import ExitCode, HardenerError
from hardener.reports.junit import proof_junit
from hardener.workflows.exit_codes import of_proof
from hardener.workload.observation import Observation, PhaseResult, Refusal
from hardener.workload.profile_document import Document, load
from hardener.workload.recording import Identity, Listen, ServedPort
from hardener.workload.starts import STARTS
from hardener.workload.trials import Trial, plan
from hardener.workload.verdict import NOTHING, Expected, Proof, Verdict, judge
from tests.unit.workload.profiles import ROOT, recorded, write
from tests.unit.workload.recordings import document


def planned(folder: Path, **changes: Any) -> tuple[Trial, ...]:
    found = load(write(folder, **changes))
    return plan(found, seccomp=json.loads((folder / "seccomp.json").read_text()))


def test_the_errors_of_a_filter_are_those_of_its_rules(tmp_path: Path) -> None:
    by_key = {trial.key: trial.confinement for trial in planned(tmp_path)}
    assert by_key["before"] is None
    whole = by_key["profile"]
    assert whole is not None
    assert whole.errors == frozenset({errno.EPERM, errno.ENOSYS})
    rule = {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
    own = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.EACCES, "syscalls": [rule]}
    assert replace(whole, seccomp=own).errors == frozenset({errno.EACCES, errno.ENOSYS, errno.EXDEV})
    assert replace(whole, seccomp=None).errors is None


def test_each_permission_is_removed_once(tmp_path: Path) -> None:
    trials = planned(
        tmp_path,
        allow_extra=("keyctl",),
        container__pid_mode="host",
        container__devices=["/dev/fuse"],
        files__created=["/run/x", "/tmp/y"],
    )
    assert [trial.key for trial in trials] == [
        "before",
        "control",
        "second control",
        "profile",
        "capability CAP_CHOWN",
        "capability CAP_SETUID",
        "tmpfs /run",
        "tmpfs /tmp",
        "call keyctl",
        "device /dev/fuse",
        "pid mode host",
    ]
    by_key = {trial.key: trial for trial in trials}
    assert by_key["before"].confinement is None
    assert by_key["profile"].starts == STARTS == 20
    whole = by_key["profile"].confinement
    assert whole is not None
    assert by_key["pid mode host"].kind == "never"  # no twin has it
    for trial in trials[4:-1]:
        less = trial.confinement
        assert less is not None
        changed = [name for name in whole.__slots__ if getattr(less, name) != getattr(whole, name)]
        assert len(changed) == 1, trial.key
        assert trial.starts == 1


@pytest.mark.parametrize("phases", [["serve"], ["serve-empty", "serve"], ["serve-empty"]])
def test_negative_controls_refuse_calls_of_the_exercise(tmp_path: Path, phases: list[str]) -> None:
    calls = recorded().model_dump(mode="json")["calls"]
    calls["x86_64"]["sendfile"]["phases"] = phases
    trials = {trial.key: trial.confinement for trial in planned(tmp_path, calls=calls)}

    def names(key: str) -> set[str]:
        confinement = trials[key]
        assert confinement is not None
        assert confinement.seccomp is not None
        rules = [rule for rule in confinement.seccomp["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
        return {name for rule in rules for name in rule["names"]}

    # First not openat, without which it would not start; never write, which the runtime needs.
    assert names("profile") - names("control") == {"sendfile"}
    tight = names("profile") - names("second control")
    assert tight & {"openat", "open", "creat", "sendfile", "read", "write", "getpid"} == {
        *("openat", "open", "creat", "sendfile"),
    }


def test_no_negative_control_is_planned_without_calls_of_the_serving_phase(tmp_path: Path) -> None:
    calls = {"x86_64": {"bind": {"phases": ["start-empty"], "programs": ["nginx"]}}}
    assert "control" not in {trial.kind for trial in planned(tmp_path, calls=calls)}


def test_a_relaxed_profile_is_tried_without_its_relaxations(tmp_path: Path) -> None:
    trials = planned(tmp_path, files__created=["/etc/x"], setuid=[{"path": "/bin/su", "uid": 0, "gid": None}])
    found = {trial.key: trial.confinement for trial in trials}
    root, gaining, whole = found["writable root"], found["gaining privileges"], found["profile"]
    assert root is not None
    assert gaining is not None
    assert whole is not None
    assert (whole.read_only, root.read_only) == (False, True)
    assert (whole.no_new_privileges, gaining.no_new_privileges) == (False, True)


def test_a_confinement_is_written_as_a_request_of_the_engine(tmp_path: Path) -> None:
    (whole,) = (trial.confinement for trial in planned(tmp_path) if trial.kind == "profile")
    assert whole is not None
    found = whole.host_config()
    seccomp, *options = found.pop("SecurityOpt")
    assert json.loads(seccomp.removeprefix("seccomp=")) == json.loads((tmp_path / "seccomp.json").read_text())
    assert options == ["apparmor=hardener-web", "no-new-privileges=true"]
    assert found == {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": ["CHOWN", "SETUID"],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/run": "rw,nosuid,nodev,size=256m,noexec,mode=1777"},
        "UsernsMode": "",
    }


# --- the folder ---------------------------------------------------------------------------------------------


def test_a_written_document_is_read_unchanged(tmp_path: Path) -> None:
    found = load(write(tmp_path))
    assert isinstance(found, Document)
    assert found.capabilities.kept == ("CAP_CHOWN", "CAP_SETUID")


def _cut(text: str) -> str:
    return text[:200]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("seccomp.json", "{}", "seccomp.json was changed after profile.json was written"),
        ("apparmor", None, "cannot read"),
        ("profile.json", None, "cannot read"),
        ("profile.json", "", "is not a profile"),
        ("profile.json", "[]", "profile.json: "),
        ("profile.json", '{"format": "hardener.profile/2"}', "profile.json: format: "),
    ],
)
def test_a_profile_folder_with_changed_files_is_refused(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    write(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(HardenerError, match=message):
        load(tmp_path)


def test_a_document_cannot_name_files_outside_of_its_folder(tmp_path: Path) -> None:
    data = json.loads((write(tmp_path) / "profile.json").read_text())
    data["files"] = {"../../etc/shadow": ROOT}
    (tmp_path / "profile.json").write_text(json.dumps(data))
    with pytest.raises(HardenerError, match="which is not a file of a profile"):
        load(tmp_path)


# --- verdicts -----------------------------------------------------------------------------------------------


def identity(**changes: Any) -> Identity:
    data = {**document()["identities"][0], "phases": ["serve"], **changes}
    return Identity.model_validate_json(json.dumps(data))


MASTER, WORKER = identity(), identity(uid=33, gid=33, effective=[], permitted=[])
BOTH = (MASTER, WORKER)
WORKS = Observation(starts=1, exercised=True, passed=True, identities=BOTH)
EVERY = Observation(starts=STARTS, exercised=True, passed=True, identities=BOTH)
FAILS = Observation(starts=1, exercised=True, passed=False, note="HTTP 500")
DOWN = Observation(failed=1)
TRIALS = tuple(
    Trial(key=key, kind=kind, confinement=None, starts=STARTS if kind == "profile" else 1)  # type: ignore[arg-type]
    for key, kind in (
        ("before", "before"),
        ("control", "control"),
        ("profile", "profile"),
        ("capability CAP_SETUID", "without"),
        ("capability CAP_CHOWN", "without"),
    )
)


def judged(*, expected: Expected = NOTHING, **observed: Observation | None) -> Proof:
    every = {
        "before": WORKS,
        "control": FAILS,
        "profile": EVERY,
        "capability CAP_SETUID": DOWN,
        "capability CAP_CHOWN": FAILS,
        **{
            {"setuid": "capability CAP_SETUID", "chown": "capability CAP_CHOWN"}.get(k, k): v
            for k, v in observed.items()
        },
    }
    return judge(TRIALS, {key: each for key, each in every.items() if each is not None}, expected=expected)


def test_a_profile_under_which_all_starts_and_the_exercise_succeed_is_safe() -> None:
    proof = judged()
    assert (proof.verdict, proof.reasons, proof.superfluous) == (Verdict.SAFE, (), ())
    assert [(each.removed, each.needed, each.observed) for each in proof.evidence] == [
        ("capability CAP_SETUID", True, "1 of 1 starts failed"),
        ("capability CAP_CHOWN", True, "the exercise fails: HTTP 500"),
    ]
    assert of_proof(proof.verdict) == ExitCode.COMPLIANT


def test_permissions_that_the_container_works_without_are_listed() -> None:
    proof = judged(chown=WORKS)
    assert proof.verdict is Verdict.SAFE
    assert proof.superfluous == ("capability CAP_CHOWN",)


def test_a_capability_without_which_a_server_stays_root_is_needed() -> None:
    """It answers all the same: only its identity tells."""
    root = Observation(starts=1, exercised=True, passed=True, identities=(MASTER,))
    alike = Observation(starts=1, exercised=True, passed=True, identities=(identity(program="worker"),))
    before = Observation(
        starts=1, exercised=True, passed=True, identities=(identity(program="worker", uid=33, gid=33),)
    )
    every = Observation(starts=STARTS, exercised=True, passed=True, identities=before.identities)
    proof = judged(before=before, profile=every, setuid=alike)
    assert proof.evidence[0].needed is True
    assert proof.evidence[0].observed == "worker runs as 0:0, and ran as 33:33"
    # Of two processes with one name, the worker keeps the identity of the master.
    proof = judged(setuid=root)
    assert proof.evidence[0].needed is True
    assert proof.evidence[0].observed == "nginx does not run as 33:33 any more"
    # A master that gives up more than before is no loss.
    worker = Observation(starts=1, exercised=True, passed=True, identities=(WORKER,))
    assert judged(setuid=worker).evidence[0].needed is False


PRIVILEGES: list[tuple[dict[str, Any], str]] = [
    ({"uid": 0, "gid": 33}, "nginx runs as 0:33, and ran as 33:33"),
    ({"groups": [0, 4]}, "nginx is in further groups: 4"),
    ({"effective": ["CAP_SYS_ADMIN"]}, "nginx has further effective capabilities: CAP_SYS_ADMIN"),
    ({"ambient": ["CAP_CHOWN"]}, "nginx has further ambient capabilities: CAP_CHOWN"),
    ({"no_new_privileges": False}, "nginx runs without no-new-privileges"),
    ({"seccomp_mode": 0, "seccomp_filters": 0}, "nginx has fewer seccomp filters: 0 instead of 1"),
    ({"lsm": "unconfined"}, "nginx is not confined by a security module any more"),
    ({"program": "other"}, "nginx does not run any more"),
]


@pytest.mark.parametrize(("change", "sentence"), PRIVILEGES, ids=[sentence for _, sentence in PRIVILEGES])
def test_more_privilege_than_before_is_not_safe(change: dict[str, Any], sentence: str) -> None:
    plain = {"uid": 33, "gid": 33, "effective": [], "permitted": [], "no_new_privileges": True}
    before = Observation(starts=1, exercised=True, passed=True, identities=(identity(**plain),))
    profile = Observation(
        starts=STARTS, exercised=True, passed=True, identities=(identity(**{**plain, **change}),)
    )
    proof = judged(before=before, profile=profile)
    assert proof.verdict is Verdict.NOT_SAFE
    assert sentence in proof.reasons
    assert of_proof(proof.verdict) == ExitCode.NOT_COMPLIANT


def test_less_privilege_than_before_is_safe() -> None:
    less = identity(bounding=[], effective=[], permitted=[], no_new_privileges=True, seccomp_filters=2)
    profile = Observation(starts=STARTS, exercised=True, passed=True, identities=(less, WORKER))
    assert judged(profile=profile).verdict is Verdict.SAFE


def test_a_process_with_another_user_is_safe_only_if_the_profile_names_this_user() -> None:
    as_user = identity(uid=999, gid=998, groups=[998], effective=[], permitted=[])
    profile = Observation(starts=STARTS, exercised=True, passed=True, identities=(as_user,))
    assert judged(profile=profile, expected=Expected(user=(999, 998))).verdict is Verdict.SAFE
    assert judged(profile=profile).verdict is Verdict.NOT_SAFE


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (
            Observation(starts=19, failed=1, exercised=True, passed=True, identities=BOTH),
            "1 of 20 starts failed",
        ),
        (Observation(failed=1, note="OCI runtime error"), "1 of 1 starts failed: OCI runtime error"),
        (Observation(starts=STARTS, exercised=True, note="HTTP 500"), "the exercise fails: HTTP 500"),
    ],
)
def test_a_profile_that_breaks_the_exercise_is_not_safe(profile: Observation, reason: str) -> None:
    proof = judged(profile=profile)
    assert (proof.verdict, proof.reasons) == (Verdict.NOT_SAFE, (reason,))


def test_a_newly_refused_call_is_not_safe_and_one_refused_before_is_listed() -> None:
    old, new, unknown = (
        Refusal(program="a", call="b", error=1, by="filter"),
        Refusal(program="a", call="c", error=1, by="filter"),
        Refusal(program="a", call="openat2", error=38, by="filter"),
    )
    before = Observation(starts=1, exercised=True, passed=True, identities=BOTH, refusals=(old,))
    same = Observation(
        starts=STARTS, exercised=True, passed=True, identities=BOTH, refusals=(old, unknown, old)
    )
    proof = judged(before=before, profile=same)
    assert (proof.verdict, proof.refusals) == (Verdict.SAFE, (old, unknown))
    more = Observation(starts=STARTS, exercised=True, passed=True, identities=BOTH, refusals=(old, new))
    proof = judged(before=before, profile=more)
    assert (proof.verdict, proof.reasons) == (Verdict.NOT_SAFE, ("a was refused c by the filter (EPERM)",))


UNEXERCISED: list[tuple[dict[str, Observation | None], str]] = [
    ({"before": None}, "did not reach the twin"),
    ({"before": Observation(starts=1, note="no port is published")}, "no port is published"),
    ({"before": FAILS}, "fails without the profile too"),
    ({"before": FAILS, "profile": FAILS}, "fails without the profile too"),
    ({"control": None}, "too strict was not tried"),
    ({"control": WORKS}, "this exercise proves nothing"),
    ({"profile": Observation(starts=STARTS)}, "did not reach the twin under the profile"),
    ({"profile": None}, "the profile was not tried"),
]


def kernel(error: int, times: int, call: str = "mkdir", program: str = "python3") -> Refusal:
    return Refusal(program=program, call=call, error=error, by="kernel", times=times)


@pytest.mark.parametrize(
    ("before", "observed", "verdict"),
    [
        ([kernel(errno.EACCES, 3)], [kernel(errno.EROFS, 3)], Verdict.SAFE),
        ([kernel(errno.EPERM, 3)], [kernel(errno.EROFS, 2)], Verdict.SAFE),
        # More than were refused: one of them is a write that was not.
        ([kernel(errno.EACCES, 3)], [kernel(errno.EROFS, 4)], Verdict.NOT_SAFE),
        # What was refused still is, so that the new refusal is of something else.
        ([kernel(errno.EACCES, 3)], [kernel(errno.EACCES, 3), kernel(errno.EROFS, 1)], Verdict.NOT_SAFE),
        # One of two old refusals is gone: it alone can be the new one.
        (
            [kernel(errno.EACCES, 2), kernel(errno.EPERM, 5)],
            [kernel(errno.EPERM, 5), kernel(errno.EROFS, 2)],
            Verdict.SAFE,
        ),
        (
            [kernel(errno.EACCES, 2), kernel(errno.EPERM, 5)],
            [kernel(errno.EPERM, 5), kernel(errno.EROFS, 3)],
            Verdict.NOT_SAFE,
        ),
        # Of older proofs the numbers are not known.
        ([kernel(errno.EACCES, 0)], [kernel(errno.EROFS, 0)], Verdict.NOT_SAFE),
        ([kernel(errno.EACCES, 0)], [kernel(errno.EROFS, 1)], Verdict.NOT_SAFE),
        ([kernel(errno.ENOSYS, 3)], [kernel(errno.EROFS, 3)], Verdict.NOT_SAFE),
        ([kernel(errno.EACCES, 3)], [kernel(errno.EROFS, 3, call="openat")], Verdict.NOT_SAFE),
        ([kernel(errno.EACCES, 3)], [kernel(errno.EROFS, 3, program="sh")], Verdict.NOT_SAFE),
        # Another number of the same refusal is no new one.
        ([kernel(errno.EACCES, 3)], [kernel(errno.EACCES, 9)], Verdict.SAFE),
    ],
)
def test_a_call_refused_before_may_be_refused_by_a_read_only_root(
    before: list[Refusal], observed: list[Refusal], verdict: Verdict
) -> None:
    proof = judged(
        before=WORKS.model_copy(update={"refusals": tuple(before)}),
        profile=EVERY.model_copy(update={"refusals": tuple(observed)}),
    )
    assert proof.verdict is verdict


@pytest.mark.parametrize(("observed", "reason"), UNEXERCISED, ids=[reason for _, reason in UNEXERCISED])
def test_an_exercise_whose_result_does_not_depend_on_the_profile_is_reported(
    observed: dict[str, Observation | None], reason: str
) -> None:
    proof = judged(expected=NOTHING, **observed)
    assert proof.verdict is Verdict.NOT_EXERCISED
    assert reason in proof.reasons[0]
    assert all(each.needed is None for each in proof.evidence)
    assert of_proof(proof.verdict) == ExitCode.INCOMPLETE


@pytest.mark.parametrize("protocol", ["tcp", "udp", "tcp6", "udp6"])
@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("listening", [True, False])
def test_a_profile_is_safe_only_if_the_exercise_reaches_each_published_port_that_is_served(
    protocol: str, *, published: bool, reached: bool, listening: bool
) -> None:
    listens = (Listen(protocol=protocol, port=53),) if listening else ()  # type: ignore[arg-type]
    served = protocol.removesuffix("6")
    port = ServedPort(protocol=served, port=53, published=published, reached=reached)  # type: ignore[arg-type]
    proof = judged(
        before=WORKS.model_copy(update={"listens": listens}),
        profile=EVERY.model_copy(update={"listens": listens, "ports": (port,)}),
    )
    if listening and published and not reached:
        assert proof.verdict is Verdict.NOT_EXERCISED
        assert proof.reasons == (f"no exercise connected to the published port 53/{served}",)
        assert all(each.needed is not None for each in proof.evidence)
    else:
        assert proof.verdict is Verdict.SAFE


@pytest.mark.parametrize(
    ("protocol", "port", "served", "verdict"),
    [
        ("udp", 45247, False, Verdict.SAFE),
        ("udp6", 32768, False, Verdict.SAFE),
        ("udp", 45247, True, Verdict.NOT_SAFE),
        ("udp", 514, False, Verdict.NOT_SAFE),
        ("tcp", 45247, False, Verdict.NOT_SAFE),
    ],
)
def test_ports_that_the_kernel_chose_for_clients_may_differ(
    protocol: str, port: int, served: bool, verdict: Verdict
) -> None:
    listens = (Listen(protocol=protocol, port=port),)  # type: ignore[arg-type]
    ports = (ServedPort(protocol="udp", port=port, published=False, reached=True),) if served else ()
    proof = judged(before=WORKS.model_copy(update={"listens": listens, "ports": ports}))
    assert proof.verdict is verdict


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        ([("tcp", 33249), ("tcp6", 40001)], [("tcp", 50123), ("tcp6", 50124)], ()),
        ([("tcp", 33249)], [("tcp6", 50123)], ("nothing listens on tcp 33249",)),
        ([("tcp", 6082)], [("tcp", 50123)], ("nothing listens on tcp 6082",)),
        ([("tcp", 50051)], [("tcp", 50123)], ("nothing listens on tcp 50051",)),  # which is served
        ([("tcp", 33249)], [("tcp", 50051)], ("nothing listens on tcp 33249",)),
    ],
)
def test_of_the_tcp_ports_that_the_kernel_chose_another_one_has_to_be_listened_on(
    before: list[tuple[str, int]], after: list[tuple[str, int]], reasons: tuple[str, ...]
) -> None:
    old, new = (
        tuple(Listen(protocol=protocol, port=port) for protocol, port in ports)  # type: ignore[arg-type]
        for ports in (before, after)
    )
    served = (ServedPort(protocol="tcp", port=50051, published=False, reached=True),)
    proof = judged(
        before=WORKS.model_copy(update={"listens": old, "ports": served}),
        profile=EVERY.model_copy(update={"listens": new}),
    )
    assert proof.reasons == reasons


@pytest.mark.parametrize(
    ("call", "error", "verdict"),
    [
        ("fchownat", errno.EROFS, Verdict.SAFE),
        ("fchownat", errno.EPERM, Verdict.NOT_SAFE),
        ("fchmodat", errno.EROFS, Verdict.NOT_SAFE),  # another program made it in the recordings
        ("openat", errno.EROFS, Verdict.NOT_SAFE),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_change_of_an_owner_that_changed_nothing_in_the_recordings_may_be_refused(
    tmp_path: Path, call: str, error: int, verdict: Verdict, *, read_only: bool
) -> None:
    made = {"openat": "chown", "fchownat": "chown", "fchmodat": "other"}
    calls = {name: {"phases": ["serve"], "programs": [program]} for name, program in made.items()}
    written = [] if read_only else ["/etc/motd"]
    profile = load(write(tmp_path, calls={"x86_64": calls}, files__written=written))
    assert profile.root.read_only is read_only
    refused = (Refusal(program="chown", call=call, error=error, by="kernel", times=1),)
    less = EVERY.model_copy(update={"refusals": refused})
    proof = judged(profile=less, expected=Expected.of(profile))
    assert proof.verdict is (verdict if read_only else Verdict.NOT_SAFE)
    assert proof.refusals == refused
    assert judged(profile=less).verdict is Verdict.NOT_SAFE


def test_a_folder_in_memory_is_needed_where_only_an_owner_is_set_in_it(tmp_path: Path) -> None:
    trial = Trial(key="tmpfs /run", kind="without", confinement=None)
    refused = (Refusal(program="chown", call="fchownat", error=errno.EROFS, by="kernel", times=1),)
    observed = {"before": WORKS, "control": FAILS, "profile": EVERY}
    observed |= {"tmpfs /run": WORKS.model_copy(update={"refusals": refused})}
    proof = judge((*TRIALS[:3], trial), observed, expected=Expected(idle=frozenset({("chown", "fchownat")})))
    assert [each.needed for each in proof.evidence] == [True]


def test_a_profile_under_which_a_start_fails_is_not_safe() -> None:
    unreached = Observation(starts=1)
    profile = Observation(starts=7, failed=13)
    assert judged(before=unreached, profile=profile).reasons == ("13 of 20 starts failed",)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((True, "connections"), (False, "code 1"), Verdict.NOT_SAFE),
        ((True, "connections"), (True, "packets"), Verdict.SAFE),
        ((False, "code 1"), None, Verdict.SAFE),
    ],
)
def test_an_exercise_that_fails_with_empty_volumes_only_under_the_profile_is_not_safe(
    before: tuple[bool, str], after: tuple[bool, str] | None, verdict: Verdict
) -> None:
    def seen(observed: Observation, how: tuple[bool, str] | None) -> Observation:
        phases = [PhaseResult(name="serve-empty", exercised=how[0], reason=how[1])] if how else []
        return observed.model_copy(update={"phases": (*observed.phases, *phases)})

    proof = judged(before=seen(WORKS, before), profile=seen(EVERY, after))
    assert proof.verdict is verdict
    assert proof.reasons == (("the phase serve-empty fails: code 1",) if after and not after[0] else ())


def test_a_failing_profile_is_not_safe_even_without_a_negative_control() -> None:
    assert judged(control=None, profile=FAILS).verdict is Verdict.NOT_SAFE


def test_removals_that_were_not_tried_or_not_exercised_are_reported() -> None:
    proof = judged(setuid=None, chown=Observation(starts=1, note="time is up"))
    assert proof.verdict is Verdict.NOT_EXERCISED
    assert proof.reasons == ("1 of 2 removals was not tried before the time limit (--for)",)
    assert [(each.needed, each.observed) for each in proof.evidence] == [
        (None, "not tried"),
        (None, "time is up"),
    ]


# --- JUnit --------------------------------------------------------------------------------------------------


def cases(proof: Proof, name: str = "web") -> dict[str, str]:
    suites = JUnitXml.fromstring(proof_junit(proof, name=name, properties={"profile": ROOT}).encode())
    return {
        case.name: type(case.result[0]).__name__ if case.result else "Passed"
        for suite in suites
        for case in suite
    }


def test_each_tried_removal_is_a_case_of_the_junit_report() -> None:
    assert cases(judged(chown=WORKS)) == {
        "the exercise detects a profile that is too strict": "Passed",
        "the container works under the profile": "Passed",
        "capability CAP_SETUID is needed": "Passed",
        "capability CAP_CHOWN is needed": "Skipped",
    }
    assert cases(judged(setuid=None)) == {
        "the exercise detects a profile that is too strict": "Passed",
        "the container works under the profile": "Passed",
        "capability CAP_SETUID is needed": "Error",
        "capability CAP_CHOWN is needed": "Passed",
    }
    assert cases(judged(control=WORKS))["the exercise detects a profile that is too strict"] == "Error"
    assert cases(judged(profile=FAILS))["the container works under the profile"] == "Failure"


def test_hostile_text_is_escaped_in_the_document() -> None:
    hostile = "</testcase>\x1b[2J\x00]]>&\ud800"
    proof = Proof(verdict=Verdict.NOT_SAFE, reasons=(hostile,), evidence=(), refusals=())
    assert "Failure" in cases(proof, name=hostile).values()
