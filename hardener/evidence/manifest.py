"""The manifest of a bundle: an in-toto statement that lists its files, and describes the runs behind them.

It names the audited hosts (every host of the inventory, also those without facts), the times, the versions,
and the preceding entry of the ledger. docs/evidence.md describes it for other readers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from hardener.bounded import parse
from hardener.evidence.refusal import Refused
from hardener.model import Status
from hardener.run import RunInfo

MANIFEST = "manifest.json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:hardener:evidence:3"  # type of a bundle
# Types of hardener 0.2, without and with proofs: they have a report for DefectDojo besides.
EARLIER = ("urn:hardener:evidence:1", "urn:hardener:evidence:2")

_STATUSES = [status.value for status in Status]  # a new status needs a new type of bundle
_MOST_VALUES = 20_000_000  # a year of a large fleet
_KEY = re.compile(r"[a-z_][A-Za-z0-9_]*", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,99}")
_RECORDING = re.compile(r"sha256:[0-9a-f]{64}")
_VERDICTS = ("safe", "not safe", "not exercised")
_VERBS = ("audit", "drift", "harden", "provision")
VERBS = (*_VERBS, *(f"before {verb}" for verb in _VERBS))  # a new command needs a new type of bundle


@dataclass(frozen=True, slots=True)
class File:
    """A file of a bundle."""

    name: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Host:
    """A host of a run: its snapshot in the bundle, or the reason why there is none."""

    name: str
    snapshot: str  # name of the file, empty where there is none
    unreachable: str  # empty where the snapshot was judged
    not_begun: str = ""  # why its change was not begun, in the words of the run
    change_failed: str = ""  # why its change failed, likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The selection of hosts and controls of a run."""

    limit: str = ""  # Ansible's pattern, empty for all hosts
    level: int = 2  # of the benchmark
    only: tuple[str, ...] = ()  # controls and sections, empty for all


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as the manifest describes it."""

    info: RunInfo
    verb: str
    exporter: str  # version of hardener that wrote the reports in the bundle
    inventory: str  # SHA-256 of the inventory at the time, empty where it is unknown
    decided: date | None  # the day by which waivers and attestations counted; None without any
    declared: Mapping[str, str]  # SHA-256 of their files ("waivers", "attestations")
    selection: Selection
    controls: tuple[str, ...]  # slugs of the controls, in the order of the reports
    hosts: tuple[Host, ...]  # in the order of the reports
    counts: Mapping[str, int]  # number of findings by status, with every status in order

    @property
    def folder(self) -> str:
        """Return the folder of the run's files in the bundle."""
        return run_folder(self.info.run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof of a container's profile as the manifest describes it."""

    id: str
    name: str  # of the profile
    image: str  # digest of the container's image
    recordings: tuple[str, ...]  # digests of the recordings that the profile was made of
    profile: str  # SHA-256 of the file that describes the profile
    verdict: str
    exporter: str  # version of hardener that made the bundle
    files: tuple[str, ...]  # names of the files in its folder, in order

    @property
    def folder(self) -> str:
        """Return the folder of the proof's files in the bundle."""
        return f"proofs/{self.id}"


def run_folder(identifier: str) -> str:
    """Return the folder of a run's files in a bundle."""
    return f"runs/{identifier}"


@dataclass(frozen=True, slots=True)
class Link:
    """The ledger entry that precedes a bundle; number 0 for the first bundle."""

    seq: int
    sha256: str


START = Link(0, "0" * 64)  # reference of the first bundle of a ledger


@dataclass(frozen=True, slots=True)
class Manifest:
    """The complete manifest."""

    files: tuple[File, ...]
    runs: tuple[Run, ...]
    previous: Link
    proofs: tuple[Proof, ...] = ()
    earlier: bool = False  # of one of the types ``EARLIER``

    def render(self) -> bytes:
        """Render the manifest as JSON; equal manifests give equal bytes."""
        document = {
            "_type": STATEMENT,
            "subject": [
                {"name": each.name, "digest": {"sha256": each.sha256}, "annotations": {"size": each.size}}
                for each in self.files
            ],
            "predicateType": EARLIER[bool(self.proofs)] if self.earlier else PREDICATE,
            "predicate": {
                "window": _window(self.runs),
                "ledger": {"previous": {"seq": self.previous.seq, "sha256": self.previous.sha256}},
                "runs": [_run(each) for each in self.runs],
                **({"proofs": [_proof(each) for each in self.proofs]} if self.proofs else {}),
            },
        }
        return f"{json.dumps(document, indent=1)}\n".encode("ascii")

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Parse a manifest.

        Only the exact bytes of ``render`` are accepted: an additional key, a value of another type or another
        order is refused.

        Raises:
            Refused: this version would not write this manifest.
        """
        try:
            document = parse(data, most_values=_MOST_VALUES, pairs=_object)
            kinds = (*EARLIER, PREDICATE)
            if document["_type"] != STATEMENT or document["predicateType"] not in kinds:
                raise Refused(MANIFEST, f"this version of hardener reads only {', '.join(kinds)}")
            predicate = document["predicate"]
            previous = predicate["ledger"]["previous"]
            manifest = cls(
                files=tuple(
                    File(
                        _text(each["name"]),
                        _number(each["annotations"]["size"]),
                        _digest(each["digest"]["sha256"]),
                    )
                    for each in document["subject"]
                ),
                runs=tuple(_read_run(each) for each in predicate["runs"]),
                previous=Link(_number(previous["seq"]), _digest(previous["sha256"])),
                proofs=tuple(_read_proof(each) for each in predicate.get("proofs", ())),
                earlier=document["predicateType"] in EARLIER,
            )
            rendered = manifest.render()
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise Refused(MANIFEST, f"not a manifest: {type(error).__name__} {error}") from None
        if rendered != data:
            expected = parse(rendered, most_values=_MOST_VALUES)
            place = next(_differences(document, expected, ""), "spaces, or the order of keys")
            raise Refused(MANIFEST, f"differs from what an export writes: {place}")
        return manifest


def _differences(found: object, expected: object, place: str) -> Iterator[str]:
    """Yield the paths at which a document differs from the expected one."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in [*found, *(key for key in expected if key not in found)]:
            inner = f"{place}.{key}".lstrip(".") if _KEY.fullmatch(key) else f"{place}[{json.dumps(key)}]"
            if key not in expected or key not in found:
                yield inner
            else:
                yield from _differences(found[key], expected[key], inner)
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from _differences(one, other, f"{place}[{number}]")
    elif type(found) is not type(expected) or found != expected:
        yield place


def _window(runs: Iterable[Run]) -> dict[str, str]:
    """Return the time from the start of the first run to the end of the last."""
    moments = [(each.info.started, each.info.ended) for each in runs]
    return {"from": _moment(min(moments)[0]), "until": _moment(max(ended for _, ended in moments))}


def _run(run: Run) -> dict[str, Any]:
    info = run.info
    unreachable = sum(1 for host in run.hosts if host.unreachable)
    return {
        "id": info.run_id,
        "verb": run.verb,
        "started": _moment(info.started),
        "ended": _moment(info.ended),
        "benchmark": info.benchmark,
        "catalogue_sha256": info.catalogue_digest,
        "tool_version": info.tool_version,
        "ansible_version": info.ansible_version or None,
        "exporter_version": run.exporter,
        "inventory_sha256": run.inventory or None,
        "decided": run.decided and run.decided.isoformat(),
        "declared_sha256": dict(sorted(run.declared.items())),
        "selection": asdict(run.selection),
        "population": {
            "hosts": len(run.hosts),
            "assessed": len(run.hosts) - unreachable,
            "unreachable": unreachable,
            "controls": len(run.controls),
            "findings": sum(run.counts.values()),
            "counts": dict(run.counts),
        },
        "controls": list(run.controls),
        "hosts": [
            {"host": each.name, "snapshot": each.snapshot or None, "unreachable": each.unreachable or None}
            | ({"not_begun": each.not_begun} if each.not_begun else {})
            | ({"change_failed": each.change_failed} if each.change_failed else {})
            for each in run.hosts
        ],
    }


def _read_run(entry: Mapping[str, Any]) -> Run:
    info = RunInfo(
        run_id=_text(entry["id"]),
        tool_version=_version(entry["tool_version"]),
        benchmark=_text(entry["benchmark"]),
        catalogue_digest=_digest(entry["catalogue_sha256"]),
        ansible_version=_version(entry["ansible_version"]) if entry["ansible_version"] is not None else "",
        started=_read_moment(entry["started"]),
        ended=_read_moment(entry["ended"]),
    )
    selection = entry["selection"]
    run = Run(
        info=info,
        verb=_text(entry["verb"]),
        exporter=_version(entry["exporter_version"]),
        inventory=_digest(entry["inventory_sha256"]) if entry["inventory_sha256"] is not None else "",
        decided=date.fromisoformat(entry["decided"]) if entry["decided"] is not None else None,
        declared={_text(key): _digest(value) for key, value in entry["declared_sha256"].items()},
        selection=Selection(
            limit=_text(selection["limit"]),
            level=_number(selection["level"]),
            only=tuple(_text(each) for each in selection["only"]),
        ),
        controls=tuple(_text(each) for each in entry["controls"]),
        hosts=tuple(
            Host(
                _text(each["host"]),
                _text(each["snapshot"] or ""),
                _text(each["unreachable"] or ""),
                _text(each.get("not_begun", "")),
                _text(each.get("change_failed", "")),
            )
            for each in entry["hosts"]
        ),
        counts={_text(key): _number(value) for key, value in entry["population"]["counts"].items()},
    )
    if info.ended < info.started:
        raise Refused(MANIFEST, f"run {info.run_id} ended before it started")
    if run.verb not in VERBS:
        raise Refused(MANIFEST, f"{run.verb!r} is not one of hardener's commands: {', '.join(VERBS)}")
    if list(run.counts) != _STATUSES:
        raise Refused(MANIFEST, f"the counts of run {info.run_id} do not list every status in order")
    if len(set(run.controls)) != len(run.controls):
        raise Refused(MANIFEST, f"run {info.run_id} names a control twice")
    if run.declared and run.decided is None:
        raise Refused(
            MANIFEST, f"run {info.run_id} has files of decisions, but no day for which they were applied"
        )
    return run


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "id": proof.id,
        "name": proof.name,
        "image": proof.image,
        "recordings": list(proof.recordings),
        "profile_sha256": proof.profile,
        "verdict": proof.verdict,
        "exporter_version": proof.exporter,
        "files": list(proof.files),
    }


def _read_proof(entry: Mapping[str, Any]) -> Proof:
    proof = Proof(
        id=_text(entry["id"]),
        name=_text(entry["name"]),
        image=_text(entry["image"]),
        recordings=tuple(_text(each) for each in entry["recordings"]),
        profile=_digest(entry["profile_sha256"]),
        verdict=_text(entry["verdict"]),
        exporter=_version(entry["exporter_version"]),
        files=tuple(_text(each) for each in entry["files"]),
    )
    if proof.verdict not in _VERDICTS:
        raise Refused(MANIFEST, f"{proof.verdict!r} is not a verdict of a proof")
    if not proof.recordings or not all(map(_RECORDING.fullmatch, proof.recordings)):
        raise Refused(MANIFEST, f"proof {proof.id} does not name its recordings by their digests")
    return proof


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _read_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text[:100]!r} has no time zone")
    return moment


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; refuse duplicate keys, since readers differ on which value counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{repr(value)[:100]} is not a string")
    return value


def _digest(value: object) -> str:
    text = _text(value)
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is not a SHA-256")
    return text


def _version(value: object) -> str:
    text = _text(value)
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is not a version")
    return text


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{repr(value)[:100]} is not a number")
    return value
