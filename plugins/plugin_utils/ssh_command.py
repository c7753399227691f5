"""Make the ssh command for a connection beside those of Ansible."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail

# For a connection that is not shared with others, and that ends if the host no longer answers.
SEPARATE = (
    "-o ControlMaster=no -o ControlPath=none -o ControlPersist=no"
    " -o ServerAliveInterval=5 -o ServerAliveCountMax=4"
)
_KEY = "ports can be forwarded only with the key of an agent or of ansible_ssh_private_key_file"


def ssh_command(connection: Any) -> list[str]:
    """Return the command that connects as a connection does, with the host as its last word.

    Args:
        connection: Ansible's connection to the host.

    Returns:
        Its words; none for a connection to this machine.

    Raises:
        AnsibleActionFail: it is another kind of connection, or it needs a password.
    """
    if connection.transport == "local":
        return []
    if connection.transport != "ssh":
        raise AnsibleActionFail(
            f"ports can be forwarded by ssh only: the connection is {connection.transport}"
        )
    option = connection.get_option
    if option("password"):
        raise AnsibleActionFail(f"{_KEY}: the connection uses a password")
    for name in ("private_key", "pkcs11_provider"):
        with suppress(KeyError):  # ansible-core before 2.19 does not have it
            if option(name):
                raise AnsibleActionFail(f"{_KEY}: the connection uses {name}")
    words = [option("ssh_executable"), *SEPARATE.split(), *shlex.split(option("ssh_args") or "")]
    if option("host_key_checking") is False:
        words += ["-o", "StrictHostKeyChecking=no"]
    key_file = option("private_key_file")
    for key, value in (
        ("Port", option("port")),
        ("IdentityFile", Path(key_file).expanduser() if key_file else ""),
        ("User", option("remote_user")),
        ("ConnectTimeout", option("timeout")),
        ("BatchMode", "yes"),
    ):
        words += ["-o", f'{key}="{value}"'] if value else []
    for name in ("ssh_common_args", "ssh_extra_args"):
        words += shlex.split(option(name) or "")
    return [*words, "-S", "none", option("host")]  # the last -S counts: -S and -M above would share
