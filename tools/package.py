"""Build the files of a release into a folder: ``package.py FOLDER``.

Wheel and source archive, the archive of the Ansible collection, the Debian package, a software bill of
materials, the provenance, and the checksums of all. The same commit gives the same bytes: only files that git
knows are packed, with the time of the commit.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from gzip import GzipFile
from pathlib import Path

from tests.leftovers import scratch
from tools import debian, provenance, sbom
from tools.readme import published
from tools.tracked import commit_time, stage

ROOT = Path(__file__).resolve().parents[1]
_SUMS = "SHA256SUMS"
SIGNATURE = f"{_SUMS}.sig"


def build(source: Path, target: Path, *, with_debian: bool = True) -> list[Path]:
    """Build everything from a repository, and return the files.

    Args:
        source: a work tree of git.
        target: the folder; what it holds of earlier packages is removed.
        with_debian: whether the Debian package is built too, which needs packages of Debian.
    """
    locked = source / ".ci" / f"constraints-{sys.version_info.major}.{sys.version_info.minor}.txt"
    target.mkdir(parents=True, exist_ok=True)
    for path in target.iterdir():
        is_ours = path.name.startswith(("hardener-", "hardener_"))
        if is_ours or path.name in (_SUMS, SIGNATURE, sbom.NAME, provenance.NAME):
            path.unlink()
    moment = commit_time(source)
    with scratch("package") as folder:
        staged = folder / "hardener"
        stage(source, staged)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(moment)}
        hatchling = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-t",
            "sdist",
            "-t",
            "wheel",
            "-d",
            str(target),
        ]
        subprocess.run(hatchling, cwd=staged, env=environment, check=True, capture_output=True)
        readme = staged / "README.md"
        readme.write_text(
            published(readme.read_text(encoding="utf-8"), os.environ.get("HARDENER_DOCS_URL", ""))
        )
        galaxy = [
            str(Path(sys.executable).with_name("ansible-galaxy")),
            "collection",
            "build",
            "--output-path",
            str(folder),
        ]
        subprocess.run(galaxy, cwd=staged, check=True, stdout=subprocess.DEVNULL)
        (collection,) = folder.glob("hardener-docker-*.tar.gz")
        repack(collection, target / collection.name, moment=moment)
    version = next(target.glob("hardener-*.whl")).name.split("-")[1]
    wheel = next(target.glob("hardener-*.whl"))
    (target / sbom.NAME).write_text(sbom.document(wheel, version, locked), encoding="utf-8")
    if with_debian:
        debian.build(source, target)
    packed = [*sorted(target.glob("hardener[-_]*")), target / sbom.NAME]
    (target / provenance.NAME).write_text(provenance.statement(packed, source, locked), encoding="utf-8")
    packed.append(target / provenance.NAME)
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in packed)
    (target / _SUMS).write_text(sums, encoding="utf-8")
    return [*packed, target / _SUMS]


def repack(archive: Path, target: Path, *, moment: int) -> None:
    """Write the archive of a collection again: entries in order, with one owner and one time."""
    with tarfile.open(archive) as packed:
        members = {member.name: member for member in packed}
        texts = {name: _text(packed, member) for name, member in members.items() if member.isfile()}
    listed = json.loads(texts["FILES.json"])
    listed["files"].sort(key=lambda each: str(each["name"]))
    texts["FILES.json"] = _json(listed)
    manifest = json.loads(texts["MANIFEST.json"])
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(texts["FILES.json"]).hexdigest()
    texts["MANIFEST.json"] = _json(manifest)
    with target.open("wb") as file, GzipFile("", "wb", mtime=0, fileobj=file) as compressed:
        _write(compressed, (members[name] for name in sorted(members)), texts, moment)


def _write(
    file: GzipFile, members: Iterable[tarfile.TarInfo], texts: Mapping[str, bytes], moment: int
) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for member in members:
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.mtime = member.type, moment
            plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            plain.size = len(texts.get(member.name, b""))
            packed.addfile(plain, io.BytesIO(texts.get(member.name, b"")))


def _text(packed: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = packed.extractfile(member)
    assert file is not None
    return file.read()


def _json(value: object) -> bytes:
    """Return JSON in the format of ansible-galaxy."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


if __name__ == "__main__":
    for built in build(ROOT, Path(sys.argv[1]).absolute()):
        print(built)
