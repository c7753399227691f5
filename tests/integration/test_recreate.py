"""Services of docker compose on a real engine, recreated under an override file and given back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import activations, documents
from ansible_collections.hardener.docker.plugins.module_utils.converge.backup import Store
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Transaction

from tests.integration.dockerd import Dockerd

COMPOSE = """\
services:
  web:
    image: busybox:test
    command: ["sh", "-c", "{command}"]
    ports: ["127.0.0.1::80"]
    volumes: ["/kept"]
    environment: {{SAYS: "${{SAYS:-nothing}}"}}
  other:
    image: busybox:test
    command: ["sleep", "1000"]
"""
SERVES = "touch /kept/$$HOSTNAME && busybox chown 5 /kept/$$HOSTNAME && exec httpd -f -p 80 -h /kept"
OVERRIDE = """\
services:
  web:
    cap_drop: ["ALL"]
    cap_add: {kept}
    read_only: true
    labels: {{hardener.profile: "sha256:1"}}
"""


class Shop:
    """A project, and what hardener remembers of this host.

    Args:
        engine: runs it.
        folder: has its compose file.
    """

    def __init__(self, engine: Dockerd, folder: Path) -> None:
        self._engine = engine
        self.folder = folder / "shop"
        self.folder.mkdir()
        self.override = folder / "web.yaml"
        self.store = Store(str(folder / "store"))
        self.write(SERVES)

    def write(self, command: str) -> None:
        """Write its compose file."""
        (self.folder / "compose.yaml").write_text(COMPOSE.format(command=command))

    def compose(self, *words: str, **variables: str) -> None:
        """Run docker compose as a user does."""
        subprocess.run(
            ["docker", "compose", *words],
            cwd=self.folder,
            env={**os.environ, "DOCKER_HOST": self._engine.host, **variables},
            check=True,
            capture_output=True,
            timeout=120,
        )

    def converge(
        self, *, kept: str = '["CHOWN"]', allow: str = "containers-recreate", check: bool = False
    ) -> dict[str, Any]:
        """Run the service under the override file."""
        file = {"kind": "file", "path": str(self.override), "content": OVERRIDE.format(kept=kept)}
        document = {
            "name": "workload_profiles_folders",
            "impact": "containers-recreate",
            "resources": [file],
            "activations": [
                {"name": "recreate", "when": [file["path"]], "services": {"shop/web": file["path"]}}
            ],
        }
        raw = {"documents": [document], "check": check, "allow": allow, "socket": str(self._engine.socket)}
        return Transaction(documents.parse(raw, tuple(activations.KINDS)), self.store).run()

    def release(self) -> dict[str, Any]:
        """Give everything back."""
        allow = "containers-recreate"
        return Release(self.store, role="", check=False, allow=allow, socket=str(self._engine.socket)).run()

    def web(self) -> dict[str, Any]:
        """What the engine says of the service."""
        found: dict[str, Any] = self._engine.api("GET", "/containers/shop-web-1/json")
        return found


@pytest.fixture
def shop(engine: Dockerd, tmp_path: Path) -> Iterator[Shop]:
    found = Shop(engine, tmp_path)
    found.compose("up", "--detach", "--pull", "never")
    yield found
    found.compose("down", "--volumes", "--timeout", "0")


def kept(container: dict[str, Any]) -> str:
    """Where its anonymous volume is."""
    (mount,) = container["Mounts"]
    return str(mount["Source"])


def test_a_service_is_recreated_under_its_override_file_once_and_given_back(shop: Shop) -> None:
    before = shop.web()
    planned = shop.converge(check=True)
    assert (planned["outcome"], shop.web()["Id"]) == ("would_change", before["Id"])
    assert [each["impact"] for each in planned["documents"]] == ["containers-recreate"]
    done = shop.converge()
    assert done["outcome"] == "changed", done
    web = shop.web()
    host = web["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["ReadonlyRootfs"]) == (["ALL"], ["CHOWN"], True)
    assert kept(web) == kept(before)
    assert len(list(Path(kept(web)).iterdir())) == 2  # both containers have made their file
    assert shop.converge()["outcome"] == "unchanged"
    assert shop.web()["Id"] == web["Id"]
    shop.compose("up", "--detach", "--pull", "never")  # as its user does, without our file
    planned = shop.converge(check=True)
    assert [(each["state"], each["paths"]) for each in planned["documents"]] == [
        ("change", [str(shop.override)])
    ]
    assert shop.converge()["outcome"] == "changed"
    assert shop.web()["HostConfig"]["CapDrop"] == ["ALL"]
    done = shop.release()
    assert done["outcome"] == "changed", done
    host = shop.web()["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["ReadonlyRootfs"]) == (None, None, False)
    assert not shop.override.exists()


def test_a_service_that_does_not_serve_under_the_override_file_is_given_back(shop: Shop) -> None:
    before = shop.web()
    done = shop.converge(kept="[]")  # it ends
    assert done["outcome"] == "rolled_back", done
    assert "shop/web: " in done["reason"]
    web = shop.web()
    assert web["State"]["Running"]
    assert web["HostConfig"]["CapDrop"] is None
    assert kept(web) == kept(before)
    assert not shop.override.exists()


def test_nothing_is_recreated_without_permission(shop: Shop) -> None:
    before = shop.web()["Id"]
    done = shop.converge(allow="daemon-restart")
    assert [each["state"] for each in done["documents"]] == ["held"]
    assert shop.web()["Id"] == before


def test_a_service_whose_files_would_make_another_container_is_refused(shop: Shop) -> None:
    before = shop.web()["Id"]
    shop.write(SERVES.replace("80", "81"))
    with pytest.raises(
        Refused, match=r"shop/web: its compose files would make another .* `docker compose up --detach web`"
    ):
        shop.converge()
    shop.write(SERVES)
    shop.compose("up", "--detach", SAYS="something")  # a variable of the user's shell
    with pytest.raises(Refused, match="would make another container"):
        shop.converge()
    assert shop.web()["Id"] != before


def test_a_project_that_others_can_change_is_refused(shop: Shop) -> None:
    before = shop.web()["Id"]
    file = shop.folder / "compose.yaml"

    def refusal() -> str:
        with pytest.raises(Refused) as error:
            shop.converge()
        return str(error.value)

    os.chown(file, 12345, 0)
    assert f"can change {file}: give it to root" in refusal()
    os.chown(file, 0, 0)
    (shop.folder / ".env").symlink_to("/etc/hostname")
    assert ".env is or contains a symbolic link" in refusal()
    (shop.folder / ".env").unlink()
    shop.folder.chmod(0o777)
    assert f"can change {shop.folder}:" in refusal()
    shop.folder.chmod(0o755)
    text = file.read_text()
    file.write_text(f"include: [more.yaml]\n{text}")
    assert "includes or extends other files" in refusal()
    file.write_text(text)
    assert shop.web()["Id"] == before


def test_a_service_whose_image_was_replaced_or_whose_network_is_used_is_refused(
    shop: Shop, engine: Dockerd
) -> None:
    before = shop.web()["Id"]
    user = engine.run("user", command=["sleep", "1000"], host_config={"NetworkMode": f"container:{before}"})
    with pytest.raises(Refused, match="user uses its namespaces"):
        shop.converge()
    engine.api("DELETE", f"/containers/{user}?force=1")
    former = engine.api("GET", "/images/busybox:test/json")["Id"]
    engine.build("busybox:test", "FROM busybox:test\nLABEL x=y\n")
    try:
        with pytest.raises(Refused, match="busybox:test is another image now"):
            shop.converge()
    finally:
        engine.api("POST", f"/images/{former}/tag?repo=busybox&tag=test")
    assert shop.web()["Id"] == before


def test_settings_of_a_profile_are_replaced_by_those_of_the_next_one(shop: Shop) -> None:
    shop.converge()
    first = shop.web()["Id"]
    assert shop.converge(kept='["CHOWN", "KILL"]')["outcome"] == "changed"
    assert shop.web()["HostConfig"]["CapAdd"] == ["CHOWN", "KILL"]
    assert shop.web()["Id"] != first


def test_a_service_that_does_not_run_is_not_started(shop: Shop) -> None:
    shop.compose("stop", "--timeout", "0", "web")
    with pytest.raises(Refused, match="shop-web-1 does not run: only a service that works"):
        shop.converge()
    assert not shop.web()["State"]["Running"]
