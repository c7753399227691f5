"""Compare two audits of hosts on this machine, on which other programs work meanwhile.

Users, ports, mounts and processes of other programs come and go between two audits, and with them findings.
So each report is compared with what `hardener assess` makes of the facts of the same run, and the facts of
both runs as far as only the audited engine decides them: a finding can then differ only where a fact did.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

# Sources that only the audited engine and its configuration decide.
_OF_THE_ENGINE = (
    "daemon.config",
    "docker.containers",
    "docker.images",
    "docker.networks",
    "docker.plugins",
    "docker.swarm",
    "docker.version",
    "docker.volumes",
)


def assert_same(report: Path, other: Path) -> None:
    """Assert that two audits of the same hosts have the same result.

    Args:
        report: report in JSON; the snapshots of its run are in the folder of the same name without suffix.
        other: another one.
    """
    one, two = json.loads(report.read_text()), json.loads(other.read_text())
    for each in (one, two):
        for key in ("id", "started", "ended"):
            del each["run"][key]
    hosts, others = one.pop("hosts"), two.pop("hosts")
    summaries = one.pop("summary"), two.pop("summary")
    assert one == two
    assert [host["host"] for host in hosts] == [host["host"] for host in others]
    gone, gone_too = ([host for host in each if host["unreachable"]] for each in (hosts, others))
    assert gone == gone_too
    for each, summary, path in zip((hosts, others), summaries, (report, other), strict=True):
        assert {host["host"]: host for host in each if not host["unreachable"]} == _judged(path)
        assert Counter(summary["counts"]) == _counts(each)
    facts, facts_too = _facts(report), _facts(other)
    assert facts
    assert facts == facts_too


def _judged(report: Path) -> dict[str, Any]:
    """What the facts of a run are judged as, by the name of the host."""
    judged = report.with_suffix(".judged")
    command = [sys.executable, "-m", "hardener", "assess", str(report.with_suffix("")), "--exit-zero"]
    subprocess.run([*command, "--json", str(judged)], check=True, capture_output=True, timeout=120)
    return {host["host"]: host for host in json.loads(judged.read_text())["hosts"]}


def _counts(hosts: list[dict[str, Any]]) -> Counter[str]:
    """How many findings of each status hosts have."""
    return Counter(finding["status"] for host in hosts for finding in host["findings"])


def _facts(report: Path) -> dict[str, Any]:
    """What the snapshots of a run have in common with those of another run of the same hosts."""
    found: dict[str, Any] = {}
    for path in report.with_suffix("").glob("*.json"):
        snapshot = json.loads(path.read_text())
        sources = snapshot["sources"]
        found[snapshot["host"]] = {
            "groups": snapshot["inventory_groups"],
            "policy": snapshot["policy"],
            "states": {name: source["state"] for name, source in sources.items()},
            "engine": {name: sources[name].get("data") for name in _OF_THE_ENGINE},
        }
    return found
