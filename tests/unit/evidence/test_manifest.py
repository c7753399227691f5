from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from hardener.evidence import Refused
from hardener.evidence.manifest import File, Host, Link, Manifest, Run, Selection
from hardener.model import Status
from hardener.run import RunInfo
from tests.unit.evidence.bundles import EARLIER, contents

INFO = RunInfo(
    run_id="run-a",
    tool_version="0.1.0",
    benchmark="cis-docker-1.8.0",
    catalogue_digest="c" * 64,
    ansible_version="",
    started=datetime(2026, 11, 25, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))),
    ended=datetime(2026, 11, 25, 0, 30, 1, tzinfo=UTC),
)
COUNTS = {status.value: 0 for status in Status} | {"pass": 1, "fail": 1, "error": 2}
RUN = Run(
    info=INFO,
    verb="audit",
    exporter="0.1.0",
    inventory="1" * 64,
    decided=date(2026, 11, 25),
    declared={"waivers": "2" * 64},
    selection=Selection(limit="web"),
    controls=("a", "b"),
    hosts=(Host("db01", "runs/run-a/snapshots/000001-db01.json", ""), Host("g\ud800\n", "", "refused")),
    counts=COUNTS,
)
MANIFEST = Manifest((File("README.md", 3, "3" * 64), File("runs/x", 0, "4" * 64)), (RUN,), Link(7, "5" * 64))


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(MANIFEST.render())
    return found


def test_a_written_manifest_can_be_read() -> None:
    assert Manifest.parse(MANIFEST.render()) == MANIFEST


def test_a_manifest_is_an_in_toto_statement() -> None:
    found = document()
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["subject"][0]["name"] == "README.md"
    assert found["subject"][0]["digest"] == {"sha256": "3" * 64}
    assert set(found) == {"_type", "subject", "predicateType", "predicate"}


def test_a_manifest_is_ascii_for_any_host_name() -> None:
    assert MANIFEST.render().isascii()


def test_the_population_includes_hosts_without_a_snapshot() -> None:
    assert document()["predicate"]["runs"][0]["population"] == {
        "hosts": 2,
        "assessed": 1,
        "unreachable": 1,
        "controls": 2,
        "findings": 4,
        "counts": COUNTS,
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
        selection=Selection(),
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
        broken(lambda found: found.update(predicateType="urn:hardener:evidence:4")),
        broken(lambda found: found["subject"][0].update(name=3)),
        broken(lambda found: found["subject"][0]["annotations"].update(size=-1)),
        broken(lambda found: found["subject"][0]["annotations"].update(size=True)),
        broken(lambda found: found["predicate"]["runs"][0].update(started="yesterday")),
        broken(lambda found: found["predicate"]["runs"][0].update(started="2026-11-25T00:00:00")),
        broken(lambda found: found["predicate"]["runs"][0].update(hosts={"a": 1})),
        broken(lambda found: found["predicate"]["runs"][0].pop("controls")),
        broken(lambda found: found["predicate"]["runs"][0].update(decided="yesterday")),
        broken(lambda found: found["predicate"]["ledger"].update(previous="none")),
        broken(lambda found: found["predicate"]["runs"][0]["population"]["counts"].pop("waived")),
        broken(lambda found: found["predicate"]["runs"][0].update(inventory_sha256="approved by the board")),
        broken(lambda found: found["predicate"]["runs"][0].update(decided=None)),
        broken(lambda found: found["predicate"]["runs"][0]["selection"].update(only=[1])),
        broken(lambda found: found["predicate"]["window"].update(until="2030-01-01T00:00:00.000000Z")),
    ],
)
def test_an_invalid_manifest_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(Refused, match=r"^manifest\.json: ") as refused:
        Manifest.parse(data)
    assert "\n" not in str(refused.value)


def test_a_run_that_ends_before_it_starts_is_refused() -> None:
    odd = replace(RUN, info=replace(RUN.info, ended=RUN.info.started - timedelta(microseconds=1)))
    with pytest.raises(Refused, match=f"run {RUN.info.run_id} ended before it started"):
        Manifest.parse(Manifest((), (odd,), Link(0, "0" * 64)).render())


def objects(value: object, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a document, with its path."""
    if isinstance(value, dict):
        yield place, value
    nested = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in nested:
        yield from objects(inner, f"{place}[{key}]" if isinstance(key, int) else f"{place}.{key}".lstrip("."))


PLACES = [place for place, _ in objects(document())]


@pytest.mark.parametrize("key", ["approved_by", "", "_TYPE", "n\u0430me", "size", "\x1b[2J"])
@pytest.mark.parametrize("place", PLACES)
def test_an_unknown_key_is_refused_by_name(place: str, key: str) -> None:
    found = document()
    dict(objects(found))[place][key] = "the board"
    with pytest.raises(Refused) as refused:
        Manifest.parse(f"{json.dumps(found, indent=1)}\n".encode())
    tables = {"predicate.runs[0].declared_sha256", "predicate.runs[0].population.counts"}
    if place not in tables and not (key == "size" and place.endswith("annotations")):
        assert str(refused.value).startswith(f"manifest.json: differs from what an export writes: {place}")
        assert str(refused.value).endswith((f".{key}", f": {key}", f"[{json.dumps(key)}]"))


def test_the_tests_add_an_unknown_key_to_each_of_18_objects() -> None:
    assert len(PLACES) == 18


@pytest.mark.parametrize(
    "bytes_of",
    [
        json.dumps,
        lambda found: json.dumps(found, indent=1),
        lambda found: f"{json.dumps(found, indent=2)}\n",
        lambda found: f"{json.dumps(found, indent=1, sort_keys=True)}\n",
        lambda found: f"{json.dumps(found, indent=1)}\n\n",
        lambda found: f"\ufeff{json.dumps(found, indent=1)}\n",
        lambda found: f"{json.dumps(found, indent=1, ensure_ascii=False)}\n",
    ],
)
def test_another_encoding_of_the_same_values_is_refused(bytes_of: Callable[[object], str]) -> None:
    found = document()
    found["predicate"]["runs"][0]["hosts"][1]["host"] = "g\u00e4"
    with pytest.raises(Refused, match=r"^manifest\.json: "):
        Manifest.parse(bytes_of(found).encode())


def test_the_manifest_of_an_earlier_version_is_read() -> None:
    earlier = contents(EARLIER / "bundle.tar.gz")["manifest.json"]
    assert Manifest.parse(earlier).render() == earlier


VERSIONS = (
    "",
    " 0.1.0",
    "0.1.0\n",
    "0.1.0 ",
    "0.1.0 (certified)",
    "\ud800",
    "\u202e0.1.0",
    "\u0660.\u0661",
    "-1",
    "1" * 101,
)


@pytest.mark.parametrize("key", ["tool_version", "ansible_version", "exporter_version"])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_invalid_version_is_refused(key: str, version: str) -> None:
    changed = document()
    changed["predicate"]["runs"][0][key] = version
    with pytest.raises(Refused, match=r"^manifest\.json: not a manifest: ValueError .* is not a version"):
        Manifest.parse(f"{json.dumps(changed, indent=1)}\n".encode())


@pytest.mark.parametrize("version", ["0.1.0", "2.19.14.dev0+local.1", "1!2.0rc1", "2.19.0b4"])
def test_valid_versions_are_accepted(version: str) -> None:
    changed = document()
    changed["predicate"]["runs"][0]["ansible_version"] = version
    read = Manifest.parse(f"{json.dumps(changed, indent=1)}\n".encode())
    assert read.runs[0].info.ansible_version == version


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "Audit",
        "audit ",
        "certified",
        "before",
        "before audit\n",
        "after harden",
        "before before drift",
        "\ud800",
    ],
)
def test_an_unknown_command_is_refused(verb: str) -> None:
    changed = document()
    changed["predicate"]["runs"][0]["verb"] = verb
    with pytest.raises(Refused, match=r"^manifest\.json: .* is not one of hardener's commands: audit, drift"):
        Manifest.parse(f"{json.dumps(changed, indent=1)}\n".encode())


def test_a_control_that_is_named_twice_is_refused() -> None:
    changed = document()
    changed["predicate"]["runs"][0]["controls"] = ["a", "b", "a"]
    changed["predicate"]["runs"][0]["population"]["controls"] = 3
    with pytest.raises(Refused, match=r"^manifest\.json: run run-a names a control twice"):
        Manifest.parse(f"{json.dumps(changed, indent=1)}\n".encode())
