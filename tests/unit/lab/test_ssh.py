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


def test_without_a_command_ssh_opens_a_shell() -> None:
    assert command()[-1] == "root@127.0.0.1"


def test_known_hosts_bind_the_key_to_the_port(tmp_path: Path) -> None:
    (tmp_path / "host.pub").write_text("ssh-ed25519 AAAA guest\n")
    ssh.write_known_hosts(tmp_path / "known_hosts", port=2222, host_key=tmp_path / "host")
    assert (tmp_path / "known_hosts").read_text() == "[127.0.0.1]:2222 ssh-ed25519 AAAA guest\n"
