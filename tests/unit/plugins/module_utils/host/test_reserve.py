"""A reserve beside a file, which another user may exchange."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import descriptors, reserve
from ansible_collections.hardener.docker.plugins.module_utils.host.atomic import PRIVATE

from tests.unit.plugins.module_utils.host.trees import EVE

RESERVE = ".ca.crt.reserve.hardener~"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_a_reserve_whose_second_name_is_removed_after_the_open_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, within = tmp_path / "victim", tmp_path / "f"
    victim.write_text("root's")
    within.mkdir()
    (within / "ca.crt").write_text("eve's")
    for path in (within, within / "ca.crt"):
        os.chown(path, EVE, EVE)
    os.link(victim, within / RESERVE)
    really = os.open

    def raced(path: str, flags: int, *args: int, **options: int) -> int:
        handle = really(path, flags, *args, **options)
        if path == RESERVE:
            (within / path).unlink()
        return handle

    monkeypatch.setattr(os, "open", raced)
    with descriptors.at(f"{within}/ca.crt") as place:
        assert not reserve.use(place, b"new", PRIVATE)
    assert victim.read_text() == "root's"
