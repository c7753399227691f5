from __future__ import annotations

from typing import Any

import pytest

from hardener.scan.record import BadRecord, ScanState, parse
from tests.unit.scans import IMAGE, OPENSSL, finding, no_database, record, report, result


def test_a_record_is_read_with_all_findings() -> None:
    restart = {"pid": 7, "began": 1, "name": "sshd", "unit": "ssh.service", "files": ["/usr/lib/libz.so"]}
    document = record(
        {IMAGE: result({**OPENSSL, "cves": ["CVE-2026-1"]})}, imported={IMAGE: [report(finding())]}
    )
    document["host"]["restarts"] = [restart]
    scan = parse(document)
    image = scan.images[IMAGE]
    assert (image.state, image.release, image.packages[0].cves) == (ScanState.OUTDATED, "12", ("CVE-2026-1",))
    assert scan.names[IMAGE] == "old:1"
    assert scan.restarts[0].unit == "ssh.service"
    assert scan.reports[IMAGE][0].findings[0]["package"] == "musl"


def test_comparisons_that_failed_are_distinguished_from_images_without_packages() -> None:
    unread = no_database(release=None)
    stale = result(state="unknown", reason="old", index={"state": "stale", "date": None})
    scan = parse(record({"none": no_database(), "unread": unread, "stale": stale}))
    assert [scan.images[name].could_not for name in ("none", "unread", "stale")] == [False, True, True]


@pytest.mark.parametrize(
    "change",
    [
        {"format": "hardener/scan/9"},
        {"host": None},
        {"images": []},
        {"images": {"a": None}},
        {"images": {"a": result(state="fine")}},
        {"images": {"a": result(packages=7)}},
        {"images": {"a": result(packages=["openssl"])}},
        {"images": {"a": result(checked="many")}},
        {"images": {"a": result(scanned_at=None)}},
        {"imported": {IMAGE: [{}]}},
        {"imported": []},
    ],
)
def test_a_record_of_the_wrong_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        parse({**record(), **change})


@pytest.mark.parametrize("document", [None, [], "x", {}])
def test_a_missing_or_malformed_record_is_an_error(document: object) -> None:
    with pytest.raises(BadRecord):
        parse(document)
