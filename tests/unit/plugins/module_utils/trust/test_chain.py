from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.trust import policy
from ansible_collections.hardener.docker.plugins.module_utils.trust.chain import Verifier
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import Finding
from ansible_collections.hardener.docker.plugins.module_utils.trust.keys import Keys

from tests.unit.plugins.module_utils.trust.fake_registry import FakeRegistry, Signer

CONFIG, OTHER = "sha256:" + "c" * 64, "sha256:" + "d" * 64
Signers = Callable[..., Signer]


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
