"""Take the library of the collection to a host under test, to run it there by itself."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path

from hardener import lab

_ROOT = Path(__file__).parents[2]
_COLLECTION = Path("ansible_collections/hardener/docker")
FOLDER = "/root/library"  # where it is then


def ship(guest: lab.Guest) -> None:
    """Copy it into ``FOLDER``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in (_ROOT / "plugins/module_utils").rglob("*.py"):
            archive.add(path, str(_COLLECTION / path.relative_to(_ROOT)))
    unpack = f"mkdir -p {FOLDER}; base64 -d | tar --extract --gzip --directory={FOLDER}"
    guest.ssh("sh", "-c", unpack, stdin=base64.b64encode(buffer.getvalue()).decode())
