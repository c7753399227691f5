"""Print a constraints file that pins every dependency of the product to the lowest version that it allows.

lowest_versions.py pyproject.toml
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def main(path: Path) -> None:
    """Print one pin on each line."""
    for dependency in tomllib.loads(path.read_text())["project"]["dependencies"]:
        found = re.match(r"([a-z0-9-]+)[=>]=([0-9.]+)", dependency)
        if found is None:
            raise SystemExit(f"{path}: {dependency!r} names no lowest version")
        sys.stdout.write(f"{found[1]}=={found[2]}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
