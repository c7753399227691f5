"""Keys in daemon.json for the time of a restart: the file is as before afterwards."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.temporary_keys import TemporaryKeys

from tests.unit.plugins.module_utils.converge.host import Host


@pytest.mark.parametrize("before", [None, '{\n\t"live-restore": false, "debug": true}'])
def test_after_temporary_keys_the_file_has_its_former_content_and_modification_time(
    host: Host, before: str | None
) -> None:
    path = host.folder / "daemon.json"
    if before is not None:
        host.write("daemon.json", before)
        os.utime(path, (1, 1))
    announced: list[bytes] = []
    with TemporaryKeys(str(path), announced.append) as temporary:
        temporary.write({"live-restore": True, "debug": False})
        # Only live-restore replaces what the file says.
        assert json.loads(path.read_text()) == {"live-restore": True, "debug": before is not None}
        assert announced == [path.read_bytes()]
    if before is None:
        assert not path.exists()
    else:
        assert (path.read_text(), path.stat().st_mtime) == (before, 1)
