from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, details, held
from tests.unit.snapshots import absent, failed, hardened, image, make, only, with_containers

SECOND = 10**9


class TestSwarmMode:
    SLUG = "swarm-mode-off"

    @pytest.mark.parametrize("state", ["active", "pending", "locked", "error"])
    @pytest.mark.parametrize("meant", [None, False])
    def test_an_active_swarm_mode_that_the_policy_does_not_declare_fails(
        self, judge: Judge, state: str, meant: Any
    ) -> None:
        snapshot = make(**{"docker.info": {"Swarm": {"LocalNodeState": state}}}, policy={"swarm": meant})
        verdict = judge(self.SLUG, snapshot)
        assert (verdict.status, verdict.actual.partition(",")[0]) == (Status.FAIL, f"swarm mode is {state}")

    @pytest.mark.parametrize(("state", "meant"), [("inactive", None), ("inactive", True), ("active", True)])
    def test_an_inactive_or_declared_swarm_mode_passes(self, judge: Judge, state: str, meant: Any) -> None:
        snapshot = make(**{"docker.info": {"Swarm": {"LocalNodeState": state}}}, policy={"swarm": meant})
        assert judge(self.SLUG, snapshot).status is Status.PASS

    @pytest.mark.parametrize("meant", ["yes", 1, []])
    def test_a_policy_of_the_wrong_type_is_an_error(self, judge: Judge, meant: Any) -> None:
        with pytest.raises(FactUnavailable, match="swarm must be true or false"):
            judge(self.SLUG, make(policy={"swarm": meant}))

    @pytest.mark.parametrize("swarm", [None, {}, {"LocalNodeState": ""}, []])
    def test_a_missing_swarm_state_is_an_error(self, judge: Judge, swarm: Any) -> None:
        with pytest.raises(FactUnavailable, match="Swarm"):
            judge(self.SLUG, make(**{"docker.info": {"Swarm": only(swarm)}}))


class TestRestartPolicy:
    SLUG = "container-restart-policy"

    @staticmethod
    def policy(name: str, retries: Any) -> dict[str, Any]:
        return {"HostConfig": {"RestartPolicy": {"Name": name, "MaximumRetryCount": retries}}}

    @pytest.mark.parametrize("name", ["always", "unless-stopped"])
    @pytest.mark.parametrize("retries", [0, 3])
    @pytest.mark.parametrize("running", [True, False])
    def test_the_restart_policies_always_and_unless_stopped_fail(
        self, judge: Judge, name: str, retries: int, running: bool
    ) -> None:
        bad = hardened("bad", running=running, **self.policy(name, retries))
        assert broken(judge, self.SLUG, bad).startswith(f"is restarted without limit (restart policy {name})")

    @pytest.mark.parametrize(
        ("retries", "how"), [(6, "up to 6 times"), (0, "without limit"), (None, "without limit")]
    )
    def test_more_than_five_or_unlimited_restarts_on_failure_fail(
        self, judge: Judge, retries: Any, how: str
    ) -> None:
        bad = hardened("bad", **self.policy("on-failure", retries))
        assert broken(judge, self.SLUG, bad) == f"is restarted on failure {how}"

    @pytest.mark.parametrize(("name", "retries"), [("on-failure", 1), ("on-failure", 5), ("no", 0), ("", 0)])
    def test_at_most_five_restarts_on_failure_pass(self, judge: Judge, name: str, retries: int) -> None:
        held(judge, self.SLUG, hardened(**self.policy(name, retries)))

    def test_a_null_restart_policy_passes(self, judge: Judge) -> None:
        held(judge, self.SLUG, hardened(HostConfig={"RestartPolicy": only(None)}))

    @pytest.mark.parametrize(
        ("restart", "status"),
        [
            (None, Status.FAIL),  # the engine's default is any, without limit
            ({"Condition": "any", "MaxAttempts": 3}, Status.FAIL),
            ({"Condition": "on-failure", "MaxAttempts": 0}, Status.FAIL),
            ({"Condition": "on-failure", "MaxAttempts": 5}, Status.PASS),
            ({"Condition": "none"}, Status.PASS),
        ],
    )
    def test_a_service_fails_only_if_its_restarts_have_no_limit(
        self, judge: Judge, restart: Any, status: Status
    ) -> None:
        shop = {"ID": "s1", "Spec": {"Name": "shop", "TaskTemplate": {"RestartPolicy": restart}}}
        verdict = judge(self.SLUG, with_containers(hardened(), **{"docker.swarm": {"services": [shop]}}))
        assert verdict.status is status
        assert list(details(verdict)) == (["shop"] if status is Status.FAIL else [])


class TestHealth:
    SLUG = "container-health-running"

    @pytest.mark.parametrize(
        ("health", "detail"),
        [
            (None, "has no health check"),
            ({"Status": "none"}, "has no health check"),
            ({"Status": "unhealthy"}, "is unhealthy"),
        ],
    )
    def test_a_container_without_a_passing_health_check_fails(
        self, judge: Judge, health: Any, detail: str
    ) -> None:
        assert broken(judge, self.SLUG, hardened("bad", State={"Health": only(health)})) == detail

    def test_a_container_with_a_passing_or_starting_health_check_passes(self, judge: Judge) -> None:
        held(judge, self.SLUG, hardened())
        verdict = held(judge, self.SLUG, hardened(State={"Health": {"Status": "starting"}}))
        assert any("is starting" in fact for fact in verdict.evidence)

    @pytest.mark.parametrize(
        ("check", "seconds", "status"),
        [
            ({}, 260, Status.PASS),  # three times 3 x 30 s
            ({}, 280, Status.FAIL),
            ({"Interval": 5 * SECOND, "Retries": 2}, 29, Status.PASS),
            ({"Interval": 5 * SECOND, "Retries": 2}, 31, Status.FAIL),
            ({"StartPeriod": 120 * SECOND}, 600, Status.PASS),
            ({"StartPeriod": 120 * SECOND}, 640, Status.FAIL),
            ({"StartPeriod": 3600 * SECOND}, 1801, Status.FAIL),
        ],
    )
    def test_a_health_check_that_stays_in_its_starting_state_too_long_fails(
        self, judge: Judge, check: dict[str, int], seconds: int, status: Status
    ) -> None:
        began = datetime(2026, 11, 27, 5, 0, 0, tzinfo=UTC)
        state = {"Health": {"Status": "starting"}, "StartedAt": "2026-11-27T05:00:00.123456789Z"}
        container = hardened(State=state, Config={"Healthcheck": only(check)})
        raw = dict(with_containers(container).raw)
        raw["collected_at"] = (began + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert judge(self.SLUG, Snapshot(raw)).status is status

    def test_the_control_is_not_applicable_without_running_containers(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, with_containers(hardened(running=False)))
        assert (verdict.status, verdict.actual) == (Status.NOT_APPLICABLE, "no container is running")


class TestSSHServer:
    SLUG = "container-no-sshd"

    @staticmethod
    def processes(*programs: tuple[str, str], **proc: Any) -> dict[str, Any]:
        rows = [
            {"pid": 900 + n, "comm": comm, "exe": exe, "uid": 0} for n, (comm, exe) in enumerate(programs)
        ]
        return {"proc": {"processes": rows, "processes_total": len(rows), **proc}}

    @pytest.mark.parametrize(
        ("comm", "exe", "found"),
        [
            ("sshd", "/usr/sbin/sshd", "sshd"),
            ("sshd-session", "/usr/lib/openssh/sshd-session", "sshd-session"),
            ("dropbear", "/bin/busybox", "dropbear"),
            ("web", "/usr/sbin/sshd", "sshd"),
            ("sshd: root", "", "sshd"),
            ("x", "/usr/sbin/sshd (deleted)", "sshd"),
        ],
    )
    def test_a_container_that_runs_an_ssh_server_fails(
        self, judge: Judge, comm: str, exe: str, found: str
    ) -> None:
        bad = hardened("bad", **self.processes(("init", "/sbin/init"), (comm, exe)))
        assert broken(judge, self.SLUG, bad) == f"runs {found}"

    def test_an_ssh_server_with_another_name_fails(self, judge: Judge) -> None:
        listening = [{"proto": "tcp6", "address": "::", "port": 22}]
        bad = hardened("bad", **self.processes(("app", "/app"), listening=listening))
        assert broken(judge, self.SLUG, bad) == "listens on port 22"

    def test_a_container_in_the_hosts_network_does_not_fail_for_port_22_of_the_host(
        self, judge: Judge
    ) -> None:
        listening = [{"proto": "tcp", "address": "0.0.0.0", "port": 22}]
        proc = {"listening": listening, "host_namespaces": ["net"]}
        held(judge, self.SLUG, hardened(**self.processes(("app", "/app"), **proc)))

    @pytest.mark.parametrize(
        ("path", "args"), [("/usr/sbin/sshd", ["-D"]), ("/bin/sh", ["-c", "exec /usr/sbin/sshd -D"])]
    )
    def test_a_stopped_container_whose_command_starts_an_ssh_server_fails(
        self, judge: Judge, path: str, args: list[str]
    ) -> None:
        bad = hardened("bad", running=False, Path=path, Args=args)
        assert broken(judge, self.SLUG, bad).startswith("is set to start sshd")

    @pytest.mark.parametrize(
        "exe", ["/usr/bin/ssh", "/usr/bin/ssh-agent", "/opt/sshd-exporter", "/sshd/app", None]
    )
    def test_a_container_without_an_ssh_server_passes(self, judge: Judge, exe: Any) -> None:
        held(judge, self.SLUG, hardened(**self.processes(("app", exe))))
        held(judge, self.SLUG, hardened(running=False, Path=exe, Args=None))

    def test_a_truncated_process_list_is_an_error(self, judge: Judge) -> None:
        many = hardened(**self.processes(("app", "/app"), processes_total=900, processes_truncated=True))
        with pytest.raises(FactUnavailable, match="only 1 different processes of"):
            judge(self.SLUG, with_containers(many))
        many["proc"]["processes_truncated"] = False
        held(judge, self.SLUG, many)

    def test_unreadable_processes_are_an_error(self, judge: Judge) -> None:
        with pytest.raises(FactUnavailable, match="processes"):
            judge(self.SLUG, with_containers(hardened(proc={"processes": None})))


@pytest.mark.parametrize("slug", ["exec-not-privileged", "exec-not-root-user"])
class TestExecutions:
    def test_the_manual_verdict_names_the_audit_records_to_search(self, judge: Judge, slug: str) -> None:
        verdict = judge(slug, with_containers(hardened()))
        assert verdict.status is Status.MANUAL
        assert "search the host's audit records for docker exec --" in verdict.actual
        assert "runs of /usr/bin/docker are not audited by any rule" in verdict.evidence

    def test_open_exec_sessions_are_evidence(self, judge: Judge, slug: str) -> None:
        audited = {"rules": ["-w /usr/bin/docker -p rwxa -k docker"], "status": {"enabled": 1}}
        guest = [{"pid": 1, "comm": "app", "uid": 1000}, {"pid": 2, "comm": "sh", "uid": 0}]
        entered = hardened("web", ExecIDs=["aa", "bb"], proc={"uid": 1000, "processes": guest})
        verdict = judge(slug, with_containers(entered, **{"audit.loaded": audited}))
        assert "runs of /usr/bin/docker are audited: ausearch shows them" in verdict.evidence
        assert "container web: 2 exec sessions open now" in verdict.evidence
        assert "container web: runs sh as root, but its first process as uid 1000" in verdict.evidence

    @pytest.mark.parametrize("audit", [absent("no auditctl"), failed("Operation not permitted")])
    def test_unknown_auditing_of_the_docker_client_is_evidence(
        self, judge: Judge, slug: str, audit: Any
    ) -> None:
        verdict = judge(slug, with_containers(hardened(), **{"audit.loaded": audit}))
        assert verdict.status is Status.MANUAL
        assert any(
            fact.startswith("whether runs of /usr/bin/docker are audited is not known")
            for fact in verdict.evidence
        )

    def test_a_missing_docker_client_is_evidence(self, judge: Judge, slug: str) -> None:
        verdict = judge(slug, with_containers(hardened(), engine={"binaries": {"docker": None}}))
        assert any("no docker client on this host" in fact for fact in verdict.evidence)


class TestLatestPulled:
    SLUG = "image-latest-pulled"
    TAG = "registry.example.org/web:1.4"

    def test_comparison_with_the_registry_is_manual(self, judge: Judge) -> None:
        verdict = judge(self.SLUG, with_containers(hardened()))
        assert verdict.status is Status.MANUAL
        detail = details(verdict)["twin"]
        assert f"runs {self.TAG}, built 2026-11-25, registry.example.org/web@sha256:bbbb" in detail

    def test_an_image_whose_tag_names_a_newer_one_fails(self, judge: Judge) -> None:
        detail = broken(judge, self.SLUG, hardened("bad", Image="sha256:old"))
        assert detail == f"runs another image than the tag {self.TAG} names now (built 2026-11-25)"

    def test_an_image_whose_tag_was_removed_fails(self, judge: Judge) -> None:
        detail = broken(judge, self.SLUG, hardened("bad", Config={"Image": "other"}))
        assert detail == "runs an image that the tag other no longer names"

    @pytest.mark.parametrize(
        ("reference", "tag"),
        [
            ("nginx", "nginx:latest"),
            ("docker.io/library/nginx", "nginx:latest"),
            ("nginx:latest", "docker.io/library/nginx:latest"),
            ("localhost:5000/web", "localhost:5000/web:latest"),
        ],
    )
    def test_spellings_of_one_reference_name_the_same_image(
        self, judge: Judge, reference: str, tag: str
    ) -> None:
        images = {"docker.images": [image(tag)]}
        verdict = judge(self.SLUG, with_containers(hardened(Config={"Image": reference}), **images))
        assert verdict.status is Status.MANUAL

    @pytest.mark.parametrize("reference", ["web@sha256:0a", "sha256:0a"])
    def test_a_pinned_image_is_manual(self, judge: Judge, reference: str) -> None:
        verdict = judge(self.SLUG, with_containers(hardened(Config={"Image": reference})))
        assert details(verdict) == {"twin": f"is pinned to {reference}"}
