"""Copy the files that git tracks, from which a release is built."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def stage(source: Path, target: Path) -> None:
    """Copy the tracked files of a work tree, without links; modes are 0644 and 0755."""
    for name in git(source, "ls-files", "-z").split("\0"):
        path = source / name
        if name and path.is_file() and not path.is_symlink():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def commit_time(source: Path) -> int:
    """Return the time of the last commit, in seconds since 1970."""
    return int(git(source, "log", "-1", "--format=%ct"))


def git(source: Path, *arguments: str) -> str:
    """Run git on a work tree and return its output.

    Raises:
        subprocess.CalledProcessError: git failed.
    """
    return subprocess.run(
        ["git", "-C", str(source), *arguments], check=True, capture_output=True, text=True
    ).stdout
