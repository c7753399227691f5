"""Write ``SHA256SUMS``, the signed file, in the format of ``sha256sum --check``."""

from __future__ import annotations

from collections.abc import Iterable

from hardener.evidence.manifest import File

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
STAMP = "SHA256SUMS.sig.tsr"


def render(files: Iterable[File]) -> bytes:
    """Return one line for each file, in the order of their names."""
    return b"".join(
        f"{file.sha256}  {file.name}\n".encode("ascii") for file in sorted(files, key=lambda file: file.name)
    )
