from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from hardener.evidence.manifest import File
from hardener.evidence.sums import render


def test_sha256sum_verifies_the_checksums(tmp_path: Path) -> None:
    files = []
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(name.encode())
        files.append(File(name, 1, hashlib.sha256(name.encode()).hexdigest()))
    (tmp_path / "SHA256SUMS").write_bytes(render(files))
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    result = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert result.stdout == "a: OK\nb: OK\n"
