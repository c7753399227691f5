"""Build the Debian package from the files that git tracks, with Debian's own packages.

The build needs debhelper, dh-python, pybuild-plugin-pyproject, hatchling and what hardener depends on, all of
them packages of Debian 13 (``debian/control``). The same commit gives the same bytes.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.leftovers import scratch
from tools.tracked import commit_time, stage

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # without a virtual environment
_COMMAND = ("dpkg-buildpackage", "--build=binary", "--unsigned-changes", "--unsigned-buildinfo")


def build(source: Path, target: Path) -> Path:
    """Build the package of a work tree of git into a folder, and return its file.

    Raises:
        subprocess.CalledProcessError: the build failed; the last lines of its output are printed.
    """
    with scratch("debian") as folder:
        staged = folder / "hardener"
        stage(source, staged)
        environment = {
            "PATH": _PATH,
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "SOURCE_DATE_EPOCH": str(commit_time(source)),
        }
        done = subprocess.run(
            _COMMAND,
            cwd=staged,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            print("\n".join(done.stdout.splitlines()[-20:]))
        done.check_returncode()
        (package,) = folder.glob("hardener_*_all.deb")
        return Path(shutil.copy(package, target / package.name))
