from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import replace

from hardener.model import Assessment, Offender, Severity, Status
from hardener.summary import Summary, hosts_by_reason
from hardener.terminal.verdict import cause_line
from tests.unit.reports.assessments import BENCHMARK, CONTROLS, VERDICTS, assessment, decided, gone, statuses

ALL_PASS = statuses(*[Status.PASS] * len(CONTROLS))


def summary(*assessments: Assessment) -> Summary:
    result = Summary()
    for each in assessments:
        result.add(each)
    return result


def test_counts_of_a_run_are_the_sums_of_its_hosts() -> None:
    result = summary(assessment("a"), assessment("b"), gone("c"))
    assert result.hosts == 3
    assert result.counts.total() == 3 * len(CONTROLS)
    assert result.counts[Status.ERROR] == 2 + len(CONTROLS)
    assert sum(result.sections.values(), Counter()) == result.counts
    assert list(result.sections) == ["1 host", "2 daemon", "4 images", "5 runtime", "H protection"]


def test_failing_controls_are_sorted_by_severity_and_benchmark() -> None:
    failing = statuses(*[Status.FAIL] * len(CONTROLS))
    order = [cases.id for cases in summary(assessment(verdicts=failing)).cases(Status.FAIL)]
    assert order == ["5.5", "1.1.3", "H.7", "1.1.10", "2.2", "4.1", "5.29"]


def test_the_order_of_failing_controls_does_not_depend_on_the_order_of_hosts() -> None:
    late = statuses(*[Status.PASS] * 5, Status.FAIL, Status.PASS)
    early = statuses(Status.PASS, Status.FAIL, *[Status.PASS] * 5)
    result = summary(assessment("a", late), assessment("b", early))
    assert [cases.id for cases in result.cases(Status.FAIL)] == ["1.1.10", "4.1"]


def test_a_failing_control_has_three_example_hosts_and_the_number_of_all_hosts() -> None:
    (worst, *_) = summary(*(assessment(f"host{n}") for n in range(20))).cases(Status.FAIL)
    assert (worst.id, worst.hosts) == ("5.5", 20)
    assert [host for host, _ in worst.examples] == ["host0", "host1", "host2"]


def test_an_unreachable_host_is_listed_without_its_controls() -> None:
    result = summary(gone("c"))
    assert result.unreachable == [("c", "ssh: connection refused")]
    assert result.cases(Status.ERROR) == []
    assert result.worst() == []


def test_the_worst_hosts_have_the_most_severe_failures() -> None:
    mild = statuses(Status.PASS, Status.FAIL, Status.FAIL, Status.PASS, Status.FAIL, Status.FAIL, Status.PASS)
    grave = statuses(*[Status.PASS] * 3, Status.FAIL, *[Status.PASS] * 3)
    hosts = [assessment(f"mild{n}", mild) for n in range(6)]
    worst = summary(*hosts, assessment("grave", grave), assessment("good", ALL_PASS)).worst()
    assert [toll.host for toll in worst] == ["grave", "mild0", "mild1", "mild2", "mild3"]
    assert dict(zip(Severity, worst[0].by_severity, strict=True)) == {
        Severity.CRITICAL: 1,
        Severity.HIGH: 0,
        Severity.MEDIUM: 0,
        Severity.LOW: 0,
    }


class Tracked(Assessment):
    """An assessment that can be watched: a subclass without slots takes weak references."""


def test_only_the_first_assessment_is_kept_in_memory() -> None:
    alive: list[weakref.ref[Assessment]] = []
    result = Summary()

    def track() -> Assessment:
        one = Tracked(f"host{len(alive)}", BENCHMARK, "", assessment(verdicts=VERDICTS).findings)
        alive.append(weakref.ref(one))
        return one

    passed = sum(1 for _ in result.watch(track() for _ in range(10)))
    assert passed == result.hosts == 10
    assert [reference() is not None for reference in alive] == [True] + [
        False
    ] * 9  # the first is the heading


def test_waived_and_attested_controls_are_listed_and_other_passing_ones_are_not() -> None:
    summary = Summary()
    summary.add(decided("db01"))
    summary.add(decided("db02"))
    waived = {each.control.slug: each for each in summary.cases(Status.WAIVED)}
    assert list(waived) == ["audit-dockerd", "host-lsm"]
    assert waived["audit-dockerd"].hosts == 2
    (remark,) = waived["audit-dockerd"].remarks
    assert remark.startswith("waived until 2027-01-31 [W-001 by team-x]")
    assert [each.control.slug for each in summary.cases(Status.PASS)] == ["image-user"]


def test_the_number_of_remarks_is_bounded() -> None:
    summary = Summary()
    one = decided()
    for number in range(100):
        findings = tuple(
            replace(
                finding,
                waivers=tuple(
                    replace(each, offenders=(Offender("container", f"c{number}", "x"),))
                    for each in finding.waivers
                ),
            )
            for finding in one.findings
        )
        summary.add(replace(one, host=f"h{number}", findings=findings))
    (privileged,) = [
        each for each in summary.cases(Status.FAIL) if each.control.slug == "container-not-privileged"
    ]
    assert privileged.hosts == 100
    assert len(privileged.remarks) == 20


def test_the_name_of_a_host_matches_only_whole_words_of_a_reason() -> None:
    ssh = 'ssh: connect to host "{}" port 22: Connection refused'
    alike = hosts_by_reason(
        [("a", "unreachable"), ("b", "unreachable"), *((name, ssh.format(name)) for name in "re")]
    )
    assert alike == [("a, b", "unreachable"), ("r, e", ssh.format("HOST"))]


def test_hosts_with_the_same_reason_are_named_together() -> None:
    hosts = [("a", "window"), ("b", "limit"), *((f"h{number}", "window") for number in range(60))]
    first, second = hosts_by_reason(hosts)
    assert first == (", ".join(["a", *(f"h{number}" for number in range(49)), "+11 more"]), "window")
    assert second == ("b", "limit")


def test_an_error_is_not_shown_with_the_source_of_another_host() -> None:
    def undecided(host: str, source: str) -> Assessment:
        error = replace(
            VERDICTS[-1], status=Status.ERROR, actual=f"{source} could not be read: no permission"
        )
        return assessment(host, [*ALL_PASS[:-1], error])

    (alike,) = summary(undecided("a", "docker.info"), undecided("b", "docker.info")).causes()
    assert cause_line(alike, is_fleet=True).endswith(" on a, b: docker.info could not be read: no permission")
    (other,) = summary(*map(undecided, "abc", ("docker.info", "docker.networks", "docker.info"))).causes()
    assert cause_line(other, is_fleet=True).endswith(" on a, b, c: no permission")
