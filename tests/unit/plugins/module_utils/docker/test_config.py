from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.config import parse_flags


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        (["--config-file", "/opt/d.json"], {"config-file": ["/opt/d.json"]}),
        (["--config-file=/opt/d.json"], {"config-file": ["/opt/d.json"]}),
        (["--storage-opt", "dm.basesize=50G"], {"storage-opt": ["dm.basesize=50G"]}),
        (
            ["-H", "fd://", "-H=tcp://0.0.0.0:2375", "-Hunix://"],
            {"host": ["fd://", "tcp://0.0.0.0:2375", "unix://"]},
        ),
        (["--icc=false", "--icc"], {"icc": ["false", "true"]}),
        (
            ["-D", "-l", "debug", "-G", "staff"],
            {"debug": ["true"], "log-level": ["debug"], "group": ["staff"]},
        ),
        (["-DH", "fd://"], {"debug": ["true"], "host": ["fd://"]}),
        (["-D=false"], {"debug": ["false"]}),
        (["--label", "--icc"], {"label": ["--icc"]}),
        (["--tlscacert", ""], {"tlscacert": [""]}),
        (["--data-root"], {"data-root": [""]}),
        (["--apparmor-profile", "x", "-r"], {"apparmor-profile": ["x"], "restart": ["true"]}),
    ],
)
def test_both_forms_of_a_flags_value_are_parsed(arguments: list[str], flags: dict[str, list[str]]) -> None:
    assert parse_flags(arguments) == (flags, [])


def test_a_switch_does_not_consume_the_next_argument() -> None:
    assert parse_flags(["--icc", "false"]) == ({"icc": ["true"]}, ["false"])


def test_an_unknown_flag_is_reported_and_consumes_nothing() -> None:
    flags, unknown = parse_flags(["--future-thing", "--icc=false", "-x", "--", "--debug"])
    assert flags == {"icc": ["false"]}
    assert unknown == ["--future-thing", "-x", "--debug"]
