from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import PolicyError
from ansible_collections.hardener.docker.plugins.module_utils.trust.policy import Policy, parse

NOTHING = {"prefix": "r.example.com", "nothing": True}
PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
SECRET = (
    "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
)
EXCEPTION = {"image": "r.example.com/old:*", "reason": "soon", "expires": "2026-12-31"}


def policy(*rules: dict[str, Any], exceptions: Any = None) -> Policy:
    return parse({"registries": list(rules), "exceptions": exceptions or []})


def test_a_repository_gets_the_rule_with_the_longest_matching_path_prefix() -> None:
    found = policy(
        NOTHING,
        {"prefix": "r.example.com/team", "keys": [PEM]},
        {"prefix": "docker.io/library", "nothing": True},
    )
    rules = {
        name: rule.prefix if (rule := found.rule(name)) else None
        for name in (
            "r.example.com/x",
            "r.example.com/team",
            "r.example.com/team/app",
            "r.example.com/teams",
            "r.example.com.evil.org/x",
            "docker.io/library/nginx",
            "docker.io/evil/nginx",
        )
    }
    assert rules == {
        "r.example.com/x": "r.example.com",
        "r.example.com/team": "r.example.com/team",
        "r.example.com/team/app": "r.example.com/team",
        "r.example.com/teams": "r.example.com",
        "r.example.com.evil.org/x": None,
        "docker.io/library/nginx": "docker.io/library",
        "docker.io/evil/nginx": None,
    }


@pytest.mark.parametrize(
    ("names", "today", "exempt"),
    [
        (["r.example.com/old:1"], "2026-12-31", True),
        (["r.example.com/old:1"], "2027-01-01", False),
        (["sha256:1", "r.example.com/new:1"], "2026-12-01", False),
    ],
)
def test_an_exception_ends_after_its_last_day(names: list[str], today: str, exempt: bool) -> None:
    assert bool(policy(exceptions=[EXCEPTION]).exemption(names, today)) is exempt


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "must be an object"),
        ({"registry": []}, "must be an object"),
        ({"registries": {}}, None),
        ({"registries": "x"}, "must be a list"),
        ({"registries": ["x"]}, "must be a list"),
        ({"registries": [{"prefix": "r.example.com"}]}, r"registries\[0\] must have exactly one of"),
        ({"registries": [{**NOTHING, "keys": [PEM]}]}, "must have exactly one of"),
        ({"registries": [{"prefix": "r.example.com", "nothing": "false"}]}, "nothing must be true"),
        ({"registries": [{**NOTHING, "key": "a"}]}, "unknown key key"),
        ({"registries": [{"prefix": "r.example.com", "keys": "a"}]}, "keys must be a list"),
        ({"registries": [{"prefix": "r.example.com", "keys": [PEM], "need": "most"}]}, "any or all"),
        ({"registries": [{"prefix": "r.example.com", "keys": ["cosign.pub"]}]}, "not names of files"),
        ({"registries": [{"prefix": "r.example.com", "keys": [SECRET]}]}, "must be public keys in PEM"),
        ({"registries": [{"prefix": "r.example.com", "keys": [PEM, PEM.strip()]}]}, "has a key twice"),
        ({"registries": [{"prefix": "r.example.com", "digests": ["sha256:1"]}]}, "digests must be"),
        ({"registries": [{"prefix": "a b", "nothing": True}]}, "prefix: 'a b' is no"),
        ({"registries": [NOTHING, {"prefix": "r.example.com/", "nothing": True}]}, "is listed twice"),
        ({"exceptions": [{**EXCEPTION, "expires": "soon"}]}, "must be a date"),
        ({"exceptions": [{**EXCEPTION, "expires": "9999-99-99"}]}, "must be a date"),
        ({"exceptions": [{**EXCEPTION, "image": "*"}]}, "would match every image"),
        ({"exceptions": [{"image": "x"}]}, r"exceptions\[0\]\.reason"),
    ],
)
def test_an_invalid_policy_is_refused(data: Any, why: str | None) -> None:
    if why is None:
        assert parse(data).rules == ()
    else:
        with pytest.raises(PolicyError, match=why):
            parse(data)


def test_line_ends_do_not_change_a_key() -> None:
    written = PEM.strip().replace("\n", "\r\n")
    assert policy({"prefix": "r.example.com", "keys": [written]}).rules[0].keys == (PEM,)


def test_the_hash_of_a_policy_depends_on_its_content_only() -> None:
    assert policy(NOTHING).digest == policy(NOTHING).digest
    assert policy(NOTHING).digest != policy({**NOTHING, "prefix": "r.example.org"}).digest
