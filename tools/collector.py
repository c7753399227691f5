"""Make the collector one file, for a host that Ansible does not reach: `make collector`.

The same sources give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_LIBRARY = Path(__file__).resolve().parents[1] / "plugins" / "module_utils"
_PACKAGE = "hardener_host"  # as on every host: plugins/module_utils/host/sources.py
_MAIN = f"from {_PACKAGE}.snapshot.main import main\n\nmain()\n"


def make(target: Path) -> None:
    """Write the archive, which Python runs as it is."""
    texts = {"__main__.py": _MAIN}
    for path in (
        _LIBRARY / "__init__.py",
        *(path for package in ("host", "snapshot") for path in sorted((_LIBRARY / package).rglob("*.py"))),
    ):
        texts[f"{_PACKAGE}/{path.relative_to(_LIBRARY)}"] = path.read_text(encoding="utf-8")
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
