"""What `make package` builds: complete, installable without a checkout, and the same bytes again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from hardener import __version__, catalogue
from tests.unit.evidence.bundles import new_key, public
from tools import package
from tools.fences import pieces
from tools.release import SIGNERS, TAG, release

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
    known = subprocess.run(
        ["git", "-C", ROOT, "ls-files", folder], check=True, capture_output=True, text=True
    )
    yield from (name for name in known.stdout.splitlines() if Path(name).suffix in suffixes)


def packaged(folder: Path) -> Path:
    """Build what `make package` builds."""
    package.build(ROOT, folder, with_debian=False)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed; what it depends on comes from where the tests run."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, only(built, "*.whl")], check=True)
    return folder


def test_the_wheel_contains_all_files_of_the_package_and_the_collection(built: Path) -> None:
    packed = names(only(built, "*.whl"))
    content = {
        f"{COLLECTION}/{name}"
        for top in ("meta", "playbooks", "plugins", "roles")
        for name in sources(top, {".py", ".service", ".yml", ".o"})
    }
    assert {
        f"{COLLECTION}/playbooks/audit.yml",
        f"{COLLECTION}/plugins/module_utils/record/bpf/calls.bpf.o",
        f"{COLLECTION}/plugins/module_utils/snapshot/main.py",
        f"{COLLECTION}/roles/collect/tasks/main.yml",
    } <= content
    assert (content | DATA | set(sources("hardener", {".py", ".yaml", ".json"}))) <= packed
    tops = {name.partition("/")[0] for name in packed}
    own = {f"hardener-{__version__}.{kind}" for kind in ("data", "dist-info")}  # data: the manual page
    assert tops == {"ansible_collections", "hardener", *own}
    assert not [name for name in packed if "__pycache__" in name]


def test_the_source_archive_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(built / f"hardener-{__version__}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    build(only(tmp_path, "hardener-*"), tmp_path / "again")
    assert names(only(tmp_path / "again", "*.whl")) == names(only(built, "*.whl"))


def test_a_build_under_another_umask_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        packaged(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "SHA256SUMS").read_text() == (built / "SHA256SUMS").read_text()
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)
    named = {line.split()[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()}
    assert named | {"SHA256SUMS"} == {path.name for path in tmp_path.iterdir()}


def test_installed_files_of_the_collection_match_their_checksums(built: Path, tmp_path: Path) -> None:
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    archive = built / f"hardener-docker-{__version__}.tar.gz"
    # By force: an editable installation is a collection of that name too.
    options = ["--offline", "--force", "--collections-path", str(tmp_path)]
    subprocess.run([galaxy, "collection", "install", *options, archive], check=True, capture_output=True)
    installed = tmp_path / COLLECTION
    manifest = json.loads((installed / "MANIFEST.json").read_text())
    assert manifest["collection_info"]["version"] == __version__
    files = (installed / "FILES.json").read_bytes()
    assert hashlib.sha256(files).hexdigest() == manifest["file_manifest_file"]["chksum_sha256"]
    for entry in json.loads(files)["files"]:
        if entry["ftype"] == "file":
            text = (installed / entry["name"]).read_bytes()
            assert hashlib.sha256(text).hexdigest() == entry["chksum_sha256"], entry["name"]
    found = {path.name for path in installed.iterdir()}
    assert found == {
        "CHANGELOG.md",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "SECURITY.md",
        "meta",
        "playbooks",
        "plugins",
        "roles",
    }


def test_the_bill_of_materials_lists_the_dependencies_of_the_wheel(built: Path) -> None:
    bill = json.loads((built / "sbom.cdx.json").read_text())
    wheel = only(built, "*.whl")
    product = bill["metadata"]["component"]
    assert product["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    ]
    names = {component["name"] for component in bill["components"]}
    assert {"ansible-core", "cryptography", "pydantic-core", "rich"} <= names
    assert not {"pytest", "mypy", "mkdocs-material"} & names
    references = {component["bom-ref"] for component in bill["components"]} | {product["bom-ref"]}
    assert {entry["ref"] for entry in bill["dependencies"]} == references
    assert {each for entry in bill["dependencies"] for each in entry["dependsOn"]} == references - {
        product["bom-ref"]
    }
    for component in bill["components"]:
        assert all(len(each["hashes"][0]["content"]) == 64 for each in component["externalReferences"])
        assert component["externalReferences"]


def test_the_readme_of_a_package_has_no_broken_link(built: Path) -> None:
    with ZipFile(only(built, "*.whl")) as archive:
        metadata = archive.read(f"hardener-{__version__}.dist-info/METADATA").decode()
    assert "# hardener" in metadata
    assert not re.findall(r"\]\((?!https?://)", metadata)


def test_the_installed_package_audits_this_machine(installed: Path, tmp_path: Path) -> None:
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


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """A clone whose last commit is a release: its key, its section of the changelog, its signed tag."""
    key, clone = new_key(tmp_path / "key"), tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, clone], check=True)
    (clone / SIGNERS).write_text(f'release@hardener namespaces="file,git" {public(key)}\n')
    changes = clone / "CHANGELOG.md"
    changes.write_text(f"{changes.read_text()}\n## [{__version__}] - 2026-12-31\n")
    git(clone, "commit", "--quiet", "--all", "--message=Release")
    git(clone, "-c", f"user.signingkey={key}", "tag", "--sign", "--message=release", TAG)
    return clone


def git(clone: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gpg.format=ssh")
    subprocess.run(["git", "-C", clone, *identity, *words], check=True)


def documented(number: int) -> str:
    """Return the commands of a block of docs/verify.md."""
    blocks = [each.code for each in pieces((ROOT / "docs/verify.md").read_text()) if each.language]
    return "\n".join(blocks[number])


def succeeds(folder: Path, script: str) -> bool:
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, check=False).returncode == 0


def test_a_release_is_verified_by_the_documented_commands(tagged: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    files = release(tagged, dist, tmp_path / "key", with_debian=False)
    assert set(files) == set(dist.iterdir())
    dist.joinpath("release-signers").write_bytes((tagged / SIGNERS).read_bytes())
    assert succeeds(dist, documented(1))
    assert succeeds(tagged, documented(3).splitlines()[0])
    with only(dist, "*.whl").open("ab") as wheel:
        wheel.write(b"x")
    assert not succeeds(dist, documented(1))
    only(dist, "*.whl").unlink()
    (dist / "SHA256SUMS").write_text("")
    assert not succeeds(dist, documented(1))


def test_a_release_needs_its_tag_its_changes_and_its_key(tagged: Path, tmp_path: Path) -> None:
    def refused(why: str, *, key: str = "key") -> None:
        with pytest.raises(SystemExit, match=why):
            release(tagged, tmp_path / "dist", tmp_path / key, with_debian=False)
        assert not (tmp_path / "dist" / "SHA256SUMS.sig").exists()

    other = new_key(tmp_path / "other")
    refused("other is not a key of", key="other")
    refused("could not be signed with", key="nowhere")
    (tagged / "CHANGELOG.md").write_text("## [Unreleased]\n")
    refused("has changes")
    git(tagged, "commit", "--quiet", "--all", "--message=Other")
    refused(f"has no tag {TAG}")
    git(tagged, "tag", "--force", "--annotate", "--message=release", TAG)
    refused(f"has signed {TAG}")
    git(tagged, "-c", f"user.signingkey={other}", "tag", "--force", "--sign", "--message=release", TAG)
    refused(f"has signed {TAG}")
    git(tagged, "-c", f"user.signingkey={tmp_path / 'key'}", "tag", "-f", "--sign", "--message=release", TAG)
    refused("no section")
