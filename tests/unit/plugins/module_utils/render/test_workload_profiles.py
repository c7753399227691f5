from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hardener.snapshot import Snapshot
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import make, only
from tests.unit.workload.profiles import write
from tests.unit.workload.proofs import proven

IMAGE = f"sha256:{'1' * 64}"
LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
SECCOMP = "/etc/hardener/workloads/shop-web.seccomp.json"
OVERRIDE = "/etc/hardener/workloads/shop-web.yaml"


class Loader(yaml.SafeLoader):
    """Reads files of docker compose."""


def _overriding(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node)


Loader.add_constructor("!override", _overriding)


def files(folder: Path, **changes: Any) -> dict[str, str]:
    """The files of a proven profile of the service web of the project shop."""
    compose = {"project": "shop", "service": "web"}
    own = {"container__compose": compose, "container__digest": IMAGE, "host__lsm": []}
    write(folder, **{**own, **changes})
    proven(folder)
    return {path.name: path.read_text() for path in folder.iterdir()}


def host(*, apparmor: bool = True, **container: Any) -> Snapshot:
    inspect = {
        "Id": "f" * 64,
        "Name": "/shop-web-1",
        "Image": IMAGE,
        "Config": {"Labels": LABELS},
        **container,
    }
    return make(
        **{
            "docker.containers": only([{"inspect": inspect, "proc": None}]),
            "lsm": {"apparmor": only({"enabled": apparmor, "profiles": {}})},
        }
    )


def render(snapshot: Snapshot, **folders: dict[str, str]) -> dict[str, Any]:
    (found,) = documents_of("workload_profiles")(snapshot.raw, folders=list(folders), files=folders)
    return found


def test_a_profile_becomes_files_and_a_service_that_is_recreated(tmp_path: Path) -> None:
    own = files(tmp_path)
    found = render(host(), web=own)
    assert found["impact"] == "containers-recreate"
    written = {each["path"]: each["content"] for each in found["resources"]}
    assert list(written) == [SECCOMP, OVERRIDE]
    assert written[SECCOMP] == own["seccomp.json"]
    service = yaml.load(written[OVERRIDE], Loader)["services"]["web"]
    assert f"seccomp={SECCOMP}" in service["security_opt"]
    assert service["cap_drop"] == ["ALL"]
    assert service["labels"]["hardener.profile"] == json.loads(own["proof.json"])["profile"]
    (recreate,) = found["activations"]
    assert recreate == {"name": "recreate", "when": [*written], "services": {"shop/web": OVERRIDE}}


def test_an_apparmor_profile_has_another_name_in_each_version(tmp_path: Path) -> None:
    names = []
    for number, paths in enumerate(([], ["/run/x"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        own = files(folder, host__lsm=["apparmor"], files__created=paths)
        assert "has not enabled" in render(host(apparmor=False), web=own)["refused"]
        found = render(host(), web=own)
        written = {each["path"]: each["content"] for each in found["resources"]}
        ((path, name),) = found["activations"][1]["profiles"].items()
        assert path.startswith("/etc/apparmor.d/hardener-")
        assert f'\nprofile "{name}" ' in written[path]
        assert f'peer="{name}"' in written[path]
        service = yaml.load(written[OVERRIDE], Loader)["services"]["web"]
        assert f"apparmor={name}" in service["security_opt"]
        names.append(name)
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"Config": {"Labels": {}}}, "no container of this compose service: deploy it first"),
        ({"Config": {"Labels": {**LABELS, "com.docker.compose.oneoff": "True"}}}, "no container of this"),
        ({"Image": f"sha256:{'2' * 64}"}, "shop-web-1 runs sha256:222222222222: record and prove it again"),
    ],
)
def test_a_host_whose_service_is_not_the_proven_one_is_refused(
    tmp_path: Path, container: dict[str, Any], reason: str
) -> None:
    found = render(host(**container), web=files(tmp_path))
    assert found["refused"].startswith("shop/web: ")
    assert reason in found["refused"]


def changed(name: str, change: Callable[[Any], None]) -> Callable[[dict[str, str]], None]:
    def carry_out(own: dict[str, str]) -> None:
        data = json.loads(own[name])
        change(data)
        own[name] = json.dumps(data)

    return carry_out


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda own: own.pop("proof.json"), "proof.json is missing: only a profile that"),
        (lambda own: own.update({"seccomp.json": "{}"}), "seccomp.json is missing or was changed"),
        (lambda own: own.update({"compose.override.yaml": "services: {}"}), "was changed after"),
        (changed("profile.json", lambda data: data["capabilities"]["kept"].append("CAP_SYS_ADMIN")), "again"),
        (changed("proof.json", lambda data: data.update(verdict="not safe")), "is not safe, not safe"),
        (changed("proof.json", lambda data: data.pop("verdict")), "not the folder of a proven profile"),
        (lambda own: own.update({"profile.json": "[" * 100_000}), "not the folder of a proven profile"),
        (lambda own: own.update({"proof.json": "[]"}), "not the folder of a proven profile"),
    ],
)
def test_a_folder_without_a_safe_proof_of_its_profile_is_an_error(
    tmp_path: Path, change: Callable[[dict[str, str]], None], reason: str
) -> None:
    own = files(tmp_path)
    change(own)
    with pytest.raises(ValueError, match="workload_profiles_folders: ") as error:
        render(host(), web=own)
    assert reason in str(error.value)


def test_a_container_of_docker_run_and_a_service_with_two_profiles_are_errors(tmp_path: Path) -> None:
    own = files(tmp_path, container__compose=None)
    with pytest.raises(ValueError, match="was not created by docker compose: add the lines"):
        render(host(), web=own)
    own = files(tmp_path)
    with pytest.raises(ValueError, match="two profiles are for shop/web"):
        render(host(), web=own, again=own)


def test_nothing_is_rendered_without_a_folder() -> None:
    assert documents_of("workload_profiles")(host().raw, folders=[]) == []
