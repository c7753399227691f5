from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.plugin_utils.own_host import require_own

from tests.unit.plugins.loading import action


def test_data_of_the_host_at_work_is_accepted() -> None:
    require_own({"inventory_hostname": "web1"}, {"host": "web1"}, "it")


@pytest.mark.parametrize("data", [{"host": "web2"}, {"host": None}, {"host": ""}, {}])
def test_data_of_another_host_or_of_none_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(AnsibleActionFail, match=r"^it belongs to the host .*, not to 'web1'"):
        require_own({"inventory_hostname": "web1"}, data, "it")


def test_a_document_of_another_host_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})
    made = object.__new__(action("converge").ActionModule)
    documents = [{"name": "a", "host": "web1"}, {"name": "b"}, {"name": "c", "host": "web2"}]
    made._task = SimpleNamespace(args={})
    made.validate_argument_spec = lambda **_: (None, {"documents": documents, "only": None})
    made.run_script = lambda *_, **__: pytest.fail("the host was asked")
    with pytest.raises(AnsibleActionFail, match="the document c belongs to the host 'web2', not to 'web1'"):
        made.run(task_vars={"inventory_hostname": "web1"})
