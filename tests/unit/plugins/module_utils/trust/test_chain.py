from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.trust import (
    chain,
    policy,
    references,
    statements,
)
from ansible_collections.hardener.docker.plugins.module_utils.trust.chain import Verifier
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import (
    Finding,
    Tampered,
    Unreachable,
)
from ansible_collections.hardener.docker.plugins.module_utils.trust.keys import Keys

from tests.unit.plugins.module_utils.trust.fake_registry import FakeRegistry, Signer

CONFIG, OTHER = "sha256:" + "c" * 64, "sha256:" + "d" * 64
Signers = Callable[..., Signer]
SignersOfSignatures = Callable[..., Signer]
FIXTURES = Path(__file__).parents[4] / "fixtures"
IMAGE = "sha256:" + "a" * 64
TAG = "sha256-" + "a" * 64


def manifest(config: str = CONFIG) -> dict[str, Any]:
    return {"schemaVersion": 2, "config": {"digest": config}}


def judged(
    fake: FakeRegistry,
    *digests: str,
    identity: str = CONFIG,
    tags: tuple[str, ...] = (),
    containerd: bool = False,
    rule: dict[str, Any] | None = None,
    **exception: str,
) -> Finding:
    wanted = policy.parse(
        {
            "registries": [{"prefix": fake.name, **(rule or {"nothing": True})}],
            "exceptions": [{"reason": "r", "expires": "2026-12-31", **exception}] if exception else [],
        }
    )
    image = {
        "Id": identity,
        "RepoTags": [f"{fake.name}/{tag}" for tag in tags] or None,
        "RepoDigests": [digest if "@" in digest else f"{fake.name}/app@{digest}" for digest in digests],
    }
    with Keys([key for each in wanted.rules for key in each.keys]) as keys:
        return Verifier(wanted, fake.registries(), keys, containerd=containerd, today="2026-11-25").image(
            image
        )


def test_an_image_whose_id_is_not_the_digest_of_its_configuration_is_swapped(fake: FakeRegistry) -> None:
    assert judged(fake, fake.holds("app", manifest())).status == "allowed"
    assert judged(fake, fake.holds("app", manifest(OTHER))).status == "swapped-image"


def test_in_the_containerd_store_an_image_whose_id_is_not_the_manifest_digest_is_swapped(
    fake: FakeRegistry,
) -> None:
    digest = fake.holds("app", manifest())
    assert judged(fake, digest, identity=digest, containerd=True).status == "allowed"
    assert judged(fake, digest, identity=CONFIG, containerd=True).status == "swapped-image"
    assert judged(fake, digest, identity=digest).status == "swapped-image"


def test_an_index_is_resolved_for_this_architecture(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    here, elsewhere = fake.holds("app", manifest()), fake.holds("app", manifest(OTHER))
    entries = [{"digest": OTHER}, {"digest": elsewhere}, 7, {"digest": "x"}, {"digest": here}]
    index = fake.holds("app", {"manifests": entries}, "1")
    rule = {"keys": [ours.public_key]}
    assert judged(fake, index, rule=rule).status == "unsigned"
    ours.sign(fake, "app", elsewhere)
    assert judged(fake, index, rule=rule).status == "unsigned"
    ours.sign(fake, "app", here)
    assert judged(fake, index, rule=rule, tags=("app:1",)).status == "verified"
    del fake.answers[f"/v2/app/manifests/{here.replace(':', '-')}.sig"]
    ours.sign(fake, "app", index)
    assert judged(fake, index, rule=rule).status == "verified"
    assert judged(fake, fake.holds("app", {"manifests": entries[:2]}), rule=rule).status == "swapped-image"


def test_an_image_with_several_digests_gets_the_best_of_their_results(fake: FakeRegistry) -> None:
    good, bad = fake.holds("app", manifest()), fake.holds("app", manifest(OTHER))
    foreign = f"elsewhere.example.com/app@{good}"
    assert judged(fake, foreign, bad, good).status == "allowed"
    assert judged(fake, foreign, bad).status == "swapped-image"
    assert judged(fake, foreign) == Finding(
        "not-allowed", "the policy does not name elsewhere.example.com/app"
    )
    assert judged(fake) == Finding("no-registry-digest", "the image was built or loaded on this host")
    assert judged(fake, "a b@sha256:1").status == "no-registry-digest"


def test_a_manifest_missing_in_the_registry_is_reported(fake: FakeRegistry) -> None:
    assert judged(fake, OTHER).status == "no-registry-digest"


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b"{" * 99_999])
def test_an_answer_that_is_not_a_manifest_is_an_error(fake: FakeRegistry, body: bytes) -> None:
    assert judged(fake, fake.holds("app", body)).status == "unreachable"


def test_an_image_with_a_pinned_digest_passes(fake: FakeRegistry) -> None:
    digest = fake.holds("app", manifest())
    assert judged(fake, digest, rule={"digests": [OTHER, digest]}).status == "pinned"
    assert judged(fake, digest, rule={"digests": [OTHER]}).status == "moved-tag"


def test_a_moved_tag_is_reported(fake: FakeRegistry, signer: Signers) -> None:
    ours = signer()
    digest = fake.holds("app", manifest(), "1")
    ours.sign(fake, "app", digest)
    rule = {"keys": [ours.public_key]}
    assert judged(fake, digest, rule=rule, tags=("app:1", "app:gone")).status == "verified"
    newer = fake.holds("app", manifest(OTHER), "1")
    found = judged(fake, digest, rule=rule, tags=("app:1",))
    assert (found.status, newer[:19] in found.detail) == ("moved-tag", True)
    ours.sign(fake, "app", newer)
    assert judged(fake, digest, rule=rule, tags=("app:1",)).status == "verified"
    fake.answers["/v2/app/manifests/1"] = (500, {}, b"")
    assert judged(fake, digest, rule=rule, tags=("app:1",)).status == "unreachable"
    assert "was set on this host" in judged(fake, digest, rule=rule, tags=("other:1",)).detail


def test_each_name_is_verified_by_the_rule_of_its_repository(fake: FakeRegistry, signer: Signers) -> None:
    """An image of a repository that needs nothing, under the name of one that needs a signature."""
    ours = signer()
    digest = fake.holds("dev/tool", manifest(), "1")
    fake.holds("safe/app", manifest(), "1")
    wanted = policy.parse(
        {
            "registries": [
                {"prefix": f"{fake.name}/dev", "nothing": True},
                {"prefix": f"{fake.name}/safe", "keys": [ours.public_key]},
            ]
        }
    )
    image = {
        "Id": CONFIG,
        "RepoTags": [f"{fake.name}/dev/tool:1", f"{fake.name}/safe/app:1"],
        "RepoDigests": [f"{fake.name}/dev/tool@{digest}", f"{fake.name}/safe/app@{digest}"],
    }

    def found(**changes: Any) -> Finding:
        with Keys([ours.public_key]) as keys:
            verifier = Verifier(wanted, fake.registries(), keys, containerd=False, today="2026-11-25")
            return verifier.image({**image, **changes})

    name = f"{fake.name}/safe/app:1"
    assert found() == Finding(
        "unsigned", f"as {name}: the registry has no signature of the image", f"{fake.name}/safe"
    )
    assert found(RepoTags=[f"{fake.name}/dev/tool:1"]).status == "allowed"
    # the tag in the registry leads to something signed by now: this image is still not
    newer = fake.holds("safe/app", manifest(OTHER), "1")
    ours.sign(fake, "safe/app", newer)
    assert found().status == "unsigned"
    foreign = f"elsewhere.example.com/app@{digest}"
    assert found(RepoTags=["elsewhere.example.com/app:1"], RepoDigests=[*image["RepoDigests"], foreign]) == (
        Finding(
            "not-allowed",
            "as elsewhere.example.com/app:1: the policy does not name elsewhere.example.com/app",
        )
    )
    fake.holds("safe/app", manifest(), "1")
    ours.sign(fake, "safe/app", digest)
    assert found().status == "verified"


def test_a_tag_whose_index_does_not_list_the_signed_image_is_reported_as_moved(
    fake: FakeRegistry, signer: Signers
) -> None:
    ours = signer()
    digest = fake.holds("app", manifest())
    ours.sign(fake, "app", digest)
    rule = {"keys": [ours.public_key]}
    bare = fake.holds("app", {"manifests": [{"digest": OTHER}]}, "1")
    assert judged(fake, digest, bare, rule=rule, tags=("app:1",)).status == "moved-tag"
    whole = fake.holds("app", {"manifests": [{"digest": digest}]}, "1")
    assert judged(fake, digest, whole, rule=rule, tags=("app:1",)).status == "verified"


def test_an_image_with_several_names_gets_the_worst_of_their_results(fake: FakeRegistry) -> None:
    digest = fake.holds("app", manifest(), "1")
    fake.answers["/v2/app/manifests/2"] = (500, {}, b"")
    assert judged(fake, digest, tags=("app:2", "app:1")).status == "unreachable"
    assert judged(fake, digest, tags=("app:2", "other:1")).status == "moved-tag"


@pytest.mark.parametrize("image", [CONFIG, "*/app:1", "*@sha256:*"])
def test_an_exception_can_name_an_id_a_name_or_a_digest(fake: FakeRegistry, image: str) -> None:
    found = judged(fake, OTHER, tags=("app:1",), image=image)
    assert found == Finding("exempt", "until 2026-12-31: r", until="2026-12-31")
    assert judged(fake, OTHER, tags=("app:1",), image=image, expires="2026-11-24").status != "exempt"


@pytest.mark.parametrize("image", ["docker.io/library/*", "docker.io/*", "app:*", "*/safe/*"])
def test_an_exception_for_another_image_does_not_apply(fake: FakeRegistry, image: str) -> None:
    assert judged(fake, OTHER, tags=("app:1",), image=image).status == "no-registry-digest"


def judged_of_signatures(fake: FakeRegistry, *keys: str, every: bool = False, image: str = IMAGE) -> Finding:
    reference = references.parse(f"{fake.name}/app")
    with Keys(keys) as known:
        return chain.verify(fake.registries(), reference, image, keys=known, wanted=keys, every=every)


@pytest.mark.parametrize(
    "options", [(), ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")], ids=["ecdsa", "rsa"]
)
def test_a_signature_of_a_required_key_passes(
    fake: FakeRegistry, signer: SignersOfSignatures, options: tuple[str, ...]
) -> None:
    ours, theirs = signer(*options), signer()
    ours.sign(fake, "app", IMAGE)
    assert judged_of_signatures(fake, theirs.public_key, ours.public_key).status == "verified"
    assert judged_of_signatures(fake, theirs.public_key).status == "wrong-key"


def test_one_valid_signature_among_others_passes(fake: FakeRegistry, signer: SignersOfSignatures) -> None:
    ours, theirs = signer(), signer()
    theirs.sign(fake, "app", IMAGE)
    ours.sign(fake, "app", IMAGE, repository="elsewhere.example.com/app")
    ours.sign(fake, "app", IMAGE)
    assert judged_of_signatures(fake, ours.public_key).status == "verified"
    assert judged_of_signatures(fake, ours.public_key, theirs.public_key, every=True).status == "verified"
    assert judged_of_signatures(fake, ours.public_key, signer().public_key, every=True) == Finding(
        "wrong-key", "1 of 2 keys have signed"
    )


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"{" * 9999, b'{"critical": {"image": 7}}', b"\xff"])
def test_signed_content_that_is_not_a_payload_of_cosign_is_refused(
    fake: FakeRegistry, signer: SignersOfSignatures, payload: bytes
) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE, payload=payload)
    assert judged_of_signatures(fake, ours.public_key) == Finding(
        "wrong-key", "the signed content is not a payload of cosign"
    )


def test_a_signature_of_another_document_type_is_refused(
    fake: FakeRegistry, signer: SignersOfSignatures
) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE, kind="atomic container signature")
    assert judged_of_signatures(fake, ours.public_key) == Finding(
        "wrong-key", "the signed content is not a payload of cosign"
    )


def test_a_signature_with_a_certificate_passes_with_the_key(
    fake: FakeRegistry, signer: SignersOfSignatures
) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE, certificate="-----BEGIN CERTIFICATE-----")
    assert judged_of_signatures(fake, ours.public_key).status == "verified"
    found = judged_of_signatures(fake, signer().public_key)
    assert (found.status, "keyless" in found.detail) == ("unverifiable", True)


def test_a_key_that_is_listed_twice_needs_one_signature(
    fake: FakeRegistry, signer: SignersOfSignatures
) -> None:
    ours = signer()
    assert judged_of_signatures(fake, ours.public_key, ours.public_key, every=True).status == "unsigned"
    ours.sign(fake, "app", IMAGE)
    assert judged_of_signatures(fake, ours.public_key, ours.public_key, every=True).status == "verified"


def test_a_signature_of_another_image_or_repository_is_refused(
    fake: FakeRegistry, signer: SignersOfSignatures
) -> None:
    ours = signer()
    other = "sha256:" + "b" * 64
    ours.sign(fake, "app", other)
    fake.answers[f"/v2/app/manifests/{TAG}.sig"] = fake.answers[f"/v2/app/manifests/sha256-{'b' * 64}.sig"]
    assert judged_of_signatures(fake, ours.public_key).detail == "the signature is for another image"
    del fake.answers[f"/v2/app/manifests/{TAG}.sig"]
    ours.sign(fake, "app", IMAGE, repository="r.example.com/app")
    assert "is for r.example.com/app, not" in judged_of_signatures(fake, ours.public_key).detail


def test_a_changed_or_missing_payload_is_refused(fake: FakeRegistry, signer: SignersOfSignatures) -> None:
    ours = signer()
    ours.sign(fake, "app", IMAGE)
    (path,) = (path for path in fake.answers if "/blobs/" in path)
    fake.answers[path] = (200, {}, b"{}")
    with pytest.raises(Tampered):
        judged_of_signatures(fake, ours.public_key)
    del fake.answers[path]
    with pytest.raises(Unreachable, match="no longer has the signed content"):
        judged_of_signatures(fake, ours.public_key)


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
def test_an_empty_list_of_signatures_is_unsigned(
    fake: FakeRegistry, signer: SignersOfSignatures, layers: object
) -> None:
    fake.holds("app", {"layers": layers}, f"{TAG}.sig")
    assert judged_of_signatures(fake, signer().public_key) == Finding(
        "unsigned", "the registry has no signature of the image"
    )


def test_the_number_of_checked_signatures_is_bounded(
    fake: FakeRegistry, signer: SignersOfSignatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = signer(), signer()
    theirs.sign(fake, "app", IMAGE)
    ours.sign(fake, "app", IMAGE)
    manifest = fake.answers[f"/v2/app/manifests/{TAG}.sig"]
    assert isinstance(manifest, tuple)
    first, second = json.loads(manifest[2])["layers"]
    fake.holds("app", {"layers": [first] * 3 + [second]}, f"{TAG}.sig")
    assert judged_of_signatures(fake, ours.public_key).status == "verified"
    monkeypatch.setattr(statements, "_MOST", 3)
    fake.asked.clear()
    assert judged_of_signatures(fake, ours.public_key).status == "wrong-key"
    assert len([path for path, _ in fake.asked if "/blobs/" in path]) == 3


# --- bundles ------------------------------------------------------------------------------------------------


def test_a_bundle_of_cosign_3_is_verified(fake: FakeRegistry, signer: SignersOfSignatures) -> None:
    real = json.loads((FIXTURES / "cosign-3-bundle.json").read_text())
    fake.holds("app", real["index"].encode(), real["digest"].replace(":", "-"))
    fake.holds("app", real["manifest"].encode())
    fake.holds("app", real["bundle"].encode(), kind="blobs")
    assert judged_of_signatures(fake, real["public_key"], image=real["digest"]) == Finding(
        "verified", "signed"
    )
    assert judged_of_signatures(fake, signer().public_key, image=real["digest"]).status == "wrong-key"


@pytest.mark.parametrize("api", [True, False], ids=["api", "tag"])
def test_a_bundle_is_found_by_the_api_and_by_the_tag(
    fake: FakeRegistry, signer: SignersOfSignatures, api: bool
) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, api=api)
    assert judged_of_signatures(fake, ours.public_key).status == "verified"
    assert (
        judged_of_signatures(fake, ours.public_key, signer().public_key, every=True).detail
        == "1 of 2 keys have signed"
    )


def test_a_classic_signature_can_be_a_referrer(fake: FakeRegistry, signer: SignersOfSignatures) -> None:
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
    assert judged_of_signatures(fake, ours.public_key).status == "verified"
    assert judged_of_signatures(fake, signer().public_key).status == "wrong-key"


def test_signatures_of_both_forms_are_combined(fake: FakeRegistry, signer: SignersOfSignatures) -> None:
    one, other = signer(), signer()
    one.sign(fake, "app", IMAGE)
    other.bundle(fake, "app", IMAGE)
    assert judged_of_signatures(fake, one.public_key, other.public_key, every=True).status == "verified"


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
    fake: FakeRegistry, signer: SignersOfSignatures, changes: dict[str, Any], status: str, detail: str
) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, statement=changes)
    found = judged_of_signatures(fake, ours.public_key)
    assert (found.status, detail in found.detail) == (status, True)


def test_the_payload_type_is_part_of_the_signature(fake: FakeRegistry, signer: SignersOfSignatures) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, signed_kind="text/plain")
    assert judged_of_signatures(fake, ours.public_key).status == "wrong-key"


@pytest.mark.parametrize("kind", ["text/plain", "\ud800", ""])
def test_a_signature_in_a_bundle_of_another_type_is_unverifiable(
    fake: FakeRegistry, signer: SignersOfSignatures, kind: str
) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, kind=kind, signed_kind="text/plain")
    assert judged_of_signatures(fake, ours.public_key).status == "unverifiable"


def test_the_number_of_checked_bundle_signatures_is_bounded(
    fake: FakeRegistry, signer: SignersOfSignatures, monkeypatch: pytest.MonkeyPatch
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
    assert judged_of_signatures(fake, signer().public_key).status == "wrong-key"
    assert len(looked) == 3


def test_a_keyless_signature_is_not_reported_as_unsigned(
    fake: FakeRegistry, signer: SignersOfSignatures
) -> None:
    ours = signer()
    ours.bundle(fake, "app", IMAGE, material={"certificate": {"rawBytes": ""}})
    found = judged_of_signatures(fake, ours.public_key)
    assert (found.status, "keyless" in found.detail) == ("unverifiable", True)


def test_a_notation_signature_is_not_reported_as_unsigned(
    fake: FakeRegistry, signer: SignersOfSignatures
) -> None:
    manifest = {"artifactType": "application/vnd.cncf.notary.signature", "layers": [7]}
    child = fake.holds("app", manifest)
    fake.holds("app", {"manifests": [7, {"digest": "x"}, {"digest": child}]}, TAG)
    found = judged_of_signatures(fake, signer().public_key)
    assert (found.status, "notation" in found.detail) == ("unverifiable", True)


def test_other_referrers_are_not_signatures(fake: FakeRegistry, signer: SignersOfSignatures) -> None:
    child = fake.holds("app", {"artifactType": "sbom", "layers": [{"mediaType": "text/plain"}]})
    listed = {"manifests": [{"digest": child}, {"digest": "sha256:" + "e" * 64}]}
    fake.answers[f"/v2/app/referrers/{IMAGE}"] = (200, {}, json.dumps(listed).encode())
    assert judged_of_signatures(fake, signer().public_key).status == "unsigned"
