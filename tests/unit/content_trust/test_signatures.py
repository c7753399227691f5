from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from host_trust import references, signatures
from host_trust.words import Failed, Finding, PolicyError, Tampered, Unreachable

from tests.unit.content_trust.conftest import FakeRegistry, Signer

Signers = Callable[..., Signer]
IMAGE = "sha256:" + "a" * 64
TAG = "sha256-" + "a" * 64


def judged(fake: FakeRegistry, *keys: str, every: bool = False) -> Finding:
    image = references.parse(f"{fake.name}/app")
    with signatures.Keys(keys) as known:
        return signatures.verify(fake.registries(), image, IMAGE, keys=known, wanted=keys, every=every)


@pytest.mark.parametrize(
    "options", [(), ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")], ids=["ecdsa", "rsa"]
)
def test_a_signature_of_a_wanted_key(fake: FakeRegistry, signer: Signers, options: tuple[str, ...]) -> None:
    ours, theirs = signer(*options), signer()
    ours.sign(fake, "app", IMAGE)
    assert judged(fake, theirs.public_key, ours.public_key).status == "verified"
    assert judged(fake, theirs.public_key).status == "wrong-key"


def test_one_good_signature_among_others_counts(fake: FakeRegistry, signer: Signers) -> None:
    ours, theirs = signer(), signer()
    theirs.sign(fake, "app", IMAGE)
    ours.sign(fake, "app", IMAGE, repository="elsewhere.example.com/app")
    ours.sign(fake, "app", IMAGE)
    assert judged(fake, ours.public_key).status == "verified"
    assert judged(fake, ours.public_key, theirs.public_key, every=True).status == "verified"
    assert judged(fake, ours.public_key, signer().public_key, every=True) == Finding(
        "wrong-key", "1 of 2 keys have signed"
    )


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"{" * 9999, b'{"critical": {"image": 7}}', b"\xff"])
def test_what_is_signed_must_be_a_payload(fake: FakeRegistry, signer: Signers, payload: bytes) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE, payload=payload)
    assert judged(fake, ours.public_key) == Finding("wrong-key", "what is signed is no payload of cosign")


def test_a_signature_of_another_image_or_repository(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    other = "sha256:" + "b" * 64
    ours.sign(fake, "app", other)
    fake.answers[f"/v2/app/manifests/{TAG}.sig"] = fake.answers[f"/v2/app/manifests/sha256-{'b' * 64}.sig"]
    assert judged(fake, ours.public_key).detail == "the signature is of another image"
    del fake.answers[f"/v2/app/manifests/{TAG}.sig"]
    ours.sign(fake, "app", IMAGE, repository="r.example.com/app")
    assert "is of r.example.com/app, not" in judged(fake, ours.public_key).detail


def test_a_payload_that_was_changed_or_lost(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE)
    (path,) = (path for path in fake.answers if "/blobs/" in path)
    fake.answers[path] = (200, {}, b"{}")
    with pytest.raises(Tampered):
        judged(fake, ours.public_key)
    del fake.answers[path]
    with pytest.raises(Unreachable, match="lost the payload"):
        judged(fake, ours.public_key)


@pytest.mark.parametrize(
    "layers",
    [
        None,
        7,
        [],
        [7],
        [{"mediaType": "x"}],
        [{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json"}],
    ],
)
def test_a_list_of_signatures_without_any(fake: FakeRegistry, signer: Signers, layers: object) -> None:
    fake.holds("app", {"layers": layers}, f"{TAG}.sig")
    assert judged(fake, signer().public_key) == Finding("unsigned", "its list of signatures is empty")


def test_no_more_signatures_are_looked_at_than_a_few(fake: FakeRegistry, signer: Signers) -> None:
    ours, theirs = signer(), signer()
    theirs.sign(fake, "app", IMAGE)
    ours.sign(fake, "app", IMAGE)
    manifest = fake.answers[f"/v2/app/manifests/{TAG}.sig"]
    assert isinstance(manifest, tuple)
    import json

    first, second = json.loads(manifest[2])["layers"]
    fake.holds("app", {"layers": [first] * 32 + [second]}, f"{TAG}.sig")
    assert judged(fake, ours.public_key).status == "wrong-key"
    assert len([path for path, _ in fake.asked if "/blobs/" in path]) == 32


@pytest.mark.parametrize("place", [f"referrers/{IMAGE}", f"manifests/{TAG}"], ids=["api", "tag"])
@pytest.mark.parametrize(
    "kind", ["application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.cncf.notary.signature"]
)
def test_a_signature_of_another_kind_is_not_called_unsigned(
    fake: FakeRegistry, signer: Signers, place: str, kind: str
) -> None:
    listed = f'{{"manifests": [7, {{"artifactType": "{kind}"}}]}}'.encode()
    fake.answers[f"/v2/app/{place}"] = (200, {}, listed)
    found = judged(fake, signer().public_key)
    assert (found.status, kind in found.detail) == ("unverifiable", True)


def test_other_things_that_refer_to_an_image_are_no_signatures(fake: FakeRegistry, signer: Signers) -> None:
    fake.answers[f"/v2/app/referrers/{IMAGE}"] = (200, {}, b'{"manifests": [{"artifactType": "sbom"}]}')
    assert judged(fake, signer().public_key).status == "unsigned"


@pytest.mark.parametrize(
    "key", ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(PolicyError, match="no ECDSA or RSA public key"):
        signatures.Keys([key])


def test_keys_that_are_too_weak_or_of_another_kind(signer: Signers) -> None:
    with pytest.raises(PolicyError, match="1024 bits"):
        signatures.Keys([signer("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024").public_key])
    with pytest.raises(PolicyError, match="no ECDSA or RSA"):
        signatures.Keys([signer("-algorithm", "ED25519").public_key])


def test_nothing_is_left_of_keys(signer: Signers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    key = signer().public_key
    with signatures.Keys([key, key]):
        (made,) = folder.iterdir()
        assert made.stat().st_mode & 0o777 == 0o700
    with pytest.raises(PolicyError):
        signatures.Keys([key, "nonsense"])
    assert not list(folder.iterdir())


def test_a_host_without_openssl(signer: Signers, monkeypatch: pytest.MonkeyPatch) -> None:
    key = signer().public_key
    monkeypatch.setattr(signatures, "_OPENSSL", "no-such-program")
    with pytest.raises(Failed, match="openssl is missing on this host"):
        signatures.Keys([key])
