"""Keep the assessments of a run on disk, read them host by host, and move them into the history."""

from __future__ import annotations

import json
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from hardener.bounded import inflate, parse
from hardener.errors import HardenerError
from hardener.history.codec import Codec
from hardener.model import AppliedWish, Assessment, Control, Status
from hardener.text import line

_AT_HAND = 4  # hosts that stay uncompressed: compressing one takes as long as its report
_IN_MEMORY = 8 * 1024 * 1024  # bytes; a thousand hosts need no disk
_LARGEST = 256 << 20  # bytes of one host, uncompressed
_MOST_VALUES = 10_000_000
_STATUSES = tuple(Status)


class PackedHost(NamedTuple):
    """The assessment of one host in the form that the history keeps."""

    host: str
    packed: bytes
    findings: tuple[tuple[int, Status], ...]  # number and status of each control


@dataclass(frozen=True, slots=True)
class _Place:
    start: int
    size: int
    controls: tuple[int, ...]
    statuses: bytes


class AssessmentStore(Iterable[Assessment]):
    """The assessments of a fleet; ``arrange`` sets the order of hosts.

    Its file is temporary and has no name, so that a full history disk does not affect the run.

    Args:
        at_hand: number of hosts that stay uncompressed in memory.
        in_memory: compressed bytes of the other hosts that stay in memory before a file is used.
    """

    def __init__(self, *, at_hand: int = _AT_HAND, in_memory: int = _IN_MEMORY) -> None:
        self._at_hand = at_hand
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115 - closed with the store
        weakref.finalize(self, self._file.close)
        self._controls: list[Control] = []
        self._numbers: dict[int, int] = {}  # ids of the objects in the list, which most findings share
        self._codec = Codec({Control: (self._number, self._controls.__getitem__)})
        self._last: tuple[int, ...] = ()
        self._places: dict[str, Assessment | _Place] = {}
        self.not_begun = 0  # hosts whose change was not begun
        self.change_failed = 0  # hosts whose change failed
        self.unreachable: dict[str, str] = {}  # host to reason
        self.wishes: dict[str, tuple[str, ...]] = {}  # host to the roles with wishes; not in the history
        self.elsewhere: dict[str, dict[str, AppliedWish]] = {}  # host to the wishes of other inventories

    def __iter__(self) -> Iterator[Assessment]:
        yield from self.among(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def among(self, hosts: Iterable[str]) -> Iterator[Assessment]:
        """Yield the assessments of the given hosts."""
        for host in hosts:
            place = self._places[host]
            if isinstance(place, Assessment):
                yield place
            else:
                yield self._codec.decode(Assessment, unpack(self._read(place)))

    def has(self, host: str) -> bool:
        """Return whether a host has an assessment."""
        return host in self._places

    def add(self, assessment: Assessment) -> None:
        """Add the assessment of a host.

        Raises:
            HardenerError: the disk is full.
        """
        self.not_begun += bool(assessment.not_begun)
        self.change_failed += bool(assessment.change_failed)
        if assessment.unreachable:
            self.unreachable[assessment.host] = assessment.unreachable
        controls = tuple(self._number(finding.control) for finding in assessment.findings)
        if len(self._places) < self._at_hand:
            self._places[assessment.host] = assessment
            return
        packed = self._pack(assessment)
        try:
            start = self._file.seek(0, 2)
            self._file.write(packed)
            self._file.flush()
        except OSError as error:
            raise HardenerError(
                f"cannot keep the findings of {line(assessment.host)}: {error.strerror}",
                hint=f"make room in {tempfile.gettempdir()}, or set TMPDIR",
            ) from error
        self._last = self._last if self._last == controls else controls  # all hosts have the same controls
        self._places[assessment.host] = _Place(
            start,
            len(packed),
            self._last,
            bytes(_STATUSES.index(finding.status) for finding in assessment.findings),
        )

    def arrange(self, hosts: Iterable[str]) -> None:
        """Set the order of the hosts; the order must contain every host."""
        self._places = {host: self._places[host] for host in hosts}
        self.unreachable = {host: self.unreachable[host] for host in self._places if host in self.unreachable}

    def packed(self) -> Iterator[PackedHost]:
        """Yield each assessment as the history stores it."""
        for host, place in self._places.items():
            if isinstance(place, Assessment):
                findings = tuple((self._number(each.control), each.status) for each in place.findings)
                yield PackedHost(host, self._pack(place), findings)
            else:
                statuses = (_STATUSES[each] for each in place.statuses)
                findings = tuple(zip(place.controls, statuses, strict=True))
                yield PackedHost(host, self._read(place), findings)

    @property
    def controls(self) -> tuple[Control, ...]:
        """Return the controls in the order of their numbers."""
        return tuple(self._controls)

    def _pack(self, assessment: Assessment) -> bytes:
        return pack(self._codec.encode(assessment))

    def _read(self, place: _Place) -> bytes:
        self._file.seek(place.start)
        return self._file.read(place.size)

    def _number(self, control: Control) -> int:
        """Return the number of a control; equal controls share a number."""
        number = self._numbers.get(id(control))
        if number is None:
            if control in self._controls:
                return self._controls.index(control)
            number = self._numbers[id(control)] = len(self._controls)
            self._controls.append(control)
        return number


def pack(value: Any) -> bytes:
    """Compress a JSON value; all text is preserved exactly, even invalid Unicode."""
    # Not as ASCII: adjacent halves of a surrogate pair would be decoded as one character.
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 6)


def unpack(packed: bytes) -> Any:
    """Return the JSON value that was compressed.

    Raises:
        ValueError: it is damaged, or too large.
    """
    return parse(inflate(packed, most=_LARGEST), most_values=_MOST_VALUES)
