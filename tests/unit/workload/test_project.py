"""What is known of a compose project before its host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.workload.project import project

HASH = "a" * 64
DOCKER = f"""#!/bin/sh
case "$*" in
"compose version") exit ${{NO_COMPOSE:-0}} ;;
*--hash*) printf 'web {HASH}\\nnot a hash\\n' ;;
*json*) echo '{{"name": "shop", "services": {{"web": {{"environment": {{"A": "secret"}}}}}}}}' ;;
esac
[ -z "$REFUSES" ] || {{ echo "first" >&2; echo "$REFUSES" >&2; exit 1; }}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compose file, and a docker that has the answers."""
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:/usr/bin:/bin")
    path = tmp_path / "My.Shop" / "compose.yaml"
    path.parent.mkdir()
    path.touch()
    return path


def test_names_and_hashes_come_from_compose(file: Path) -> None:
    found = project([file], name="", environment={})
    assert found.arguments() == {
        "project": "",
        "files": [str(file)],
        "otherwise": "shop",
        "hashes": {"web": HASH},
        "remarks": [],
    }


def test_links_and_relative_paths_are_resolved_like_compose_does(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = file.parent.with_name("link")
    link.symlink_to(file.parent)
    monkeypatch.chdir(link.parent)
    assert project([Path("link/compose.yaml")], name="x", environment={}).files == (f"{link}/compose.yaml",)


def test_without_compose_the_folder_names_the_project(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COMPOSE", "1")
    found = project([file], name="", environment={})
    assert (found.otherwise, found.hashes) == ("myshop", {})
    assert found.remarks == (
        "the containers were not compared with the compose file: there is no docker compose here",
    )
    named = project([file], name="", environment={"COMPOSE_PROJECT_NAME": "other"})
    assert named.otherwise == "other"


def test_a_file_that_docker_compose_refuses_is_not_compared(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSES", "services.web.image \x1b[2J is missing")
    found = project([file], name="", environment={})
    assert (found.otherwise, found.hashes) == ("myshop", {})
    assert found.remarks == (
        "the containers were not compared with the compose file: docker compose cannot read it here",
    )
    # Its words may have values of the file: they do not get to the host, nor into a recording.
    assert found.refusal == f"docker compose cannot read {file}: services.web.image \\x1b[2J is missing"
    assert found.refusal not in str(found.arguments())


def test_a_file_that_is_missing_is_refused(file: Path) -> None:
    with pytest.raises(HardenerError, match="there is no such compose file"):
        project([file.with_name("none.yaml")], name="", environment={})
