"""Check the collection by `ansible-test sanity`: `make sanity`.

It has to lie in a folder ansible_collections/hardener/docker that is a repository of its own. ansible-test
fetches pip from a host of Ansible's; here it gets the one that Python brings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.leftovers import scratch

_ROOT = Path(__file__).resolve().parents[1]
_PARTS = ("galaxy.yml", "meta", "playbooks", "plugins", "roles", "tests/sanity")
_PIP = """\
import runpy, sys
sys.argv = ["ensurepip", "--default-pip"]
runpy.run_module("ensurepip", run_name="__main__")
"""
_PIP_VERSIONS = ("24_2", "24.2", "25_2")  # as the releases of ansible-test that we support ask for it


def main() -> int:
    """Run ``ansible-test sanity``; return its exit code."""
    with scratch("sanity") as home:
        collection = home / "ansible_collections" / "hardener" / "docker"
        for part in _PARTS:
            source, target = _ROOT / part, collection / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        cache = home / ".ansible" / "test" / "cache"
        cache.mkdir(parents=True)
        for version in _PIP_VERSIONS:
            (cache / f"get_pip_{version}.py").write_text(_PIP)
        subprocess.run(["git", "init", "--quiet"], cwd=collection, check=True)
        subprocess.run(["git", "add", "--all"], cwd=collection, check=True)
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        ansible_test = Path(sys.executable).with_name("ansible-test")
        return subprocess.run(
            [ansible_test, "sanity", "--local", "--color", "no", "--python", python, *sys.argv[1:]],
            cwd=collection,
            env={**os.environ, "HOME": str(home)},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
