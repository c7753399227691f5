"""What ansible-playbook 2.19 printed when it stopped early, and the line we make of it."""

from __future__ import annotations

import pytest

from hardener.errors import ExitCode, InternalError
from hardener.fleet.failure import failure

UNPARSED = """\
[WARNING]: Failed to parse inventory with 'auto' plugin: YAML parsing failed: Colons in unquoted.

Failed to parse inventory with 'auto' plugin.

<<< caused by >>>

YAML parsing failed: Colons in unquoted.
Origin: /i/bad.yml:1:5

1 a: b: c
      ^ column 5

[WARNING]: Failed to parse inventory with 'yaml' plugin: YAML parsing failed: Colons in unquoted.
Origin: <inventory plugin 'yaml' with source '/i/bad.yml'>

[WARNING]: Failed to parse inventory with 'ini' plugin: Failed to parse inventory: Invalid host pattern 'a:'
Origin: /i/bad.yml

[ERROR]: Completely failed to parse inventory source /i/bad.yml
"""
UNFIT = """\
[WARNING]: Failed to parse inventory with 'auto' plugin: no root 'plugin' key found, '/i/a.yml' is not valid

Failed to parse inventory with 'auto' plugin.

[WARNING]: Failed to parse inventory with 'yaml' plugin: Host pattern 1 must be a string.
Origin: <inventory plugin 'yaml' with source '/i/a.yml'>

[WARNING]: Failed to parse inventory with 'ini' plugin: Failed to parse inventory: Invalid host pattern 'all:'
Origin: /i/a.yml

[ERROR]: Completely failed to parse inventory source /i/a.yml
"""
SCRIPT = """\
[WARNING]: Failed to parse inventory with 'script' plugin: Inventory script returned non-zero exit code 1.
Origin: <inventory plugin 'script' with source '/i/cloud.py'>

[WARNING]: Failed to parse inventory with 'ini' plugin: Failed to parse inventory: Expected key=value
Origin: /i/cloud.py

[ERROR]: Completely failed to parse inventory source /i/cloud.py
"""
NO_SCRIPT = SCRIPT.replace(
    "Inventory script returned non-zero exit code 1", "[Errno 8] Exec format error: '/i/x'"
)
USAGE = """\
usage: ansible-playbook [-h] [--version] [-v]
                        playbook [playbook ...]
ansible-playbook: error: argument -l/--limit: expected one argument
"""
ORIGIN = """\
[ERROR]: YAML parsing failed: This may be a mismatched quote.
Origin: /i/group_vars/all.yml:3:7

3 hardener_policy: "x
        ^ column 7
"""


@pytest.mark.parametrize(
    ("printed", "message", "hint"),
    [
        (
            UNPARSED,
            "cannot read inventory /i/bad.yml: YAML parsing failed: Colons in unquoted (/i/bad.yml:1:5)",
            "",
        ),
        (
            UNPARSED.replace("bad.yml", "hosts"),
            "cannot read inventory /i/hosts: Failed to parse inventory: Invalid host pattern 'a:'",
            "",
        ),
        (UNFIT, "cannot read inventory /i/a.yml: Host pattern 1 must be a string", ""),
        (SCRIPT, "cannot read inventory /i/cloud.py: Inventory script returned non-zero exit code 1", ""),
        (
            NO_SCRIPT,
            "cannot read inventory /i/cloud.py: Failed to parse inventory: Expected key=value",
            "",
        ),
        (
            "[ERROR]: Completely failed to parse inventory source /i/x",
            "cannot read inventory /i/x: it is not an inventory",
            "",
        ),
        (USAGE, "argument -l/--limit: expected one argument", ""),
        (
            "[WARNING]: Could not match\n[ERROR]: Could not match supplied host pattern, ignoring: zz",
            "Could not match supplied host pattern: zz",
            "no host or group has that name; see `ansible-inventory --graph`",
        ),
        (
            "[ERROR]: Specified inventory, host pattern and/or --limit leaves us with no hosts to target.",
            "Specified inventory, host pattern and/or --limit leaves us with no hosts to target",
            "no host of the inventory matches; see `ansible-inventory --graph`",
        ),
        (
            "\x1b[0;31m[ERROR]: Attempting to decrypt but no vault secrets found.\x1b[0m",
            "Attempting to decrypt but no vault secrets found",
            "give the password: --ask-vault-pass or --vault-password-file",
        ),
        (
            "ERROR! Decryption failed (no vault secrets were found that could decrypt)",
            "Decryption failed (no vault secrets were found that could decrypt)",
            "is it the right vault password?",
        ),
        (ORIGIN, "YAML parsing failed: This may be a mismatched quote (/i/group_vars/all.yml:3:7)", ""),
    ],
)
def test_the_reason_why_ansible_stopped_is_reported(printed: str, message: str, hint: str) -> None:
    error = failure(printed.splitlines(), code=1)
    assert (error.message, error.hint) == (message, hint)
    assert error.exit_code is ExitCode.USAGE


def test_the_last_of_several_errors_of_ansible_is_reported() -> None:
    assert str(failure(["[ERROR]: first", "more", "[ERROR]: second"], code=1)) == "second"


@pytest.mark.parametrize("printed", [[], ["[WARNING]: something"], ["Killed"]])
def test_a_silent_failure_of_ansible_is_reported_with_its_exit_code(printed: list[str]) -> None:
    error = failure(printed, code=137)
    assert isinstance(error, InternalError)
    assert "code 137" in str(error)


def test_terminal_controls_in_errors_are_escaped() -> None:
    assert str(failure(["[ERROR]: bad \x07\u202e name"], code=1)) == "bad \\x07\\u202e name"
