from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.unit.cli.fake_fleet import FakeFleet

Hardener = Callable[..., Result]
POLICY = "registries:\n  - prefix: r.example.com\n    nothing: true\n"


def image(status: str, name: str = "r.example.com/app:1", **changes: Any) -> dict[str, Any]:
    return {
        "id": "sha256:" + "a" * 64,
        "names": [name],
        "status": status,
        "detail": "why",
        "rule": "r.example.com",
        "containers": [],
        **changes,
    }


def record(*images: dict[str, Any]) -> dict[str, Any]:
    return {"verified_at": "2026-11-25T04:00:00Z", "elapsed_ms": 12, "images": list(images)}


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.yml"
    path.write_text(POLICY)
    return str(path)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ((), 0),
        (("verified", "pinned", "allowed", "exempt"), 0),
        (("verified", "unreachable"), 4),
        (("unreachable", "unsigned"), 3),
        (("wrong-key",), 3),
        (("something new",), 3),
    ],
)
def test_the_worst_image_determines_the_exit_code(
    hardener: Hardener, fleet: FakeFleet, policy: str, statuses: tuple[str, ...], code: int
) -> None:
    fleet.snapshots = {"web1": ""}
    fleet.verify_images = lambda _: record(*map(image, statuses))
    assert hardener("scan", "verify", "-i", "inv,", "--policy", policy).exit_code == code
    assert hardener("scan", "verify", "-i", "inv,", "--policy", policy, "--exit-zero").exit_code == 0
    ((playbook, options), _) = fleet.runs
    assert playbook == "verify_images"
    assert options["variables"]["content_trust_policy"] == {
        "registries": [{"prefix": "r.example.com", "nothing": True}],
        "exceptions": [],
    }


def test_a_host_without_an_answer_is_named_and_makes_the_run_incomplete(
    hardener: Hardener, fleet: FakeFleet, policy: str, tmp_path: Path
) -> None:
    fleet.snapshots = {"web1": "", "web2": ""}
    fleet.verify_images = lambda host: "openssl is missing" if host == "web1" else record(image("verified"))
    report = tmp_path / "images.json"
    result = hardener("scan", "verify", "-i", "inv,", "--policy", policy, "--json", str(report))
    assert result.exit_code == 4
    assert "web1: failed: openssl is missing" in result.stderr
    assert json.loads(report.read_text()) == {
        "schema": "hardener/images/1",
        "hosts": [
            {"host": "web2", **record(image("verified"))},
            {"host": "web1", "error": "openssl is missing"},
        ],
    }


def test_text_from_hosts_is_escaped(hardener: Hardener, fleet: FakeFleet, policy: str) -> None:
    containers = [{"name": "a\x1b[2J", "running": True, "by_digest": False}]
    fleet.snapshots = {"web1": ""}
    fleet.verify_images = lambda _: record(image("[bold]unsigned", "evil\x1b[2J\n", containers=containers))
    said = hardener("scan", "verify", "-i", "inv,", "--policy", policy).stdout
    assert "\x1b" not in said
    assert "[bold]unsigned" in said
    assert "used by a" in said


def test_the_policy_beside_the_inventory_is_used(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("{}")
    result = hardener("scan", "verify", "-i", str(inventory))
    assert (result.exit_code, "there is no policy" in result.stderr) == (2, True)
    (tmp_path / "trust.yml").write_text(POLICY)
    result = hardener("scan", "verify", "-i", str(inventory))
    assert result.exit_code == 0
    assert "policy: " in result.stderr
    (tmp_path / "trust.yml").write_text("registries:\n  - prefix: r.example.com\n    keyes: [a]\n")
    result = hardener("scan", "verify", "-i", str(inventory))
    assert result.exit_code == 2
    assert "trust.yml:3: keyes: unknown key; did you mean keys?" in result.stderr
