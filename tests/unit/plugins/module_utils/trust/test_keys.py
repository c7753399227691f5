from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.trust import keys
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import PolicyError

from tests.unit.plugins.module_utils.trust.fake_registry import Signer

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


def test_the_descriptors_of_all_keys_are_closed(signer: Signers) -> None:
    def opened() -> set[str]:
        return {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}

    key = signer().public_key
    with keys.Keys([key, key]) as known:
        assert any("memfd:openssl" in target for target in opened())
        assert not known.signed(key, b"", b"x")
    with pytest.raises(PolicyError):
        keys.Keys([key, "nonsense"])
    assert not any("memfd:openssl" in target for target in opened())


@pytest.mark.parametrize("call", ["memfd_create", "write"])
def test_a_host_without_memory_is_reported(
    call: str, signer: Signers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    key = signer().public_key
    with keys.Keys([key]) as known, monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(Failed, match="Cannot allocate memory"):
            known.signed(key, b"", b"x")
        with pytest.raises(Failed, match="Cannot allocate memory"):
            keys.Keys([key])


def test_a_host_without_openssl_is_reported(signer: Signers, monkeypatch: pytest.MonkeyPatch) -> None:
    key = signer().public_key
    monkeypatch.setattr(keys, "_OPENSSL", "no-such-program")
    with pytest.raises(Failed, match="openssl is missing on this host"):
        keys.Keys([key])
