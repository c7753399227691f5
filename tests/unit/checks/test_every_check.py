"""What holds for every check, whatever it judges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from hardener.checks import all_checks
from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.runtime.disks import DISKS, HOST
from tests.unit.snapshots import RELEASES, container, hardened, image, make, only, recorded, with_containers

each_check = pytest.mark.parametrize("slug", sorted(all_checks()))
# Sources that only add remarks to a pass.
REMARKS = {"container-readonly-rootfs": {"mounts", "block_devices"}}
# Sources by which hosts are judged whose collector knew the locations of mounts; others are judged by names.
LOCATIONS = {"container-no-docker-sock": {"mounts"}, "container-no-sensitive-mounts": {"mounts"}}


class Reading(Snapshot):
    """A snapshot that notes which sources were asked for."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        super().__init__(raw)
        self.asked: set[str] = set()

    def fact(self, source: str) -> Any:
        self.asked.add(source)
        return super().fact(source)


@cache
def hosts() -> Mapping[str, Snapshot]:
    """Hosts of several kinds: recorded ones, one with good and bad containers, a hardened one."""
    mixed = {"docker.containers": [container(), hardened()], "docker.images": [image(), image("b:1")]}
    placed = {"mounts": HOST, "block_devices": only(DISKS)}
    return {
        **{release: recorded(release) for release in RELEASES},
        "mixed": make(**mixed, **placed),
        "hardened": with_containers(hardened(), hardened("other"), **placed),
    }


def judge(slug: str, snapshot: Snapshot) -> Verdict | None:
    """The verdict, or None where a fact is missing, which the assessment reports as an error."""
    try:
        return all_checks()[slug](snapshot)
    except FactUnavailable:
        return None


@each_check
def test_every_verdict_has_complete_and_printable_texts(slug: str) -> None:
    for name, host in hosts().items():
        if (verdict := judge(slug, host)) is None:
            continue
        for text in (verdict.expected, verdict.actual):
            assert text.strip() == text != "", (name, text)
            assert text.isprintable(), (name, text)
        assert all(each.kind and each.name and each.detail for each in verdict.offenders), name
        if verdict.status is Status.PASS:
            assert not verdict.offenders, name
            assert verdict.undecided is None, name


@each_check
def test_checks_are_deterministic_and_do_not_modify_facts(slug: str) -> None:
    for name, host in hosts().items():
        before = json.dumps(host.raw)
        assert judge(slug, host) == judge(slug, Snapshot(json.loads(before))), name
        assert json.dumps(host.raw) == before, name


@each_check
def test_verdicts_do_not_depend_on_the_order_of_objects(slug: str) -> None:
    for name, host in hosts().items():
        turned = json.loads(json.dumps(host.raw))
        for source in ("containers", "images", "networks", "volumes"):
            entry = turned["sources"].get(f"docker.{source}", {})
            if isinstance(entry.get("data"), list):
                entry["data"].reverse()
        one, other = judge(slug, host), judge(slug, Snapshot(turned))
        assert (one and one.status) == (other and other.status), name
        assert (
            one is None
            or other is None
            or sorted(map(str, one.offenders)) == sorted(map(str, other.offenders))
        )


@each_check
def test_no_check_passes_if_a_source_that_it_reads_is_missing(slug: str) -> None:
    """Each source that a check reads is lost in turn: what is not known cannot be a pass."""
    for name, host in hosts().items():
        reading = Reading(host.raw)
        judge(slug, reading)
        needed = reading.asked - REMARKS.get(slug, set())
        if not host.has("block_devices"):
            needed -= LOCATIONS.get(slug, set())
        for source in sorted(needed & set(host.raw["sources"])):
            lost = {"state": "failed", "ms": 0, "error": "lost"}
            verdict = judge(slug, Snapshot({**host.raw, "sources": {**host.raw["sources"], source: lost}}))
            assert verdict is None or verdict.status is not Status.PASS, (name, source, verdict)
