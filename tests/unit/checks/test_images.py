from __future__ import annotations

from typing import Any

import pytest

from hardener.checks import all_checks
from hardener.checks.lib.local_images import NO_IMAGES
from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import (
    absent,
    container,
    failed,
    hardened,
    image,
    make,
    only,
    with_containers,
)

CONTROLS = sorted(
    slug for slug in all_checks() if slug.startswith("image-") and slug != "image-latest-pulled"
)
each_control = pytest.mark.parametrize("slug", CONTROLS)


def details(verdict: Verdict) -> dict[str, str]:
    return {offender.name: offender.detail for offender in verdict.offenders}


def hosting(*images: dict[str, Any], **others: Any) -> Snapshot:
    """A host with these images and no containers."""
    return make(**{"docker.images": list(images), "docker.containers": []}, **others)


def test_section_4_has_12_checks() -> None:
    assert len(CONTROLS) == 12


@each_control
def test_without_images_only_content_trust_is_applicable(judge: Judge, slug: str) -> None:
    verdict = judge(slug, hosting())
    if slug == "image-content-trust":
        assert verdict.status is Status.FAIL
    else:
        assert verdict.status is Status.NOT_APPLICABLE
        assert verdict.actual in {NO_IMAGES, "there are no containers and no images"}


@each_control
def test_names_and_labels_of_an_image_do_not_exempt_it(judge: Judge, slug: str) -> None:
    """Neither a name with "nil" in it nor a label takes an image out."""
    odd = image("vanilla:1", Id="sha256:odd", Config={"Labels": {"docker.bench.security": "", "exempt": "1"}})
    verdict = judge(slug, hosting(image(), odd))
    if slug != "image-content-trust":
        assert verdict.checked == 2
        assert ("vanilla:1" in details(verdict)) == ("registry.example.org/web:1.4" in details(verdict))


def test_judging_one_control_does_not_change_the_verdicts_of_others(judge: Judge) -> None:
    first = "image-non-root-user"
    others = [slug for slug in CONTROLS if slug != first]
    snapshot = with_containers(
        hardened(), **{"docker.images": [image("a b:1"), image("c*:1", Id="sha256:c")]}
    )
    before = [judge(slug, snapshot) for slug in others]
    assert judge(first, snapshot).status is Status.PASS
    assert [judge(slug, snapshot) for slug in others] == before


@each_control
@pytest.mark.parametrize(
    "inspect",
    [
        {"Config": only(None), "RepoTags": None, "RepoDigests": None, "Created": None, "Size": None},
        {"RepoTags": ["\x1b[2J\u202e" + "A" * 1_000_000], "Config": {"User": None, "Healthcheck": None}},
    ],
)
def test_hostile_and_null_values_give_a_short_printable_verdict(
    judge: Judge, slug: str, inspect: dict[str, Any]
) -> None:
    verdict = judge(slug, hosting({**image(), "inspect": image(**inspect)["inspect"]}))
    assert verdict.actual.isprintable()
    assert len(verdict.actual) < 1_000


class TestNonRootUser:
    SLUG = "image-non-root-user"

    @pytest.mark.parametrize(
        "user", ["", "0", "root", "0:0", "root:root", "0:1000", "00", "+0", "-0", ":1000", "root:"]
    )
    def test_every_spelling_of_root_fails(self, judge: Judge, user: str) -> None:
        for subject in (
            hosting(image("bad:1", Config={"User": user})),
            make(**{"docker.containers": [container("bad", running=False, Config={"User": user})]}),
        ):
            verdict = judge(self.SLUG, subject)
            assert verdict.status is Status.FAIL
            assert "is set to run as root" in verdict.offenders[0].detail

    @pytest.mark.parametrize("user", ["1000", "1000:0", "10", "000001"])
    def test_an_image_with_a_numeric_user_other_than_root_passes(self, judge: Judge, user: str) -> None:
        assert judge(self.SLUG, hosting(image(Config={"User": user}))).status is Status.PASS
        stopped = container(running=False, Config={"User": user})
        assert judge(self.SLUG, make(**{"docker.containers": [stopped]})).status is Status.PASS

    @pytest.mark.parametrize("user", ["app", "app:root", "rooty", "0x0", "0x0:0"])
    def test_a_user_given_by_name_is_manual(self, judge: Judge, user: str) -> None:
        stopped = container("bad", running=False, Config={"User": user})
        for snapshot in (
            hosting(image("bad", Config={"User": user})),
            make(**{"docker.containers": [stopped]}),
        ):
            verdict = judge(self.SLUG, snapshot)
            assert verdict.status is Status.MANUAL
            assert "known only while it runs" in details(verdict)["bad"]

    def test_a_user_name_under_remapping_passes(self, judge: Judge) -> None:
        stopped = hardened("job", running=False, Config={"User": "app"})
        verdict = judge(self.SLUG, with_containers(stopped))
        assert verdict.status is Status.PASS
        assert any("known only while it runs" in fact for fact in verdict.evidence)

    def test_the_user_of_the_process_overrides_the_declared_one(self, judge: Judge) -> None:
        dropped = container("dropped", proc={"uid": 33}, Config={"User": ""})
        named = container("named", proc={"uid": 0}, Config={"User": "toor"})
        verdict = judge(self.SLUG, make(**{"docker.containers": [dropped, named]}))
        assert details(verdict) == {"named": "runs as root on the host, declared user 'toor'"}
        assert any("starts as root inside and runs as uid 33" in fact for fact in verdict.evidence)

    def test_a_remapped_root_passes(self, judge: Judge) -> None:
        remapped = hardened(proc={"uid": 100000}, Config={"User": "0"})
        stopped = hardened("job", running=False, Config={"User": ""})
        unused = image("unused:1", Id="sha256:unused", Config={"User": ""})
        snapshot = with_containers(remapped, stopped, **{"docker.images": [image(), unused]})
        assert judge(self.SLUG, snapshot).status is Status.PASS

    def test_a_container_that_opts_out_of_remapping_fails(self, judge: Judge) -> None:
        stopped = hardened("job", running=False, Config={"User": ""}, HostConfig={"UsernsMode": "host"})
        assert judge(self.SLUG, with_containers(stopped)).status is Status.FAIL

    def test_an_unused_image_without_a_user_fails(self, judge: Judge) -> None:
        unused = image("unused:1", Id="sha256:unused", Config={"User": ""})
        snapshot = with_containers(
            hardened(), **{"docker.images": [image(), unused]}, info={"SecurityOptions": []}
        )
        verdict = judge(self.SLUG, snapshot)
        assert details(verdict) == {"unused:1": "is set to run as root (no user set)"}
        assert "1 of 1 image" in verdict.actual

    def test_an_unreadable_process_is_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="uid"):
            judge(self.SLUG, make(**{"docker.containers": [container(proc={"uid": None})]}))


class TestTrustedBase:
    SLUG = "image-trusted-base"

    @staticmethod
    def pulled(*repositories: str) -> dict[str, Any]:
        return image("bad:1", RepoDigests=[f"{repository}@sha256:0a" for repository in repositories])

    def test_registries_of_images_are_manual_without_a_policy(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, hosting(self.pulled("nginx"), image("local:1", RepoDigests=None)))
        assert verdict.status is Status.MANUAL
        assert details(verdict) == {
            "bad:1": "comes from docker.io/library/nginx",
            "local:1": "has no registry: it was built or loaded on this host",
        }

    @pytest.mark.parametrize(
        ("policy", "origin", "status"),
        [
            (["registry.example.org"], "registry.example.org/a/b", Status.PASS),
            (["registry.example.org/"], "registry.example.org/a/b", Status.PASS),
            (["registry.example.org"], "registry.example.org.evil.com/a", Status.FAIL),
            (["ghcr.io/shop"], "ghcr.io/shop/web", Status.PASS),
            (["ghcr.io/shop"], "ghcr.io/shopping/web", Status.FAIL),
            (["ghcr.io/shop"], "ghcr.io/shop", Status.PASS),
            (["docker.io/library"], "nginx", Status.PASS),
            (["docker.io/library"], "someone/nginx", Status.FAIL),
            (["nginx"], "docker.io/library/nginx", Status.PASS),
            (["nginx"], "nginx/agent", Status.FAIL),
            (["grafana/loki"], "grafana/loki", Status.PASS),
            (["localhost:5000"], "localhost:5000/web", Status.PASS),
            ([], "nginx", Status.FAIL),
        ],
    )
    def test_an_image_passes_only_from_a_registry_or_repository_that_the_policy_approves(
        self, judge: Judge, policy: list[str], origin: str, status: Status
    ) -> None:
        verdict = judge(self.SLUG, hosting(self.pulled(origin), policy={"registries": policy}))
        assert verdict.status is status

    @pytest.mark.parametrize(("policy", "status"), [("nginx", Status.MANUAL), ("ghcr.io", Status.FAIL)])
    def test_a_repository_that_the_containerd_store_takes_from_a_tag_proves_no_origin(
        self, judge: Judge, policy: str, status: Status
    ) -> None:
        store = {"docker.info": {"DriverStatus": only([["driver-type", "io.containerd.snapshotter.v1"]])}}
        snapshot = hosting(self.pulled("nginx"), policy={"registries": [policy]}, **store)
        assert judge(self.SLUG, snapshot).status is status

    def test_an_image_whose_tag_alone_names_an_approved_registry_fails(self, judge: Judge) -> None:
        retagged = image("registry.example.org/web:1", RepoDigests=[])
        verdict = judge(self.SLUG, hosting(retagged, policy={"registries": ["registry.example.org"]}))
        assert verdict.status is Status.FAIL

    @pytest.mark.parametrize("policy", ["ghcr.io", {"ghcr.io": 1}, [None], [""], ["/"]])
    def test_a_policy_of_the_wrong_type_is_an_error(self, judge: Judge, policy: Any) -> None:
        with pytest.raises(FactUnavailable, match="hardener_policy: registries"):
            judge(self.SLUG, hosting(self.pulled("nginx"), policy={"registries": policy}))


@pytest.mark.parametrize(
    ("slug", "fact"),
    [
        ("image-minimal-packages", "2 MB, 3 build steps"),
        (
            "image-signed-artifacts-validated",
            "the engine reports no signature, registry.example.org/web@sha256:bbb",
        ),
    ],
)
def test_manual_verdicts_show_facts_about_the_image(judge: Judge, slug: str, fact: str) -> None:
    verdict = judge(slug, hosting(image()))
    assert verdict.status is Status.MANUAL
    assert fact in verdict.offenders[0].detail


def test_signatures_verified_by_the_engine_are_evidence(judge: Judge) -> None:
    signed = image(Identity={"Signature": [{"Signer": "release@example.org"}]})
    verdict = judge("image-signed-artifacts-validated", hosting(signed))
    assert "release@example.org" in verdict.offenders[0].detail


class TestContentTrust:
    SLUG = "image-content-trust"

    @staticmethod
    def setting(value: str, file: str = "/etc/environment") -> dict[str, str]:
        return {"file": file, "name": "DOCKER_CONTENT_TRUST", "value": value}

    @staticmethod
    def client(versions: dict[str, str]) -> dict[str, Any]:
        return {"packages": {"installed": only(versions)}}

    @pytest.mark.parametrize("value", ["1", "true", "yes", "on"])
    @pytest.mark.parametrize("file", ["/etc/environment", "/etc/profile", "/etc/profile.d/docker.sh"])
    def test_content_trust_that_is_on_for_all_users_passes(self, judge: Judge, value: str, file: str) -> None:
        verdict = judge(self.SLUG, make(environment=[self.setting(value, file)]))
        assert verdict.status is Status.PASS
        assert any("only the client verifies" in fact for fact in verdict.evidence)

    @pytest.mark.parametrize(
        ("settings", "actual"),
        [
            ([], "DOCKER_CONTENT_TRUST is not set for any user"),
            ([("0", "/etc/environment")], "content trust is turned off in /etc/environment"),
            ([("false", "/etc/environment")], "content trust is turned off in /etc/environment"),
            ([("", "/etc/environment")], "content trust is turned off in /etc/environment"),
            ([("1", "/root/.profile")], "content trust is on only in /root/.profile"),
            ([("1", "/etc/bash.bashrc")], "content trust is on only in /etc/bash.bashrc"),
            (
                [("1", "/etc/environment"), ("0", "/etc/profile.d/x.sh")],
                "content trust is turned off in /etc/profile.d/x.sh",
            ),
        ],
    )
    def test_content_trust_that_is_off_or_on_for_some_users_only_fails(
        self, judge: Judge, settings: list[tuple[str, str]], actual: str
    ) -> None:
        verdict = judge(self.SLUG, make(environment=[self.setting(*each) for each in settings]))
        assert (verdict.status, verdict.actual) == (Status.FAIL, actual)

    @pytest.mark.parametrize(
        "versions",
        [
            {"docker-ce-cli": "5:29.0.1-1~debian.13~trixie"},
            {"docker-cli": "29.0.0+dfsg1-1"},
            {"docker.io": "30.1.0-1"},
        ],
    )
    def test_content_trust_is_not_applicable_to_clients_from_29_on(
        self, judge: Judge, versions: dict[str, str]
    ) -> None:
        verdict = judge(self.SLUG, make(environment=[self.setting("1")], **self.client(versions)))
        assert verdict.status is Status.NOT_APPLICABLE
        assert "no longer has content trust" in verdict.actual
        assert "/etc/environment: DOCKER_CONTENT_TRUST=1" in verdict.evidence

    def test_content_trust_is_not_applicable_by_the_version_of_the_client_package(self, judge: Judge) -> None:
        old_engine = make(
            environment=[self.setting("1")],
            **self.client({"docker.io": "26.1.5-1", "docker-cli": "29.0.0-1"}),
        )
        assert judge(self.SLUG, old_engine).status is Status.NOT_APPLICABLE

    def test_without_a_client_package_the_engines_version_decides_if_content_trust_applies(
        self, judge: Judge
    ) -> None:
        trust = [self.setting("1")]
        for version, status in (("26.1.5", Status.PASS), ("29.2.0", Status.NOT_APPLICABLE)):
            docker = {"docker.version": {"Version": version}}
            assert judge(self.SLUG, make(environment=trust, **self.client({}), **docker)).status is status
            assert judge(self.SLUG, make(environment=trust, packages=absent(), **docker)).status is status

    def test_a_host_without_a_client_is_not_applicable(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, make(engine={"binaries": {"docker": None}}))
        assert verdict.status is Status.NOT_APPLICABLE

    @pytest.mark.parametrize("source", ["packages", "environment"])
    def test_unreadable_packages_or_environment_are_an_error_for_content_trust(
        self, judge: Judge, source: str
    ) -> None:
        with pytest.raises(FactUnavailable):
            judge(self.SLUG, make(**{source: failed("timed out")}))

    def test_an_invalid_version_is_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="version of docker-cli ~git cannot be read"):
            judge(self.SLUG, make(environment=[self.setting("1")], **self.client({"docker-cli": "~git"})))


class TestHealthcheck:
    SLUG = "image-healthcheck"

    @pytest.mark.parametrize(
        ("check", "detail"),
        [
            (None, "declares no health check"),
            ({"Test": None, "Interval": 30}, "declares no health check"),
            ({"Test": []}, "declares no health check"),
            ({"Test": ["NONE"]}, "disables the health check of its base image"),
        ],
    )
    def test_images_without_a_health_check_fail(self, judge: Judge, check: Any, detail: str) -> None:
        good = image("good:1", Config={"Healthcheck": {"Test": ["CMD", "/probe"]}})
        verdict = judge(self.SLUG, hosting(good, image("bad:1", Config={"Healthcheck": check})))
        assert details(verdict) == {"bad:1": detail}

    @pytest.mark.parametrize("test", [["CMD", "/probe"], ["CMD-SHELL", "curl -f localhost"]])
    def test_an_image_with_a_health_check_passes(self, judge: Judge, test: list[str]) -> None:
        assert judge(self.SLUG, hosting(image(Config={"Healthcheck": {"Test": test}}))).status is Status.PASS


class TestSecrets:
    SLUG = "image-no-secrets"
    ID = "sha256:67df816ec08690cb06221295509f57ccea25847d47111c187afa8f946c13e439"

    @staticmethod
    def found(*places: tuple[str, str], images: tuple[dict[str, Any], ...] = ()) -> Snapshot:
        raw = dict(hosting(image(), *images).raw)
        raw["collector"] = {"secrets": [{"where": where, "kind": kind} for where, kind in places]}
        return Snapshot(raw)

    def test_images_with_secrets_in_their_environment_or_history_fail(self, judge: Judge) -> None:
        other = image("good:1", Id="sha256:other")
        snapshot = self.found(
            (f"image {self.ID} env AWS_SECRET_ACCESS_KEY", "name"),
            (f"image {self.ID} history 2", "private-key"),
            ("container 0a env AWS_SECRET_ACCESS_KEY", "name"),
            ("service s1 env TOKEN", "name"),
            images=(other,),
        )
        assert details(judge(self.SLUG, snapshot)) == {
            "registry.example.org/web:1.4": "contains what looks like a secret: env AWS_SECRET_ACCESS_KEY"
            " (name); contains what looks like a secret: history 2 (private-key)"
        }

    def test_an_image_without_secrets_passes(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, self.found())
        assert verdict.status is Status.PASS
        assert (
            "searched: environment, labels and build history; not the files in its layers" in verdict.evidence
        )

    @pytest.mark.parametrize("collector", [{}, {"secrets": None}, {"secrets": "none"}, {"secrets": [1]}])
    def test_without_a_search_for_secrets_the_verdict_is_an_error(self, judge: Judge, collector: Any) -> None:
        raw = dict(hosting(image()).raw)
        raw["collector"] = collector
        with pytest.raises(FactUnavailable, match="secrets"):
            judge(self.SLUG, Snapshot(raw))
