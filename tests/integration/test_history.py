"""A history on a disk that is really full: a small file system of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Records runs until there is no space left, makes some, records again, and says how it went.
FILL = r"""
import sys
from pathlib import Path
from hardener.errors import HardenerError
from hardener.history import History
from tests.unit.history.runs import put
from tests.unit.reports.assessments import assessment

home = Path(sys.argv[1])
spare = home / "spare"
spare.write_bytes(bytes(100_000))
facts = home / "facts"
facts.write_bytes(bytes(range(256)) * 4)
history = History(home / "history")
kept = []
try:
    while True:
        put(history, f"run{len(kept)}", [assessment("a")], snapshots={"a": facts})
        kept.insert(0, f"run{len(kept)}")
except HardenerError as error:
    print("refused:", error)
spare.unlink()
put(history, "last", [assessment("a")], snapshots={"a": facts})
assert [run.id for run in history.runs()] == ["last", *kept], kept
for run in history.runs():
    assert list(run.assessments()) == [assessment("a")]
    assert run.snapshot("a") == facts.read_bytes()
assert sorted(path.name for path in (home / "history" / "runs").iterdir()) == sorted(["last", *kept])
assert not list((home / "history" / "staging").iterdir())
print("runs:", len(kept))
"""


def test_a_full_disk_loses_only_the_run_that_fills_it(tmp_path: Path) -> None:
    mount = (
        f'mount -t tmpfs -o size=700k,mode=700 none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, FILL],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    refused, runs = done.stdout.splitlines()
    assert "No space left on device" in refused or "disk is full" in refused
    assert int(runs.split()[1]) > 2
