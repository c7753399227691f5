from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from prometheus_client.parser import text_string_to_metric_families

from hardener import __version__
from hardener.model import Assessment, Severity, Status, Verdict
from hardener.reports.metrics import RunMetrics, metrics
from hardener.run import RunInfo
from tests.unit.reports.assessments import (
    BENCHMARK,
    CONTROLS,
    DECISIONS,
    HOSTILE,
    VERDICTS,
    assessment,
    gone,
    hostile_text,
    statuses,
)

SEEN = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
RUN = RunInfo(
    run_id="7f3a",
    tool_version="0.0.9",
    benchmark=BENCHMARK,
    catalogue_digest="c0ffee",
    ansible_version="2.19.14",
    started=datetime(2026, 11, 25, 0, 29, 58, 250_000, tzinfo=UTC),
    ended=datetime(2026, 11, 25, 0, 30, 1, 500_000, tzinfo=UTC),
)

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def run(assessments: Iterable[Assessment], *, inventory: str = "prod.yml", seen: bool = True) -> RunMetrics:
    return RunMetrics(
        inventory=inventory,
        verb="drift",
        exit_code=6,
        run=RUN,
        assessments=assessments,
        seen=lambda host: SEEN if seen else None,
    )


def parsed(text: str) -> Samples:
    """What another reader understands; every family once, each of its series once."""
    families: Samples = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        assert family.name not in families
        samples = [(tuple(sorted(each.labels.items())), each.value) for each in family.samples]
        families[family.name] = dict(samples)
        assert len(families[family.name]) == len(samples) > 0
    return families


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name][tuple(sorted(labels.items()))]


def test_findings_are_counted_by_host_section_and_status() -> None:
    samples = parsed(metrics([run([assessment("a"), gone("b")])]))

    def count(host: str, section: str, status: Status) -> float:
        where = {"inventory": "prod.yml", "host": host, "section": section}
        return value(samples, "hardener_findings", **where, status=status.value)

    assert [count("a", "host", status) for status in (Status.PASS, Status.FAIL, Status.ERROR)] == [1, 1, 0]
    assert count("a", "daemon", Status.WAIVED) == 1
    assert [count("b", "host", status) for status in (Status.PASS, Status.ERROR)] == [0, 2]
    assert len(samples["hardener_findings"]) == 2 * 5 * len(Status)


def test_each_control_has_one_sample_for_all_hosts_together() -> None:
    samples = parsed(metrics([run([assessment("a"), assessment("b"), gone("c")])]))
    control = {
        "inventory": "prod.yml",
        "control": "container-not-privileged",
        "id": "5.5",
        "section": "runtime",
    }
    assert value(samples, "hardener_control_hosts", **control, status="fail") == 2
    assert value(samples, "hardener_control_hosts", **control, status="error") == 1
    assert value(samples, "hardener_control_failures", **control, severity="critical") == 2
    many = parsed(metrics([run(map(assessment, map(str, range(50))))]))
    for name in ("hardener_control_hosts", "hardener_control_failures"):
        assert len(many[name]) == len(samples[name])


def test_a_control_has_the_severity_of_its_findings() -> None:
    graver = Verdict(Status.FAIL, "x", "y", severity=Severity.CRITICAL)
    hosts = [assessment("a"), assessment("b", (graver, *VERDICTS[1:]))]
    samples = parsed(metrics([run(hosts)]))
    control = {"inventory": "prod.yml", "control": "audit-dockerd", "id": "1.1.3", "section": "host"}
    for severity in ("high", "critical"):
        assert value(samples, "hardener_control_failures", **control, severity=severity) == 1
    host = {"inventory": "prod.yml", "host": "b"}
    assert value(samples, "hardener_host_failures", **host, severity="critical") == 2


def test_the_compliance_ratio_leaves_out_what_no_check_decides() -> None:
    samples = parsed(metrics([run([assessment("a"), gone("b")])]))
    where = {"inventory": "prod.yml"}
    assert value(samples, "hardener_compliance_ratio", **where) == round(1 / 12, 4)
    assert value(samples, "hardener_host_compliance_ratio", **where, host="a") == 0.2
    assert value(samples, "hardener_host_compliance_ratio", **where, host="b") == 0
    assert value(samples, "hardener_group_compliance_ratio", **where, group="database") == 0.2
    undecided = parsed(metrics([run([assessment("a", statuses(*[Status.MANUAL] * len(CONTROLS)))])]))
    assert "hardener_compliance_ratio" not in undecided


def test_groups_are_limited_to_the_largest() -> None:
    hosts = [replace(assessment(str(number)), groups=("all", f"g{number:03}")) for number in range(150)]
    samples = parsed(metrics([run(hosts)]))
    assert value(samples, "hardener_groups", inventory="prod.yml") == 151
    assert len(samples["hardener_group_hosts"]) == 100
    assert value(samples, "hardener_group_hosts", inventory="prod.yml", group="all") == 150
    assert value(samples, "hardener_group_findings", inventory="prod.yml", group="all", status="fail") == 300


def test_decisions_are_counted_by_state_and_have_their_last_day() -> None:
    samples = parsed(metrics([replace(run([assessment("a")]), run=replace(RUN, decisions=DECISIONS))]))
    states = {
        (kind, state): value(samples, "hardener_decisions", inventory="prod.yml", kind=kind, state=state)
        for kind in ("waiver", "attestation")
        for state in ("in_force", "ending", "expired")
    }
    assert list(states.values()) == [2, 2, 1, 1, 0, 1]
    ends = value(
        samples,
        "hardener_decision_expiry_timestamp_seconds",
        inventory="prod.yml",
        kind="waiver",
        id="W-005",
        control="host-lsm",
    )
    assert datetime.fromtimestamp(ends, UTC) == datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC)
    many = replace(DECISIONS, waivers=DECISIONS.waivers * 100)
    assert (
        metrics([replace(run([]), run=replace(RUN, decisions=many))]).count("_expiry_timestamp_seconds{")
        < 201
    )


def test_a_run_has_its_end_and_exit_code() -> None:
    samples = parsed(metrics([run([assessment("a")])]))
    where = {"inventory": "prod.yml"}
    assert value(samples, "hardener_build_info", version=__version__) == 1
    about = {"run": "7f3a", "verb": "drift", "benchmark": BENCHMARK, "version": "0.0.9"}
    assert value(samples, "hardener_run_info", **where, **about) == 1
    assert value(samples, "hardener_run_exit_code", **where) == 6
    assert value(samples, "hardener_run_duration_seconds", **where) == 3.25
    assert value(samples, "hardener_run_end_timestamp_seconds", **where) == RUN.ended.timestamp()


def test_an_unreachable_host_has_the_time_of_its_last_audit() -> None:
    def of(run: RunMetrics, host: str) -> tuple[float, float]:
        samples = parsed(metrics([run]))
        labels = {"inventory": "prod.yml", "host": host}
        return (
            value(samples, "hardener_host_reachable", **labels),
            value(samples, "hardener_host_last_audit_timestamp_seconds", **labels),
        )

    assert of(run([assessment("a")]), "a") == (1, RUN.ended.timestamp())
    assert of(run([gone("a")]), "a") == (0, SEEN.timestamp())
    assert of(run([gone("a")], seen=False), "a") == (0, 0)


def test_a_clock_set_back_gives_no_negative_duration() -> None:
    late = replace(run([assessment("a")]), run=replace(RUN, started=RUN.ended, ended=RUN.started))
    assert value(parsed(metrics([late])), "hardener_run_duration_seconds", inventory="prod.yml") == 0


def test_inventories_are_labelled_and_the_output_is_deterministic() -> None:
    def text() -> str:
        return metrics([run([assessment("a")], inventory=name) for name in ("one", "two")])

    assert text() == text()
    assert len(parsed(text())["hardener_run_exit_code"]) == 2


def test_without_runs_the_output_is_valid() -> None:
    assert set(parsed(metrics([]))) == {"hardener_build_info"}


@settings(max_examples=30)  # the other reader is a slow one
@given(hostile_text)
def test_hostile_names_are_escaped(name: str) -> None:
    labels = {"inventory": visible(name), "host": visible(name)}
    samples = parsed(metrics([run([assessment(name), assessment("a")], inventory=name)]))
    assert value(samples, "hardener_host_reachable", **labels) == 1
    assert set(samples) == set(parsed(metrics([run([assessment("a")])])))


def test_all_hostile_names_together_give_a_valid_file() -> None:
    names = [*HOSTILE, *HOSTILE, 'a"} 1\nhardener_up 1\n#', "back\\slash", "back\\nslash"]
    samples = parsed(metrics([run(map(assessment, names))]))
    assert len(samples["hardener_host_reachable"]) == len(set(names))


def visible(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
