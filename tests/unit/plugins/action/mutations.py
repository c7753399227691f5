"""Change answers of hosts at random: types, sizes, nesting, control characters, keys that Ansible acts on."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

SEED = 20261127
WORDS: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    10**30,
    10**400,
    1e300,
    -0.5,
    "",
    "reboot",
    "changed",
    "\x1b[2J\u202e\x00",
    "{{ lookup('pipe', 'id') }}",
    "\ud800",
    "x" * 5000,
    "../../../etc/passwd",
    "9" * 500,
    [],
    {},
    [[[[[]]]]],
    [{}] * 50,
    [None, 1, "a", {}],
    {"add_host": {"host_name": "other", "host_vars": {"ansible_connection": "local"}}},
    {"ansible_facts": {"ansible_connection": "local"}},
    {"path": 1, "name": [], "state": {}},
)
KEYS: dict[str, Any] = {
    "add_host": {"host_name": "other", "host_vars": {"ansible_connection": "local"}},
    "add_group": "all",
    "ansible_facts": {"ansible_connection": "local", "converge_allow": "reboot"},
    "ansible_stats": {"data": {"x": 1}, "per_host": False},
    "_ansible_no_log": True,
    "_ansible_verbose_override": True,
    "allow": "reboot",
    "failed": False,
    "changed": True,
    "skipped": True,
    "unreachable": True,
    "snapshot": "/etc/passwd",
    "host": "other",
    "invocation": {},
    "exception": "x",
    "results": [{"add_host": {}}],
    "outcome": "changed",
    "msg": "\x1b[2J",
}


def mutations(answer: Any, *, count: int) -> Iterator[Any]:
    """Variants of an answer, the same ones every time."""
    chance = random.Random(SEED)
    for _ in range(count):
        changed = copy.deepcopy(answer)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            changed = _mutated(changed, chance)
        yield changed


def _mutated(value: Any, chance: random.Random) -> Any:
    places = list(_places(value))
    if not places or chance.random() < 0.05:
        return copy.deepcopy(chance.choice(WORDS))
    # The same number of changes near the top as far below it.
    depth = chance.choice(sorted({len(place) for place in places}))
    *way, last = chance.choice([place for place in places if len(place) == depth])
    inner = value
    for key in way:
        inner = inner[key]
    kind = chance.random()
    if kind < 0.5:
        inner[last] = copy.deepcopy(chance.choice(WORDS))
    elif kind < 0.7:
        del inner[last]
    elif kind < 0.85 and isinstance(inner, dict):
        name = chance.choice(list(KEYS))
        inner[name] = copy.deepcopy(KEYS[name])
    elif isinstance(inner, list):
        inner.extend(copy.deepcopy(inner) * chance.choice((1, 20)))
    else:
        inner[last] = [copy.deepcopy(inner[last])]
    return value


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield (*way, key)
        yield from _places(inner, (*way, key))
