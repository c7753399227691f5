from __future__ import annotations

import json
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.trust import login
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import Unreachable

AUTH = b64encode(b"me:se:cret").decode()


def written(folder: Path, config: Any) -> str:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return str(path)


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("r.example.com", "r.example.com"),
        ("https://r.example.com", "r.example.com"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_credentials_of_docker_login_are_read(tmp_path: Path, key: str, registry: str) -> None:
    path = written(tmp_path, {"auths": {key: {"auth": AUTH}}})
    found = login.find(registry, [str(tmp_path / "none"), path])
    assert found == login.Login("me", "se:cret")
    assert "cret" not in repr(found)
    assert login.find("other.example.com", [path]) is None


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[" * 99_999,
        {"auths": {"r": {"auth": "%"}}},
        {"auths": {"r": {"auth": AUTH, "identitytoken": "x"}}},
        {"credsStore": "../x"},
    ],
)
def test_unusable_credentials_are_reported(tmp_path: Path, config: Any) -> None:
    with pytest.raises(Unreachable, match=r"config\.json"):
        login.find("r", [written(tmp_path, config)])


@pytest.mark.parametrize("config", [[], {"auths": []}, {"auths": {"r": 7}}, {"auths": {"r": {}}}])
def test_files_without_credentials_are_ignored(tmp_path: Path, config: Any) -> None:
    assert login.find("r", [written(tmp_path, config)]) is None


def test_a_credential_helper_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text(
        '#!/bin/sh\nread server\n[ "$server" = r ] || exit 1\necho \'{"Username": "me", "Secret": "s"}\'\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(login, "_PATH", f"{tmp_path}:/usr/bin:/bin")
    path = written(tmp_path, {"credHelpers": {"r": "test", "q": "test", "x": "missing"}})
    assert login.find("r", [path]) == login.Login("me", "s")
    assert login.find("q", [path]) is None
    with pytest.raises(Unreachable, match="docker-credential-missing gives no login"):
        login.find("x", [path])


def test_an_identity_token_is_never_sent_as_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text('#!/bin/sh\necho \'{"Username": "<token>", "Secret": "s"}\'\n')
    program.chmod(0o755)
    monkeypatch.setattr(login, "_PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Unreachable, match="identity token is not supported"):
        login.find("r", [written(tmp_path, {"credsStore": "test"})])


def test_certificates_are_verified_without_the_strict_rules_as_dockerd_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 makes it
    monkeypatch.setattr(ssl, "create_default_context", lambda: strict)
    found = login.tls("r", str(tmp_path))
    assert not found.verify_flags & ssl.VERIFY_X509_STRICT
    assert (found.verify_mode, found.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_unreadable_certificate_is_reported(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "ca.crt").write_text("nonsense")
    with pytest.raises(Unreachable, match=r"r/ca\.crt"):
        login.tls("r", str(tmp_path))
