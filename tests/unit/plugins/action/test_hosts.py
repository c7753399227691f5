from __future__ import annotations

from typing import Any

from tests.unit.plugins.loading import action


def test_hosts_are_listed_in_order_with_their_sorted_groups() -> None:
    made: Any = object.__new__(action("hosts").ActionModule)
    made._task = type("Task", (), {"args": {}, "async_val": 0, "check_mode": False, "diff": False})()
    made._connection = type("Connection", (), {"_shell": type("Shell", (), {"tmpdir": "/none"})()})()
    groups = {"all": ["a", "b", "new"], "web": ["b", "other"], "edge": ["b"], "ungrouped": ["a"]}
    known = {"ansible_play_hosts_all": ["b", "a", "new"], "groups": groups}
    result = made.run(task_vars=known)
    assert result == {"changed": False, "hosts": {"b": ["edge", "web"], "a": ["ungrouped"], "new": []}}
    assert list(result["hosts"]) == ["b", "a", "new"]
