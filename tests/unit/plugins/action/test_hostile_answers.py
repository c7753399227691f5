"""What becomes of answers that no honest host gives: a failure of that host, or a harmless result."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hardener.docker.plugins.plugin_utils import host_script
from ansible_collections.hardener.docker.plugins.plugin_utils.host_script import HostScriptAction
from rich.console import Console

from hardener import catalogue, planfile
from hardener.activity import read
from hardener.errors import HardenerError
from hardener.fleet.answers import ChangeAnswer
from hardener.fleet.events import State
from hardener.model import Assessment, Finding, Impact, Status, Verdict
from hardener.plan import Outlook, TransactionResult, outlook, plan
from hardener.scan.record import BadRecord, parse
from hardener.scan.vex import Statements
from hardener.snapshot import Snapshot
from hardener.terminal.activity import screen
from hardener.terminal.console import show_images, show_plan
from hardener.terminal.phase import diff_lines, rollback_lines
from hardener.terminal.scan import scan_screen
from tests.unit import scans, snapshots
from tests.unit.activity_answers import ANSWER
from tests.unit.plugins.action.mutations import mutations
from tests.unit.plugins.loading import action
from tests.unit.plugins.module_utils.render.records import RECORD
from tests.unit.sleeping import replace_monotonic, replace_sleep

COUNT = 100
DIGEST = "0123456789abcdef" * 4
DOCUMENTS = [{"name": "docker_files_enforce", "resources": []}, {"name": "audit_rules_enabled"}]
CONVERGED = {
    "outcome": "would_change",
    "changed": True,
    "plan": DIGEST,
    "allow": "none",
    "run": "",
    "recovered": "",
    "notes": ["a note"],
    "pending": [],
    "refused": [],
    "documents": [
        {
            "name": "docker_files_enforce",
            "state": "change",
            "impact": "none",
            "reason": "",
            "paths": ["/etc/docker"],
        },
        {"name": "audit_rules_enabled", "state": "held", "impact": "reboot", "reason": "so", "paths": []},
    ],
    "changes": [{"path": "/etc/docker", "what": "change", "documents": ["docker_files_enforce"]}],
    "diff": [{"path": "/etc/docker", "prepared": "--- before\n+++ after\n"}],
    "activations": [{"name": "docker", "action": "restart docker", "why": ["x"], "stops": ["db"]}],
}
RUNS = {
    "outcome": "unchanged",
    "changed": False,
    "runs": [
        {
            "run": "20261125T040000Z-1b2c3d4e",
            "outcome": "changed",
            "reason": None,
            "who": "root@a",
            "started": 1764043200.5,
            "ended": None,
            "paths": ["/etc/x"],
        }
    ],
}
BACK = {
    "outcome": "changed",
    "changed": True,
    "runs": ["20261125T040000Z-1b2c3d4e"],
    "changes": CONVERGED["changes"],
    "diff": CONVERGED["diff"],
    "activations": ["docker"],
    "notes": ["x"],
}


RELEASED = {
    **{key: CONVERGED[key] for key in ("changes", "diff", "activations", "plan", "notes", "pending")},
    "outcome": "changed",
    "changed": True,
    "run": "20261125T040000Z-1b2c3d4e",
    "kept": ["/etc/docker/daemon.json: icc was changed by others meanwhile, and stays so"],
    "left": ["auditd stays installed"],
}


class Connection:
    """One that is not shared."""

    transport = "local"

    def reset(self) -> None:
        pass


def answered(answer: Any, marker: str) -> dict[str, Any]:
    """What comes back over the connection."""
    text = json.dumps({"result": answer}, separators=(",", ":"))
    blob = base64.b64encode(zlib.compress(text.encode(), 1)).decode()
    head = json.dumps({"python": "3.11", "executable": "/usr/bin/python3"})
    return {"rc": 0, "stderr": "", "stdout": f"{marker} {head}\n{blob}\n{marker}\n"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run an action of a role against a host that gives an answer; its result, or None where it failed."""
    monkeypatch.setattr(ActionBase, "run", lambda *_, **__: {})
    monkeypatch.setattr(ActionBase, "_compute_environment_string", lambda *_, **__: "")
    monkeypatch.setattr(host_script, "bundle", lambda *, marker, **_: marker)
    monkeypatch.setattr(HostScriptAction, "_interpreters", lambda *_: ([["/usr/bin/python3"]], True))

    def work(name: str, arguments: Mapping[str, Any], answer: Any, *, check: bool = False) -> Any:
        monkeypatch.setattr(ActionBase, "validate_argument_spec", lambda *_, **__: (None, dict(arguments)))
        monkeypatch.setattr(
            HostScriptAction, "_execute", lambda _self, _command, marker: answered(answer, marker)
        )
        made = object.__new__(action(name).ActionModule)
        made._task = SimpleNamespace(check_mode=check, diff=True, delegate_to=None, _role=None, args={})
        made._connection = Connection()
        made._templar = SimpleNamespace(template=lambda value: value)
        try:
            result = made.run(None, {"inventory_hostname": "web1", "group_names": []})
        except AnsibleActionFail:
            return None
        # What Ansible would act on is what the action itself says.
        assert not {"add_host", "add_group", "ansible_stats", "invocation", "exception"} & result.keys()
        assert not [key for key in result if key.startswith("_")]
        facts = result.get("ansible_facts", {})
        assert facts.keys() <= {"discovered_interpreter_python"}
        assert len(json.dumps(result)) < 8 << 20
        return result

    return work


@cache
def findings() -> tuple[Finding, ...]:
    return tuple(
        Finding(each, Verdict(Status.FAIL, "so", "otherwise"))
        for each in catalogue.load(catalogue.DEFAULT_BENCHMARK)
    )


def planned(answer: Mapping[str, Any]) -> Outlook:
    return outlook(plan(Assessment("web1", catalogue.DEFAULT_BENCHMARK, "", findings())), changed(answer))


def changed(answer: Mapping[str, Any]) -> TransactionResult:
    return ChangeAnswer("web1", State.OK, data=answer).result


def screened() -> Console:
    return Console(file=io.StringIO(), width=100)


def test_the_allowed_impact_of_a_plan_does_not_depend_on_the_hosts_answer(run: Any, tmp_path: Path) -> None:
    arguments = {
        "documents": DOCUMENTS,
        "allow": "reload",
        "only": None,
        "spare": [],
        "plan": "",
        "on_refused": "warn",
        "socket": "",
    }
    kept = 0
    path = tmp_path / "plan.json"
    benchmark = catalogue.DEFAULT_BENCHMARK
    other = outlook(
        planned(CONVERGED).plan, changed({**CONVERGED, "allow": "connectivity", "plan": "f" * 64})
    )
    entry = json.loads(planfile.dump([other], benchmark, created=datetime.now(UTC)))["hosts"]["web1"]
    for answer in (CONVERGED, *mutations(CONVERGED, count=COUNT)):
        result = run("converge", arguments, answer, check=True)
        found = planned(result or {})
        assert found.result.allow == ("" if result is None else "reload")
        if kept < 20:  # it takes longest
            show_plan([found], screened(), benchmark=benchmark)
        list(diff_lines("web1", (result or {}).get("diff")))
        text = planfile.dump([found], benchmark, created=datetime.now(UTC))
        # Two hosts in a file, of which this is one.
        both = json.loads(text)
        both["hosts"]["web2"] = entry
        path.write_text(json.dumps(both))
        plans = planfile.load(path)
        assert plans.reviewed["web2"].allow is Impact.CONNECTIVITY
        for reviewed in [plans.reviewed["web1"]] if "web1" in plans.reviewed else []:
            assert reviewed.allow is Impact.RELOAD
            assert reviewed.variables == {"docker_files": ["docker_files_enforce"]} or not reviewed.digest
        kept += result is not None
    assert kept > COUNT / 10  # not everything is refused: extra keys, for example


def test_fields_of_a_change_that_contradict_the_request_are_ignored(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    replace_monotonic(monkeypatch, lambda: now[0])
    replace_sleep(monkeypatch, lambda _: now.append(now.pop() + 60))
    arguments = {
        "documents": DOCUMENTS,
        "allow": "reload",
        "only": None,
        "spare": [],
        "plan": "",
        "on_refused": "warn",
        "socket": "",
    }
    for answer in mutations({**CONVERGED, "outcome": "changed"}, count=COUNT):
        if isinstance(answer, dict) and answer.get("outcome") == "changed":
            result = run("converge", arguments, answer)
            assert result is None or (result["allow"], result["changed"]) == ("reload", True)


@pytest.mark.parametrize("answer", [RUNS, BACK], ids=["list", "back"])
def test_a_hostile_answer_of_a_rollback_is_refused_or_harmless(run: Any, answer: Mapping[str, Any]) -> None:
    for each in mutations(answer, count=COUNT):
        for listing in (True, False):
            result = run("rollback", {"run": "", "list": listing}, each)
            if result and listing:
                list(rollback_lines("web1", result.get("runs") or ()))
            list(diff_lines("web1", (result or {}).get("diff")))


@pytest.mark.parametrize("role", ["", "firewall"])
def test_fields_of_a_release_that_contradict_the_request_are_ignored(
    run: Any, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    now = [0.0]
    replace_monotonic(monkeypatch, lambda: now[0])
    replace_sleep(monkeypatch, lambda _: now.append(now.pop() + 60))
    arguments = {"role": role, "allow": "reload"}
    told = {"": 0, "kept": 0}
    for answer in (RELEASED, *mutations(RELEASED, count=COUNT)):
        assert (run("release", arguments, answer, check=True) or {}).get("outcome") != "changed"
        result = run("release", arguments, answer)
        if result is None:
            continue
        assert result["outcome"] != "would_change"
        if result["outcome"] in ("changed", "unchanged"):
            assert result["changed"] is (result["outcome"] == "changed")
            assert bool(result.get("failed")) is bool(result["changed"] and result.get("kept"))
        else:
            assert result["failed"]
        told["kept" if result.get("kept") else ""] += 1
        assert len(result["msg"]) < 1 << 20
        for key in ("kept", "left", "notes", "pending"):
            assert all(isinstance(note, str) for note in result.get(key) or ())
        list(diff_lines("web1", result.get("diff")))
    assert told["kept"] > COUNT / 10


def test_a_hostile_answer_of_an_image_verification_is_refused_or_harmless(run: Any) -> None:
    for each in mutations(RECORD, count=COUNT):
        if result := run("verify_images", {"policy": {}, "socket": ""}, each):
            show_images("web1", result["images"], screened())


def test_a_hostile_answer_of_a_scan_is_refused_or_harmless(run: Any) -> None:
    honest = scans.record({scans.IMAGE: scans.result(scans.OPENSSL)})
    found = 0
    for each in (honest, *mutations(honest, count=COUNT)):
        if result := run("vulnerability_scan", {}, each):
            try:
                scan = parse(result["scan"])
            except BadRecord:
                continue
            said = {"web1": Statements([]).of(scan)}
            screened().print(scan_screen({"web1": scan}, images=True, said=said, unused=()))
            found += 1
    assert found


def test_a_hostile_answer_of_an_activity_collection_is_refused_or_harmless(run: Any) -> None:
    found = 0
    for each in (ANSWER, *mutations(ANSWER, count=COUNT)):
        if result := run("activity", {"seconds": 5, "socket": "/run/docker.sock"}, each):
            try:
                heard = read("web1", result)
            except HardenerError:
                continue
            for part in screen(heard):
                screened().print(part)
            found += 1
    assert found


def test_a_snapshot_names_the_requested_host(run: Any, tmp_path: Path) -> None:
    honest = json.loads(json.dumps(snapshots.make().raw))
    arguments = {
        "dest": str(tmp_path / "snapshots"),
        "facts": ["engine", "docker.containers"],
        "policy": {"a": 1},
        "socket": "",
        "wishes": False,
    }
    for each in (honest, *mutations(honest, count=COUNT // 10)):
        if result := run("collect", arguments, each):
            assert result["snapshot"] == str(tmp_path / "snapshots" / "web1.json")
            facts = result["facts"]
            assert (facts["host"], facts["policy"], facts["inventory_groups"]) == ("web1", {"a": 1}, [])
            _is_of_web1(Path(result["snapshot"]))
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["web1.json"]


def test_an_unparsed_snapshot_names_the_requested_host(run: Any, tmp_path: Path) -> None:
    honest = json.loads(json.dumps(snapshots.make().raw))
    arguments = {"dest": str(tmp_path), "facts": [], "policy": {"a": 1}, "socket": "", "wishes": False}
    read = 0
    for each in (honest, *mutations(honest, count=COUNT // 10)):
        if result := run("collect", arguments, each):
            assert result.keys() == {"changed", "inventory_host", "ansible_facts", "snapshot"}
            read += _is_of_web1(Path(result["snapshot"]))
    assert read > 1


def _is_of_web1(path: Path) -> bool:
    """Whether a file is a snapshot: then it says what the inventory does, whatever the host says."""
    try:
        found = Snapshot.load(path)
    except HardenerError:
        return False
    assert (found.host, found.policy, found.groups) == ("web1", {"a": 1}, frozenset())
    return True
