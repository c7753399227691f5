"""How the control node confirms a run, whatever becomes of the connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleAuthenticationFailure, AnsibleConnectionFailure

from tests.unit.plugins.action.answering import SECONDS, Clock, Connection, Host
from tests.unit.plugins.loading import action

LOST = AnsibleConnectionFailure("Failed to connect to the host via ssh: Timeout, server h not responding.")
REFUSED = AnsibleConnectionFailure("Failed to connect to the host via ssh: ssh: connect to host h port 22: x")
UNCONFIRMED = {"outcome": "unconfirmed", "run": "r", "changes": [], "notes": ["a"], "pending": ["b"]}


def test_a_run_is_confirmed_over_a_new_connection(clock: Clock) -> None:
    host = Host(clock, UNCONFIRMED, {"outcome": "changed", "notes": ["a", "c"], "run": "r"})
    found = host.converge()
    assert (found["outcome"], found["changed"], found.get("failed")) == ("changed", True, None)
    assert (found["notes"], found["pending"]) == (["a", "c"], ["b"])
    (first, arguments), (second, confirmation) = host.asked
    assert (first, second) == ("main:converge", "main:confirm")
    assert arguments["guard"]["token"] == confirmation["token"]
    assert (arguments["guard"]["seconds"], "@" in arguments["guard"]["who"]) == (SECONDS, True)
    assert all(args.startswith("-o ControlMaster=no -o ControlPath=none") for args in host.ssh_args)
    assert host.connection.options == Connection().options


@pytest.mark.parametrize(("asked_for", "used"), [(5, 10), (10, 10), (90, 90)])
def test_the_longer_of_two_connection_timeouts_applies(clock: Clock, asked_for: int, used: int) -> None:
    host = Host(clock, UNCONFIRMED, {"outcome": "changed", "run": "r"})
    host.connection.options["timeout"] = asked_for
    host.converge()
    assert host.timeouts == [used, used]
    assert host.connection.options["timeout"] == asked_for


@pytest.mark.parametrize(
    ("variable", "field"),
    [("converge_restless_containers", "restless"), ("converge_accept_losses", "accept_losses")],
)
def test_excepted_containers_and_accepted_losses_are_passed_to_the_host(
    clock: Clock, variable: str, field: str
) -> None:
    host = Host(clock, {"outcome": "unchanged"})
    host.converge(**{variable: ["job", "label=a=b"]})
    assert host.asked[0][1]["guard"][field] == ["job", "label=a=b"]
    for wrong in ("job", [1], {"job": True}):
        with pytest.raises(AnsibleActionFail, match=f"{variable} must be a list"):
            host.converge(**{variable: wrong})


def test_limits_of_the_backups_are_passed_to_the_host_as_they_are_written(clock: Clock) -> None:
    host = Host(clock, {"outcome": "unchanged"})
    host.converge(converge_keep_runs="3")
    host.converge(converge_keep_runs=20, converge_keep_size=7)
    host.converge()
    assert [asked.get("keep") for _, asked in host.asked] == [{"runs": "3"}, {"runs": 20, "size": 7}, None]


KEPT = "/etc/docker/daemon.json was changed by others meanwhile, and stays as it is"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"outcome": "partly_rolled_back", "kept": [KEPT]},
            f"rolled back, except what was changed on the host meanwhile ({KEPT}): no ssh",
        ),
        (
            {"outcome": "rolled_back", "missing": ["web is gone"]},
            "rolled back, all changes are undone, but not everything works as before (web is gone): no ssh",
        ),
        (
            {"outcome": "rollback_failed", "problems": ["/etc/x: Read-only file system"]},
            "no ssh; and the rollback was incomplete: /etc/x: Read-only file system",
        ),
        (
            {"outcome": "abandoned", "problems": ["/etc/x is not what it was before the run"]},
            "no ssh; and this was not rolled back: /etc/x is not what it was before the run",
        ),
    ],
)
def test_the_message_of_an_incomplete_rollback_names_the_paths_that_were_not_restored(
    clock: Clock, answer: dict[str, Any], said: str
) -> None:
    found = Host(clock, UNCONFIRMED, {**answer, "reason": "no ssh", "run": "r"}).converge()
    assert (found["said"], found["failed"], found["changed"]) == (said, True, True)


def test_a_run_without_changes_is_not_confirmed(clock: Clock) -> None:
    host = Host(clock, {"outcome": "unchanged", "changed": False})
    assert host.converge()["outcome"] == "unchanged"
    assert len(host.asked) == 1


def test_a_rollback_is_reported_when_the_host_can_be_reached_again(clock: Clock) -> None:
    rolled_back = {"outcome": "rolled_back", "reason": "not confirmed within 180 s", "run": "r"}
    host = Host(clock, UNCONFIRMED, *[REFUSED] * 12, {"outcome": "working"}, rolled_back)
    found = host.converge()
    assert (found["outcome"], found["failed"], found["changed"]) == ("rolled_back", True, True)
    assert found["reason"].startswith("not confirmed within 180 s: Failed to connect to the host via ssh")
    assert found["said"].startswith("rolled back, everything is as it was before: not confirmed within")


@pytest.mark.parametrize(
    "seconds", [5, 20]
)  # with 20 the time of the host was over before that of the caller
def test_the_reason_of_a_rollback_names_a_connection_that_took_too_long(clock: Clock, seconds: int) -> None:
    late = f"not confirmed within {seconds} s"
    host = Host(clock, UNCONFIRMED, {"outcome": "rolled_back", "reason": late, "run": "r"})
    found = host.converge(converge_confirm_timeout=seconds)
    assert found["reason"] == f"{late}: the answer over a new connection took 10 s"


def test_the_message_for_an_unreachable_host_states_when_the_host_rolls_back(clock: Clock) -> None:
    begun = clock.now
    host = Host(clock, UNCONFIRMED, REFUSED)
    found = host.converge()
    assert (found["outcome"], found["failed"]) == ("unconfirmed", True)
    assert "it rolls the change back by itself, at " in found["said"]
    assert "connect to host h port 22" in found["said"]
    assert SECONDS < clock.now - begun < SECONDS + 200


def test_a_lost_connection_does_not_end_the_run(clock: Clock) -> None:
    changed = {"outcome": "changed", "run": "r"}
    host = Host(clock, LOST, REFUSED, {"outcome": "working"}, changed)
    found = host.converge()
    assert (found["outcome"], found["changed"]) == ("changed", True)
    assert [entry for entry, _ in host.asked] == ["main:converge", *["main:confirm"] * 3]


@pytest.mark.parametrize("error", [LOST, AnsibleActionFail("converge failed on the host: x")])
def test_the_original_error_is_raised_when_the_run_never_began(clock: Clock, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        Host(clock, error, {"outcome": "unknown"}).converge()


def test_a_query_about_a_change_states_that_the_host_keeps_its_record(clock: Clock) -> None:
    host = Host(clock, LOST, {"outcome": "changed"})
    host.converge()
    assert host.asked[-1][1]["forgets"] is False


def test_an_unreachable_host_fails_at_once(clock: Clock) -> None:
    host = Host(clock, REFUSED)
    with pytest.raises(AnsibleConnectionFailure):
        host.converge()
    assert len(host.asked) == 1


OVER_SSH = 'Data could not be sent to remote host "h". Make sure this host can be reached over ssh: '
VIA_SSH = "Failed to connect to the host via ssh: "


@pytest.mark.parametrize(
    "said",
    [
        f"{OVER_SSH}ssh: Could not resolve hostname h: Name or service not known\r\n",
        f"{VIA_SSH}Warning: added 'h'.\r\nroot@h: Permission denied (publickey,gssapi-keyex).\r\n",
        f"{VIA_SSH}Permission denied (publickey,password).",
        f"{VIA_SSH}@@@ REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nHost key verification failed.\n",
        f"{VIA_SSH}Connection timed out during banner exchange\nConnection to 192.0.2.1 port 22 timed out\n",
        f"{VIA_SSH}ssh: connect to host jump port 22: x\r\nkex_exchange_identification: closed\r\n",
        "Failed to create temporary directory. In some cases, …: Permission denied\n",
    ],
)
def test_nothing_has_begun_if_ssh_did_not_connect(clock: Clock, said: str) -> None:
    host = Host(clock, AnsibleConnectionFailure(said))
    with pytest.raises(AnsibleConnectionFailure):
        host.converge()
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    "lost",
    [
        AnsibleConnectionFailure(f"{OVER_SSH}rm: cannot remove '/x': Permission denied\nConnection closed"),
        AnsibleConnectionFailure(
            f"{VIA_SSH}Authorised use only. Permission denied to all others.\r\nTimeout"
        ),
        AnsibleConnectionFailure(f"{VIA_SSH}cron[7]: sh: line 1: ssh: connect to host b port 22: refused"),
        AnsibleActionFail("the script ended with code 1 on the host: Permission denied"),
        AnsibleActionFail("the script ended with code 1 on the host: ssh: connect to host b port 22: x"),
    ],
)
def test_output_of_the_host_does_not_prove_that_nothing_has_begun(clock: Clock, lost: Exception) -> None:
    host = Host(clock, lost, {"outcome": "changed"})
    assert host.converge()["outcome"] == "changed"
    assert [entry for entry, _ in host.asked] == ["main:converge", "main:confirm"]


@pytest.mark.parametrize(
    ("failures", "answers"),
    [([REFUSED, REFUSED], True), ([REFUSED] * 3, False), ([AnsibleAuthenticationFailure("x")], False)],
)
def test_a_connection_is_tried_again_as_often_as_the_site_says(
    clock: Clock, failures: list[Exception], answers: bool
) -> None:
    host = Host(clock, *failures, {"outcome": "unchanged"})
    host.connection.options["reconnection_retries"] = 2
    if answers:
        assert host.converge()["outcome"] == "unchanged"
    else:
        with pytest.raises(type(failures[0])):
            host.converge()
    assert [entry for entry, _ in host.asked] == ["main:converge"] * (len(failures) + answers)


def test_a_slow_worker_is_waited_for(clock: Clock) -> None:
    host = Host(clock, LOST, *[{"outcome": "working"}] * 60, {"outcome": "changed"})
    assert host.converge()["outcome"] == "changed"


def test_the_run_of_a_killed_worker_is_rolled_back_at_once(clock: Clock) -> None:
    killed = {"outcome": "interrupted", "failed": True, "reason": "the worker failed: it is 1970"}
    host = Host(clock, killed, {"outcome": "rolled_back", "reason": "its worker was killed", "run": "r"})
    found = host.converge()
    assert (found["outcome"], found["failed"]) == ("rolled_back", True)
    assert found["reason"] == f"its worker was killed: {killed['reason']}"
    assert Host(clock, killed, {"outcome": "unknown"}).converge()["reason"] == killed["reason"]


def answered(answer: Any) -> Any:
    """What becomes of an answer of the host."""
    made = object.__new__(action("converge").ActionModule)
    made.run_script = lambda *_, **__: SimpleNamespace(result=answer, facts={})
    return made.ask("main:converge", {}, task_vars={})


def test_keys_that_ansible_interprets_are_removed_from_an_answer() -> None:
    hostile = {
        "add_host": {"host_name": "other", "host_vars": {"ansible_connection": "local"}},
        "add_group": "all",
        "ansible_facts": {"ansible_python_interpreter": "/tmp/x"},
        "_ansible_no_log": True,
        "changes": [{"path": "/a", "what": "write", "documents": ["a"], "more": 1}],
    }
    found = answered({"outcome": "changed", **hostile})
    change = {"path": "/a", "what": "write", "documents": ["a"]}
    assert found == {"outcome": "changed", "changes": [change], "inventory_host": ""}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "it is not valid: 'None'"),
        ({"outcome": ["changed"]}, "outcome is"),
        ({"changed": True}, "it has no outcome"),
        ({"outcome": "changed", "notes": 7}, "notes is not valid: '7'"),
        ({"outcome": "changed", "pending": ["a", None]}, "pending is not valid: 'None'"),
        ({"outcome": "changed", "documents": [{"name": "a"}]}, "documents has no state"),
        (
            {"outcome": "changed", "documents": [{"name": "a", "state": "\x1b[2J"}]},
            r"state is not valid: '\\x1b\[2J'",
        ),
        ({"outcome": "as it was"}, "outcome is not valid: 'as it was'"),
        ({"outcome": "changed", "run": "../a"}, "run is"),
        ({"outcome": "changed", "started": 1e300}, "started is"),
        ({"outcome": "changed", "started": True}, "started is"),
        ({"outcome": "changed", "notes": ["x"] * 20_001}, "notes is"),
        ({"outcome": "changed", "reason": "x" * (1 << 20) + "x"}, "reason is"),
        ({"outcome": "changed", "activations": ["docker"]}, "activations is"),
        ({"outcome": "changed", "plan": "{{ lookup('pipe', 'id') }}"}, "plan is"),
    ],
)
def test_a_malformed_answer_fails_the_task(answer: Any, said: str) -> None:
    with pytest.raises(AnsibleActionFail, match=said):
        answered(answer)


ALL = [{"name": "a", "asked": True}, {"name": "b", "asked": False}, {"name": "c"}]


def answer(outcome: str = "changed", **states: str) -> dict[str, Any]:
    documents = [{"name": name, "state": state, "reason": f"no {name}"} for name, state in states.items()]
    return {"outcome": outcome, "documents": documents}


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({"a": "refused", "b": "refused"}, ["a: no a"]),
        ({"c": "refused"}, ["c: no c"]),  # no role says whose it is
        ({"a": "held", "b": "refused", "c": "change"}, []),
    ],
)
def test_a_host_fails_only_by_refused_documents_that_the_site_requested(
    states: dict[str, str], told: list[str]
) -> None:
    assert action("converge")._requested_and_refused(answer(**states), ALL) == told


def test_arguments_for_the_control_node_are_not_sent_to_the_host() -> None:
    assert action("converge")._with_file_contents({"name": "a", "asked": True}) == {
        "name": "a",
        "resources": [],
    }


def test_outside_its_windows_a_host_is_not_contacted(clock: Clock) -> None:
    host = Host(clock, {"outcome": "changed"})
    never = ["Mon 00:00-00:01 UTC", "Thu 00:00-00:01 UTC"]  # two minutes a week
    found = host.made("converge")._closed({"converge_windows": never})
    assert (found["outcome"], found["failed"], found["changed"]) == ("not_begun", True, False)
    assert found["msg"].startswith(
        "nothing was changed: outside its maintenance windows (Mon 00:00-00:01 UTC; "
    )
    assert host.made("release")._closed({"converge_windows": ["daily 00:00-24:00 UTC"]}) == {}
    assert host.made("converge")._closed({}) == {}
    assert not host.asked


@pytest.mark.parametrize("wrong", ["Sat 22:00-04:00 UTC", [1], {"Sat": "22:00"}, ["Sat 22:00-04:00"]])
def test_invalid_windows_fail_the_host(clock: Clock, wrong: object) -> None:
    with pytest.raises(AnsibleActionFail, match="converge_windows"):
        Host(clock, {}).made("converge")._closed({"converge_windows": wrong})


def test_a_play_begins_only_inside_a_window_and_check_mode_reports_a_closed_one() -> None:
    never = ["Mon 00:00-00:01 UTC", "Thu 00:00-00:01 UTC"]

    def run(windows: list[str], *, check: bool = False) -> dict[str, Any]:
        found = object.__new__(action("window").ActionModule)
        found._task = SimpleNamespace(check_mode=check, async_val=0, args={"windows": windows}, diff=False)
        found.validate_argument_spec = lambda **_: (None, {"windows": windows})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})
            result: dict[str, Any] = found.run()
        return result

    assert run(never)["outcome"] == "not_begun"
    assert run(never, check=True)["msg"].startswith(
        "the host would not be changed now: outside its maintenance"
    )
    assert run([]) == {"changed": False, "msg": "the host may be changed now"}


def test_owners_and_modes_of_spared_paths_are_left_out() -> None:
    resources = [
        {"kind": "attributes", "path": "/a"},
        {"kind": "attributes", "path": "/b"},
        {"kind": "file", "path": "/a", "content": ""},
    ]
    document = {"name": "x", "resources": resources}
    assert action("converge")._sparing(document, ["/a"]) == {"name": "x", "resources": resources[1:]}
    assert action("converge")._sparing(document, []) == document
