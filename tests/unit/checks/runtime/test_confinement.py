from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import REPORTED

from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, details, held
from tests.unit.snapshots import container, failed, hardened, make, with_containers
from tests.unit.workload import containers as workloads

SELINUX = {"info": {"SecurityOptions": ["name=seccomp,profile=builtin", "name=selinux"]}}
UNCONFINED = {"SecurityOptions": ["name=seccomp,profile=unconfined"]}
CONFINED = "system_u:system_r:container_t:s0:c14,c77"


def test_a_privileged_container_fails(judge: Judge) -> None:
    assert broken(judge, "container-not-privileged", hardened("bad", HostConfig={"Privileged": True}))
    held(judge, "container-not-privileged", hardened())


def test_a_stopped_privileged_container_fails(judge: Judge) -> None:
    bad = hardened("bad", running=False, HostConfig={"Privileged": True})
    assert broken(judge, "container-not-privileged", bad).endswith(
        "(not running: judged by its configuration)"
    )


def test_a_restarting_privileged_container_fails(judge: Judge) -> None:
    bad = hardened("bad", running=False, HostConfig={"Privileged": True})
    bad["inspect"]["State"] |= {"Status": "restarting", "Running": True, "Restarting": True}
    assert "is privileged" in broken(judge, "container-not-privileged", bad)


class TestAppArmor:
    SLUG = "container-apparmor"

    @pytest.mark.parametrize(
        ("bad", "detail"),
        [
            (
                {"proc": {"label": "unconfined"}},
                "runs without an AppArmor profile (declared: docker-default)",
            ),
            (
                {"proc": {"label": "unconfined"}, "AppArmorProfile": "unconfined"},
                "runs without an AppArmor profile",
            ),
            ({"proc": {"label": ""}}, "runs without an AppArmor profile (declared: docker-default)"),
            ({"proc": {"label": "web (complain)"}}, "runs under web, which is in mode complain"),
            ({"proc": {"label": "web (unconfined)"}}, "runs under web, which is in mode unconfined"),
            (
                {"running": False, "AppArmorProfile": "unconfined"},
                "is set to run without an AppArmor profile",
            ),
        ],
    )
    def test_a_container_without_an_enforced_apparmor_profile_fails(
        self, judge: Judge, bad: dict[str, Any], detail: str
    ) -> None:
        assert broken(judge, self.SLUG, hardened("bad", **bad)).startswith(detail)

    @pytest.mark.parametrize("option", ["apparmor=unconfined", "apparmor:unconfined"])
    def test_a_never_started_container_with_apparmor_unconfined_fails(
        self, judge: Judge, option: str
    ) -> None:
        bad = hardened("bad", running=False, AppArmorProfile="", HostConfig={"SecurityOpt": [option]})
        assert "is set to run without" in broken(judge, self.SLUG, bad)

    def test_a_stopped_container_with_a_complain_mode_profile_fails(self, judge: Judge) -> None:
        bad = hardened("bad", running=False, AppArmorProfile="web")
        lsm = {"apparmor": {"profiles": {"web": "complain"}}}
        assert "which is in complain mode" in broken(judge, self.SLUG, bad, lsm=lsm)

    @pytest.mark.parametrize("label", ["docker-default (enforce)", "web (kill)", "a (b) (enforce)"])
    def test_a_container_with_an_enforced_apparmor_profile_passes(self, judge: Judge, label: str) -> None:
        held(judge, self.SLUG, hardened(proc={"label": label}))

    def test_the_effective_apparmor_profile_overrides_the_declared_one(self, judge: Judge) -> None:
        verdict = held(judge, self.SLUG, hardened(AppArmorProfile="unconfined"))
        assert "container twin: declared unconfined, but runs under docker-default" in verdict.evidence

    def test_the_control_is_not_applicable_where_the_engine_has_no_apparmor(self, judge: Judge) -> None:
        snapshot = with_containers(hardened(), info={"SecurityOptions": ["name=seccomp,profile=builtin"]})
        assert judge(self.SLUG, snapshot).status is Status.NOT_APPLICABLE

    def test_a_label_that_could_not_be_read_is_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="label"):
            judge(self.SLUG, with_containers(hardened(proc={"label": None})))


class TestSELinux:
    SLUG = "container-selinux"

    @staticmethod
    def labelled(label: Any, name: str = "bad", running: bool = True) -> dict[str, Any]:
        return hardened(name, running=running, proc={"label": label}, ProcessLabel=label)

    @pytest.mark.parametrize(
        ("label", "detail"),
        [
            ("system_u:system_r:spc_t:s0", "is labelled spc_t, which is not confined"),
            ("unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", "is labelled unconfined_t"),
            ("system_u:system_r:container_runtime_t:s0", "is labelled container_runtime_t"),
            ("kernel", "has no SELinux label"),
            ("", "has no SELinux label"),
        ],
    )
    @pytest.mark.parametrize("running", [True, False])
    def test_a_container_without_a_confined_selinux_label_fails(
        self, judge: Judge, label: str, detail: str, running: bool
    ) -> None:
        snapshot = with_containers(
            self.labelled(CONFINED, "twin"), self.labelled(label, running=running), **SELINUX
        )
        verdict = judge(self.SLUG, snapshot)
        assert [offender.name for offender in verdict.offenders] == ["bad"]
        assert verdict.offenders[0].detail.startswith(detail)

    @pytest.mark.parametrize("label", [CONFINED, "system_u:system_r:my_app.process:s0:c1,c2"])
    def test_a_container_with_a_confined_selinux_label_passes(self, judge: Judge, label: str) -> None:
        held(judge, self.SLUG, self.labelled(label), **SELINUX)

    def test_a_container_of_a_host_with_permissive_selinux_fails(self, judge: Judge) -> None:
        lsm = {"selinux": {"enabled": True, "mode": "permissive"}}
        verdict = judge(self.SLUG, with_containers(self.labelled(CONFINED), lsm=lsm, **SELINUX))
        assert verdict.status is Status.FAIL
        assert "permissive" in verdict.actual

    def test_containers_of_an_engine_that_ignores_the_hosts_selinux_fail(self, judge: Judge) -> None:
        lsm = {"selinux": {"enabled": True, "mode": "enforcing"}}
        snapshot = with_containers(self.labelled("system_u:system_r:unconfined_service_t:s0"), lsm=lsm)
        verdict = judge(self.SLUG, snapshot)
        assert verdict.status is Status.FAIL
        assert "the engine does not use SELinux labels" in verdict.evidence

    @pytest.mark.parametrize("options", [None, ["seccomp=unconfined"], ["label=type:container_t"]])
    def test_declared_security_options_do_not_prove_selinux(self, judge: Judge, options: Any) -> None:
        snapshot = with_containers(container(HostConfig={"SecurityOpt": options}))
        assert judge(self.SLUG, snapshot).status is Status.NOT_APPLICABLE
        bad = container(
            "bad", proc={"label": "system_u:system_r:spc_t:s0"}, HostConfig={"SecurityOpt": options}
        )
        assert judge(self.SLUG, with_containers(bad, **SELINUX)).status is Status.FAIL


class TestSeccomp:
    SLUG = "container-seccomp-enabled"

    @pytest.mark.parametrize(
        ("config", "why"),
        [
            ({"SecurityOpt": ["seccomp=unconfined"]}, "seccomp=unconfined"),
            ({"SecurityOpt": ["seccomp:unconfined"]}, "seccomp=unconfined"),
            ({"Privileged": True}, "it is privileged"),
            ({}, "nothing in its configuration says why"),
        ],
    )
    def test_a_running_container_without_a_seccomp_filter_fails_with_the_reason(
        self, judge: Judge, config: dict[str, Any], why: str
    ) -> None:
        detail = broken(judge, self.SLUG, hardened("bad", proc={"seccomp": 0}, HostConfig=config))
        assert detail == f"runs without a seccomp filter: {why}"

    @pytest.mark.parametrize("config", [{"SecurityOpt": ["seccomp=unconfined"]}, {"Privileged": True}])
    def test_a_stopped_container_declared_without_a_seccomp_filter_fails(
        self, judge: Judge, config: dict[str, Any]
    ) -> None:
        bad = hardened("bad", running=False, HostConfig=config)
        assert "is set to run without a seccomp filter" in broken(judge, self.SLUG, bad)

    def test_a_container_with_a_seccomp_filter_passes(self, judge: Judge) -> None:
        held(judge, self.SLUG, hardened())
        held(judge, self.SLUG, hardened(running=False))

    def test_seccomp_strict_mode_is_not_counted_as_a_filter(self, judge: Judge) -> None:
        assert broken(judge, self.SLUG, hardened("bad", proc={"seccomp": 1}))

    def test_a_container_without_a_filter_because_it_is_privileged_fails(self, judge: Judge) -> None:
        bad = hardened("bad", proc={"seccomp": 0}, HostConfig={"Privileged": True})
        assert "it is privileged" in broken(judge, self.SLUG, bad)

    @pytest.mark.parametrize("running", [True, False])
    def test_a_container_without_a_filter_under_an_unconfined_daemon_fails(
        self, judge: Judge, running: bool
    ) -> None:
        bad = hardened("bad", running=running, proc={"seccomp": 0})
        verdict = judge(self.SLUG, with_containers(bad, info=UNCONFINED))
        assert "the daemon's default profile is unconfined" in verdict.actual

    def test_a_custom_seccomp_profile_passes_on_an_unconfined_daemon(self, judge: Judge) -> None:
        own = hardened(
            running=False, HostConfig={"SecurityOpt": ['seccomp={"defaultAction": "SCMP_ACT_ERRNO"}']}
        )
        held(judge, self.SLUG, own, info=UNCONFINED)

    def test_the_effective_seccomp_filter_overrides_the_declared_one(self, judge: Judge) -> None:
        verdict = held(judge, self.SLUG, hardened(HostConfig={"SecurityOpt": ["seccomp=unconfined"]}))
        assert any(
            "has a seccomp filter, although its configuration disables it" in fact
            for fact in verdict.evidence
        )

    def test_the_control_is_not_applicable_on_a_kernel_without_seccomp(self, judge: Judge) -> None:
        without = {"SecurityOptions": ["name=apparmor"]}
        snapshot = with_containers(hardened(), info=without, lsm={"seccomp": False})
        assert judge(self.SLUG, snapshot).status is Status.NOT_APPLICABLE

    def test_an_engine_built_without_seccomp_fails_on_a_kernel_that_has_it(self, judge: Judge) -> None:
        bad = hardened(proc={"seccomp": 0})
        snapshot = with_containers(bad, info={"SecurityOptions": ["name=apparmor"]})
        assert judge(self.SLUG, snapshot).status is Status.FAIL


class TestNoNewPrivileges:
    SLUG = "container-no-new-privileges"

    @pytest.mark.parametrize(
        ("options", "detail"),
        [
            (["no-new-privileges"], "runs without no_new_privs, although it is declared"),
            (["no-new-privileges=false"], "runs without no_new_privs"),
            (None, "runs without no_new_privs"),
        ],
    )
    def test_a_running_container_without_no_new_privs_fails(
        self, judge: Judge, options: Any, detail: str
    ) -> None:
        bad = hardened("bad", proc={"no_new_privs": 0}, HostConfig={"SecurityOpt": options})
        assert broken(judge, self.SLUG, bad) == detail

    @pytest.mark.parametrize(
        "options",
        [
            ["no-new-privileges=false"],
            ["no-new-privileges:false"],
            ["no-new-privileges=no"],
            ["no-new-privileges=0"],
            [],
        ],
    )
    def test_a_stopped_container_fails_if_the_option_no_new_privileges_is_missing_or_false(
        self, judge: Judge, options: list[str]
    ) -> None:
        bad = hardened("bad", running=False, HostConfig={"SecurityOpt": options})
        assert broken(judge, self.SLUG, bad)

    @pytest.mark.parametrize(
        "option",
        ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true", "no-new-privileges=1"],
    )
    def test_every_spelling_of_the_option_no_new_privileges_passes(self, judge: Judge, option: str) -> None:
        held(judge, self.SLUG, hardened(running=False, HostConfig={"SecurityOpt": [option]}))

    def test_a_stopped_container_without_no_new_privileges_gets_the_daemons_default(
        self, judge: Judge
    ) -> None:
        quiet = hardened(running=False, HostConfig={"SecurityOpt": None})
        config = {"exists": True, "parsed": {"no-new-privileges": True}}
        held(judge, self.SLUG, quiet, **{"daemon.config": config})
        opted_out = hardened(running=False, HostConfig={"SecurityOpt": ["no-new-privileges=false"]})
        verdict = judge(self.SLUG, with_containers(opted_out, **{"daemon.config": config}))
        assert verdict.status is Status.FAIL

    def test_a_running_container_with_no_new_privs_passes_without_the_option(self, judge: Judge) -> None:
        held(judge, self.SLUG, hardened(HostConfig={"SecurityOpt": None}))


def test_a_container_whose_processes_could_not_be_read_is_an_error(judge: Judge) -> None:
    unread = hardened(proc={"label": None, "seccomp": None, "no_new_privs": None})
    for slug in ("container-apparmor", "container-seccomp-enabled", "container-no-new-privileges"):
        with pytest.raises(FactUnavailable, match="twin could not be read"):
            judge(slug, with_containers(unread))


def test_containers_that_could_not_be_listed_are_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable):
        judge("container-not-privileged", make(**{"docker.containers": failed("timed out")}))


EVERYTHING = sorted(REPORTED)


@pytest.mark.parametrize("running", [True, False])
class TestSeccompProfiles:
    SLUG = "container-seccomp-enabled"

    def of(self, opened: list[str], running: bool, **proc: Any) -> dict[str, Any]:
        config = {"SecurityOpt": ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']}
        container = hardened("bad", running=running, proc=proc or None, HostConfig=config)
        return {**container, "seccomp": {"default": "SCMP_ACT_ALLOW", "open": opened}}

    def test_a_custom_seccomp_profile_that_permits_everything_fails_for_a_container(
        self, judge: Judge, running: bool
    ) -> None:
        detail = broken(judge, self.SLUG, self.of(EVERYTHING, running))
        assert "filters nothing: the engine's default would refuse acct, add_key, bpf" in detail

    def test_a_custom_seccomp_profile_that_permits_more_than_the_default_fails(
        self, judge: Judge, running: bool
    ) -> None:
        detail = broken(judge, self.SLUG, self.of(["bpf", "io_uring_setup"], running))
        assert detail.startswith(
            "has a seccomp profile of its own that permits bpf, io_uring_setup: "
            "the engine's default would refuse that"
        )

    def test_a_profile_of_the_daemon_is_judged_as_one_of_the_container(
        self, judge: Judge, running: bool
    ) -> None:
        weak = hardened("bad", running=running)
        custom = {"SecurityOptions": ["name=seccomp,profile=/etc/docker/seccomp.json"]}
        for profile, named in (
            ({"open": ["bpf", "io_uring_setup"], "unlimited": []}, "permits bpf, io_uring_setup"),
            ({"open": [], "unlimited": ["clone"]}, "permits clone with any arguments"),
            ({"open": EVERYTHING, "unlimited": []}, "filters nothing"),
        ):
            if not running and not profile["open"]:
                continue  # which arguments a profile permits is resolved when the container starts
            seccomp = {"default": "SCMP_ACT_ERRNO", "calls": 300, "digest": "0", **profile}
            own = {**weak["inspect"]["HostConfig"], "SecurityOpt": ["seccomp={}", "no-new-privileges"]}
            alone = {**weak, "inspect": {**weak["inspect"], "HostConfig": own}}
            for each in (alone, weak):
                detail = broken(judge, self.SLUG, {**each, "seccomp": seccomp}, info=custom)
                assert named in detail

    def test_a_call_that_the_default_of_another_engine_permits_is_evidence(
        self, judge: Judge, running: bool
    ) -> None:
        profile = {"default": "SCMP_ACT_ERRNO", "open": ["io_uring_setup"]}
        verdict = held(judge, self.SLUG, {**hardened(running=running), "seccomp": profile})
        assert (
            "container twin: has the daemon's own seccomp profile: "
            "the engine's default would refuse io_uring_setup" in verdict.evidence
        )

    def test_calls_that_the_default_seccomp_profile_permits_with_a_capability_are_not_reported(
        self, judge: Judge, running: bool
    ) -> None:
        if running:
            verdict = held(judge, self.SLUG, self.of(["bpf", "mount"], running, cap_bnd="0000000000200000"))
            assert not any("would refuse" in fact for fact in verdict.evidence)


class TestOwnSeccompProfile:
    """A running container's own profile, beside a container under the engine's default."""

    SLUG = "container-seccomp-enabled"

    def verdict(self, judge: Judge, profile: Any, *, default: bool = True, **changes: Any) -> Verdict:
        config = {"SecurityOpt": ["seccomp={}"], **changes.pop("HostConfig", {})}
        own = hardened("own", HostConfig=config, **changes)
        subjects = [{**own, "seccomp": profile} if profile else own]
        if default:
            subjects.append({**hardened("plain"), "seccomp": workloads.BUILTIN})
        return judge(self.SLUG, with_containers(*subjects, **{"docker.version": {"Version": "27.0.3"}}))

    @pytest.mark.parametrize(
        ("profile", "said"),
        [
            (workloads.NARROW, "74 calls, default 361"),
            ({**workloads.NARROW, "calls": 1}, "1 call, default 361"),
            (workloads.BUILTIN, "it permits the same calls as the engine's default"),
            (None, "which calls it permits could not be read"),
            (
                {**workloads.NARROW, "calls": None},
                "it permits no call that the engine's default refuses",
            ),
        ],
    )
    def test_a_custom_seccomp_profile_within_the_default_passes_with_its_call_count(
        self, judge: Judge, profile: Any, said: str
    ) -> None:
        verdict = self.verdict(judge, profile)
        assert verdict.status is Status.PASS
        assert f"container own: own profile: {said}" in verdict.evidence

    def test_a_custom_seccomp_profile_is_not_compared_if_the_default_one_is_unknown(
        self, judge: Judge
    ) -> None:
        verdict = self.verdict(judge, workloads.NARROW, default=False)
        assert verdict.status is Status.PASS
        remark = "own profile: 74 calls; no container on this host has the default profile to compare with"
        assert f"container own: {remark}" in verdict.evidence

    def test_a_seccomp_profile_that_lacks_conditions_on_arguments_fails(self, judge: Judge) -> None:
        detail = details(self.verdict(judge, workloads.FLAT))["own"]
        assert detail == (
            "has a seccomp profile of its own that permits clone with any arguments, "
            "socket with any arguments: the engine's default would refuse that"
        )

    def test_every_call_that_a_custom_seccomp_profile_adds_is_listed(self, judge: Judge) -> None:
        opened = [f"call{number}" for number in range(19)]
        detail = details(self.verdict(judge, {**workloads.NARROW, "open": opened}))["own"]
        assert ", ".join(opened) in detail

    def test_a_later_process_without_a_filter_fails(self, judge: Judge) -> None:
        shell = {"pid": 9, "comm": "sh", "exe": "/bin/sh", "uid": 0, "seccomp": 0}
        detail = details(self.verdict(judge, workloads.NARROW, proc={"processes": [shell]}))["own"]
        assert detail == "has its own seccomp profile, but a process without a seccomp filter"

    @pytest.mark.parametrize("running", [True, False])
    def test_engines_from_27_on_apply_the_custom_seccomp_profile_of_a_privileged_container(
        self, judge: Judge, running: bool
    ) -> None:
        config = {"SecurityOpt": ["seccomp={}"], "Privileged": True}
        own = {**hardened("own", running=running, HostConfig=config), "seccomp": workloads.NARROW}
        for version, status in (("27.0.3", Status.PASS), ("26.1.5", Status.FAIL)):
            found = judge(self.SLUG, with_containers(own, **{"docker.version": {"Version": version}}))
            # What runs is judged by the kernel's word: it has a filter.
            assert found.status is (Status.PASS if running else status)
            if running:
                assert ("although its configuration" in str(found.evidence)) is (status is Status.FAIL)


class TestOwnAppArmorProfile:
    SLUG = "container-apparmor"

    def test_an_enforced_custom_apparmor_profile_is_reported(self, judge: Judge) -> None:
        own = hardened("own", proc={"label": "web (enforce)"}, AppArmorProfile="web")
        verdict = held(judge, self.SLUG, own)
        assert "container own: own profile: web, enforced (default docker-default)" in verdict.evidence

    def test_a_declared_apparmor_profile_that_is_not_in_force_fails(self, judge: Judge) -> None:
        bad = hardened("bad", AppArmorProfile="web")
        assert broken(judge, self.SLUG, bad) == ("runs under docker-default, but declares the profile web")

    def test_the_default_apparmor_profile_gets_no_remark(self, judge: Judge) -> None:
        assert held(judge, self.SLUG, hardened()).evidence == ()


def test_no_new_privileges_must_be_set_for_every_process_where_declared(judge: Judge) -> None:
    slug = "container-no-new-privileges"
    shell = {"pid": 9, "comm": "sh", "exe": "/bin/sh", "uid": 0, "no_new_privs": 0}
    bad = hardened("bad", proc={"processes": [shell]})
    assert broken(judge, slug, bad) == "has 1 process without no_new_privs, although it is declared"
    held(judge, slug, hardened(proc={"processes": [shell]}, HostConfig={"SecurityOpt": None}))
