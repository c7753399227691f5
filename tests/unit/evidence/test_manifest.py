from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from hardener.evidence import Refused
from hardener.evidence.manifest import File, Host, Link, Manifest, Run
from hardener.reports.interface import RunInfo

INFO = RunInfo(
    run_id="run-a",
    tool_version="0.1.0",
    benchmark="cis-docker-1.8.0",
    catalogue_digest="c" * 64,
    ansible_version="",
    started=datetime(2026, 11, 25, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))),
    ended=datetime(2026, 11, 25, 0, 30, 1, tzinfo=UTC),
)
RUN = Run(
    info=INFO,
    verb="audit",
    exporter="0.1.0",
    inventory="1" * 64,
    decided=date(2026, 11, 25),
    declared={"waivers": "2" * 64},
    selection={"limit": "web", "level": 2, "only": []},
    controls=("a", "b"),
    hosts=(Host("db01", "runs/run-a/snapshots/000001-db01.json", ""), Host("g\ud800\n", "", "refused")),
    counts={"pass": 1, "fail": 1, "error": 2},
)
MANIFEST = Manifest((File("README.md", 3, "3" * 64), File("runs/x", 0, "4" * 64)), (RUN,), Link(7, "5" * 64))


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(MANIFEST.render())
    return found


def test_what_is_written_is_read() -> None:
    assert Manifest.parse(MANIFEST.render()) == MANIFEST


def test_it_is_an_in_toto_statement() -> None:
    found = document()
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["subject"][0]["name"] == "README.md"
    assert found["subject"][0]["digest"] == {"sha256": "3" * 64}
    assert set(found) == {"_type", "subject", "predicateType", "predicate"}


def test_it_is_ascii_whatever_hosts_are_called() -> None:
    assert MANIFEST.render().isascii()


def test_the_population_counts_those_that_gave_nothing() -> None:
    assert document()["predicate"]["runs"][0]["population"] == {
        "hosts": 2,
        "assessed": 1,
        "unreachable": 1,
        "controls": 2,
        "findings": 4,
        "counts": {"pass": 1, "fail": 1, "error": 2},
    }


def test_the_window_is_utc_and_spans_all_runs() -> None:
    late = RunInfo(
        run_id="run-b",
        tool_version="0.1.0",
        benchmark="cis-docker-1.8.0",
        catalogue_digest="c" * 64,
        ansible_version="2.19.14",
        started=datetime(2026, 11, 26, tzinfo=UTC),
        ended=datetime(2026, 11, 27, tzinfo=UTC),
    )
    other = Run(
        info=late,
        verb="audit",
        exporter="0.1.0",
        inventory="",
        decided=None,
        declared={},
        selection={},
        controls=(),
        hosts=(),
        counts={},
    )
    window = json.loads(Manifest((), (other, RUN), Link(0, "0" * 64)).render())["predicate"]["window"]
    assert window == {"from": "2026-11-25T00:00:00.000005Z", "until": "2026-11-27T00:00:00.000000Z"}


def broken(change: Callable[[dict[str, Any]], object]) -> bytes:
    found = document()
    change(found)
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        broken(lambda found: found.update(_type="https://in-toto.io/Statement/v0.1")),
        broken(lambda found: found.update(predicateType="urn:hardener:evidence:2")),
        broken(lambda found: found["subject"][0].update(name=3)),
        broken(lambda found: found["subject"][0]["annotations"].update(size=-1)),
        broken(lambda found: found["subject"][0]["annotations"].update(size=True)),
        broken(lambda found: found["predicate"]["runs"][0].update(started="yesterday")),
        broken(lambda found: found["predicate"]["runs"][0].update(started="2026-11-25T00:00:00")),
        broken(lambda found: found["predicate"]["runs"][0].update(hosts={"a": 1})),
        broken(lambda found: found["predicate"]["runs"][0].pop("controls")),
        broken(lambda found: found["predicate"]["runs"][0].update(decided="yesterday")),
        broken(lambda found: found["predicate"]["ledger"].update(previous="none")),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(Refused, match=r"^manifest\.json: ") as refused:
        Manifest.parse(data)
    assert "\n" not in str(refused.value)
