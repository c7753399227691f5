"""The command of a connection beside Ansible's own, from the options of the connection."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.plugin_utils.ssh_command import ssh_command

USUAL: dict[str, Any] = {
    "ssh_executable": "ssh",
    "ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
    "ssh_common_args": "-F none",
    "ssh_extra_args": "",
    "host": "web1",
    "host_key_checking": True,
    "password": None,
    "port": None,
    "private_key_file": None,
    "remote_user": None,
    "timeout": 10,
}


def connection(**options: Any) -> Any:
    return SimpleNamespace(transport="ssh", get_option={**USUAL, **options}.get)


def settings(**options: Any) -> dict[str, str]:
    """What ssh makes of the command: its own account of its settings."""
    program, *words = ssh_command(connection(**options))
    told = subprocess.run([program, "-G", *words], check=True, capture_output=True, text=True).stdout
    return dict(each.split(" ", 1) for each in told.splitlines() if " " in each)


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ({}, "host", "web1"),
        ({"ssh_args": "-o HashKnownHosts=yes"}, "hashknownhosts", "yes"),
        ({}, "controlmaster", "false"),
        ({"ssh_args": "-S /tmp/shared"}, "controlpath", None),
        ({"ssh_extra_args": "-S /tmp/shared"}, "controlpath", None),
        ({"ssh_common_args": "-o ControlPath=/tmp/shared"}, "controlpath", None),
        ({}, "controlpersist", "no"),
        ({}, "batchmode", "yes"),
        ({}, "serveraliveinterval", "5"),
        ({}, "connecttimeout", "10"),
        ({"port": 2222}, "port", "2222"),
        ({"remote_user": "some one"}, "user", "some one"),
        ({"private_key_file": "/my keys/id"}, "identityfile", "/my keys/id"),
        ({"host_key_checking": False}, "stricthostkeychecking", "false"),
        ({"ssh_common_args": "-F none -o 'ProxyCommand=nc -X 5 %h %p'"}, "proxycommand", "nc -X 5 %h %p"),
        ({"ssh_extra_args": "-o ForwardAgent=yes"}, "forwardagent", "yes"),
    ],
)
def test_ssh_gets_each_option_of_the_connection(options: dict[str, Any], key: str, value: str | None) -> None:
    assert settings(**options).get(key) == value


def test_a_connection_to_this_machine_needs_no_command() -> None:
    assert ssh_command(SimpleNamespace(transport="local")) == []


@pytest.mark.parametrize(
    ("unusable", "reason"),
    [
        (SimpleNamespace(transport="paramiko"), "by ssh only: the connection is paramiko"),
        (connection(password="planted-secret"), "private_key_file: the connection uses a password"),
        (connection(private_key="planted-secret"), "private_key_file: the connection uses private_key"),
        (connection(pkcs11_provider="planted-secret"), "the connection uses pkcs11_provider"),
    ],
)
def test_a_connection_without_a_command_is_refused(unusable: Any, reason: str) -> None:
    with pytest.raises(AnsibleActionFail, match=reason) as raised:
        ssh_command(unusable)
    assert "planted-secret" not in str(raised.value)
