"""An auditor who has the bundle, the allowed signers, coreutils, tar and OpenSSH, and no hardener."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.unit.evidence.bundles import contents

TOOLS = ("sh", "tar", "gzip", "ssh-keygen", "comm", "cut", "mkdir", "sha256sum", "sort")
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def typed(folder: Path) -> subprocess.CompletedProcess[str]:
    """Type every command of the README in ``bundle.tar.gz``, up to the first that fails."""
    tools = folder / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, f"{name} is missing"
        (tools / name).symlink_to(found)
    readme = contents(folder / "bundle.tar.gz")["README.md"].decode()
    script = "set -eu\n" + "\n".join(BLOCK.findall(readme))
    return subprocess.run(
        [tools / "sh", "-c", script],
        cwd=folder,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
