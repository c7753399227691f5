"""A clock that jumps neither hurries the guard nor holds it up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.guard import STATE, TIMEOUT, UNCONFIRMED, engine, once, play, record, settled
from tests.hosts.play import kill
from tests.hosts.workload import DAEMON_JSON, shell


@pytest.mark.parametrize("jump", ["+1 day", "-1 day"])
def test_a_clock_that_jumps_neither_hurries_the_guard_nor_holds_it_up(
    guest: lab.Guest, tmp_path: Path, jump: str
) -> None:
    settled(guest)
    before = shell(guest, STATE)
    process = play(guest, tmp_path, engine(**{"default-shm-size": "77M"})).start()
    guest.ssh("sh", "-c", once(UNCONFIRMED))
    kill(process)
    shell(guest, f"date --set '{jump}'")
    begun = time.monotonic()
    assert "77M" in shell(guest, f"cat {DAEMON_JSON}")
    settled(guest)
    assert TIMEOUT / 3 < time.monotonic() - begun < 3 * TIMEOUT
    back = "-1 day" if jump == "+1 day" else "+1 day"
    shell(guest, f"date --set '{back}'")
    assert shell(guest, STATE) == before
    assert record(guest)["reason"] == f"not confirmed within {TIMEOUT} s"
