from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Seal, export
from hardener.workfolder import new_folder
from tests.unit.evidence.bundles import Desk, contents, run, sums

ROOT = Path(__file__).parents[3]


def left(desk: Desk) -> set[str]:
    """What lies in the folder beside what belongs there."""
    return {path.name for path in desk.folder.iterdir()} - {"key", "key.pub", "allowed_signers"}


def test_an_export_writes_only_the_bundle_and_its_ledger_entry(desk: Desk) -> None:
    _, exported = desk.export("it.tar.gz")
    assert left(desk) == {"it.tar.gz", "ledger.ndjson"}
    assert (exported.hosts, exported.files) == (3, 12)


def test_the_same_runs_give_the_same_bytes(desk: Desk, tmp_path: Path) -> None:
    first, _ = desk.export("first.tar.gz", run("run-a"), run("run-b"))
    desk.ledger.unlink()
    again, _ = desk.export("again.tar.gz", run("run-b"), run("run-a"))
    assert first.read_bytes() == again.read_bytes()


def test_the_checksums_cover_every_file(desk: Desk) -> None:
    files = contents(desk.export("it.tar.gz")[0])
    assert files["SHA256SUMS"] == sums(files)
    assert list(files)[:4] == ["README.md", "SHA256SUMS", "SHA256SUMS.sig", "manifest.json"]


def test_the_manifest_names_the_previous_ledger_entry(desk: Desk) -> None:
    _, first = desk.export("first.tar.gz")
    files = contents(desk.export("second.tar.gz")[0])
    previous = json.loads(files["manifest.json"])["predicate"]["ledger"]["previous"]
    assert previous == {"seq": 1, "sha256": first.entry.link().sha256}


def test_only_the_owner_can_read_a_bundle(desk: Desk) -> None:
    path, _ = desk.export("it.tar.gz")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_bundle_exported_without_a_key_is_not_signed(desk: Desk) -> None:
    path, _ = desk.export("it.tar.gz", seal=Seal())
    assert "SHA256SUMS.sig" not in contents(path)


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_an_existing_file_is_not_replaced(desk: Desk, kind: str) -> None:
    path = desk.folder / "it.tar.gz"
    {"file": path.touch, "link": lambda: path.symlink_to("/nowhere"), "folder": path.mkdir}[kind]()
    with pytest.raises(HardenerError, match=r"it\.tar\.gz already exists"):
        desk.export("it.tar.gz")
    assert left(desk) == {"it.tar.gz"}


def test_a_bundle_in_a_missing_folder_is_an_error(desk: Desk) -> None:
    with pytest.raises(HardenerError, match="there is no folder"):
        desk.export("nowhere/it.tar.gz")


def test_a_time_stamp_needs_a_signature(desk: Desk) -> None:
    with pytest.raises(HardenerError, match="a time stamp needs a signature"):
        desk.export("it.tar.gz", seal=Seal(tsa_url="http://127.0.0.1:9"))


def test_a_run_can_be_named_only_once(desk: Desk) -> None:
    with pytest.raises(HardenerError, match="is listed twice"):
        desk.export("it.tar.gz", run(), run())
    assert left(desk) == set()


def test_an_export_with_a_key_that_cannot_sign_writes_no_bundle(desk: Desk) -> None:
    desk.key.write_text("no key any more\n")
    with pytest.raises(HardenerError, match=r"cannot sign with"):
        desk.export("it.tar.gz")
    assert left(desk) == {"ledger.ndjson"}
    assert desk.ledger.read_bytes() == b""


def test_an_export_without_an_answer_of_the_time_stamp_authority_writes_no_bundle(desk: Desk) -> None:
    with pytest.raises(HardenerError, match=r"no time stamp from http://127\.0\.0\.1:9/: .*refused"):
        desk.export("it.tar.gz", seal=Seal(key=desk.key, tsa_url="http://127.0.0.1:9/"))
    assert left(desk) == {"ledger.ndjson"}
    assert desk.ledger.read_bytes() == b""


def test_an_export_on_a_full_disk_writes_no_bundle(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HardenerError, match=r"cannot write .*: No space left on device"):
        desk.export("it.tar.gz")
    assert left(desk) <= {"ledger.ndjson"}


def test_files_of_killed_exports_are_removed_and_of_running_ones_kept(desk: Desk) -> None:
    (desk.folder / ".hardener-evidence-dead").mkdir()
    living, lock = new_folder(desk.folder, prefix=".hardener-evidence-")
    desk.export("it.tar.gz")
    os.close(lock)
    assert left(desk) == {"it.tar.gz", "ledger.ndjson", living.name}


def test_an_export_after_a_killed_one_succeeds_and_removes_its_files(desk: Desk) -> None:
    desk.export("before.tar.gz")
    program = "\n".join(
        (
            "import os, signal",
            "from pathlib import Path",
            "from tests.unit.evidence.bundles import Desk",
            "def die(*_): os.kill(os.getpid(), signal.SIGKILL)",
            "os.pwrite = die if STAGE == 'entered' else os.pwrite",
            "import hardener.evidence.signature as it",
            "it.sign = die if STAGE == 'signed' else it.sign",
            f"Desk(Path({str(desk.folder)!r})).export('it.tar.gz')",
        )
    )
    for stage in ("signed", "entered"):
        command = [sys.executable, "-c", f"STAGE = {stage!r}\n{program}"]
        ended = subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert ended.returncode == -signal.SIGKILL
        assert not (desk.folder / "it.tar.gz").exists()
    path, exported = desk.export("after.tar.gz")
    assert exported.entry.seq == 2
    assert desk.verify(path).place
    assert left(desk) == {"before.tar.gz", "after.tar.gz", "ledger.ndjson"}


def test_an_error_after_the_ledger_entry_names_the_entry(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    seal = Seal(key=desk.key)
    with pytest.raises(HardenerError, match="entry 1 of the ledger names this bundle"):
        # The reports are moved into their places too, so they come from a run without any.
        export_without_reports(desk, seal)


def export_without_reports(desk: Desk, seal: Seal) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hardener.evidence.staging.REPORTS", ())
        patched.setattr("hardener.evidence.staging.write_reports", lambda hosts, _: list(hosts))
        export([run()], out=desk.folder / "it.tar.gz", ledger_file=desk.ledger, seal=seal)
