from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from prometheus_client.parser import text_string_to_metric_families

from hardener import __version__
from hardener.model import Assessment, Status
from hardener.reports.metrics import RunMetrics, metrics
from hardener.run import RunInfo
from tests.unit.reports.conftest import BENCHMARK, HOSTILE, assessment, gone, hostile_text

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


def test_every_host_and_section_is_counted() -> None:
    samples = parsed(metrics([run([assessment("a"), gone("b")])]))

    def count(host: str, section: str, status: Status) -> float:
        where = {"inventory": "prod.yml", "host": host, "section": section}
        return value(samples, "hardener_findings", **where, status=status.value)

    assert [count("a", "host", status) for status in (Status.PASS, Status.FAIL, Status.ERROR)] == [1, 1, 0]
    assert count("a", "daemon", Status.WAIVED) == 1
    assert [count("b", "host", status) for status in (Status.PASS, Status.ERROR)] == [0, 2]
    assert len(samples["hardener_findings"]) == 2 * 5 * len(Status)


def test_a_run_says_when_and_how_it_ended() -> None:
    samples = parsed(metrics([run([assessment("a")])]))
    where = {"inventory": "prod.yml"}
    assert value(samples, "hardener_build_info", version=__version__) == 1
    about = {"run": "7f3a", "verb": "drift", "benchmark": BENCHMARK, "version": "0.0.9"}
    assert value(samples, "hardener_run_info", **where, **about) == 1
    assert value(samples, "hardener_run_exit_code", **where) == 6
    assert value(samples, "hardener_run_duration_seconds", **where) == 3.25
    assert value(samples, "hardener_run_end_timestamp_seconds", **where) == RUN.ended.timestamp()


def test_a_host_that_is_gone_was_audited_when_it_was_seen_last() -> None:
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


def test_a_clock_that_went_back_is_no_negative_duration() -> None:
    late = replace(run([assessment("a")]), run=replace(RUN, started=RUN.ended, ended=RUN.started))
    assert value(parsed(metrics([late])), "hardener_run_duration_seconds", inventory="prod.yml") == 0


def test_inventories_are_told_apart_and_the_text_is_the_same_every_time() -> None:
    def text() -> str:
        return metrics([run([assessment("a")], inventory=name) for name in ("one", "two")])

    assert text() == text()
    assert len(parsed(text())["hardener_run_exit_code"]) == 2


def test_no_run_is_still_a_file() -> None:
    assert set(parsed(metrics([]))) == {"hardener_build_info"}


@settings(max_examples=30)  # the other reader is a slow one
@given(hostile_text)
def test_names_do_nothing(name: str) -> None:
    labels = {"inventory": visible(name), "host": visible(name)}
    samples = parsed(metrics([run([assessment(name), assessment("a")], inventory=name)]))
    assert value(samples, "hardener_host_reachable", **labels) == 1
    assert set(samples) == set(parsed(metrics([run([assessment("a")])])))


def test_every_hostile_name_at_once_is_one_file() -> None:
    names = [*HOSTILE, *HOSTILE, 'a"} 1\nhardener_up 1\n#', "back\\slash", "back\\nslash"]
    samples = parsed(metrics([run(map(assessment, names))]))
    assert len(samples["hardener_host_reachable"]) == len(set(names))


def visible(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
