from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hardener import __version__
from hardener.evidence.layout import README
from hardener.history.proofs import Proofs
from hardener.workload.proven import check
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import audited, host, kept
from tests.unit.evidence.bundles import Desk, contents, repacked
from tests.unit.workload.proofs import proven_files

Hardener = Callable[..., Result]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An auditor's folder, which is the current one."""
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    return Desk.made(tmp_path / "desk")


@pytest.fixture
def home(home: Path, hardener: Hardener, fleet: FakeFleet) -> Path:
    """A history with two runs."""
    for mode in ("0644", "0666"):
        audited(hardener, fleet, {"db01": host(mode), "gone": "connection refused"}, "--only", "files")
    return home


def export(hardener: Hardener, *options: str) -> Result:
    return hardener("evidence", "export", "latest", "--out", "it.tar.gz", *options)


def verify(hardener: Hardener, *options: str) -> Result:
    return hardener("evidence", "verify", "it.tar.gz", "--allowed-signers", "allowed_signers", *options)


def facts(result: Result) -> dict[str, str]:
    """What was printed, by its first word."""
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in result.stdout.splitlines()}


def test_an_exported_bundle_is_verified(hardener: Hardener, home: Path, desk: Desk) -> None:
    exported = export(hardener, "latest~1", "--sign", "key")
    assert exported.exit_code == 0, exported.stderr
    told = facts(exported)
    assert told["bundle"] == "it.tar.gz"
    assert told["holds"].startswith("2 runs, 4 hosts, ")
    assert exported.stderr == "signing with key\n"
    verified = verify(hardener, "--ledger", str(home / "ledger.ndjson"))
    assert verified.exit_code == 0, verified.stderr
    again = facts(verified)
    assert again["sha256"] == told["sha256"]
    assert again["signed"].startswith("by auditor@example.com with SHA256:")
    assert again["hosts"].startswith("2, 1 of them unreachable; ")
    assert again["findings"] == "all match the facts, in every report"
    assert again["ledger"].startswith("entry 1 of 1; the last has ")
    assert again["ledger"].split()[-1] == told["ledger"].split()[-1]


def test_a_proof_given_twice_is_exported_once(
    hardener: Hardener, home: Path, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "profile").mkdir()
    stored = Proofs(home).keep(check(proven_files(tmp_path / "profile")))
    exported = export(hardener, "--sign", "key", "--proof", "latest", "--proof", stored.id)
    assert exported.exit_code == 0, exported.stderr
    assert facts(exported)["holds"].endswith(", 1 proofs")
    assert facts(verify(hardener))["proof"].startswith(stored.id)


def test_the_manifest_contains_the_selection(hardener: Hardener, home: Path, desk: Desk) -> None:
    export(hardener, "--sign", "key")
    (run,) = json.loads(contents(Path("it.tar.gz"))["manifest.json"])["predicate"]["runs"]
    assert run["id"] == kept(home)[0].id
    assert run["verb"] == "audit"
    assert run["selection"] == {"limit": "", "level": 2, "only": ["files"]}
    assert run["ansible_version"]
    assert len(run["inventory_sha256"]) == 64


def test_an_altered_bundle_is_reported_in_one_line_with_exit_code_3(
    hardener: Hardener, home: Path, desk: Desk
) -> None:
    export(hardener, "--sign", "key")
    files = contents(Path("it.tar.gz"))
    Path("it.tar.gz").write_bytes(repacked(files | {"README.md": b"trust me\n"}))
    result = verify(hardener)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == (
        "hardener: error: it.tar.gz: README.md: altered: its SHA-256 or its size differs from the signed"
        " manifest\n"
    )


def test_a_bundle_whose_verifier_is_another_version_gives_exit_code_4(
    hardener: Hardener, home: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(hardener, "--sign", "key")
    monkeypatch.setattr("hardener.evidence.reassess.__version__", "9.9")
    result = verify(hardener)
    assert result.exit_code == 4
    assert (
        facts(result)["findings"] == f"judged by hardener {__version__}; 0 differ when judged by this version"
    )
    assert facts(result)["ledger"] == "not compared: give --ledger"


def test_a_bundle_whose_exporter_was_another_version_gives_exit_code_4(
    hardener: Hardener, home: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardener.evidence.staging.__version__", "0.0.9")
    export(hardener, "--sign", "key")
    result = verify(hardener)
    assert result.exit_code == 4
    assert "the reports of hardener 0.0.9 were not compared" in result.stdout


def test_a_missing_signature_is_reported(hardener: Hardener, home: Path, desk: Desk) -> None:
    assert "no: its origin cannot be verified" in export(hardener).stdout
    result = verify(hardener)
    assert result.exit_code == 3
    assert "it.tar.gz: SHA256SUMS.sig: missing" in result.stderr


def test_a_revoked_key_gives_exit_code_3(hardener: Hardener, home: Path, desk: Desk) -> None:
    export(hardener, "--sign", "key")
    result = verify(hardener, "--revoked", "key.pub")
    assert result.exit_code == 3
    assert "auditor@example.com is revoked by key.pub" in result.stderr


def test_a_weak_key_is_refused(hardener: Hardener, home: Path, desk: Desk) -> None:
    weak = ["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", "weak"]
    subprocess.run(weak, check=True)
    result = export(hardener, "--sign", "weak")
    assert result.exit_code == 2
    assert "cannot sign with weak: it is an RSA key of 1024 bits, fewer than 3072" in result.stderr
    assert not Path("it.tar.gz").exists()


def test_the_ledger_can_have_another_path(hardener: Hardener, home: Path, desk: Desk) -> None:
    export(hardener, "--sign", "key", "--ledger", "book/ledger.ndjson")
    assert Path("book/ledger.ndjson").exists()
    assert not (home / "ledger.ndjson").exists()


@pytest.mark.parametrize("date", ["2026-11-25", "2026-11-25T10:00:00Z"])
def test_an_expired_key_is_accepted_at_a_date_before_its_expiry(
    hardener: Hardener, home: Path, desk: Desk, date: str
) -> None:
    export(hardener, "--sign", "key")
    desk.allow(desk.allowed.read_text().replace(" ssh", ',valid-before="20261126Z" ssh').strip())
    assert verify(hardener, "--at", date).exit_code == 0
    refused = verify(hardener, "--at", "2026-11-27")
    assert refused.exit_code == 3
    assert "key has expired" in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sign", "nowhere"), "cannot sign with nowhere: No such file or directory"),
        (("--tsa-url", "http://127.0.0.1:9"), "a time stamp needs a signature"),
        (("--out", "nowhere/it.tar.gz"), "there is no folder"),
        (("nothing",), "there is no run 'nothing'"),
    ],
)
def test_a_failed_export_is_reported_in_one_line(
    hardener: Hardener, home: Path, desk: Desk, options: tuple[str, ...], said: str
) -> None:
    result = export(hardener, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.splitlines()[-1].startswith("hardener: error: ")
    assert not Path("it.tar.gz").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ledger", "nowhere"), "cannot read the ledger nowhere: No such file"),
        (("--allowed-signers", "nowhere"), "cannot read nowhere: No such file"),
        (("--revoked", "nowhere"), "cannot read nowhere: No such file"),
        (
            ("--revoked", "allowed_signers"),
            "allowed_signers is not a list of revoked keys: line 1: invalid key",
        ),
        (("--at", "soon"), "'soon' does not match the formats"),
    ],
)
def test_an_unreadable_file_is_a_usage_error(
    hardener: Hardener, home: Path, desk: Desk, options: tuple[str, ...], said: str
) -> None:
    export(hardener, "--sign", "key")
    result = verify(hardener, *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_documentation_has_the_commands_of_the_bundles_readme(
    hardener: Hardener, home: Path, desk: Desk
) -> None:
    export(hardener, "--sign", "key")
    readme = contents(Path("it.tar.gz"))[README].decode()
    commands = readme[readme.index("Put the bundle") : readme.index("## What you have then")].strip()
    assert commands in (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
