"""Pack the collector into one file, for a host that Ansible does not reach: `make collector`.

The same sources give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from ansible_collections.hardener.docker.plugins.module_utils.host.sources import PACKAGE, sources

_MAIN = f"from {PACKAGE}.snapshot.main import main\n\nmain()\n"


def make(target: Path) -> None:
    """Write the archive, which Python can run directly."""
    texts = {"__main__.py": _MAIN}
    texts |= {f"{PACKAGE}/{name}": text for name, text in sources("snapshot").items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with ZipFile(file, "w") as archive:
            for name, text in texts.items():
                archive.writestr(ZipInfo(name), text, ZIP_DEFLATED)
    target.chmod(0o755)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    print(sys.argv[1])
