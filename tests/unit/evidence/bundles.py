"""Runs, keys and bundles for the tests of evidence, and ways to write archives that hardener would not."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from hardener import __version__, catalogue
from hardener.assess import assess, unreachable
from hardener.decisions.files import stored_decisions
from hardener.evidence import Exported, RunEvidence, Seal, Selection, Trust, Verified, export, verify
from hardener.evidence.signature import NAMESPACE
from hardener.model import Assessment
from hardener.run import RunInfo
from hardener.snapshot import Snapshot
from tests.unit.snapshots import make

BENCHMARK = "cis-docker-1.8.0"
EARLIER = Path(__file__).parents[2] / "fixtures" / "evidence"  # a bundle that hardener 0.0.9 has made
AUDITED = ("container-not-privileged", "daemon-icc-disabled", "host-lsm-enforcing")


def info(run_id: str = "run-a") -> RunInfo:
    return RunInfo(
        run_id=run_id,
        tool_version=__version__,
        benchmark=BENCHMARK,
        catalogue_digest=catalogue.digest(),
        ansible_version="2.19.14",
        started=datetime(2026, 11, 25, 0, 29, 58, 250_000, tzinfo=UTC),
        ended=datetime(2026, 11, 25, 0, 30, 1, 123_456, tzinfo=UTC),
    )


def run(
    run_id: str = "run-a",
    *,
    hosts: Sequence[str] = ("db01", "web 1"),
    gone: Sequence[str] = ("gone",),
    only: Sequence[str] = AUDITED,
    **changed: Any,
) -> RunEvidence:
    """A run over hosts that are alike, and some that could not be reached."""
    controls = catalogue.select(catalogue.load(BENCHMARK), benchmark=BENCHMARK, only=only)
    snapshots = [(host, make(host=host)) for host in hosts]
    assessments: list[Assessment] = [
        *(unreachable(host, "connection refused", controls, benchmark=BENCHMARK) for host in gone),
        *(assess(snapshot, controls, benchmark=BENCHMARK) for _, snapshot in snapshots),
    ]
    fields: dict[str, Any] = {
        "info": info(run_id),
        "verb": "audit",
        "assessments": lambda: assessments,
        "snapshots": lambda: [(host, document(snapshot)) for host, snapshot in snapshots],
        "inventory": "1" * 64,
        "declared": {},
        "selection": Selection(only=tuple(only)),
    }
    return RunEvidence(**(fields | changed))


WAIVERS = b"""\
waivers:
  - id: W-001
    control: daemon-icc-disabled
    hosts: [db01]
    reason: The old application.
    owner: team-db
    approved_by: J. Doe
    ticket: SEC-1
    created: 2026-11-01
    expires: 2026-11-25
"""
DAY = date(2026, 11, 25)  # the last of the waiver


def waived(run_id: str = "run-a", *, declared: bytes = WAIVERS) -> RunEvidence:
    """A run in which a control was waived, and the file that it is exported with."""
    decisions = stored_decisions({"waivers": WAIVERS}, name="test", today=DAY)
    controls = catalogue.select(catalogue.load(BENCHMARK), benchmark=BENCHMARK, only=AUDITED)
    found = [
        assess(make(host=host), controls, benchmark=BENCHMARK, decisions=decisions)
        for host in ("db01", "web 1")
    ]
    return run(
        run_id,
        info=dataclasses.replace(info(run_id), decisions=decisions),
        assessments=lambda: found,
        declared={"waivers": declared},
        gone=(),
    )


def document(snapshot: Snapshot) -> bytes:
    return json.dumps(snapshot.raw).encode()


@dataclass(frozen=True)
class Desk:
    """A folder with a key, a file of allowed signers and a ledger; bundles are made and verified here."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Desk:
        desk = cls(folder)
        new_key(desk.key)
        desk.allow(f'auditor@example.com namespaces="{NAMESPACE}" {public(desk.key)}')
        return desk

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def allowed(self) -> Path:
        return self.folder / "allowed_signers"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.ndjson"

    def allow(self, *lines: str) -> None:
        self.allowed.write_text("".join(f"{line}\n" for line in lines))

    def export(self, name: str, *runs: RunEvidence, seal: Seal | None = None) -> tuple[Path, Exported]:
        path = self.folder / name
        sealed = seal or Seal(key=self.key)
        return path, export(runs or [run()], out=path, ledger_file=self.ledger, seal=sealed)

    def verify(self, bundle: Path, *, ledger: bool = True, **trust: Any) -> Verified:
        believed = {"allowed_signers": self.allowed, "ledger": self.ledger if ledger else None}
        return verify(bundle, Trust(**(believed | trust)))


def new_key(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def public(key: Path) -> str:
    return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])


def contents(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle, read by another reader than ours."""
    with tarfile.open(bundle) as archive:
        return {
            member.name: source.read()
            for member in archive.getmembers()
            if (source := archive.extractfile(member))
        }


def entry(name: str, **fields: Any) -> tarfile.TarInfo:
    """A member as hardener writes it, but for these fields."""
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = 0o644, 315_532_800
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def packed(members: Iterable[tuple[tarfile.TarInfo, bytes]], *, tail: bytes = bytes(1024)) -> bytes:
    """An archive with any members in any order, compressed as hardener does it."""
    plain = b""
    for member, content in members:
        member.size = len(content)
        plain += member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)
    return squeezed(plain + tail)


def squeezed(plain: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return compressor.compress(plain) + compressor.flush()


def repacked(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files, in order, as hardener writes it."""
    return packed((entry(name), files[name]) for name in sorted(files))


def plain(bundle: Path) -> bytes:
    return zlib.decompress(bundle.read_bytes(), 31)


def sums(files: Mapping[str, bytes]) -> bytes:
    """``SHA256SUMS`` over all files but itself, its signature and its time stamp."""
    lines = io.BytesIO()
    for name in sorted(files):
        if not name.startswith("SHA256SUMS"):
            lines.write(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode())
    return lines.getvalue()


def subjects(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """What a manifest says of these files."""
    return [
        {
            "name": name,
            "digest": {"sha256": hashlib.sha256(content).hexdigest()},
            "annotations": {"size": len(content)},
        }
        for name, content in sorted(files.items())
        if not name.startswith("SHA256SUMS") and name != "manifest.json"
    ]


def resigned(desk: Desk, files: Mapping[str, bytes], **predicate: Any) -> bytes:
    """A bundle that the holder of the key has changed and signed again, manifest and all."""
    manifest = json.loads(files["manifest.json"])
    manifest["subject"] = subjects(files)
    manifest["predicate"] |= predicate
    return signed(desk, {**files, "manifest.json": f"{json.dumps(manifest, indent=1)}\n".encode()})


def signed(desk: Desk, files: Mapping[str, bytes]) -> bytes:
    """A bundle of these files with sums and a signature that fit."""
    total = sums(files)
    return repacked({**files, "SHA256SUMS": total, "SHA256SUMS.sig": sign(total, desk.key)})


def sign(data: bytes, key: Path, namespace: str = NAMESPACE) -> bytes:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key)]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def write_string(data: bytes) -> bytes:
    """A string as a public key has it (RFC 4251)."""
    return len(data).to_bytes(4, "big") + data
