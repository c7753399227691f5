"""A map of the kernel that was full makes a recording incomplete, or a proof fail."""

from __future__ import annotations

import struct
from collections.abc import Collection

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import layout
from ansible_collections.hardener.docker.plugins.module_utils.record.recorder import Recorder, Refusals

OPENED = struct.pack("=16sBBB5x256s", b"web", 1, 0, 1, b"/etc/passwd"), struct.pack("=I", 1)


class Full:
    """Maps of attached programs, some of which were full."""

    def __init__(self, lost: Collection[str], *, maps: Collection[str] = ("opens",)) -> None:
        self.capabilities_by = ""
        self._maps = dict.fromkeys(maps, "")
        self._lost_kinds = lost

    def _dump(self, name: str) -> list[layout.Entry]:
        if name == "losses":
            counts = (struct.pack("=Q", 3 if what in self._lost_kinds else 0) for what in layout.LOSSES)
            return [(struct.pack("=I", at), count) for at, count in enumerate(counts)]
        return [OPENED] if name == "opens" else []


class FullRecorder(Full, Recorder):
    """A recorder with such maps."""


class FullRefusals(Full, Refusals):
    """A counter of refused calls with such maps."""


def test_opened_files_are_read_only_if_none_was_lost() -> None:
    assert [each["path"] for each in FullRecorder([]).opens() or ()] == [b"/etc/passwd"]
    assert FullRecorder([layout.OPENED]).opens() is None
    assert FullRecorder([], maps=()).opens() is None


def test_lost_events_are_reported_except_opened_files() -> None:
    recorder = FullRecorder(layout.LOSSES)
    assert len(recorder.losses()) == len(layout.LOSSES) - 1
    assert "3 of the system calls were lost, because a map was full" in recorder.losses()
    assert FullRecorder([]).losses() == []


def test_a_proof_fails_if_refused_calls_were_lost() -> None:
    assert FullRefusals([]).read() == []
    with pytest.raises(Failed, match="3 refused calls were lost"):
        FullRefusals(["system calls"]).read()
