"""What an engine is told of NRI is read the same from its file and from its command line."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.extensions import nri_options


@pytest.mark.parametrize(
    ("declared", "options"),
    [
        (None, {}),
        ({}, {}),
        ([], {}),
        ({"enable": True, "socket-path": "/x"}, {"enable": True, "socket-path": "/x"}),
        (["enable=true,socket-path=/x"], {"enable": "true", "socket-path": "/x"}),
        (["enable=true", "socket-path=/x=y"], {"enable": "true", "socket-path": "/x=y"}),
        (["enable"], {"enable": ""}),
        ([7, None], {"7": "", "None": ""}),
        ("enable=true", None),
        (1, None),
        (True, None),
    ],
)
def test_nri_options_are_read_from_an_object_or_a_list(declared: Any, options: dict[str, Any] | None) -> None:
    assert nri_options(declared) == options
