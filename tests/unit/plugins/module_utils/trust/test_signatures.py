from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.trust import references, signatures, statements
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import (
    Finding,
    Tampered,
    Unreachable,
)
from ansible_collections.hardener.docker.plugins.module_utils.trust.keys import Keys

from tests.unit.plugins.module_utils.trust.fake_registry import FakeRegistry, Signer

Signers = Callable[..., Signer]
FIXTURES = Path(__file__).parents[4] / "fixtures"
IMAGE = "sha256:" + "a" * 64
TAG = "sha256-" + "a" * 64


def judged(fake: FakeRegistry, *keys: str, every: bool = False, image: str = IMAGE) -> Finding:
    reference = references.parse(f"{fake.name}/app")
    with Keys(keys) as known:
        return signatures.verify(fake.registries(), reference, image, keys=known, wanted=keys, every=every)


@pytest.mark.parametrize(
    "options", [(), ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")], ids=["ecdsa", "rsa"]
)
def test_a_signature_of_a_required_key_passes(
    fake: FakeRegistry, signer: Signers, options: tuple[str, ...]
) -> None:
    ours, theirs = signer(*options), signer()
    ours.sign(fake, "app", IMAGE)
    assert judged(fake, theirs.public_key, ours.public_key).status == "verified"
    assert judged(fake, theirs.public_key).status == "wrong-key"


def test_one_valid_signature_among_others_passes(fake: FakeRegistry, signer: Signers) -> None:
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
def test_signed_content_that_is_not_a_payload_of_cosign_is_refused(
    fake: FakeRegistry, signer: Signers, payload: bytes
) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE, payload=payload)
    assert judged(fake, ours.public_key) == Finding(
        "wrong-key", "the signed content is not a payload of cosign"
    )


def test_a_signature_of_another_document_type_is_refused(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE, kind="atomic container signature")
    assert judged(fake, ours.public_key) == Finding(
        "wrong-key", "the signed content is not a payload of cosign"
    )


def test_a_signature_with_a_certificate_passes_with_the_key(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE, certificate="-----BEGIN CERTIFICATE-----")
    assert judged(fake, ours.public_key).status == "verified"
    found = judged(fake, signer().public_key)
    assert (found.status, "keyless" in found.detail) == ("unverifiable", True)


def test_a_key_that_is_listed_twice_needs_one_signature(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    assert judged(fake, ours.public_key, ours.public_key, every=True).status == "unsigned"
    ours.sign(fake, "app", IMAGE)
    assert judged(fake, ours.public_key, ours.public_key, every=True).status == "verified"


def test_a_signature_of_another_image_or_repository_is_refused(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    other = "sha256:" + "b" * 64
    ours.sign(fake, "app", other)
    fake.answers[f"/v2/app/manifests/{TAG}.sig"] = fake.answers[f"/v2/app/manifests/sha256-{'b' * 64}.sig"]
    assert judged(fake, ours.public_key).detail == "the signature is for another image"
    del fake.answers[f"/v2/app/manifests/{TAG}.sig"]
    ours.sign(fake, "app", IMAGE, repository="r.example.com/app")
    assert "is for r.example.com/app, not" in judged(fake, ours.public_key).detail


def test_a_changed_or_missing_payload_is_refused(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE)
    (path,) = (path for path in fake.answers if "/blobs/" in path)
    fake.answers[path] = (200, {}, b"{}")
    with pytest.raises(Tampered):
        judged(fake, ours.public_key)
    del fake.answers[path]
    with pytest.raises(Unreachable, match="no longer has the signed content"):
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
def test_an_empty_list_of_signatures_is_unsigned(fake: FakeRegistry, signer: Signers, layers: object) -> None:
    fake.holds("app", {"layers": layers}, f"{TAG}.sig")
    assert judged(fake, signer().public_key) == Finding(
        "unsigned", "the registry has no signature of the image"
    )


def test_the_number_of_checked_signatures_is_bounded(
    fake: FakeRegistry, signer: Signers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = signer(), signer()
    theirs.sign(fake, "app", IMAGE)
    ours.sign(fake, "app", IMAGE)
    manifest = fake.answers[f"/v2/app/manifests/{TAG}.sig"]
    assert isinstance(manifest, tuple)
    first, second = json.loads(manifest[2])["layers"]
    fake.holds("app", {"layers": [first] * 3 + [second]}, f"{TAG}.sig")
    assert judged(fake, ours.public_key).status == "verified"
    monkeypatch.setattr(statements, "_MOST", 3)
    fake.asked.clear()
    assert judged(fake, ours.public_key).status == "wrong-key"
    assert len([path for path, _ in fake.asked if "/blobs/" in path]) == 3


# --- bundles ------------------------------------------------------------------------------------------------


def test_a_bundle_of_cosign_3_is_verified(fake: FakeRegistry, signer: Signers) -> None:
    real = json.loads((FIXTURES / "cosign-3-bundle.json").read_text())
    fake.holds("app", real["index"].encode(), real["digest"].replace(":", "-"))
    fake.holds("app", real["manifest"].encode())
    fake.holds("app", real["bundle"].encode(), kind="blobs")
    assert judged(fake, real["public_key"], image=real["digest"]) == Finding("verified", "signed")
    assert judged(fake, signer().public_key, image=real["digest"]).status == "wrong-key"


@pytest.mark.parametrize("api", [True, False], ids=["api", "tag"])
def test_a_bundle_is_found_by_the_api_and_by_the_tag(fake: FakeRegistry, signer: Signers, api: bool) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, api=api)
    assert judged(fake, ours.public_key).status == "verified"
    assert judged(fake, ours.public_key, signer().public_key, every=True).detail == "1 of 2 keys have signed"


def test_a_classic_signature_can_be_a_referrer(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE)
    manifest = fake.answers.pop(f"/v2/app/manifests/{TAG}.sig")
    assert isinstance(manifest, tuple)
    child = fake.holds("app", manifest[2])
    fake.answers[f"/v2/app/referrers/{IMAGE}"] = (
        200,
        {},
        json.dumps({"manifests": [{"digest": child}]}).encode(),
    )
    assert judged(fake, ours.public_key).status == "verified"
    assert judged(fake, signer().public_key).status == "wrong-key"


def test_signatures_of_both_forms_are_combined(fake: FakeRegistry, signer: Signers) -> None:
    one, other = signer(), signer()
    one.sign(fake, "app", IMAGE)
    other.bundle(fake, "app", IMAGE)
    assert judged(fake, one.public_key, other.public_key, every=True).status == "verified"


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"subject": [{"digest": {"sha256": "b" * 64}}]}, "wrong-key", "the signature is for another image"),
        ({"subject": []}, "wrong-key", "the signature is for another image"),
        (
            {"subject": [{"digest": {"sha256": "a" * 64}}, {"digest": {"sha256": "b" * 64}}]},
            "wrong-key",
            "the signature is for another image",
        ),
        (
            {"subject": [{"digest": {"sha512": "a" * 64}}]},
            "unverifiable",
            "a bundle that is not a Sigstore bundle with a DSSE envelope",
        ),
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "unsigned", "no signature of the image"),
    ],
)
def test_the_statement_of_a_bundle_must_name_the_image(
    fake: FakeRegistry, signer: Signers, changes: dict[str, Any], status: str, detail: str
) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, statement=changes)
    found = judged(fake, ours.public_key)
    assert (found.status, detail in found.detail) == (status, True)


def test_the_payload_type_is_part_of_the_signature(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, signed_kind="text/plain")
    assert judged(fake, ours.public_key).status == "wrong-key"


@pytest.mark.parametrize("kind", ["text/plain", "\ud800", ""])
def test_a_signature_in_a_bundle_of_another_type_is_unverifiable(
    fake: FakeRegistry, signer: Signers, kind: str
) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, kind=kind, signed_kind="text/plain")
    assert judged(fake, ours.public_key).status == "unverifiable"


def test_the_number_of_checked_bundle_signatures_is_bounded(
    fake: FakeRegistry, signer: Signers, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bytes] = []
    monkeypatch.setattr(Keys, "signed", lambda self, key, data, signature: looked.append(data))
    monkeypatch.setattr(statements, "_MOST", 3)
    ours = signer()
    ours.bundle(fake, "app", IMAGE, times=9)
    listed = fake.answers[f"/v2/app/manifests/{TAG}"]
    assert isinstance(listed, tuple)
    twice = {"manifests": json.loads(listed[2])["manifests"] * 2}
    fake.answers[f"/v2/app/manifests/{TAG}"] = (200, {}, json.dumps(twice).encode())
    assert judged(fake, signer().public_key).status == "wrong-key"
    assert len(looked) == 3


def test_a_keyless_signature_is_not_reported_as_unsigned(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, material={"certificate": {"rawBytes": ""}})
    found = judged(fake, ours.public_key)
    assert (found.status, "keyless" in found.detail) == ("unverifiable", True)


def test_a_notation_signature_is_not_reported_as_unsigned(fake: FakeRegistry, signer: Signers) -> None:
    manifest = {"artifactType": "application/vnd.cncf.notary.signature", "layers": [7]}
    child = fake.holds("app", manifest)
    fake.holds("app", {"manifests": [7, {"digest": "x"}, {"digest": child}]}, TAG)
    found = judged(fake, signer().public_key)
    assert (found.status, "notation" in found.detail) == ("unverifiable", True)


def test_other_referrers_are_not_signatures(fake: FakeRegistry, signer: Signers) -> None:
    child = fake.holds("app", {"artifactType": "sbom", "layers": [{"mediaType": "text/plain"}]})
    listed = {"manifests": [{"digest": child}, {"digest": "sha256:" + "e" * 64}]}
    fake.answers[f"/v2/app/referrers/{IMAGE}"] = (200, {}, json.dumps(listed).encode())
    assert judged(fake, signer().public_key).status == "unsigned"
