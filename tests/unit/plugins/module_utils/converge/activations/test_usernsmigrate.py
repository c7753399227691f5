from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import usernsmigrate
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.usernsmigrate import (
    UsernsMigrate,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration import restart
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration.survey import Holdings

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.located import Located

CONTAINER: dict[str, Any] = {"Id": "1", "Name": "/web", "State": {"Running": True}, "HostConfig": {}}


class Survey:
    def __init__(self, holdings: Holdings) -> None:
        self.holdings = holdings
        self.volumes: list[Any] = [object()]

    def notes(self) -> list[str]:
        return ["mind the bind mounts"]


class Migration:
    """A migration that only says what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        self.size = 0
        self.options: list[str] = []
        self.silent = False

    def survey(self) -> Survey:
        if self.silent:
            raise Failed("the engine does not answer")
        info = {"SecurityOptions": self.options}
        return Survey(Holdings([CONTAINER], [{}, {}], [{}], [], [], info))

    def obstacles(self, survey: Survey) -> tuple[int, list[str]]:
        return self.size, self.said

    def __getattr__(self, name: str) -> Callable[[], list[str]]:
        def ask() -> list[str]:
            self.asked.append(name)
            return [name]

        return ask


@pytest.fixture
def migration(monkeypatch: pytest.MonkeyPatch) -> Migration:
    found = Migration()
    monkeypatch.setattr(UsernsMigrate, "_migration", lambda _: found)
    monkeypatch.setattr(restart, "problem", lambda _: "")
    return found


def activation(host: Host, **settings: Any) -> UsernsMigrate:
    return UsernsMigrate(
        {
            "when": [host.path("daemon.json")],
            "uids": [100000, 65536],
            "gids": [100000, 65536],
            **settings,
        },
        finder=Located(host.path("daemon.json")),
    )


def prepared(host: Host, keys: dict[str, Any] | None = None, **settings: Any) -> UsernsMigrate:
    found = activation(host, **settings)
    found.prepare(host.plan(host.json("daemon.json", {"userns-remap": "default"} if keys is None else keys)))
    return found


def test_a_migration_moves_all_data_of_the_engine(host: Host, migration: Migration) -> None:
    migration.size = 400_000_000_000
    found = prepared(host)
    assert (found.due, found.impact) == (True, "containers-recreate")
    assert found.costs == ("stops and recreates 1 containers, and copies 2 images, 1 volumes and 0 networks")
    assert found.describe()["recreates"] == ["web"]
    assert found.longest > 100_000  # a guard that strikes before the last byte would undo it for nothing
    found.perform()
    assert found.pending == ["mind the bind mounts", "perform"]
    assert found.problems() == ["problems"]
    assert found.undo() == ["undo"]
    assert found.undo_at_boot() == ["undo_at_boot"]
    assert migration.asked == ["perform", "problems", "undo", "undo_at_boot"]


def test_a_migration_leaves_all_data_behind_on_request(host: Host, migration: Migration) -> None:
    migration.said = ["tool needs the host's user namespace"]  # who is left behind needs nothing
    found = prepared(host, leave=True)
    assert (found.due, found.impact) == (True, "data-hidden")
    assert found.costs.startswith(
        "the engine no longer sees its 1 containers, 2 images, 1 volumes, 0 networks"
    )
    assert found.describe()["leaves"] == ["web"]
    found.perform()
    assert migration.asked == ["leave"]


@pytest.mark.parametrize("options", [["name=userns"], ["name=seccomp,profile=builtin", "name=userns"]])
def test_an_engine_that_remaps_already_is_not_migrated(
    host: Host, migration: Migration, options: list[str]
) -> None:
    migration.options = options
    assert not prepared(host).due


def test_without_the_key_userns_remap_no_migration_is_needed(host: Host, migration: Migration) -> None:
    assert not prepared(host, {"icc": False}).due


def test_an_engine_with_userns_remap_set_but_not_in_force_is_migrated(
    host: Host, migration: Migration
) -> None:
    host.write("daemon.json", '{"userns-remap": "default"}')
    assert prepared(host).due


def test_a_refusal_names_all_obstacles(host: Host, migration: Migration) -> None:
    migration.said = ["one", "another"]
    with pytest.raises(Refused, match="cannot move into user namespaces: one; another"):
        prepared(host)


def test_an_engine_that_cannot_be_listed_is_refused(host: Host, migration: Migration) -> None:
    migration.silent = True
    with pytest.raises(Refused, match="networks of the engine cannot be listed: the engine does not answer"):
        prepared(host)


def test_a_host_or_key_that_excludes_user_namespaces_is_refused(
    host: Host, migration: Migration, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="exclude each other"):
        prepared(host, {"userns-remap": "default", "features": {"containerd-snapshotter": True}})
    (tmp_path / "most").write_text("0\n")
    monkeypatch.setattr(usernsmigrate, "_MOST_NAMESPACES", str(tmp_path / "most"))
    with pytest.raises(Refused, match="max_user_namespaces is 0"):
        prepared(host)


def test_an_engine_that_cannot_be_restarted_is_refused(
    host: Host, migration: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(UsernsMigrate, "_migration", lambda _: migration)
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    with pytest.raises(Refused, match=r"not run by docker.service \(no systemd\)"):
        prepared(host)


def test_missing_and_unknown_settings_are_refused(host: Host) -> None:
    with pytest.raises(Refused, match="activation userns-migrate: gids, uids is missing"):
        UsernsMigrate({"when": []})
    with pytest.raises(Refused, match="unknown settings: shell; known: "):
        activation(host, shell="/bin/sh")


def test_a_release_does_not_migrate_back() -> None:
    begun = [Begun({"when": ["/etc/docker/daemon.json"]}, {"stage": "done"})]
    assert usernsmigrate.UsernsMigrate.former(begun) == (None, (), ())
