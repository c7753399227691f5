from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import apparmor
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.apparmor import (
    ApparmorLoad,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NoAnswer

from tests.unit.plugins.module_utils.converge.host import Host


class Kernel:
    """What is loaded, and what the parser was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, works: bool = True) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.works = works
        self.loaded = folder / "profiles"
        self.loaded.write_text("docker-default (enforce)\nweb (complain)\n")
        monkeypatch.setattr(apparmor, "_LOADED", str(self.loaded))
        monkeypatch.setattr(system, "run", lambda *command: system.Outcome(0, "", ""))
        monkeypatch.setattr(system, "must", self.must)

    def must(self, *command: str, timeout: float) -> str:
        self.asked.append(command)
        if not self.works:
            raise Failed("apparmor_parser: syntax error in line 3")
        self.loaded.write_text("web (enforce)\n")
        return ""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    return Kernel(monkeypatch, tmp_path)


class Asked:
    """An engine with these containers."""

    containers_known: ClassVar[list[dict[str, Any]]] = []
    unread: ClassVar[dict[str, str]] = {}
    answers = True

    def __init__(self, socket: str) -> None:
        pass

    def containers(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        if not self.answers:
            raise NoAnswer("the engine does not answer")
        return self.containers_known, self.unread


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Asked]:
    class Mine(Asked):
        pass

    monkeypatch.setattr(apparmor, "Engine", Mine)
    return Mine


def created_with(option: str, *, under: str = "") -> dict[str, Any]:
    """A container that is stopped."""
    return {"Name": "/shop", "HostConfig": {"SecurityOpt": [option]}, "AppArmorProfile": under}


def activation(path: Path) -> ApparmorLoad:
    return ApparmorLoad({"when": [], "profiles": {str(path): "web"}})


def test_a_profile_in_complain_mode_is_loaded_once(host: Host, kernel: Kernel, tmp_path: Path) -> None:
    found = activation(tmp_path / "web")
    found.prepare(host.plan())
    assert found.reasons == ["the profile web is not enforced"]
    found.perform()
    assert kernel.asked == [("apparmor_parser", "--replace", str(tmp_path / "web"))]
    assert found.problems() == []
    found.prepare(host.plan())
    assert not found.due


def test_an_undo_reloads_restored_profiles_and_keeps_new_ones_loaded(
    host: Host, kernel: Kernel, tmp_path: Path
) -> None:
    found = activation(tmp_path / "web")
    assert (found.undo(), kernel.asked) == ([], [])
    (tmp_path / "web").write_text("profile web {}")
    assert found.undo() == []
    assert len(kernel.asked) == 1
    kernel.works = False
    assert found.undo() == ["apparmor_parser: syntax error in line 3"]


def test_a_run_is_refused_if_apparmor_parser_is_missing(
    host: Host, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "run", lambda *command: system.Outcome(127, "", ""))
    with pytest.raises(Refused, match="apparmor_parser is missing"):
        activation(Path("/etc/apparmor.d/web")).prepare(host.plan())


def test_a_file_name_cannot_be_an_option(host: Host, kernel: Kernel) -> None:
    with pytest.raises(Refused, match="is not an absolute path"):
        ApparmorLoad({"when": [], "profiles": {"--remove": "web"}}).prepare(host.plan())


def test_a_release_unloads_a_profile_without_a_file_unless_it_confines_a_process(
    host: Host, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, stays = str(tmp_path / "web"), str(tmp_path / "docker-default")
    (tmp_path / "docker-default").write_text("profile docker-default {}")
    begun = [Begun({"when": [web], "profiles": {web: "web"}}, {})]
    begun.append(Begun({"when": [web, stays], "profiles": {web: "web", stays: "docker-default"}}, {}))
    settings, kept, left = ApparmorLoad.former(begun)
    assert settings == {"when": [web, stays], "released": {web: "web", stays: "docker-default"}}
    assert (kept, left) == ((), ())
    found = ApparmorLoad(settings)
    unloaded = tmp_path / "remove"
    unloaded.write_text("")
    monkeypatch.setattr(apparmor, "_UNLOAD", str(unloaded))
    confined: set[str] = {"web"}
    monkeypatch.setattr(apparmor, "_confines", lambda name: name in confined)
    found.prepare(host.plan())
    assert (found.reasons, found.pending) == (
        [],
        ["web confines a process, and stays loaded until the next boot"],
    )
    confined.clear()
    found.prepare(host.plan())
    assert found.reasons == ["the profile web is still loaded"]
    found.perform()
    assert (unloaded.read_text(), kernel.asked) == ("web", [("apparmor_parser", "--replace", stays)])


def test_a_release_without_apparmor_parser_unloads_no_profile(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [Begun({"when": [], "profiles": {"/etc/apparmor.d/web": "web"}}, {})]
    monkeypatch.setattr(system, "run", lambda *_: system.Outcome(127, "", ""))
    assert ApparmorLoad.former(begun) == (None, (), ())


@pytest.mark.parametrize(
    ("container", "refused"),
    [
        (created_with("apparmor=web"), True),
        (created_with("apparmor:web"), True),
        (created_with("no-new-privileges", under="web"), True),
        (created_with("apparmor=webs"), False),
        ({"Name": "/shop", "HostConfig": {"SecurityOpt": None}}, False),
        ({"Name": "/shop"}, False),
    ],
)
def test_a_profile_under_which_a_container_was_created_is_not_released(
    host: Host, kernel: Kernel, engine: type[Asked], container: dict[str, Any], refused: bool
) -> None:
    engine.containers_known = [container]
    path = host.path("web")
    released = ApparmorLoad({"when": [], "released": {path: "web"}})
    if not refused:
        released.prepare(host.plan())
        assert released.pending == []
        return
    with pytest.raises(Refused, match=r"1 containers \(shop\) would not start after the next boot"):
        released.prepare(host.plan())
    host.write("web", "profile web {}")  # the file of somebody else remains: the profile is loaded from it
    ApparmorLoad({"when": [], "released": {path: "web"}}).prepare(host.plan())


def test_what_is_unknown_of_containers_is_a_note(host: Host, kernel: Kernel, engine: type[Asked]) -> None:
    engine.unread = {"db": "it gave no answer"}
    released = ApparmorLoad({"when": [], "released": {host.path("web"): "web"}})
    released.prepare(host.plan())
    assert released.pending == ["it is unknown whether db needs an AppArmor profile: it gave no answer"]
    engine.answers = False
    released = ApparmorLoad({"when": [], "released": {host.path("web"): "web"}})
    released.prepare(host.plan())
    assert released.pending == ["containers created with web would not start: the engine does not answer"]
