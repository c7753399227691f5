"""What a user installs: the wheel carries everything, works without a checkout, and comes from the sdist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from hardener import __version__, catalogue

ROOT = Path(__file__).parents[2]
DATA = {
    "hardener/assessment.schema.json",
    "hardener/notification.schema.json",
    "hardener/snapshot.schema.json",
    "hardener/workload/profile.schema.json",
    "hardener/workload/recording.schema.json",
    "hardener/workload-audit.schema.json",
    "hardener/reports/page/workloads.html",
    "hardener/py.typed",
    *(f"hardener/catalogue/benchmarks/{name}.yaml" for name in catalogue.benchmarks()),
}


COLLECTION = "ansible_collections/hardener/docker"


def build(source: Path, folder: Path) -> None:
    """Build the wheel and the source archive; no network is needed where hatchling is installed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def sources(folder: str, suffixes: set[str]) -> Iterator[str]:
    for path in (ROOT / folder).rglob("*"):
        if path.is_file() and path.suffix in suffixes:
            yield path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed; what it depends on comes from where the tests run."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, only(built, "*.whl")], check=True)
    return folder


def test_the_wheel_carries_everything(built: Path) -> None:
    packed = names(only(built, "*.whl"))
    content = {
        f"{COLLECTION}/{name}"
        for top in ("meta", "playbooks", "plugins", "roles")
        for name in sources(top, {".py", ".service", ".yml"})
    }
    assert {
        f"{COLLECTION}/playbooks/audit.yml",
        f"{COLLECTION}/plugins/module_utils/snapshot/main.py",
        f"{COLLECTION}/roles/collect/tasks/main.yml",
    } <= content
    assert (content | DATA | set(sources("hardener", {".py", ".yaml", ".json"}))) <= packed
    tops = {name.partition("/")[0] for name in packed}
    assert tops == {"ansible_collections", "hardener", f"hardener-{__version__}.dist-info"}
    assert not [name for name in packed if "__pycache__" in name]


def test_the_source_archive_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    build(only(tmp_path, "hardener-*"), tmp_path / "again")
    assert names(only(tmp_path / "again", "*.whl")) == names(only(built, "*.whl"))


def test_what_is_installed_audits_this_machine(installed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed), "TMPDIR": str(tmp_path)}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )

    where = run(sys.executable, "-c", "from hardener.content import content_dir; print(content_dir())")
    assert Path(where.stdout.strip()) == installed / COLLECTION
    assert run(str(installed / "bin" / "hardener"), "--version").stdout == f"hardener {__version__}\n"

    report, snapshots = tmp_path / "report.json", tmp_path / "snapshots"
    command = (str(installed / "bin" / "hardener"), "audit", "-i", "localhost,")
    audit = run(*command, "--json", str(report), "--snapshots", str(snapshots))
    assert audit.returncode in (3, 4), audit.stderr  # this machine has not been hardened
    (host,) = json.loads(report.read_text())["hosts"]
    assert len(host["findings"]) == len(catalogue.load(catalogue.DEFAULT_BENCHMARK))
    decided = [finding for finding in host["findings"] if finding["status"] in ("pass", "fail")]
    assert decided, audit.stderr
    assert not list(elsewhere.iterdir())

    judged = run(*command[:1], "assess", str(snapshots), "--json", str(tmp_path / "again.json"))
    assert judged.returncode == audit.returncode
    (again,) = json.loads((tmp_path / "again.json").read_text())["hosts"]
    assert again["findings"] == host["findings"]
