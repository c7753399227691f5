"""A role's variables on their way to what renders its documents."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from tests.unit.plugins.loading import ROLES, action
from tests.unit.snapshots import make

MODULE = action("render")


def render(role: Path | None, known: dict[str, Any], **args: Any) -> dict[str, Any]:
    """The result of the action as a task of a role."""
    found = MODULE.ActionModule.__new__(MODULE.ActionModule)
    found._task = SimpleNamespace(
        _role=role and SimpleNamespace(_role_path=str(role), _role_collection="hardener.docker"),
        args=args,
        async_val=0,
        check_mode=False,
        diff=False,
    )
    found._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/none"))
    found._templar = SimpleNamespace(template=lambda value: {"a": 1} if value == "{{ given }}" else value)
    found.validate_argument_spec = lambda argument_spec: (None, {"beside": {}, "folders": [], **args})
    result: dict[str, Any] = found.run(task_vars=known)
    return result


def facts(**known: Any) -> dict[str, Any]:
    snapshot = make().raw
    return {"inventory_hostname": snapshot["host"], "collect_result": {"facts": snapshot}, **known}


def test_documents_are_rendered_from_the_templated_variables_of_a_role() -> None:
    result = render(
        ROLES / "kernel",
        facts(
            kernel_settings_enabled=False,
            kernel_modules_enabled=False,
            kernel_kexec_load_disabled=True,
            kernel_settings="{{ given }}",
            kernel_modules_kept=[],
            docker_daemon_icc="not ours",
        ),
        beside={"baseline": [], "module_baseline": []},
    )
    assert [each["name"] for each in result["documents"]] == ["kernel_kexec_load_disabled"]
    assert (result["changed"], result["details"]) == (False, {})


def test_files_of_folders_are_passed_to_the_renderer(tmp_path: Path) -> None:
    def refusal(path: str) -> str:
        with pytest.raises(AnsibleActionFail) as error:
            render(ROLES / "workload_profiles", facts(workload_profiles_folders=[path]), folders=[path])
        return str(error.value)

    (tmp_path / "profile.json").write_text("{}")
    assert f"{tmp_path}: proof.json is missing" in refusal(str(tmp_path))
    assert "'{{ inventory_dir }}/profiles/web'" in refusal("profiles/web")
    assert f"{tmp_path}/none cannot be read: No such file" in refusal(f"{tmp_path}/none")
    (tmp_path / "proof.json").write_bytes(b"\xff")
    assert "is not text" in refusal(str(tmp_path))
    (tmp_path / "proof.json").write_bytes(b"x" * (4 << 20))
    assert "more than 50 files or 4194304 bytes" in refusal(str(tmp_path))


def test_values_of_variables_are_not_logged() -> None:
    assert render(ROLES / "docker_files", facts(docker_files_enforce=True))["_ansible_no_log"] is True


def test_details_are_returned_for_the_tasks_of_the_role() -> None:
    names = MODULE.specification.variables(ROLES / "docker_engine")
    known = {name: option["default"] for name, option in names.items()}
    result = render(ROLES / "docker_engine", facts(**known))
    assert (result["documents"], result["details"]) == ([], {"state": "there", "packages": {}})


def test_all_wrong_variables_are_named_including_shared_ones() -> None:
    wrong = {
        "kernel_settings": "",
        "kernel_modules_kept": "a",
        "audit_rules_exclude": "b",
        "converge_defer": "no",
    }
    with pytest.raises(AnsibleActionFail) as failed:
        render(ROLES / "kernel", facts(**wrong))
    assert str(failed.value) == (
        "kernel_settings must be a mapping, but is a string;"
        " kernel_modules_kept must be a list, but is a string;"
        " converge_defer must be true or false, but is a string ('no')"
        " (write it in YAML, or as -e '{\"name\": value}'; in INI, write Python's False, 5 or ['a'])"
    )


def test_an_error_of_the_renderer_is_reported_unchanged() -> None:
    names = MODULE.specification.variables(ROLES / "firewall")
    known = {name: option["default"] for name, option in names.items()}
    with pytest.raises(AnsibleActionFail, match=r"^firewall_allow\[0\]: port is 'x'; a number"):
        render(
            ROLES / "firewall",
            facts(**{**known, "firewall_allow": [{"port": "x"}]}),
            beside={"connection_port": 22},
        )


def test_rendering_requires_a_role_with_a_renderer_and_a_snapshot(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="render must be a task of a role"):
        render(None, facts())
    with pytest.raises(AnsibleActionFail, match="no document is rendered for the role collect"):
        render(ROLES / "collect", facts())
    for absent in ({}, {"collect_result": {"skipped": True}}):
        with pytest.raises(AnsibleActionFail, match=r"collect_result.facts is missing"):
            render(ROLES / "docker_files", {**absent, "docker_files_enforce": True})


def test_the_snapshot_of_another_host_is_refused() -> None:
    known = {"inventory_hostname": "cache01", "docker_files_enforce": True}
    with pytest.raises(
        AnsibleActionFail, match=r"^collect_result.facts belongs to the host .* not to 'cache01'"
    ):
        render(ROLES / "docker_files", facts(**known))


def test_documents_name_their_host() -> None:
    known = facts(docker_files_enforce=True)
    (document,) = render(ROLES / "docker_files", known)["documents"]
    assert document["host"] == known["inventory_hostname"]
