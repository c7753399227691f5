from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.trust import keys
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import PolicyError

from tests.unit.plugins.module_utils.trust.conftest import Signer

Signers = Callable[..., Signer]


@pytest.mark.parametrize(
    "key", ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_an_invalid_key_is_refused(key: str) -> None:
    with pytest.raises(PolicyError, match="not an ECDSA or RSA public key"):
        keys.Keys([key])


def test_weak_and_unsupported_keys_are_refused(signer: Signers) -> None:
    with pytest.raises(PolicyError, match="1024 bits"):
        keys.Keys([signer("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024").public_key])
    with pytest.raises(PolicyError, match="not an ECDSA or RSA"):
        keys.Keys([signer("-algorithm", "ED25519").public_key])


def test_temporary_key_files_are_removed(
    signer: Signers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    key = signer().public_key
    with keys.Keys([key, key]):
        (made,) = folder.iterdir()
        assert made.stat().st_mode & 0o777 == 0o700
    with pytest.raises(PolicyError):
        keys.Keys([key, "nonsense"])
    assert not list(folder.iterdir())


def test_a_full_disk_is_reported(signer: Signers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    key = signer().public_key
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with keys.Keys([key]) as known:
        monkeypatch.setattr(keys, "open", full, raising=False)
        with pytest.raises(Failed, match="No space left on device"):
            known.signed(key, b"", b"x")
        with pytest.raises(Failed, match="No space left on device"):
            keys.Keys([key])
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(Failed, match="No space left on device"):
        keys.Keys([key])


def test_a_host_without_openssl_is_reported(signer: Signers, monkeypatch: pytest.MonkeyPatch) -> None:
    key = signer().public_key
    monkeypatch.setattr(keys, "_OPENSSL", "no-such-program")
    with pytest.raises(Failed, match="openssl is missing on this host"):
        keys.Keys([key])
