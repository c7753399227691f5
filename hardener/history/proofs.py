"""Store proofs of container profiles: each with its profile in one compressed file."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hardener.bounded import inflate, parse, read
from hardener.errors import HardenerError
from hardener.history.home import Home, read_retention
from hardener.text import line
from hardener.workload.profile_document import MOST
from hardener.workload.proof import NAME, ProofDocument
from hardener.workload.proven import Proven

_FILE = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{16})\.gz")
_DRAFT = re.compile(rf"\.{_FILE.pattern}\.[0-9]{{1,10}}")
_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")
_DAY_S = 86_400.0
_DRAFT_S = 3_600.0  # writing takes seconds: older files belong to a killed process
_MOST_HEAD = 1 << 16
_MOST_FILES = 8 * MOST
_MOST_VALUES = 10_000_000  # the files are texts, whose punctuation counts


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProof:
    """A stored proof.

    Args:
        id: its id; the beginning of the SHA-256 of its proof.json.
        name: of the profile.
        image: digest of the container's image.
        verdict: of the proof.
        ended: when its last trial ended.
    """

    id: str
    name: str
    image: str
    verdict: str
    ended: str
    path: Path

    def files(self) -> dict[str, bytes]:
        """Return the files of the proof by name.

        Raises:
            HardenerError: they cannot be read, or were changed.
        """
        try:
            text = inflate(read(self.path, most=_MOST_FILES), most=_MOST_FILES).partition(b"\n")[2]
            files = parse(text, most_values=_MOST_VALUES)
            found = {str(name): str(content).encode() for name, content in files.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise HardenerError(
                f"cannot read the proof {line(str(self.path))}: {line(str(error))}"
            ) from error
        if _id(found.get(NAME, b"")) != self.id:
            raise HardenerError(
                f"the proof {line(str(self.path))} is damaged: its {NAME} does not match its id {self.id}"
            )
        return found


@dataclass(frozen=True, slots=True)
class Kept:
    """The stored proofs, newest first, and the problems of unreadable files."""

    proofs: tuple[StoredProof, ...]
    problems: tuple[HardenerError, ...]


class Proofs:
    """All proofs in the folder of a history.

    Args:
        home: the folder; it is created for the first proof.
    """

    def __init__(self, home: Path) -> None:
        self._home = Home(home)
        self._folder = self._home.path / "proofs"

    def keep(self, proven: Proven) -> StoredProof:
        """Store a proof; remove old proofs by the limits that ``retention.yml`` sets for runs.

        Raises:
            HardenerError: it cannot be written.
        """
        self._home.prepare()
        keep, days = read_retention(self._home.retention)
        stored = self._described(proven.proof, _id(proven.files[NAME]))
        head = {key: getattr(stored, key) for key in ("name", "image", "verdict", "ended")}
        texts = {name: content.decode() for name, content in sorted(proven.files.items())}
        packed = gzip.compress(f"{json.dumps(head)}\n{json.dumps(texts)}".encode(), 6, mtime=0)
        draft = self._folder / f".{stored.path.name}.{os.getpid()}"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(stored.path)
            self._forget(keep, days)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise self._home.failure(error) from error
        return stored

    def all(self) -> Kept:
        """Return all proofs; a damaged file does not hide the others.

        Raises:
            HardenerError: the folder cannot be read.
        """
        found, problems = [], []
        for path in self._paths():
            try:
                found.append(_stored(path))
            except HardenerError as error:
                problems.append(error)
        return Kept(tuple(found), tuple(problems))

    def proof(self, name: str) -> StoredProof:
        """Return a proof by name: ``latest``, ``latest~1``, or an identifier or a prefix of one.

        Raises:
            HardenerError: there is no such proof, or more than one.
        """
        paths = self._paths()
        if latest := _LATEST.fullmatch(name):
            number = int(latest[1] or 0)
            found = paths[number : number + 1]
        else:
            found = [path for path in paths if name and path.name.partition("-")[2].startswith(name)]
        if len(found) != 1:
            what = f"{len(found)} proofs have" if found else "no proof has"
            raise HardenerError(
                f"there is no proof {name}"
                if latest
                else f"{what} an id that begins with {line(repr(name))}",
                hint=f"{len(paths)} are kept; `hardener workload proofs` lists them",
            )
        return _stored(found[0])

    def _described(self, proof: ProofDocument, identifier: str) -> StoredProof:
        moment = proof.ended.replace("-", "").replace(":", "")
        return StoredProof(
            id=identifier,
            name=proof.name,
            image=proof.container.digest,
            verdict=proof.verdict,
            ended=proof.ended,
            path=self._folder / f"{moment}-{identifier}.gz",
        )

    def _paths(self) -> list[Path]:
        try:
            found = [path for path in self._folder.iterdir() if _FILE.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._home.failure(error) from error
        return sorted(found, reverse=True)

    def _forget(self, keep: int, days: float) -> None:
        oldest = datetime.fromtimestamp(max(0.0, time.time() - days * _DAY_S), UTC).strftime("%Y%m%dT%H%M%SZ")
        for number, path in enumerate(self._paths()):
            if number and (number >= keep or path.name.partition("-")[0] < oldest):
                path.unlink(missing_ok=True)
        for draft in [each for each in self._folder.iterdir() if _DRAFT.fullmatch(each.name)]:
            with suppress(FileNotFoundError):  # another process removes it too
                if time.time() - draft.stat().st_mtime > _DRAFT_S:
                    draft.unlink()


def _id(proof: bytes) -> str:
    return hashlib.sha256(proof).hexdigest()[:16]


def _stored(path: Path) -> StoredProof:
    found = _FILE.fullmatch(path.name)
    assert found is not None
    try:
        with gzip.open(path) as file:
            head = parse(file.readline(_MOST_HEAD))
        said = {key: str(head[key]) for key in ("name", "image", "verdict", "ended")}
    except (OSError, EOFError, ValueError, LookupError, TypeError, zlib.error) as error:
        raise HardenerError(f"cannot read the proof {line(str(path))}: {line(str(error))}") from error
    return StoredProof(id=found[2], path=path, **said)
