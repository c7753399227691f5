"""What belongs to one of several recorded containers."""

from __future__ import annotations

from typing import cast

from ansible_collections.hardener.docker.plugins.module_utils.record.account import Account
from ansible_collections.hardener.docker.plugins.module_utils.record.source import Source


def test_opened_files_are_those_of_the_container_that_still_have_a_path() -> None:
    account = Account(cast(Source, None), 2, unfiltered=False, own_seccomp=False)
    try:
        found = account.read(
            {"slot": slot, "path": path, "folder": folder}
            for slot, path, folder in (
                (2, b"/etc/x", False),
                (2, b"/etc", True),
                (2, b"/", True),
                (1, b"/etc/of-another", False),
                (2, b"/tmp/gone (deleted)", False),
                (2, b"/tmp/gone (deleted)", True),
                (2, b"/tmp/\x1b[2J", False),
            )
        )
    finally:
        account.sampler.leave()
    assert found == ["/", "/etc/", "/etc/x", "/tmp/\\x1b[2J"]
