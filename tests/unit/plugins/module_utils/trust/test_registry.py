from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.trust import registry as registries
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import (
    NotFound,
    Tampered,
    Unreachable,
)
from ansible_collections.hardener.docker.plugins.module_utils.trust.registry import Registries, Settings

from tests.unit.plugins.module_utils.trust.fake_registry import FakeRegistry

LOGIN = "Basic " + b64encode(b"me:secret").decode()


def login_file(folder: Path, registry: str) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {registry: {"auth": b64encode(b"me:secret").decode()}}}))
    return path


def test_a_manifest_is_returned_byte_for_byte(fake: FakeRegistry) -> None:
    digest = fake.holds("app", b'{"a": 1}', "1")
    registry = fake.registries().at(fake.name)
    assert registry.manifest("app", "1") == registry.manifest("app", digest) == b'{"a": 1}'


def test_a_connection_is_reused_and_reopened_if_lost(fake: FakeRegistry) -> None:
    fake.holds("app", b"{}", "1")
    fake.answers["/v2/app/manifests/last"] = (200, {"Connection": "close"}, b"{}")
    registry = fake.registries().at(fake.name)
    for tag in ("1", "last", "1"):
        assert registry.manifest("app", tag) == b"{}"


def test_a_missing_manifest_is_reported(fake: FakeRegistry) -> None:
    with pytest.raises(NotFound, match="has no app manifests/1"):
        fake.registries().at(fake.name).manifest("app", "1")


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_a_body_with_a_wrong_digest_is_refused(fake: FakeRegistry, kind: str) -> None:
    digest = fake.holds("app", b"{}", kind=kind)
    fake.answers[f"/v2/app/{kind}/{digest}"] = (200, {"Docker-Content-Digest": digest}, b"{ }")
    registry = fake.registries().at(fake.name)
    with pytest.raises(Tampered, match="returned other content"):
        (registry.manifest if kind == "manifests" else registry.blob)("app", digest)


def test_a_truncated_body_is_an_error(fake: FakeRegistry) -> None:
    digest = fake.holds("app", b"{}")
    head = {"Content-Length": "9", "Connection": "close"}
    fake.answers[f"/v2/app/manifests/{digest}"] = (200, head, b"{}")
    with pytest.raises(Unreachable, match="was cut off"):
        fake.registries().at(fake.name).manifest("app", digest)


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_missing_referrers_api_is_reported_as_not_found(fake: FakeRegistry, status: int) -> None:
    fake.answers["/v2/app/referrers/sha256:1"] = (status, {}, b"")
    with pytest.raises(NotFound):
        fake.registries().at(fake.name).referrers("app", "sha256:1")


def test_a_body_that_is_too_large_is_not_read(fake: FakeRegistry) -> None:
    fake.answers["/v2/app/manifests/1"] = (200, {}, b"x" * (4 * 1024 * 1024 + 1))
    with pytest.raises(Unreachable, match="the answer has more than"):
        fake.registries().at(fake.name).manifest("app", "1")


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_http_error_status_of_a_registry_is_an_error(fake: FakeRegistry, status: int) -> None:
    fake.answers["/v2/app/manifests/1"] = (status, {}, b"{}")
    with pytest.raises(Unreachable, match=f"answers {status}"):
        fake.registries().at(fake.name).manifest("app", "1")


def test_an_unreachable_registry_is_reported_for_each_request(tmp_path: Path) -> None:
    registry = Registries(Settings(certificates=str(tmp_path))).at("127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(Unreachable, match="cannot be asked: Connection refused"):
            registry.manifest("app", "1")


@pytest.fixture
def drip(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Any]:
    """An answer that does not end within the time limit."""
    passed = [0.0]  # seconds by which the clock of who listens is ahead
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0])
    monkeypatch.setattr(registries, "time", clock)

    def dripping(piece: bytes) -> Any:
        def answer(request: Any) -> Any:
            request.close_connection = True
            for _ in range(100):
                request.wfile.write(piece)
                passed[0] += registries._REQUEST / 10
            return 200, {}, b"{}"

        return answer

    return dripping


@pytest.mark.parametrize(
    "piece", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"]
)
def test_a_registry_that_was_too_slow_is_not_asked_again(
    fake: FakeRegistry, drip: Callable[[bytes], Any], piece: bytes
) -> None:
    fake.answers["/v2/app/manifests/1"] = drip(piece)
    registry = fake.registries().at(fake.name)
    for _ in range(2):
        with pytest.raises(Unreachable, match="exceeds the time limit"):
            registry.manifest("app", "1")
    assert len(fake.asked) == 1


def test_all_registries_share_one_deadline(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.holds("app", b"{}", "1")
    monkeypatch.setattr(registries, "_PATIENCE", 1e-9)
    known = fake.registries()
    assert known.at(fake.name).manifest("app", "1") == b"{}"
    with pytest.raises(Unreachable, match="have taken too long"):
        known.at(fake.name).manifest("app", "1")
    with pytest.raises(Unreachable, match="have taken too long"):
        known.at("127.0.0.1:1").manifest("app", "1")


def test_an_untrusted_certificate_is_refused(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.holds("app", b"{}", "1")
    with pytest.raises(Unreachable, match="its certificate is not trusted"):
        Registries(Settings(certificates=str(tmp_path / "none"))).at(fake.name).manifest("app", "1")
    assert fake.asked == []


# --- logins -------------------------------------------------------------------------------------------------


def test_credentials_are_sent_on_a_challenge(fake: FakeRegistry, tmp_path: Path) -> None:
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    fake.answers["/v2/app/manifests/1"] = lambda request: (
        (200, {}, b"{}") if request.headers.get("Authorization") == LOGIN else (401, challenge, b"")
    )
    registry = fake.registries(login_file(tmp_path, fake.name)).at(fake.name)
    assert registry.manifest("app", "1") == b"{}"
    assert registry.manifest("app", "1") == b"{}"
    assert [login for _, login in fake.asked] == ["", LOGIN, LOGIN]


def test_without_credentials_access_is_denied(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.answers["/v2/app/manifests/1"] = (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    with pytest.raises(Unreachable, match="login required: this host has no credentials"):
        fake.registries(login_file(tmp_path, "elsewhere.example.com")).at(fake.name).manifest("app", "1")


def test_a_token_is_fetched_from_the_realm_of_the_registry(
    fake: FakeRegistry, other: FakeRegistry, tmp_path: Path
) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="https://{other.name}/token",service="r"'}
    fake.answers["/v2/app/manifests/1"] = lambda request: (
        (200, {}, b"{}") if request.headers.get("Authorization") == "Bearer abc" else (401, challenge, b"")
    )
    other.answers["/token?scope=repository%3Aapp%3Apull&service=r"] = (200, {}, b'{"token": "abc"}')
    assert fake.registries(login_file(tmp_path, fake.name)).at(fake.name).manifest("app", "1") == b"{}"
    assert other.asked == [("/token?scope=repository%3Aapp%3Apull&service=r", LOGIN)]


def test_a_slow_token_server_is_contacted_once(
    fake: FakeRegistry, other: FakeRegistry, drip: Callable[[bytes], Any]
) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="https://{other.name}/token"'}
    for path in ("a", "b"):
        fake.answers[f"/v2/{path}/manifests/1"] = (401, challenge, b"")
        other.answers[f"/token?scope=repository%3A{path}%3Apull"] = drip(b"H")
    registry = fake.registries().at(fake.name)
    for path in ("a", "b"):
        with pytest.raises(Unreachable, match=other.name):
            registry.manifest(path, "1")
    assert len(other.asked) == 1


@pytest.mark.parametrize("token", [b"{}", b'{"token": "a\\r\\nX: y"}', b'{"token": 7}', b"[]", b"nonsense"])
def test_an_invalid_token_is_an_error(fake: FakeRegistry, token: bytes) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="https://{fake.name}/token"'}
    fake.answers["/v2/app/manifests/1"] = (401, challenge, b"")
    fake.answers["/token?scope=repository%3Aapp%3Apull"] = (200, {}, token)
    with pytest.raises(Unreachable):
        fake.registries().at(fake.name).manifest("app", "1")


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Negotiate",
        "Bearer",
        'Bearer realm="http://127.0.0.1:1/"',
        'Bearer realm="https://[x/token"',
        'Bearer realm="https://127.0.0.1:99999999999999999999/"',
        'Bearer realm="https://127.0.0.1:99999/"',
    ],
)
def test_an_unusable_challenge_of_a_registry_is_an_error(
    fake: FakeRegistry, tmp_path: Path, challenge: str
) -> None:
    fake.answers["/v2/app/manifests/1"] = (401, {"WWW-Authenticate": challenge}, b"")
    with pytest.raises(Unreachable):
        fake.registries(login_file(tmp_path, fake.name)).at(fake.name).manifest("app", "1")


# --- redirects ----------------------------------------------------------------------------------------------


def test_credentials_are_not_sent_to_a_redirect_target(
    fake: FakeRegistry, other: FakeRegistry, tmp_path: Path
) -> None:
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    digest = other.holds("app", b"payload", kind="blobs")
    there = {"Location": f"https://{other.name}/v2/app/blobs/{digest}"}
    fake.answers[f"/v2/app/blobs/{digest}"] = lambda request: (
        (307, there, b"") if request.headers.get("Authorization") else (401, challenge, b"")
    )
    registry = fake.registries(login_file(tmp_path, fake.name)).at(fake.name)
    assert registry.blob("app", digest) == b"payload"
    assert [login for _, login in other.asked] == [""]


def test_a_redirect_target_cannot_request_credentials(
    fake: FakeRegistry, other: FakeRegistry, tmp_path: Path
) -> None:
    fake.answers["/v2/app/manifests/1"] = (307, {"Location": f"https://{other.name}/x"}, b"")
    other.answers["/x"] = (401, {"WWW-Authenticate": f'Bearer realm="https://{other.name}/token"'}, b"")
    with pytest.raises(Unreachable, match="answers 401"):
        fake.registries(login_file(tmp_path, fake.name)).at(fake.name).manifest("app", "1")
    assert [path for path, _ in other.asked] == ["/x"]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "https://me@127.0.0.1:1/",
        "",
        "https://[x/",
        "https://127.0.0.1:99999999999999999999/",
        "https://127.0.0.1:99999/",
        "https://127.0.0.1:0/",
        "https://../x",
        "https://a\x1b]0;b\x07/",
    ],
)
def test_unsafe_redirects_are_refused(fake: FakeRegistry, location: str) -> None:
    fake.answers["/v2/app/manifests/1"] = (302, {"Location": location}, b"")
    with pytest.raises(Unreachable, match="redirects") as told:
        fake.registries().at(fake.name).manifest("app", "1")
    assert str(told.value).isprintable()
