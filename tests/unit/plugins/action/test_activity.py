"""What comes back from a host that has listened: what it heard, and nothing that Ansible would act on."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from tests.unit.activity.answers import ANSWER
from tests.unit.plugins.loading import action


def told(answer: Any) -> Any:
    return action("activity")._told(answer)


def test_what_was_heard_comes_through() -> None:
    assert told(ANSWER) == ANSWER


def test_nothing_else_of_it_becomes_a_result() -> None:
    evil = {
        "add_host": {"host_name": "x"},
        "ansible_facts": {"x": 1},
        "failed": False,
        "_ansible_no_log": True,
    }
    assert told({**ANSWER, **evil}) == ANSWER


@pytest.mark.parametrize("answer", [None, [], {}, "x", {"began": 1}])
def test_what_is_no_answer_is_none(answer: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="no record of its activity"):
        told(answer)
