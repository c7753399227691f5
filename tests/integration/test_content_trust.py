"""Attacks on the supply of an image, with real registries, signers and engines (docs/trust.md)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.trust import main, pull
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import Unreachable

from hardener.model import Status
from tests.integration.collecting import judge
from tests.integration.dockerd import IMAGE, Dockerd, EngineError
from tests.integration.registries import Notary, Registry, docker, login_file
from tests.integration.supply import Supply
from tests.unit.snapshots import make


def test_signed_unsigned_and_wrongly_signed_images_are_told_apart(supply: Supply) -> None:
    """Attacks 1 and 2: an image without a signature, and one that somebody else has signed."""
    supply.push("signed:1", signed_by=supply.keys)
    supply.push("unsigned:1")
    supply.push("wrong:1", signed_by=supply.others)
    found = supply.verify()
    assert found["signed:1"] == ("verified", "signed")
    assert found["unsigned:1"] == ("unsigned", "the registry has no signature of the image")
    assert found["wrong:1"] == ("wrong-key", "no key of the policy has made the signature")
    assert found[IMAGE] == ("no-registry-digest", "the image was built or loaded on this host")
    supply.forget()
    assert supply.pull("signed:1").endswith("verified (signed)")
    assert supply.stock_pull("unsigned:1")
    assert supply.stock_pull("wrong:1")
    supply.forget()
    for refused in ("unsigned:1", "wrong:1"):
        with pytest.raises(pull.Refused, match=refused.partition(":")[0]):
            supply.pull(refused)
        with pytest.raises(EngineError, match="No such image"):
            supply.image(refused)


def test_all_keys_or_any_of_them_can_be_required(supply: Supply) -> None:
    digest = supply.push("both:1", signed_by=supply.keys)
    both = {"prefix": supply.name("both"), "keys": [supply.keys.public_key, supply.others.public_key]}
    assert supply.verify(policy=supply.policy(both))["both:1"][0] == "verified"
    every = supply.policy({**both, "need": "all"})
    assert supply.verify(policy=every)["both:1"] == ("wrong-key", "1 of 2 keys have signed")
    supply.others.sign(f"{supply.name('both')}@{digest}")
    assert supply.verify(policy=every)["both:1"] == ("verified", "signed")


def test_a_tag_that_was_moved_to_another_image_is_reported(supply: Supply) -> None:
    """Attack 3: the tag is overwritten, with an unsigned image; a signed one is an update and no attack."""
    first = supply.push("app:1", signed_by=supply.keys)
    good = supply.image("app:1")["Id"]
    evil = supply.push("app:1")
    supply.forget()
    assert supply.stock_pull("app:1")  # takes the evil one
    assert supply.verify()["app:1"][0] == "unsigned"
    supply.forget()
    supply.engine.docker("pull", f"{supply.name('app')}@{first}")
    supply.engine.docker("tag", f"{supply.name('app')}@{first}", supply.name("app:1"))
    status, detail = supply.verify()["app:1"]
    assert (status, evil[:19] in detail, "no signature" in detail) == ("moved-tag", True, True)
    with pytest.raises(pull.Refused, match="unsigned"):
        supply.pull("app:1")
    assert supply.image("app:1")["Id"] == good
    supply.keys.sign(f"{supply.name('app')}@{evil}")
    assert supply.verify()["app:1"] == ("verified", "signed")


def test_a_tag_that_was_set_on_the_host_is_reported(supply: Supply) -> None:
    """Attack 4: a signed image of another repository gets the name of the application."""
    supply.push("tool:1", signed_by=supply.keys)
    supply.engine.docker("tag", supply.name("tool:1"), supply.name("app:1"))
    found = main.verify(supply.arguments())["images"]
    (image,) = (each for each in found if supply.name("tool:1") in each["names"])
    assert image["status"] == "moved-tag"
    assert image["detail"].startswith(f"{supply.name('app:1')} was set on this host")


def test_an_image_is_verified_by_the_rule_of_each_repository_that_names_it(supply: Supply) -> None:
    """Attack 4 by the registry: an image of a repository that needs nothing is pushed as the application."""
    supply.push("dev/tool:1")
    supply.engine.docker("tag", supply.name("dev/tool:1"), supply.name("safe:1"))
    assert docker(supply.engine.host, "push", supply.name("safe:1")).returncode == 0
    supply.forget()
    assert supply.stock_pull("dev/tool:1")
    assert supply.stock_pull("safe:1")
    policy = supply.policy({"prefix": supply.name("dev"), "nothing": True})
    found = main.verify(supply.arguments(policy=policy))["images"]
    (image,) = (each for each in found if supply.name("safe:1") in each["names"])
    assert (image["status"], image["detail"]) == (
        "unsigned",
        f"as {supply.name('safe:1')}: the registry has no signature of the image",
    )


def test_a_loaded_image_with_a_false_digest_is_reported(supply: Supply) -> None:
    """Attack 5: the engine's own record of digests says that an evil image was pulled as the signed one."""
    digest = supply.push("swap:1", signed_by=supply.keys)
    good = supply.image("swap:1")["Id"]
    supply.engine.build(supply.name("swap:1"), f"FROM {IMAGE}\nLABEL evil=1\n")
    evil = supply.image("swap:1")["Id"]
    supply.engine.stop()
    (record,) = supply.engine.data_root.glob("image/*/repositories.json")
    text = record.read_text()
    repositories = json.loads(text)
    repositories["Repositories"][supply.name("swap")][f"{supply.name('swap')}@{digest}"] = evil
    record.write_text(json.dumps(repositories))
    supply.engine.start()
    assert f"{supply.name('swap')}@{digest}" in supply.image("swap:1")["RepoDigests"]
    assert good != evil
    assert supply.engine.create(image=supply.name("swap:1"))  # the engine has no doubts
    assert supply.verify()["swap:1"] == ("swapped-image", f"the registry has another image as {digest[:19]}…")


def test_a_signature_copied_to_another_repository_or_image_is_refused(supply: Supply) -> None:
    """Attacks 6 and 7: a good signature is moved to where it does not belong."""
    old = supply.push("mine:1", signed_by=supply.keys)
    evil = supply.push("mine:2")
    image, name = supply.image("mine:1")["Id"], supply.name("yours:1")
    supply.engine.docker("tag", image, name)
    assert docker(supply.engine.host, "push", name).returncode == 0
    supply.copy_signature("mine", old, "yours", old)
    supply.copy_signature("mine", old, "mine", evil)
    supply.forget()
    assert supply.stock_pull("yours:1")
    assert supply.stock_pull("mine:2")
    found = supply.verify()
    assert found["yours:1"] == (
        "wrong-key",
        f"the signature is for {supply.name('mine')}, not for the image's repository",
    )
    assert found["mine:2"] == ("wrong-key", "the signature is for another image")


def test_tampered_blobs_of_the_registry_are_refused(supply: Supply) -> None:
    """Attack 8: whoever has the registry's disk changes a manifest, a layer, or what was signed."""
    digest = supply.push("disk:1", signed_by=supply.keys)
    manifest = supply.registry.blob(digest)
    text = manifest.read_bytes()
    manifest.write_bytes(text + b" ")
    assert supply.verify()["disk:1"] == (
        "swapped-image",
        f"the registry returned other content for {digest[:19]}…",
    )
    with pytest.raises(
        Failed, match="manifest verification failed"
    ):  # it is signed, and the engine looks too
        supply.pull(f"{supply.name('disk')}@{digest}")
    manifest.write_bytes(text)
    payload = supply.signature_payload("disk", digest)
    said = payload.read_bytes()
    payload.write_bytes(said.replace(b"cosign container", b"cosign_container"))
    assert supply.verify()["disk:1"][0] == "swapped-image"
    payload.write_bytes(said)
    assert supply.verify()["disk:1"][0] == "verified"
    layer = supply.registry.blob(json.loads(text)["layers"][0]["digest"])
    whole = layer.read_bytes()
    supply.forget()
    supply.engine.docker("rmi", "--force", IMAGE)
    layer.write_bytes(bytes(reversed(whole)))
    try:
        assert not supply.stock_pull("disk:1")  # the engine itself sees this one
        with pytest.raises(Failed):
            supply.pull("disk:1")
    finally:
        layer.write_bytes(whole)
        supply.engine.ensure_image()


def test_a_registry_that_is_down_or_untrusted_is_unreachable(supply: Supply) -> None:
    """Attacks 9 and 10: nobody can be asked, or somebody else answers."""
    supply.push("there:1", signed_by=supply.keys)
    assert supply.verify(certificates="/nonexistent")["there:1"] == (
        "unreachable",
        f"{supply.registry.name} cannot be asked: its certificate is not trusted: self-signed certificate",
    )
    assert supply.stock_pull("there:1")  # on loopback the engine does not ask who it is
    with pytest.raises(Unreachable, match="not trusted"):
        supply.pull("there:1", certificates="/nonexistent")
    supply.registry.stop()
    try:
        status, detail = supply.verify()["there:1"]
        assert (status, "refused" in detail) == ("unreachable", True)
        assert not supply.stock_pull("there:1")
        with pytest.raises(Unreachable, match="refused"):
            supply.pull("there:1")
    finally:
        supply.registry.start()


def test_registries_outside_the_policy_are_not_contacted(supply: Supply) -> None:
    """Attack 11: an image from somewhere else, and a name that only looks like ours."""
    supply.push("mine:1")
    assert supply.stock_pull("mine:1")
    rule = {"prefix": supply.name("min"), "nothing": True}
    policy = {"registries": [rule, {"prefix": supply.name("mine/sub"), "nothing": True}], "exceptions": []}
    assert supply.verify(policy=policy)["mine:1"] == (
        "not-allowed",
        f"the policy does not name {supply.name('mine')}",
    )
    supply.registry.stop()
    try:
        assert supply.verify(policy=policy)["mine:1"][0] == "not-allowed"
        with pytest.raises(pull.Refused, match="does not name docker"):
            supply.pull("docker.io/mine:1", policy=policy)
    finally:
        supply.registry.start()


def test_an_old_signed_image_is_accepted_unless_the_policy_pins_a_digest(supply: Supply) -> None:
    """Attack 12, which succeeds: a signature says who, and not that there is nothing newer; a pin does."""
    old = supply.push("roll:1", signed_by=supply.keys)
    new = supply.push("roll:1", signed_by=supply.keys)
    supply.registry.point("roll", "1", old)
    supply.forget()
    assert supply.stock_pull("roll:1")
    assert supply.pull("roll:1").startswith(f"{supply.name('roll')}@{old}")
    pinned = supply.policy({"prefix": supply.name("roll"), "digests": [new]})
    assert supply.verify(policy=pinned)["roll:1"][0] == "moved-tag"
    with pytest.raises(pull.Refused, match="not one of the policy's digests"):
        supply.pull("roll:1", policy=pinned)
    supply.registry.point("roll", "1", new)
    assert ": pinned (" in supply.pull("roll:1", policy=pinned)


def test_unsigned_images_pass_by_a_rule_without_keys_or_an_unexpired_exception(supply: Supply) -> None:
    supply.push("plain:1")
    nothing = supply.policy({"prefix": supply.name("plain"), "nothing": True})
    assert supply.verify(policy=nothing)["plain:1"] == ("allowed", "no signature is required")
    exception = {"image": supply.name("plain:*"), "reason": "soon", "expires": "2999-01-01"}
    exempt = supply.policy(exceptions=[exception])
    assert supply.verify(policy=exempt)["plain:1"] == ("exempt", "until 2999-01-01: soon")
    ended = supply.policy(exceptions=[{**exception, "expires": "2020-01-01"}])
    assert supply.verify(policy=ended)["plain:1"][0] == "unsigned"
    supply.forget()
    with pytest.raises(pull.Refused, match="unsigned"):
        supply.pull("plain:1", policy=ended)
    assert ": exempt (" in supply.pull("plain:1", policy={**exempt, "registries": []})


def test_a_registry_with_a_login_is_queried(supply: Supply, tmp_path: Path) -> None:
    with Registry(supply.authority, login=True) as private:
        logins = [str(login_file(tmp_path, private))]
        certificates = str(supply.authority.trusted_by(supply.registry, private))
        name = f"{private.name}/app:1"
        supply.engine.build(name, f"FROM {IMAGE}\nLABEL private=1\n")
        config = {"DOCKER_CONFIG": str(tmp_path)}
        assert docker(supply.engine.host, "push", name, **config).returncode == 0
        policy = {"registries": [{"prefix": private.name, "nothing": True}], "exceptions": []}
        known = {"policy": policy, "certificates": certificates}
        assert supply.verify(**known)[name] == (
            "unreachable",
            f"login required: this host has no credentials for {private.name}",
        )
        assert supply.verify(**known, logins=logins)[name][0] == "allowed"
        supply.forget()
        assert supply.pull(name, **known, logins=logins)
        Path(logins[0]).write_text(Path(logins[0]).read_text().replace("cm9i", "cm9j"))
        assert supply.verify(**known, logins=logins)[name][0] == "unreachable"


def test_containers_of_an_image_are_listed_by_tag_and_by_digest(supply: Supply) -> None:
    digest = supply.push("used:1", signed_by=supply.keys)
    by_digest = f"{supply.name('used')}@{digest}"
    supply.engine.run("tagged", image=supply.name("used:1"))
    supply.engine.create("pinned", image=by_digest)
    (image,) = (each for each in main.verify(supply.arguments())["images"] if by_digest in each["names"])
    assert sorted(image["containers"], key=lambda each: str(each["name"])) == [
        {"name": "pinned", "running": False, "by_digest": True},
        {"name": "tagged", "running": True, "by_digest": False},
    ]
    assert json.loads(supply.record.read_text())["schema"] == "hardener/trust/1"
    assert supply.record.stat().st_mode & 0o777 == 0o600


def test_content_trust_applies_only_to_the_docker_command(supply: Supply, tmp_path: Path) -> None:
    """What the role switches on before 29, with a real notary: and what it does not stop."""
    with Notary(supply.authority) as notary:
        (tmp_path / "tls" / notary.name).mkdir(parents=True)
        shutil.copy(supply.authority.certificate, tmp_path / "tls" / notary.name / "ca.crt")
        trust = {
            "DOCKER_CONFIG": str(tmp_path),
            "DOCKER_CONTENT_TRUST": "1",
            "DOCKER_CONTENT_TRUST_SERVER": f"https://{notary.name}",
            "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": "root-passphrase",
            "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": "repository-passphrase",
        }
        supply.push("dct:unsigned")
        signed, unsigned = supply.name("dct:signed"), supply.name("dct:unsigned")
        supply.engine.docker("tag", unsigned, signed)
        assert docker(supply.engine.host, "push", signed, **trust).returncode == 0
        supply.forget()
        assert docker(supply.engine.host, "pull", signed, **trust).returncode == 0
        for value in ("0", "true", "F", "yes", "1"):
            asked = {**trust, "DOCKER_CONTENT_TRUST": value}
            refused = docker(supply.engine.host, "pull", unsigned, **asked)
            entry = {"file": "/etc/environment", "name": "DOCKER_CONTENT_TRUST", "value": value}
            verdict = judge("image-content-trust", make(environment=[entry]))
            assert verdict.status is (Status.PASS if refused.returncode else Status.FAIL), value
        assert "No valid trust data for unsigned" in refused.stderr
        # by an option and by the API it is pulled all the same
        around = docker(supply.engine.host, "pull", "--disable-content-trust", unsigned, **trust)
        assert around.returncode == 0
        supply.forget()
        supply.engine.api("POST", f"/images/create?fromImage={supply.name('dct')}&tag=unsigned")
        assert supply.image("dct:unsigned")
        # a tag that was moved leads the client to what was signed
        first = supply.image("dct:unsigned")["Id"]
        supply.push("dct:signed")
        supply.forget()
        assert docker(supply.engine.host, "pull", signed, **trust).returncode == 0
        assert supply.image("dct:signed")["Id"] == first


@pytest.mark.parametrize("store", ["containerd"])
def test_images_in_the_containerd_store_are_verified(supply: Supply, store: str) -> None:
    """There an id is the digest of a manifest, and what is built here has a digest that no registry knows."""
    supply.push("stored:1", signed_by=supply.keys)
    supply.push("unsigned:1")
    with Dockerd(
        config={"features": {"containerd-snapshotter": True}, "bridge": "none", "iptables": False}
    ) as other:
        there = Supply(other, supply.authority, supply.registry, supply.keys, supply.others)
        assert "verified" in there.pull("stored:1")
        assert there.stock_pull("unsigned:1")
        other.build(supply.name("local:1"), f"FROM {IMAGE}\nLABEL local=1\n")
        found = main.verify(there.arguments())["images"]
        by_name = {name: image["status"] for image in found for name in image["names"]}
        assert by_name[supply.name("stored:1")] == "verified"
        assert by_name[supply.name("unsigned:1")] == "unsigned"
        assert by_name[supply.name("local:1")] == "no-registry-digest"
