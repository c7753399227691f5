"""What was found on a fleet, on the disk: read host by host, as often as it is needed."""

from __future__ import annotations

import io
import pickle
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from hardener.errors import HardenerError
from hardener.model import Assessment, Control
from hardener.text import line

_AT_HAND = 4  # hosts that stay as they are: to pack and unpack one takes as long as its report
_IN_MEMORY = 8 * 1024 * 1024  # a few hundred hosts need no disk


class Spool(Iterable[Assessment]):
    """The assessments of a fleet; a few of them are in memory, and once the controls that they share.

    They come out in the order in which ``arrange`` names the hosts. Its file has no name and ends with it.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed with the spool
        weakref.finalize(self, self._file.close)
        self._controls = _Controls()
        self._places: dict[str, Assessment | tuple[int, int]] = {}  # or where one begins, and its size

    def __iter__(self) -> Iterator[Assessment]:
        for place in self._places.values():
            if isinstance(place, Assessment):
                yield place
            else:
                start, size = place
                self._file.seek(start)
                yield _Unpickler(io.BytesIO(self._file.read(size)), self._controls).load()

    def has(self, host: str) -> bool:
        """Whether something was found on a host."""
        return host in self._places

    def add(self, assessment: Assessment) -> None:
        """Add what was found on a host.

        Raises:
            HardenerError: the disk has no room for it.
        """
        if len(self._places) < _AT_HAND:
            self._places[assessment.host] = assessment
            return
        packed = io.BytesIO()
        _Pickler(packed, self._controls).dump(assessment)
        try:
            start = self._file.seek(0, io.SEEK_END)
            self._file.write(packed.getbuffer())
            self._file.flush()
        except OSError as error:
            raise HardenerError(
                f"cannot keep what was found on {line(assessment.host)}: {error.strerror}",
                hint=f"make room in {tempfile.gettempdir()}, or set TMPDIR",
            ) from error
        self._places[assessment.host] = (start, packed.tell())

    def arrange(self, hosts: Iterable[str]) -> None:
        """Let them come out in this order; it names every host."""
        self._places = {host: self._places[host] for host in hosts}


class _Controls:
    """Controls by number: the very objects, since comparing 125 of them for each finding takes time."""

    def __init__(self) -> None:
        self._all: list[Control] = []
        self._numbers: dict[int, int] = {}

    def number(self, control: Control) -> int:
        number = self._numbers.setdefault(id(control), len(self._all))
        if number == len(self._all):
            self._all.append(control)
        return number

    def __getitem__(self, number: int) -> Control:
        return self._all[number]


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, controls: _Controls) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._controls = controls

    def persistent_id(self, value: Any) -> int | None:
        return self._controls.number(value) if isinstance(value, Control) else None


class _Unpickler(pickle.Unpickler):
    """Reads what this very process has written, and nothing else."""

    def __init__(self, file: io.BytesIO, controls: _Controls) -> None:
        super().__init__(file)
        self._controls = controls

    def persistent_load(self, number: int) -> Control:
        return self._controls[number]
