"""Counting in bounded memory, and what is usual."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.activity.tally import Baseline, Sighting, Tally


def sighting(at: float = 1.0, **given: Any) -> Sighting:
    known: dict[str, Any] = {
        "source": "apparmor",
        "kind": "open w",
        "verdict": "denied",
        "category": "other",
        "severity": "low",
        "target": "/x",
        "command": "sh",
        "container": "a" * 64,
        "name": "web",
        "image": "nginx",
        "how": "process",
    }
    return Sighting(at=at, **{**known, **given})


def test_equal_events_of_one_container_are_one_entry() -> None:
    tally = Tally()
    for at, target in ((5.0, "/a"), (3.0, "/b"), (9.0, "/a")):
        tally.add(sighting(at, target=target))
    (entry,) = tally.data(None)
    assert (entry["count"], entry["first"], entry["last"], entry["targets"]) == (3, 3.0, 9.0, ["/a", "/b"])
    assert entry["unusual"] is None


def test_the_most_severe_entries_come_first() -> None:
    tally = Tally()
    for severity in ("low", "high", "medium"):
        tally.add(sighting(severity=severity, kind=severity))
    assert [entry["kind"] for entry in tally.data(None)] == ["high", "medium", "low"]


def test_a_severe_event_is_not_merged_with_harmless_ones() -> None:
    tally, baseline = Tally(), Baseline(100.0)
    for number in range(5):
        harmless = sighting(float(number), target=f"/log{number}")
        tally.add(harmless)
        baseline.learn(harmless)
    grave = sighting(500.0, target="/proc/sysrq-trigger", category="kernel memory", severity="high")
    tally.add(grave)
    baseline.learn(grave)
    first, second = tally.data(baseline)
    assert (first["severity"], first["targets"], first["unusual"]) == ("high", ["/proc/sysrq-trigger"], True)
    assert (second["severity"], second["count"], second["unusual"]) == ("low", 5, False)


def test_a_flood_from_one_container_displaces_neither_severe_entries_nor_other_containers() -> None:
    tally = Tally()
    tally.add(sighting(kind="mount", severity="high"))
    tally.add(sighting(container="b" * 64, kind="quiet"))
    for number in range(1000):
        tally.add(sighting(float(number), kind=f"open {number}"))
    kinds = {(entry["container"][0], entry["kind"]) for entry in tally.data(None)}
    assert len(kinds) == 101
    assert {("a", "mount"), ("b", "quiet"), ("a", "open 999")} <= kinds
    assert tally.dropped == 1000 - 99


def test_a_harmless_entry_does_not_displace_severe_ones_at_the_limit() -> None:
    tally = Tally()
    for number in range(100):
        tally.add(sighting(kind=f"mount {number}", severity="high"))
    tally.add(sighting(kind="late"))
    assert tally.dropped == 1
    assert len(tally.data(None)) == 100


def test_memory_is_bounded_for_any_input() -> None:
    tally, baseline = Tally(), Baseline(0)
    tracemalloc.start()
    for number in range(2_500):
        one = sighting(
            float(number),
            container=f"{number:064x}",
            image=f"image{number}",
            kind=f"{number}",
            target=f"{number}" * 2000,
            command="c" * 5000,
        )
        tally.add(one)
        baseline.learn(one)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tally.data(baseline)) == 2000
    assert tally.dropped == 500
    assert len(baseline.data()) == 200
    assert size < 8 * 1024 * 1024


def test_old_entries_are_removed() -> None:
    tally = Tally()
    tally.add(sighting(1.0, kind="old"))
    tally.add(sighting(9.0, kind="new"))
    tally.forget(5.0)
    assert [entry["kind"] for entry in tally.data(None)] == ["new"]


def test_events_that_are_first_seen_after_learning_stay_unusual() -> None:
    baseline = Baseline(100.0)
    baseline.watch("nginx", 1000.0)
    baseline.learn(sighting(1050.0, kind="usual"))
    baseline.learn(sighting(1200.0, kind="strange"))
    baseline.learn(sighting(1300.0, kind="strange"))
    for known in (baseline, Baseline(100.0, json.loads(json.dumps(baseline.data())))):
        assert known.unusual(sighting(1400.0, kind="usual")) is False
        assert known.unusual(sighting(1400.0, kind="strange")) is True
        assert known.unusual(sighting(1400.0, kind="never seen")) is True
        assert known.unusual(sighting(1400.0, kind="usual", image="other")) is None


def test_a_stored_baseline_treats_events_during_learning_as_usual() -> None:
    baseline = Baseline(100.0, {"nginx": {"since": 1000.0, "kinds": {}}})
    assert baseline.unusual(sighting(1050.0)) is False
    assert baseline.unusual(sighting(1150.0)) is True


def test_an_unused_image_is_replaced_by_a_new_one() -> None:
    baseline = Baseline(100.0)
    for number in range(200):
        baseline.watch(f"app:{number}", 1000.0)
    baseline.watch("app:200", 1001.0)
    assert "app:200" not in baseline.data()
    for number in range(1, 200):
        baseline.watch(f"app:{number}", 9000.0)  # they still run
    baseline = Baseline(100.0, json.loads(json.dumps(baseline.data())))
    baseline.watch("app:200", 9001.0)
    baseline.watch("app:201", 9001.0)
    assert {"app:0", "app:200", "app:201"} & set(baseline.data()) == {"app:200"}
    assert baseline.data()["app:1"] == {"since": 1000.0, "seen": 9000.0, "kinds": {}}


def test_an_invalid_stored_baseline_is_discarded() -> None:
    odd = {"a": 5, "b": {"since": "x", "kinds": {}}, "c": {"since": 1, "kinds": []}, "d": {}}
    assert Baseline(1.0, odd).data() == {}


def test_the_first_event_of_an_image_is_unusual_after_its_learning_time() -> None:
    baseline = Baseline(100.0)
    baseline.watch("nginx", 1000.0)
    baseline.learn(sighting(5000.0, kind="first denial ever"))
    assert baseline.unusual(sighting(5000.0, kind="first denial ever")) is True


def test_counts_of_entries_continue_from_the_stored_record() -> None:
    tally = Tally()
    tally.add(sighting(3.0))
    tally.add(sighting(5.0, target="/y"))
    again = Tally()
    again.restore(json.loads(json.dumps(tally.data(None))))
    assert again.data(None) == tally.data(None)
    again.add(sighting(7.0))
    assert (again.data(None)[0]["count"], again.data(None)[0]["last"]) == (3, 7.0)
