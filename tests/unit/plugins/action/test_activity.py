"""What comes back from a host that has listened: what it heard, and nothing that Ansible would act on."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from tests.unit.activity_answers import ANSWER
from tests.unit.plugins.loading import action


def told(answer: Any) -> Any:
    return action("activity")._expected_fields(answer)


def test_a_valid_answer_is_returned_unchanged() -> None:
    assert told(ANSWER) == ANSWER


def test_other_keys_of_the_answer_are_dropped() -> None:
    evil = {
        "add_host": {"host_name": "x"},
        "ansible_facts": {"x": 1},
        "failed": False,
        "_ansible_no_log": True,
    }
    assert told({**ANSWER, **evil}) == ANSWER


@pytest.mark.parametrize("answer", [None, [], {}, "x", {"began": 1}])
def test_a_malformed_answer_fails(answer: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="no record of its activity"):
        told(answer)
