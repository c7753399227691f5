"""What comes back from a host that verified its images: a record, and nothing that Ansible would act on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plugins.loading import action
from tests.unit.plugins.module_utils.render.records import CONTAINER, IMAGE, RECORD


def shaped(answer: Any) -> Any:
    return action("verify_images")._expected_fields(answer)


def test_a_valid_record_is_returned_unchanged() -> None:
    assert shaped(RECORD) == RECORD


def test_other_keys_of_the_answer_are_dropped() -> None:
    image = {**IMAGE, "add_host": {}, "containers": [{**CONTAINER, "ansible_facts": {}}]}
    assert shaped({**RECORD, "images": [image], "ansible_facts": {"x": 1}, "add_host": {}}) == RECORD


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {**RECORD, "images": 7},
        {**RECORD, "images": [7]},
        {**RECORD, "images": [{}] * 10_001},
        {**RECORD, "elapsed_ms": float("inf")},
    ],
)
def test_a_malformed_record_is_an_error(answer: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        shaped(answer)
