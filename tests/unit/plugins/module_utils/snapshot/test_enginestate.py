from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import (
    enginestate,
    sockets,
    unixsockets,
)
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.unixsockets import UnixSocket

NOT_TOLD = ("EACCES", "EAFNOSUPPORT", "EINVAL", "ENOENT", "EOPNOTSUPP", "EPERM", "EPROTONOSUPPORT")


class Held(sockets.Holders):
    """One process that has every socket."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def held(self, _pid: int) -> set[int]:
        return set(range(self._number))


@pytest.mark.parametrize("name", sorted(errno.errorcode.values()))
def test_unix_sockets_are_incomplete_after_every_error_except_a_refusal_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def failing() -> dict[int, UnixSocket]:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(unixsockets, "listening", failing)
    found, why = enginestate._unix_sockets(Engine(), {7: "containerd"}, Held(1), {})
    refused = getattr(errno, name) in {getattr(errno, each) for each in NOT_TOLD}
    assert (found, why) == ([], None if refused else os.strerror(getattr(errno, name)))


@pytest.mark.parametrize(("number", "complete"), [(0, True), (64, True), (65, False), (1000, False)])
def test_sockets_beyond_the_limit_are_reported_as_missing(
    monkeypatch: pytest.MonkeyPatch, number: int, complete: bool
) -> None:
    """A process in a container may have the name of a runtime, and more sockets than are listed."""
    listening = {inode: UnixSocket(f"@{inode:04}", "", 0) for inode in range(number)}
    monkeypatch.setattr(unixsockets, "listening", lambda: listening)
    found, why = enginestate._unix_sockets(Engine(), {7: "containerd"}, Held(number), {})
    assert len(found) == min(number, 64)
    assert (why is None) is complete
