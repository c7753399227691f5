"""Refuse answers and results of a host that hold too much, or are nested too deeply.

Not a plugin: ``host_script`` measures the answers of our programs, ``limits`` the results of all other tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail

from ..module_utils.host import limited_json

ANSWER = 64 << 20  # bytes of JSON in an unpacked answer: a thousand containers need twenty million
VALUES = 2_000_000  # values in it
RESULT_VALUES = 1_000_000  # values of a task's result, which is sent to Ansible's main process
RESULT_CHARACTERS = 32 << 20  # characters of its texts
LEVELS = 100  # levels of nesting: a worker that cannot pickle its result ends the run of all hosts
TOLD = 7 << 20  # bytes of a result that hardener shows: ansible-runner drops larger ones (MAX_EVENT_RES)


def see_it_fits(result: Any, *, values: int = RESULT_VALUES, characters: int = RESULT_CHARACTERS) -> None:
    """Refuse a result that would cost the receiving processes too much time or memory.

    Raises:
        AnsibleActionFail: it has too many values, too much text, or is nested too deeply.
    """
    if not limited_json.is_flat(result, LEVELS):
        raise AnsibleActionFail(f"the host's answer is nested more than {LEVELS} levels deep")
    waiting = [result]
    while waiting:
        value = waiting.pop()
        values -= 1
        if isinstance(value, Mapping):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        elif isinstance(value, str | bytes):
            characters -= len(value)
        if len(waiting) > values or characters < 0:
            raise AnsibleActionFail("the host's answer is too large for a result")


def see_it_can_be_told(result: Any) -> None:
    """Refuse a result that is too large to be displayed.

    Raises:
        AnsibleActionFail: it is.
    """
    see_it_fits(result)
    if len(json.dumps(result)) > TOLD:
        raise AnsibleActionFail(f"the host's answer is too large for a result: at most {TOLD} characters")


def see_it_parses(text: bytes) -> None:
    """Refuse JSON that would need far more memory parsed than as text, before parsing it.

    Marks inside strings count too: the limit leaves room for that.

    Raises:
        AnsibleActionFail: it has too many values.
    """
    if limited_json.values(text) > VALUES:
        raise AnsibleActionFail(f"the host's answer has more than {VALUES} values")
