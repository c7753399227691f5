from __future__ import annotations

from ansible_collections.hardener.docker.plugins.filter.groups_of import groups_of


def test_only_the_given_hosts_get_a_list_of_their_groups() -> None:
    groups = {"web": ["b", "c"], "all": ["a", "b", "c"], "edge": ["b"], "ungrouped": ["a"], "empty": []}
    found = groups_of(["b", "a", "new"], groups)
    assert list(found.items()) == [("b", ["edge", "web"]), ("a", ["ungrouped"]), ("new", [])]
