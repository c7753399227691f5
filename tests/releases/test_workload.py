"""Record, profile and prove a container of a fresh host over ssh on other releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.fixtures import Boot
from tests.hosts.web_host import WebHost


@pytest.mark.parametrize("release", ["12", "testing"])
def test_a_container_is_proven_with_a_fetched_recorder_that_leaves_the_packages_unchanged(
    boot: Boot, tmp_path: Path, release: str
) -> None:
    WebHost.serving(boot(release), tmp_path).proven("recordings")
