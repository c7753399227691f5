"""What belongs to one of several recorded containers."""

from __future__ import annotations

from typing import cast

from ansible_collections.hardener.docker.plugins.module_utils.record.account import Account
from ansible_collections.hardener.docker.plugins.module_utils.record.recorder import Recorder


def test_opened_files_of_other_containers_are_left_out() -> None:
    account = Account(cast(Recorder, None), 2, unfiltered=False, own_seccomp=False)
    try:
        assert account.own([{"slot": 1}, {"slot": 2}]) == [{"slot": 2}]
        assert account.own(None) is None
    finally:
        account.sampler.leave()
