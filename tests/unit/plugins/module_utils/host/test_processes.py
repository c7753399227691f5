"""The limit of open files, compared with what the kernel permits."""

from __future__ import annotations

import os
import resource

from ansible_collections.hardener.docker.plugins.module_utils.host.processes import most_open_files


def permits(limit: int) -> bool:
    """Whether the kernel lets a child of this process have a limit."""
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (OSError, ValueError):
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def test_the_highest_limit_of_open_files_is_the_one_that_the_kernel_permits() -> None:
    most = most_open_files(os.getpid())
    assert most is not None
    assert permits(most)
    assert not permits(most + 1)


def test_the_limit_of_a_process_that_is_gone_is_unknown() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert most_open_files(child) is None
