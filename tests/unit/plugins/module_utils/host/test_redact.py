from __future__ import annotations

import hmac
import json
import shlex

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import redact
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import MAX_TEXT, Redactor
from hypothesis import given
from hypothesis import strategies as st

from tests.hanging import must_end

AWS = "AKIA" + "IOSFODNN7EXAMPLE"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJl"
PRIVATE_KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nabc\n-----END OPENSSH " + "PRIVATE KEY-----"
DIGEST = r"hmac:[0-9a-f]{16}"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


def kinds(redactor: Redactor) -> list[str]:
    return [secret["kind"] for secret in redactor.secrets]


def test_digests_depend_on_the_key_and_are_comparable() -> None:
    one, two = Redactor(), Redactor()
    two.key = b"another host"
    assert one.digest("hunter2") == one.digest("hunter2") != one.digest("hunter3")
    assert one.digest("hunter2") != two.digest("hunter2")


@given(st.binary(min_size=1, max_size=64), st.binary())
def test_the_digest_is_hmac_with_sha256(key: bytes, message: bytes) -> None:
    assert redact.hmac_sha256(key, message) == hmac.digest(key, message, "sha256")


def test_every_environment_value_is_replaced_whatever_it_contains(redactor: Redactor) -> None:
    pairs = redactor.assignments(["PATH=/usr/bin", "EMPTY=", "BARE", "A=b=c"], "container web")
    names = [pair.partition("=")[0] for pair in pairs]
    assert names == ["PATH", "EMPTY", "BARE", "A"]
    assert "/usr/bin" not in str(pairs)
    assert "b=c" not in str(pairs)
    assert redactor.secrets == []


@pytest.mark.parametrize(
    ("pair", "kind"),
    [
        ("DB_PASSWORD=hunter2", "name"),
        ("API_TOKEN=abc", "name"),
        (f"X={AWS}", "aws-key"),
        (f"X={JWT}", "jwt"),
        (f"X={PRIVATE_KEY}", "private-key"),
        ("DSN=postgres://app:hunter2@db/app", "url-password"),
        ("X=ghp_" + "a" * 36, "token"),
    ],
)
def test_a_secret_in_the_environment_is_listed_by_its_place_and_kind(
    redactor: Redactor, pair: str, kind: str
) -> None:
    redactor.assignments([pair], "image sha256:1")
    assert redactor.secrets == [
        {"where": f"image sha256:1 env {pair.split('=', maxsplit=1)[0]}", "kind": kind}
    ]


@pytest.mark.parametrize(
    "pair",
    [
        "DB_PASSWORD_FILE=/run/secrets/db",
        "PASSWORD=/run/secrets/db",
        "PASSWORD=$OTHER",
        "PASSWORD=",
        "TOKEN_TTL=60",
    ],
)
def test_paths_of_secret_files_are_not_secrets(redactor: Redactor, pair: str) -> None:
    redactor.assignments([pair], "image i")
    assert redactor.secrets == []


def test_secrets_on_a_command_line_are_replaced(redactor: Redactor) -> None:
    words = [
        "mysqld",
        "--password",
        "hunter2",
        "--root-password=hunter3",
        "--user=root",
        "--password",
        "--verbose",
    ]
    clean = redactor.words(words, "container db")
    assert clean[0] == "mysqld"
    assert clean[4:] == ["--user=root", "--password", "--verbose"]
    assert "hunter" not in str(clean)
    assert kinds(redactor) == ["name", "name"]


@pytest.mark.parametrize(
    "text",
    [
        "redis-server --requirepass hunter2",
        "redis-server --masterauth hunter2 --port 6379",
        "export DB_PWD=hunter2; exec app",
        "DB_PASS=hunter2 app",
        "curl -u admin:hunter2 https://registry.example/v2/",
        "curl -uadmin:hunter2 https://registry.example/v2/",
        "curl -f --user 'admin:hunter2' https://registry.example/v2/ || exit 1",
        "curl --proxy-user=me:hunter2 https://example.org",
        "mysqladmin ping -h localhost -uroot -phunter2",
        "mariadb -p'hunter2' -e 'select 1'",
        "redis-cli -a hunter2 ping",
        "sshpass -p hunter2 ssh root@db",
        "sshpass -phunter2 ssh root@db",
    ],
)
def test_passwords_of_well_known_tools_are_replaced(redactor: Redactor, text: str) -> None:
    clean = redactor.text(text, "container c")
    assert "hunter" not in clean
    assert kinds(redactor) == ["name"]
    words = Redactor().words(shlex.split(text), "container c")
    assert "hunter" not in str(words)
    assert len(words) == len(shlex.split(text))


@pytest.mark.parametrize(
    "text",
    [
        "app --user 1000:1000 -p 8080 -u app:app",
        "mysqladmin ping -p$MYSQL_ROOT_PASSWORD",
        "mysql -P 3306 --protocol tcp",
        "curl -f -u admin https://example.org:8080/",
        "app --bypass everything --compass north",
        "redis-cli -a $REDIS ping",
    ],
)
def test_text_that_is_not_a_password_is_kept(redactor: Redactor, text: str) -> None:
    assert redactor.text(text, "container c") == text
    assert redactor.words(shlex.split(text), "container c") == shlex.split(text)
    assert redactor.secrets == []


def test_secrets_of_a_command_line_that_is_split_in_two_are_replaced(redactor: Redactor) -> None:
    assert "hunter" not in str(redactor.words(["-a", "hunter2"], "c", ["redis-cli"]))
    assert "hunter" not in str(redactor.words(["hunter2"], "c", ["app", "--password"]))
    assert redactor.words(["-a", "all"], "c", None) == ["-a", "all"]


def test_secrets_in_shell_text_are_replaced(redactor: Redactor) -> None:
    text = (
        "export TOKEN=hunter1; curl -H 'Authorization: Bearer hunter2' --user-password hunter3 "
        "https://me:hunter4@example.org/x?y && echo \"db_password: 'hunter5 hunter6'\" && apt-get update"
    )
    clean = redactor.text(text, "container c")
    assert "hunter" not in clean
    assert clean.endswith("&& apt-get update")
    assert "@example.org/x?y" in clean


def test_a_password_with_an_at_sign_in_a_url_is_replaced(redactor: Redactor) -> None:
    assert redactor.text("x ftp://u:p@ss@host/ y", "c").count("ss") == 0


def test_a_url_with_a_user_only_is_redacted_but_not_a_secret(redactor: Redactor) -> None:
    assert redactor.text("ssh://git@example.org/x", "c").startswith("ssh://hmac:")
    assert redactor.secrets == []


def test_secret_options_at_any_depth_are_replaced(redactor: Redactor) -> None:
    data = {
        "splunk-token": "hunter1",
        "o": "addr=10.0.0.1,username=me,password=hunter2,vers=3.0",
        "list": [{"api_key": "hunter3"}, 7, None, True],
        "max-size": "10m",
    }
    clean = redactor.options(data, "volume v")
    assert "hunter" not in json.dumps(clean)
    assert clean["o"].startswith("addr=10.0.0.1,username=me,password=hmac:")
    assert clean["o"].endswith(",vers=3.0")
    assert clean["list"][1:] == [7, None, True]
    assert clean["max-size"] == "10m"


def test_known_secret_forms_are_found_anywhere_in_a_document(redactor: Redactor) -> None:
    data = {"Author": f"key {AWS}", "deep": [{"x": PRIVATE_KEY}]}
    clean = redactor.forms(data, json.dumps(data).encode(), "image i")
    assert AWS not in str(clean)
    assert "abc" not in str(clean)
    assert kinds(redactor) == ["aws-key", "private-key"]


def test_a_document_without_secrets_is_unchanged(redactor: Redactor) -> None:
    data = {"Id": "abc", "n": [1, 2]}
    assert redactor.forms(data, json.dumps(data).encode(), "image i") is data


def test_truncated_text_does_not_show_part_of_a_secret(redactor: Redactor) -> None:
    for length in range(MAX_TEXT - 40, MAX_TEXT + 1, 8):
        clean = redactor.text("x" * length + f" https://me:hunter2@example.org/ {AWS}", "c")
        assert "hunter" not in clean
        assert "AKIA" not in clean
        assert "[cut: " in clean
        assert len(clean) <= MAX_TEXT + 100


def test_a_digest_is_not_digested_again(redactor: Redactor) -> None:
    once = redactor.text("password=hunter2", "c")
    assert Redactor().text(once, "c") == once


def test_hostile_texts_are_redacted_in_bounded_time(redactor: Redactor) -> None:
    hostile = [
        "password" * 8000,
        "a://" * 16000,
        "eyJ" * 20000,
        "-----BEGIN " * 6000,
        "=" * 60000,
        "a=" * 30000,
        "--" * 30000,
        "curl " + "-u" * 30000,
        "curl " + "-u a" * 15000,
        "mysql " + "-p" * 30000,
        "pass" * 15000,
        "password=$" * 6500,
        "password:/" * 6500,
        "password='$" * 6000,
        "-password $" * 6000,
    ]
    with must_end():
        for text in hostile:
            redactor.text(text + "password", "c")


def test_the_number_of_secrets_is_bounded_and_truncation_is_reported(redactor: Redactor) -> None:
    redactor.assignments([f"PASSWORD{n}=hunter2" for n in range(3000)], "container c")
    report = redactor.report()
    assert len(report["secrets"]) == 2000
    assert report["secrets_cut"] is True


@given(st.text(), st.text())
def test_the_value_of_a_variable_is_never_shown(name: str, value: str) -> None:
    redactor = Redactor()
    pair = redactor.assignments([f"N{len(name)}={value}x7Q"], "c")[0]
    assert f"{value}x7Q" not in pair


def test_digests_use_the_key_of_the_host_if_it_is_readable_and_else_a_random_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redact, "read_bytes", lambda *_: b"the private key of this host")
    assert Redactor().key == Redactor().key
    assert Redactor().key_source == "host"

    def unreadable(*_: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr(redact, "read_bytes", unreadable)
    assert Redactor().key != Redactor().key
    assert Redactor().key_source == "random"


@pytest.mark.parametrize(
    "text",
    [
        "--log-opt=splunk-token=hunter1",
        "--a=b=c=password=hunter1",
        "error: token: hunter1",
        "--config-file=/x --log-opt=gelf-password='hunter1'",
        'a="b" c=d:passphrase=hunter1',
        "x=" * 30000 + "token=hunter1",
    ],
)
def test_a_secret_assignment_within_a_value_is_found(redactor: Redactor, text: str) -> None:
    shown = redactor.words(["dockerd", text], "d")[1]
    assert "hunter1" not in shown
    assert shown.startswith(text[:5])


def test_the_value_of_a_name_of_excessive_length_is_replaced() -> None:
    name = "x" * (MAX_TEXT + 1)
    redactor = Redactor()
    (value,) = redactor.options({name: "plain text"}, "here").values()
    assert value == redactor.digest("plain text")
    assert redactor.options({name[1:]: "plain text"}, "here") == {name[1:]: "plain text"}
