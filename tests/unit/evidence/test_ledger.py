from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused, ledger
from hardener.evidence.ledger import LedgerEntry, find, locked
from hardener.evidence.manifest import START, Link

BUNDLE, MANIFEST = "b" * 64, "c" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.ndjson"


def add(path: Path, *runs: str, bundle: str = BUNDLE) -> LedgerEntry:
    with locked(path) as book:
        return book.append(runs=runs, bundle_sha256=bundle, manifest_sha256=MANIFEST)


def test_entries_are_numbered_and_chained(path: Path) -> None:
    first, second = add(path, "run-a"), add(path, "run-b", "run-c")
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]
    assert first.prev_sha256 == "0" * 64
    assert second.prev_sha256 == hashlib.sha256(lines[0]).hexdigest()
    assert second.runs == ("run-b", "run-c")


def test_only_the_owner_can_read_the_ledger(path: Path) -> None:
    add(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_bundle_is_found_and_the_head_is_returned(path: Path) -> None:
    first, second, third = add(path), add(path), add(path)
    place = find(path, bundle_sha256=BUNDLE, manifest_sha256=MANIFEST, runs=(), previous=first.link())
    assert place.entry == second
    assert place.head == third.link()


def test_the_first_bundle_has_no_predecessor(path: Path) -> None:
    first = add(path)
    assert find(path, bundle_sha256=BUNDLE, manifest_sha256=MANIFEST, runs=(), previous=START).entry == first


def test_a_first_entry_that_does_not_match_the_bundle_is_refused(path: Path) -> None:
    add(path)
    with pytest.raises(Refused, match="entry 0 differs from the one in the bundle"):
        find(path, bundle_sha256=BUNDLE, manifest_sha256=MANIFEST, runs=(), previous=Link(0, "1" * 64))


def test_a_missing_ledger_is_an_error_and_not_a_refusal(path: Path) -> None:
    with pytest.raises(HardenerError, match=r"cannot read the ledger .*: No such file") as error:
        find(path, bundle_sha256=BUNDLE, manifest_sha256=MANIFEST, runs=(), previous=START)
    assert not isinstance(error.value, Refused)


def test_no_entry_is_added_to_a_broken_chain(path: Path) -> None:
    add(path), add(path)
    path.write_bytes(path.read_bytes().replace(BUNDLE.encode(), b"d" * 64, 1))
    before = path.read_bytes()
    with pytest.raises(Refused, match=r"ledger\.ndjson: line 2 does not follow"):
        add(path)
    assert path.read_bytes() == before


def test_a_partial_entry_of_a_killed_export_is_removed(path: Path) -> None:
    first = add(path)
    with path.open("ab") as file:
        file.write(first.render()[:40])
    second = add(path)
    assert (second.seq, second.prev_sha256) == (2, first.link().sha256)


def test_an_entry_without_a_newline_is_completed(path: Path) -> None:
    add(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert add(path).seq == 2
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"waivers: []",
        b"two\nlines",
        b'{"any": "json"}',
        b'{"bundle_sha256":"x"}',
        b"-----BEGIN KEY-----\nx\n-----END KEY-----",
    ],
)
def test_a_file_that_is_not_a_ledger_is_refused_and_kept(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(Refused, match="is not an entry"):
        add(path)
    assert path.read_bytes() == content


def test_foreign_text_after_an_entry_is_kept(path: Path) -> None:
    add(path)
    with path.open("ab") as file:
        file.write(b"a note")
    before = path.read_bytes()
    with pytest.raises(Refused, match="line 2 is not an entry"):
        add(path)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_ledger_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(path)
    before = path.read_bytes()
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:20], at))
    with pytest.raises(HardenerError, match=r"cannot write .*: No space left on device"):
        add(path)
    assert path.read_bytes() == before


def test_a_failing_disk_leaves_the_ledger_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(path)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with locked(path) as book:
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(HardenerError, match="Input/output error"):
            book.append(runs=(), bundle_sha256=BUNDLE, manifest_sha256=MANIFEST)
    assert path.read_bytes() == before


def test_a_clock_set_back_is_reported(path: Path) -> None:
    late = LedgerEntry(1, "2999-01-01T00:00:00Z", (), BUNDLE, MANIFEST, START.sha256)
    path.parent.mkdir()
    path.write_bytes(late.render() + b"\n")
    with pytest.raises(
        HardenerError, match=r"the clock \(.*\) is behind the last entry of .* \(2999.*\(set the clock\)"
    ):
        add(path)


def test_a_symbolic_link_to_the_ledger_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HardenerError, match=r"cannot open the ledger"):
        add(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HardenerError, match=r"cannot open the ledger .*: "):
        add(tmp_path / "file" / "ledger.ndjson")


@pytest.mark.parametrize(
    "change",
    [
        {"seq": True},
        {"seq": "1"},
        {"time": "yesterday"},
        {"time": 5},
        {"time": "2026-02-30T00:00:00Z"},
        {"time": "2026-11-25T24:00:01Z"},
        {"time": "9999-99-99T99:99:99Z"},
        {"runs": "run-a"},
        {"runs": [1]},
        {"bundle_sha256": "B" * 64},
        {"prev_sha256": None},
        {"more": 1},
    ],
)
def test_a_malformed_entry_is_refused(path: Path, change: dict[str, object]) -> None:
    fields = json.loads(add(path).render()) | change
    path.write_text(json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n")
    with pytest.raises(Refused, match=r"^ledger\.ndjson: line 1 is not an entry: ") as refused:
        find(path, bundle_sha256=BUNDLE, manifest_sha256=MANIFEST, runs=(), previous=START)
    assert "\n" not in str(refused.value)


def test_a_line_without_end_is_not_read_into_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_MAX_LINE", 100)
    path.parent.mkdir()
    path.write_bytes(b"[" * 1000)
    with pytest.raises(Refused, match="line 1 is not an entry: the line is cut off"):
        find(path, bundle_sha256=BUNDLE, manifest_sha256=MANIFEST, runs=(), previous=START)


@pytest.mark.parametrize("said", [(), ("run-a",), ("run-b", "run-a"), ("run-a", "run-b", "run-c")])
def test_an_entry_that_names_other_runs_is_refused(path: Path, said: tuple[str, ...]) -> None:
    add(path, *said)
    with pytest.raises(Refused, match="entry 1 names other runs than the bundle holds"):
        find(
            path,
            bundle_sha256=BUNDLE,
            manifest_sha256=MANIFEST,
            runs=("run-a", "run-b"),
            previous=START,
        )


def test_an_entry_that_exceeds_a_readers_limits_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_MAX_LINE", 500)
    with pytest.raises(HardenerError, match="too many runs for one bundle"):
        add(path, *(f"run-{number}" for number in range(60)))
    assert path.read_bytes() == b""


_ADDING = """
import sys
from pathlib import Path
from hardener.evidence.ledger import locked
for _ in range(int(sys.argv[2])):
    with locked(Path(sys.argv[1])) as book:
        book.append(runs=("run",), bundle_sha256="b" * 64, manifest_sha256="c" * 64)
"""


def adding(path: Path, times: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _ADDING, path, str(times)])


def test_concurrent_exports_wait_for_each_other(path: Path) -> None:
    both = [adding(path, 20), adding(path, 20)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert add(path).seq == 41


def test_a_killed_export_leaves_a_usable_ledger(path: Path) -> None:
    process = adding(path, 100_000)
    while not path.exists() or path.stat().st_size < 3000:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = path.read_bytes().count(b"\n")
    assert add(path).seq in (whole + 1, whole + 2)
