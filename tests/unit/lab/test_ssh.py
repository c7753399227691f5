from __future__ import annotations

import shlex
from pathlib import Path

from hardener.lab import ssh


def command(*argv: str) -> list[str]:
    return ssh.command(
        user="root", port=2222, user_key=Path("/k/id"), known_hosts=Path("/k/known_hosts"), argv=argv
    )


def test_the_users_known_hosts_are_ignored() -> None:
    words = command("true")
    assert words[:3] == ["ssh", "-F", "/dev/null"]
    assert "StrictHostKeyChecking=yes" in words
    assert "UserKnownHostsFile=/k/known_hosts" in words
    assert "GlobalKnownHostsFile=/dev/null" in words


def test_arguments_reach_the_guest_unchanged() -> None:
    hostile = ("printf", "%s", "a b; rm -rf / $(id) 'q' \"d\" `x` \n", "-o", "")
    words = command(*hostile)
    assert words[-2] == "--"
    assert tuple(shlex.split(words[-1])) == hostile
