"""A map of the kernel that was full makes a recording incomplete, or a proof fail."""

from __future__ import annotations

import struct
from collections.abc import Collection

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import layout
from ansible_collections.hardener.docker.plugins.module_utils.record.recorder import Recorder, Refusals

ENTRIES = {
    "reads": (struct.pack("=BB6x256s", 1, 0, b"/etc/passwd"), b"\1"),
    "uses": (struct.pack("=16sB7x256s", b"web", 1, b"/run/pid"), struct.pack("=II", 1, 0)),
}


class Full:
    """Maps of attached programs, some of which were full."""

    def __init__(self, lost: Collection[str], *, maps: Collection[str] = tuple(ENTRIES)) -> None:
        self.capabilities_by = ""
        self._maps = dict.fromkeys(maps, "")
        self._lost_kinds = lost

    def _dump(self, name: str) -> list[layout.Entry]:
        if name == "losses":
            counts = (struct.pack("=Q", 3 if what in self._lost_kinds else 0) for what in layout.LOSSES)
            return [(struct.pack("=I", at), count) for at, count in enumerate(counts)]
        return [ENTRIES[name]] if name in ENTRIES else []


class FullRecorder(Full, Recorder):
    """A recorder with such maps."""


class FullRefusals(Full, Refusals):
    """A counter of refused calls with such maps."""


def test_opened_files_are_reported_only_if_none_was_lost() -> None:
    full = FullRecorder([])
    assert [each["path"] for each in full.reads() or ()] == [b"/etc/passwd"]
    assert [each["path"] for each in full.uses() or ()] == [b"/run/pid"]
    assert FullRecorder([layout.READ]).reads() is None
    assert FullRecorder([layout.READ]).uses() is not None
    assert FullRecorder([layout.USED]).uses() is None
    assert FullRecorder([layout.USED]).reads() is not None
    without = FullRecorder([], maps=())
    assert (without.reads(), without.uses()) == (None, None)


def test_lost_events_are_reported_except_opened_files() -> None:
    recorder = FullRecorder(layout.LOSSES)
    assert len(recorder.losses()) == len(layout.LOSSES) - 2
    assert "3 of the system calls were lost, because a map was full" in recorder.losses()
    assert FullRecorder([]).losses() == []


def test_a_proof_fails_if_refused_calls_were_lost() -> None:
    assert FullRefusals([]).read() == []
    with pytest.raises(Failed, match="3 refused calls were lost"):
        FullRefusals(["system calls"]).read()
