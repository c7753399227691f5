from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import images

ENVIRONMENT = ["PATH=/bin", "A=x", "PW=y"]


def redact(*commands: str, environment: list[str] | None = None) -> list[str]:
    entries = [{"Id": "<missing>", "Created": 1, "CreatedBy": command, "Comment": ""} for command in commands]
    cleaned = images.redact_history(
        entries, ENVIRONMENT if environment is None else environment, Redactor(), "image i"
    )
    assert [entry["Created"] for entry in cleaned] == [1] * len(commands)
    return [str(entry["CreatedBy"]) for entry in cleaned]


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (
            "/bin/sh -c #(nop)  ENV A=hunter1 hunter2 PW=hunter3",
            ["/bin/sh -c #(nop)  ENV A=hmac:", " PW=hmac:"],
        ),
        ("ENV PW=hunter1= hunter2=", ["ENV PW=hmac:"]),
        ("ENV UNKNOWN=hunter1 hunter2", ["ENV UNKNOWN=hmac:"]),
        ("ARG TOKEN=hunter1", ["ARG TOKEN=hmac:"]),
        ("/bin/sh -c #(nop)  ONBUILD ENV X=hunter1 hunter2", ["ONBUILD ENV X=hmac:"]),
        (
            'CMD ["mysqld" "--password" "hunter1" "--verbose"]',
            ['CMD ["mysqld" "--password" hmac:', ' "--verbose"]'],
        ),
        ("HEALTHCHECK {['CMD', '--token', 'hunter1']}", ["'--token', hmac:"]),
        ("/bin/sh -c #(nop)  ARG TOKEN=hunter1 hunter2", ["ARG TOKEN=hmac:"]),
        (
            "RUN /bin/sh -c curl https://me:hunter1@example.org # buildkit",
            ["RUN /bin/sh -c curl https://hmac:", "@example.org"],
        ),
        ("LABEL api_token=hunter1 a=b", ["LABEL api_token=hmac:", " a=b"]),
    ],
)
def test_secret_values_are_replaced(command: str, kept: list[str]) -> None:
    (clean,) = redact(command)
    assert "hunter" not in clean
    for part in kept:
        assert part in clean


@pytest.mark.parametrize(
    "command",
    [
        "COPY file:1 in /a",
        'CMD ["nginx" "-g" "daemon off;"]',
        "RUN /bin/sh -c apt-get update # buildkit",
        "ARG NAME",
        "",
    ],
)
def test_build_commands_without_secrets_are_kept(command: str) -> None:
    assert redact(command) == [command]


@pytest.mark.parametrize("prefix", ["", "RUN "])
def test_build_arguments_are_removed_and_the_command_is_kept(prefix: str) -> None:
    _, run = redact(
        "ARG TOKEN", f"{prefix}|2 TOKEN=hunter1 /x hunter2 ZED=hunter3 /bin/sh -c apt-get update # buildkit"
    )
    assert "hunter" not in run
    assert run.startswith(f"{prefix}|2 TOKEN=hmac:")
    assert run.endswith(" /bin/sh -c apt-get update # buildkit")


def test_a_build_command_that_cannot_be_separated_from_a_secret_is_removed() -> None:
    (run,) = redact("|1 TOKEN=hunter1 python setup.py")
    assert run.startswith("|1 TOKEN=hmac:")
    assert "hunter" not in run


def test_malformed_entries_of_the_build_history_are_removed_or_kept_as_text() -> None:
    odd: list[object] = [
        None,
        7,
        {"CreatedBy": None},
        {"CreatedBy": "|1 "},
        {"CreatedBy": "ENV"},
        {"CreatedBy": "ENV ="},
    ]
    assert [entry["CreatedBy"] for entry in images.redact_history(odd, None, Redactor(), "i")] == [
        "",
        "|1 ",
        "ENV",
        "ENV =",
    ]
