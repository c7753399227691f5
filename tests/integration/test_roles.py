"""Every role by plain ansible-playbook: what it renders, from the variables that Ansible gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.playing import keeping, play
from tests.unit.plugins.loading import LIBRARY, ROLES, render
from tests.unit.snapshots import recorded

PROTECTIONS = sorted(path.stem for path in (LIBRARY / "render").glob("*.py") if (ROLES / path.stem).is_dir())
PROTECTIONS.remove("docker_engine")  # which leaves no document for later
BESIDE: dict[str, dict[str, Any]] = {
    "docker_daemon": {"host": "web1", "address": ""},
    "firewall": {"connection_port": 0},
    "kernel": {
        name.removeprefix("kernel_"): table
        for name, table in yaml.safe_load((ROLES / "kernel/vars/main.yml").read_text()).items()
    },
    "seccomp": {"content": ""},
    "security_updates": {"allow": "daemon-restart"},
}


def documents(role: str, snapshot: Mapping[str, Any], **variables: Any) -> list[dict[str, Any]]:
    """What the renderer of a role says itself."""
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    own = {name.removeprefix(f"{role}_"): value for name, value in defaults.items()}
    found: list[dict[str, Any]] = render(role).documents(
        snapshot, {**own, **BESIDE.get(role, {}), **variables}
    )
    return found


def told(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the host gets of a document."""
    return {key: value for key, value in document.items() if key not in ("asked", "host")}


def test_every_role_collects_its_documents_for_one_transaction(tmp_path: Path) -> None:
    snapshot = recorded("debian-13").raw
    secret = "xoxb-1234-secret"
    steps = {
        "vars": {
            "converge_defer": True,
            "level": "warn",
            "docker_daemon_log_level": "{{ level }}",
            "docker_daemon_log_opts": {"token": secret},
        },
        "roles": ["hardener.docker.converge", *(f"hardener.docker.{role}" for role in PROTECTIONS)],
        "tasks": keeping("converge_pending", tmp_path / "pending.json"),
    }
    # In check mode, since packages that this machine lacks would be installed otherwise.
    extra = json.dumps({"kernel_modules_kept": ["can"]})
    ended = play(tmp_path, snapshot, [steps], "--check", "-v", "-e", extra, hosts={"web1": {}})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    changed: dict[str, dict[str, Any]] = {
        "docker_daemon": {"log_level": "warn", "log_opts": {"token": secret}},
        "kernel": {"modules_kept": ["can"]},
    }
    pending = json.loads((tmp_path / "pending.json").read_text())
    wanted = [each for role in PROTECTIONS for each in documents(role, snapshot, **changed.get(role, {}))]
    assert [told(each) for each in pending] == [told(each) for each in wanted]
    named = {"docker_daemon", "docker_daemon_log_driver", "docker_daemon_log_level", "kernel_modules_enabled"}
    assert {each["name"] for each in pending if each["asked"]} == named
    rendering = ended.stdout.split(" : Render the documents] ")[1:]
    assert len(rendering) == len(PROTECTIONS)
    for said in rendering:
        assert '"censored"' in said.partition("TASK [")[0]


def test_only_documents_of_controls_and_of_the_inventory_are_applied(tmp_path: Path) -> None:
    """Defaults of roles and variables of plays are no wishes; a wish of another host neither."""
    steps = {
        "vars": {
            "converge_defer": True,
            "converge_only": ["kernel_settings_enabled"],
            "converge_wishes": {
                "inventory": "/srv/hosts.yml",
                "roles": {"web1": ["docker_daemon"]},
                "guarded": {
                    "web1": {"docker_daemon_icc": {"reason": "it weakens 2.2", "only_default": True}}
                },
            },
            "docker_daemon_log_level": "warn",
        },
        "roles": ["hardener.docker.converge", *(f"hardener.docker.{role}" for role in PROTECTIONS)],
        "tasks": keeping("converge_pending", tmp_path / "{{ inventory_hostname }}.json"),
    }
    hosts: dict[str, dict[str, Any]] = {
        "web1": {"docker_daemon_log_opts": {"max-size": "33m"}, "docker_daemon_icc": True},
        "web2": {"firewall_allow": [{"port": 9100}], "audit_rules_exclude": ["/usr/bin/runc"]},
    }
    snapshot: dict[str, Any] = json.loads(json.dumps(recorded("debian-13").raw))
    in_force: dict[str, Any] = {
        "runs": [],
        "unfinished": None,
        "in_force": ["firewall_inbound"],
        "wishes": {},
    }
    snapshot["sources"]["hardener.runs"] = {"state": "ok", "ms": 1, "data": in_force}
    ended = play(tmp_path, snapshot, [steps], "--check", hosts=hosts)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = {host: json.loads((tmp_path / f"{host}.json").read_text()) for host in hosts}
    names = {host: {each["name"]: "wish" in each for each in pending} for host, pending in found.items()}
    assert names == {
        "web1": {
            "kernel_settings_enabled": False,
            "docker_daemon": False,
            "docker_daemon_icc": True,
            "docker_daemon_log_driver": True,
        },
        # A note: its variable has no effect.
        "web2": {"kernel_settings_enabled": False, "audit_rules": False, "firewall_inbound": True},
    }
    refused = {each["name"]: each["refused"] for each in found["web1"] if "refused" in each}
    assert refused == {"docker_daemon_icc": "it weakens 2.2"}


REFUSED = "docker_daemon_icc: the engine's command line sets --icc true"
NAMED = {"docker_daemon_icc": False}
# Host to how a play for it names the variable, beside the inventory's own ways.
ORIGINS: dict[str, dict[str, Any]] = {
    "default": {},
    "inventory": {},
    "group-vars": {},
    "play-vars": {"vars": NAMED},
    "vars-files": {"vars_files": ["site.yml"]},
    "role-parameter": {"role": NAMED},
    "role-vars": {"role": {"vars": NAMED}},
    "set-fact": {"pre_tasks": [{"name": "Name", "set_fact": NAMED}]},
    "policy": {"vars": {"hardener_policy": NAMED}},
    "another-variable": {"vars": {"docker_daemon_log_level": "warn"}},
    "goes-on": {"vars": {**NAMED, "converge_on_refused": "warn"}},
}
PASSING = {"default", "another-variable", "goes-on"}


def refusing() -> dict[str, Any]:
    """A host whose engine is told on its command line what the role wants otherwise in its file."""
    raw: dict[str, Any] = json.loads(json.dumps(recorded("debian-13").raw))
    raw["sources"]["daemon.config"]["data"]["declared"]["icc"] = {"value": True, "origin": "--icc"}
    return raw


def naming(host: str, more: Mapping[str, Any], *, goes_on: bool = False) -> dict[str, Any]:
    """A play that looks at the one document of the role on a host, and changes nothing there."""
    wanted = {
        "documents": "{{ converge_pending }}",
        "only": ["docker_daemon_icc"],
        "on_refused": "{{ converge_on_refused }}",
    }
    role = {"role": "hardener.docker.docker_daemon", **more.get("role", {})}
    return {
        "hosts": host,
        **{key: value for key, value in more.items() if key != "role"},
        "vars": {"converge_defer": True, **more.get("vars", {})},
        "roles": ["hardener.docker.converge", role],
        # A play that has no hosts left would end the run.
        "tasks": [{"name": "Converge", "hardener.docker.converge": wanted, "ignore_errors": goes_on}],
    }


def failed(stdout: str) -> dict[str, str]:
    """Hosts that failed, and what the task said."""
    return dict(re.findall(r"^fatal: \[([\w-]+)\]: FAILED! => (.*)$", stdout, re.MULTILINE))


@pytest.mark.slow
def test_a_refused_document_fails_the_task_wherever_the_site_has_set_its_variable(tmp_path: Path) -> None:
    hosts: dict[str, dict[str, Any]] = {host: {} for host in ORIGINS}
    hosts["inventory"] = NAMED
    (tmp_path / "site.yml").write_text(json.dumps(NAMED))
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "group-vars.yml").write_text(json.dumps(NAMED))
    plays = [naming(host, more, goes_on=True) for host, more in ORIGINS.items()]
    ended = play(tmp_path, refusing(), plays, "--check", hosts=hosts)
    found = failed(ended.stdout)
    assert set(found) == set(ORIGINS) - PASSING, ended.stdout + ended.stderr
    for said in found.values():
        assert json.loads(said)["msg"].startswith(
            f"requested, and refused by the host (converge_on_refused: warn continues): {REFUSED}"
        )
    assert f"[WARNING]: refused: {REFUSED}" in ended.stderr


def test_a_refused_document_that_an_extra_variable_requests_fails_its_host(tmp_path: Path) -> None:
    hosts: dict[str, dict[str, Any]] = {"default": {}, "goes-on": {}}
    plays = [naming(host, ORIGINS[host]) for host in ("goes-on", "default")]
    ended = play(tmp_path, refusing(), plays, "--check", "-e", json.dumps(NAMED), hosts=hosts)
    assert (ended.returncode, list(failed(ended.stdout))) == (2, ["default"]), ended.stdout + ended.stderr


def test_a_refused_document_is_in_the_result_of_a_planned_run_instead_of_failing_the_task(
    tmp_path: Path,
) -> None:
    """With a plan of hardener's, the task goes on, and its result has the refusal."""
    plan = {"web1": {"docker_daemon": ["docker_daemon_icc"]}}
    wanted = {
        "documents": [{"name": "docker_daemon_icc", "refused": "no", "asked": True}],
        "on_refused": "{{ 'warn' if harden_plan is defined else converge_on_refused }}",
    }
    tasks = [
        {"name": "Change", "hardener.docker.converge": wanted, "register": "changed"},
        *keeping("changed", tmp_path / "changed.json"),
    ]
    steps = {"roles": ["hardener.docker.converge"], "tasks": tasks}
    extra = json.dumps({"harden_plan": plan})
    ended = play(tmp_path, refusing(), [steps], "--check", "-e", extra, hosts={"web1": {}})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (document,) = json.loads((tmp_path / "changed.json").read_text())["documents"]
    assert (document["name"], document["state"], document["reason"]) == ("docker_daemon_icc", "refused", "no")
