"""Security options are split as the engine does it."""

from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.security_options import split, value


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("seccomp=unconfined", ("seccomp", "unconfined")),
        ("apparmor:own", ("apparmor", "own")),
        ("label=type:svirt_t", ("label", "type:svirt_t")),
        ('seccomp={"a": "b=c"}', ("seccomp", '{"a": "b=c"}')),
        ("no-new-privileges", ("no-new-privileges", "true")),
        ("no-new-privileges:false", ("no-new-privileges", "false")),
        ("seccomp=", ("seccomp", "")),
    ],
)
def test_an_option_has_a_kind_and_a_value(option: str, expected: tuple[str, str]) -> None:
    assert split(option) == expected


def test_the_last_option_of_a_kind_is_effective() -> None:
    host = {"SecurityOpt": ["seccomp=unconfined", "label=disable", "seccomp={}"]}
    assert value(host, "seccomp") == "{}"
    assert value(host, "apparmor") == value({"SecurityOpt": None}, "seccomp") == ""
