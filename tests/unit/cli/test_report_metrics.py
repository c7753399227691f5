from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import Hardener, audited, host, kept


def exit_codes(text: str) -> dict[str, float]:
    """Exit code of the run that is told, by inventory."""
    return {
        sample.labels["inventory"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name == "hardener_run_exit_code"
    }


def test_the_latest_state_of_every_inventory_is_exported(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host("0666")})
    hardener("audit", "-i", "other,", "--only", "3.17")
    hardener("audit", "-i", "third,")
    audited(hardener, fleet, {"a": host()}, "--only", "3.17")
    audited(hardener, fleet, {"a": host()}, "--limit", "a")
    result = hardener("report", "metrics")
    assert result.exit_code == 0
    assert exit_codes(result.stdout) == {"inv,": 3, "third,": 3}
    assert f'run="{kept(home)[0].id}"' in result.stdout


def test_an_unreachable_host_keeps_the_time_of_its_last_audit(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    ended = kept(home)[0].info.ended
    audited(hardener, fleet, {"a": "timed out"})
    lines = hardener("report", "metrics").stdout.splitlines()
    assert 'hardener_host_reachable{inventory="inv,",host="a"} 0' in lines
    (seen,) = [each for each in lines if each.startswith("hardener_host_last_audit_timestamp_seconds{")]
    assert abs(float(seen.split()[-1]) - ended.timestamp()) < 0.001


def test_the_file_is_written_atomically_and_readable_for_node_exporter(
    hardener: Hardener, fleet: FakeFleet, home: Path, tmp_path: Path
) -> None:
    audited(hardener, fleet, {"a": host()})
    out = tmp_path / "hardener.prom"
    out.write_text("earlier")
    out.chmod(0o600)
    assert hardener("report", "metrics", "--out", str(out)).exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o644
    assert out.read_text() == hardener("report", "metrics").stdout
    assert list(tmp_path.iterdir()) == [out]
    result = hardener("report", "metrics", "--out", str(tmp_path / "none" / "hardener.prom"))
    assert (result.exit_code, "there is no folder" in result.stderr) == (2, True)


def test_without_a_complete_run_metrics_are_an_error(
    hardener: Hardener, fleet: FakeFleet, home: Path
) -> None:
    audited(hardener, fleet, {"a": host()}, "--only", "3.17")
    result = hardener("report", "metrics")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no run over all hosts and all controls is kept in" in result.stderr
