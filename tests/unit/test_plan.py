from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.hardener.docker.plugins.plugin_utils import specification

from hardener import catalogue
from hardener.model import (
    AppliedWaiver,
    AppliedWish,
    Assessment,
    Control,
    Finding,
    Impact,
    Remediation,
    Standing,
    Status,
    Verdict,
)
from hardener.plan import DocumentResult, Fate, TransactionResult, outlook, plan
from tests.unit.plugins.loading import ROLES
from tests.unit.reports.assessments import waiver

BENCHMARK = "cis-docker-1.8.0"


def control(
    slug: str, role: str | None = None, impact: Impact = Impact.NONE, *, variable: str = "x"
) -> Control:
    remediation = Remediation(role, f"{role}_{variable}", impact) if role else None
    return dataclasses.replace(catalogue.load(BENCHMARK)[0], slug=slug, remediation=remediation)


def assessment(*findings: tuple[Control, Status]) -> Assessment:
    return Assessment(
        host="db01",
        benchmark=BENCHMARK,
        collected_at="",
        findings=tuple(Finding(each, Verdict(status, "so", "otherwise")) for each, status in findings),
    )


def test_without_failures_the_plan_is_empty() -> None:
    for status in Status:
        if status is not Status.FAIL:
            assert plan(assessment((control("a", "docker_files"), status))).steps == ()


def test_a_control_without_a_role_has_no_step() -> None:
    result = plan(assessment((control("a"), Status.FAIL)))
    assert result.steps == ()
    assert [finding.control.slug for finding in result.beyond] == ["a"]


def test_controls_of_one_variable_share_a_step() -> None:
    a, b, c = control("a", "docker_files"), control("b", "docker_files"), control("c", "docker_files")
    result = plan(assessment((a, Status.FAIL), (b, Status.PASS), (c, Status.FAIL)))
    assert result.host == "db01"
    assert result.variables == {"docker_files": ["docker_files_x"]}
    assert [finding.control.slug for finding in result.steps[0].findings] == ["a", "c"]


def waived(finding: Finding, standing: Standing = Standing.IN_FORCE) -> Finding:
    left = waiver("W-1", finding.control.slug, "2027-01-01")
    return dataclasses.replace(finding, waivers=(AppliedWaiver(left, standing),))


def with_waiver(of: Assessment, *slugs: str, standing: Standing = Standing.IN_FORCE) -> Assessment:
    findings = (waived(each, standing) if each.control.slug in slugs else each for each in of.findings)
    return dataclasses.replace(of, findings=tuple(findings))


def test_a_variable_that_would_change_a_waived_control_is_withheld() -> None:
    a, b, c = (control("a", "files"), control("b", "files"), control("c", "files", variable="y"))
    result = plan(with_waiver(assessment((a, Status.WAIVED), (b, Status.FAIL), (c, Status.FAIL)), "a"))
    assert result.variables == {"files": ["files_y"]}
    (withheld,) = result.withheld
    assert [finding.control.slug for finding in withheld.step.findings] == ["b"]
    assert withheld.reason == "it would also remediate a waived control: a (W-1)"
    assert result.beyond == ()
    assert result.waived == {("files", "files_x")}


def test_a_partly_waived_control_is_not_remediated() -> None:
    result = plan(with_waiver(assessment((control("a", "files"), Status.FAIL)), "a"))
    assert result.steps == ()
    assert [each.step.variable for each in result.withheld] == ["files_x"]


@pytest.mark.parametrize("standing", [Standing.EXPIRED, Standing.STALE])
def test_an_expired_or_stale_waiver_does_not_remove_a_variable_from_the_plan(standing: Standing) -> None:
    result = plan(with_waiver(assessment((control("a", "files"), Status.FAIL)), "a", standing=standing))
    assert result.variables == {"files": ["files_x"]}
    assert result.withheld == ()


def test_steps_are_sorted_by_impact_and_then_by_control() -> None:
    result = plan(
        assessment(
            (control("a", "docker_daemon", Impact.RELOAD), Status.FAIL),
            (control("b", "audit_rules"), Status.FAIL),
            (control("c", "docker_files"), Status.FAIL),
        )
    )
    assert list(result.variables) == ["audit_rules", "docker_files", "docker_daemon"]


def test_a_step_has_the_greatest_impact_of_its_controls() -> None:
    result = plan(
        assessment(
            (control("a", "docker_daemon", Impact.DATA_HIDDEN), Status.FAIL),
            (control("b", "docker_daemon", Impact.RELOAD), Status.FAIL),
            (control("c", "docker_daemon", Impact.REBOOT), Status.PASS),
        )
    )
    assert result.steps[0].impact is Impact.DATA_HIDDEN


def test_roles_with_wishes_are_asked_after_those_with_steps() -> None:
    failing = assessment((control("a", "kernel"), Status.FAIL))
    result = plan(failing, ("firewall", "kernel"))
    assert result.variables == {"kernel": ["kernel_x"], "firewall": []}
    assert not plan(assessment(), ("firewall",)).is_empty
    assert plan(assessment()).is_empty


def needing(slug: str) -> Control:
    made = control(slug, "files")
    assert made.remediation
    return dataclasses.replace(made, remediation=dataclasses.replace(made.remediation, needs_default=True))


@pytest.mark.parametrize(
    ("made", "is_waived", "accepted", "only_default"),
    [
        (needing("a"), False, (), True),
        (needing("a"), True, (), False),
        (control("a", "files"), True, (), None),
        (control("a", "files"), False, (), "free"),
        (needing("a"), False, ("a",), "free"),
        (control("a", "files"), True, ("a",), "free"),
    ],
)
@pytest.mark.parametrize("status", [Status.PASS, Status.FAIL])
def test_wishes_that_weaken_a_control_or_repair_a_waived_one_need_acceptance(
    made: Control, status: Status, accepted: tuple[str, ...], only_default: object, *, is_waived: bool
) -> None:
    audited = assessment((made, status))
    guarded = plan(with_waiver(audited, "a") if is_waived else audited, ("files",), accepted=accepted).guarded
    assert guarded.get("files_x", {"only_default": "free"})["only_default"] == only_default
    assert all("--accept-weaker a" in str(rule["reason"]) for rule in guarded.values())


def test_a_value_that_repairs_one_waived_control_and_weakens_another_is_held() -> None:
    audited = with_waiver(assessment((needing("a"), Status.WAIVED), (needing("b"), Status.PASS)), "a")
    guarded = plan(audited, ("files",)).guarded["files_x"]
    assert guarded["only_default"] is None
    assert "--accept-weaker a" in str(guarded["reason"])
    assert "--accept-weaker b" in str(guarded["reason"])


def test_controls_that_are_not_selected_are_guarded_too() -> None:
    assert plan(assessment(), ("files",), controls=[needing("a")]).guarded.keys() == {"files_x"}


def test_a_control_that_needs_the_default_is_remediated_by_the_default_of_its_role() -> None:
    """Other controls pass with several values, or only with one that the site has to choose."""
    for each in catalogue.load(BENCHMARK):
        if each.remediation and each.remediation.needs_default:
            options = specification.variables(ROLES / each.remediation.role)
            assert options[each.remediation.variable]["default"] in (True, False, "info", []), each.slug


def test_the_results_of_wishes_are_separate_from_those_of_steps() -> None:
    made = plan(
        assessment((control("a", "firewall", variable="x"), Status.FAIL)), ("firewall", "docker_daemon")
    )

    def document(name: str, state: str, wish: str = "", *variables: str) -> DocumentResult:
        return DocumentResult(
            name=name, state=state, impact=Impact.RELOAD, reason="", paths=(), wish=wish, variables=variables
        )

    documents = (
        document("firewall_x", "change", "new", "firewall_x"),
        document("docker_daemon_ip", "held", "changed"),
        document("docker_daemon_icc", "unchanged", "applied", "docker_daemon_icc"),
        document("docker_daemon", "unchanged"),
    )
    result = outlook(made, TransactionResult(documents=documents))
    assert [(each.role, each.name, each.fate) for each in result.wishes] == [
        ("docker_daemon", "docker_daemon_ip (no longer set)", Fate.HELD),
        ("docker_daemon", "docker_daemon_icc", Fate.UNCHANGED),
    ]
    assert result.left == ()
    assert result.has_all


def test_variables_that_were_removed_are_named_beside_those_that_are_set() -> None:
    document = DocumentResult(
        name="firewall_inbound",
        state="held",
        impact=Impact.CONNECTIVITY,
        reason="",
        paths=(),
        wish="changed",
        variables=("firewall_icmp",),
        removed=("firewall_allow",),
    )
    found = outlook(plan(assessment(), ("firewall",)), TransactionResult(documents=(document,)))
    assert [each.name for each in found.wishes] == ["firewall_icmp, firewall_allow (no longer set)"]


def test_wishes_of_another_inventory_are_listed_unless_this_one_replaces_them() -> None:
    wish = AppliedWish("site.yml", "firewall", ("firewall_allow", "firewall_icmp"))
    made = dataclasses.replace(
        plan(assessment(), ("firewall",)),
        elsewhere={"firewall_inbound": wish, "firewall_docker_user": wish, "firewall_published": wish},
    )
    document = DocumentResult(
        name="firewall_published", state="change", impact=Impact.NONE, reason="", paths=(), wish="changed"
    )
    found = outlook(made, TransactionResult(documents=(document,)))
    assert found.left == ("kept as another inventory, site.yml, has set it: firewall_allow, firewall_icmp",)


@pytest.mark.parametrize(
    ("state", "wish", "complete"),
    [("unchanged", "applied", True), ("unchanged", "new", False), ("refused", "new", True)],
)
def test_a_host_has_all_wishes_once_it_remembers_them(state: str, wish: str, *, complete: bool) -> None:
    document = DocumentResult(
        name="firewall_inbound", state=state, impact=Impact.NONE, reason="", paths=(), wish=wish
    )
    found = outlook(plan(assessment(), ("firewall",)), TransactionResult(documents=(document,)))
    assert found.has_all is complete


@pytest.mark.parametrize("paths", [(), ("/etc/hardener/workloads/shop-web.yaml",)])
def test_a_host_lacks_a_wish_whose_file_is_there_and_has_lost_its_effect(paths: tuple[str, ...]) -> None:
    document = DocumentResult(
        name="firewall_inbound", state="change", impact=Impact.NONE, reason="", paths=paths, wish="applied"
    )
    found = outlook(plan(assessment(), ("firewall",)), TransactionResult(documents=(document,)))
    assert found.has_all is not bool(paths)


@pytest.mark.parametrize("benchmark", catalogue.benchmarks())
def test_every_control_that_names_a_role_can_be_planned(benchmark: str) -> None:
    controls = catalogue.load(benchmark)
    result = plan(assessment(*((each, Status.FAIL) for each in controls)))
    planned = {finding.control.slug for step in result.steps for finding in step.findings}
    assert planned == {each.slug for each in controls if each.remediation}
    decided = [variable for variables in result.variables.values() for variable in variables]
    assert len(set(decided)) == len(decided)


def answer(name: str, state: str, impact: Impact = Impact.NONE, reason: str = "") -> DocumentResult:
    return DocumentResult(name=name, state=state, impact=impact, reason=reason, paths=("/etc/x",))


def test_the_answer_of_a_host_gives_the_outcome_and_impact_of_each_step() -> None:
    icc = control("icc", "docker_daemon", Impact.DAEMON_RESTART, variable="icc")
    live = control("live", "docker_daemon", Impact.RELOAD, variable="live_restore")
    audit = control("audit", "audit_rules")
    planned = plan(assessment(*((each, Status.FAIL) for each in (icc, live, audit))))
    result = outlook(
        planned,
        TransactionResult(
            documents=(
                answer("docker_daemon_icc", "held", Impact.CONTAINERS_STOP, "web would stop"),
                answer("docker_daemon_live_restore", "change", Impact.RELOAD),
                answer("audit_rules", "refused", reason="no audit here"),
                answer("docker_daemon_site", "held", Impact.CONNECTIVITY, "it may cut off"),
                answer("docker_daemon_serving", "unchanged"),
            ),
            digest="abc",
        ),
    )
    found = {
        each.step.variable: (each.fate, each.impact, each.reason, each.paths) for each in result.decisions
    }
    assert found == {
        "docker_daemon_icc": (Fate.HELD, Impact.CONTAINERS_STOP, "web would stop", ("/etc/x",)),
        "docker_daemon_live_restore": (Fate.CHANGE, Impact.RELOAD, "", ("/etc/x",)),
        "audit_rules_x": (Fate.BLOCKED, Impact.NONE, "no audit here", ("/etc/x",)),
    }
    assert result.left == ("held (connectivity): docker_daemon_site: it may cut off",)
    assert (result.result.digest, result.failure) == ("abc", "")


def test_a_step_without_a_document_changes_nothing_on_a_host_that_answers() -> None:
    planned = plan(assessment((control("a", "security_updates"), Status.FAIL)))
    other = DocumentResult(name="x_y", state="unchanged", impact=Impact.NONE, reason="", paths=())
    for documents in ((other,), ()):
        result = outlook(planned, TransactionResult(documents=documents))
        assert [each.fate for each in result.decisions] == [Fate.UNCHANGED]


def test_without_an_answer_of_the_host_the_outcome_of_every_step_is_unknown() -> None:
    planned = plan(assessment((control("a", "docker_files"), Status.FAIL)))
    for answer in (None, TransactionResult()):
        result = outlook(planned, answer, failure="timed out")
        assert [each.fate for each in result.decisions] == [Fate.UNKNOWN]
        assert result.failure == "timed out"
