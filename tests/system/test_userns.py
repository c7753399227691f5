"""A Docker host in use gets user namespaces: everything moves along, and back when a process is killed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.fixtures import Boot
from tests.hosts.play import Run
from tests.hosts.reboot import reboot

MOVE: dict[str, Any] = {"userns_remap_migrate": True, "userns_remap_exempt": ["tool"]}

CONTAINERS = r"""
set -eu
mkdir -p /root/image/bin /root/image/etc
cp /bin/busybox /root/image/bin/
for name in sh sleep httpd cat id touch; do ln -sf busybox /root/image/bin/$name; done
echo root:x:0:0::/:/bin/sh > /root/image/etc/passwd
tar --create --directory=/root/image --file=/root/image.tar .
docker import /root/image.tar busybox:test
docker network create --subnet 10.77.0.0/24 inner
docker volume create --label keep=me data
cp /bin/busybox /var/lib/docker/volumes/data/_data/busybox
chown 70:70 /var/lib/docker/volumes/data/_data/busybox
chmod 4755 /var/lib/docker/volumes/data/_data/busybox
ln /var/lib/docker/volumes/data/_data/busybox /var/lib/docker/volumes/data/_data/same
docker run --detach --name web --restart always --publish 8080:80 busybox:test httpd -f -p 80 -h /
docker run --detach --name db --restart unless-stopped --network inner --network-alias database \
    --ip 10.77.0.9 --volume data:/data busybox:test sleep 1000000
docker run --detach --name writer --network inner busybox:test sh -c 'touch /written; sleep 1000000'
docker run --detach --name tool --privileged --network host busybox:test sleep 1000000
docker run --detach --name job busybox:test sleep 1000000
"""
# Everything that has to be the same again, whichever user is root in it. A restarted engine tells the
# gateway that it chose itself for a network, and did not before.
HELD = r"""
docker ps --all --quiet | xargs docker inspect --format \
  '{{.Name}} {{.State.Running}} {{.Config.Image}} {{json .Config.Cmd}} {{json .HostConfig.PortBindings}}
   {{json .HostConfig.RestartPolicy}} {{.HostConfig.NetworkMode}} {{json .Config.Labels}}' | sort
docker inspect --format '{{(index .NetworkSettings.Networks "inner").IPAddress}}' db
docker images --no-trunc --format '{{.Repository}} {{.ID}}'
docker volume inspect --format '{{json .Labels}}' data
docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' inner
docker exec writer cat /written
docker exec db /data/same echo from the volume
busybox wget -q -O - http://$(hostname -I | cut -d' ' -f1):8080/etc/passwd
systemctl is-active docker
"""
# The stage lasts a second or two.
KILL_WHILE_MAKING = r"""
until grep -q 'stage.*making' /var/lib/hardener/journal.json 2>/dev/null; do :; done
systemctl kill --signal=KILL 'hardener-*.scope'
"""
MAPS = r"""
for name in web db writer tool job; do
  echo $name $(cat /proc/$(docker inspect --format '{{.State.Pid}}' $name)/uid_map | tr -s ' ')
done
"""


class Host:
    """A guest, and the role on it."""

    def __init__(self, guest: lab.Guest, folder: Path) -> None:
        self.guest = guest
        self._folder = folder

    def shell(self, script: str) -> str:
        return self.guest.ssh("sh", "-c", script, check=False).stdout

    def role(self, *, allow: str = "daemon-restart", **variables: Any) -> Run:
        """A transaction of the role with these variables."""
        return Run(self.guest, self._folder, ("userns_remap",), converge_allow=allow, **variables)

    def run(self, *options: str, allow: str = "daemon-restart", **variables: Any) -> dict[str, Any]:
        """Run the role, and return what the transaction did."""
        return self.role(allow=allow, **variables).result(*options)

    def held(self) -> list[str]:
        return self.shell(HELD).splitlines()

    def maps(self) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in self.shell(MAPS).splitlines())


@pytest.fixture(scope="module")
def host(pristine: Boot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    guest = pristine("13")
    done = guest.ssh("sh", "-c", CONTAINERS, check=False)
    assert done.returncode == 0, done.stderr
    yield Host(guest, tmp_path_factory.mktemp("userns"))
    guest.stop()


HOSTS, REMAPPED = "0 0 4294967295", "0 165536 65536"  # 100000 to 165535 are a user's of the guest


def test_the_impact_of_a_migration_is_shown_and_held_unless_allowed(host: Host) -> None:
    before = host.held()
    hidden = host.run("--check")["documents"][0]
    assert (hidden["state"], hidden["impact"]) == ("held", "data-hidden")
    refused = host.run("--check", userns_remap_migrate=True)
    assert "tool (privileged, network of the host) cannot be" in refused["documents"][0]["reason"]
    dear = host.run(**MOVE)["documents"][0]
    assert (dear["state"], dear["impact"]) == ("held", "containers-recreate")
    assert host.held() == before


def test_a_migration_whose_worker_is_killed_is_undone(host: Host) -> None:
    before = host.held()
    role = host.role(allow="containers-recreate", **MOVE)
    killer = subprocess.Popen(host.guest.ssh_command("sh", "-c", KILL_WHILE_MAKING))
    done = role.finish(role.start())  # the control node lives, and has the host roll it back at once
    assert killer.wait(timeout=60) == 0
    assert done["outcome"] == "rolled_back", done
    assert host.held() == before
    assert set(host.maps().values()) == {HOSTS}


def test_a_migration_moves_all_data(host: Host) -> None:
    before = host.held()
    predicted = host.run("--check", "--diff", allow="containers-recreate", **MOVE)
    assert predicted["outcome"] == "would_change", predicted
    done = host.run("--diff", allow="containers-recreate", **MOVE)
    assert done["outcome"] == "changed", done
    assert [each["path"] for each in done["changes"]] == [each["path"] for each in predicted["changes"]]
    assert host.held() == before
    assert host.maps() == {**dict.fromkeys(("web", "db", "writer", "job"), REMAPPED), "tool": HOSTS}
    assert "dockremap:165536:65536" in host.shell("cat /etc/subuid /etc/subgid")
    owner = host.shell("stat -c '%u %g %a %h' /var/lib/docker/165536.165536/volumes/data/_data/busybox")
    assert owner.split() == ["165606", "165606", "4755", "2"]
    assert host.shell("stat -c %u /var/lib/docker/volumes/data/_data/busybox").strip() == "70"
    again = host.run(allow="containers-recreate", **MOVE)
    assert again["outcome"] == "unchanged", again


def test_a_migrated_engine_is_unchanged_after_a_reboot(host: Host) -> None:
    host.shell("docker update --restart always db writer tool job")
    before = host.held()
    reboot(host.guest)
    deadline = time.monotonic() + 120
    while host.held() != before:
        assert time.monotonic() < deadline, host.held()
        time.sleep(3)
    assert host.maps()["db"] == REMAPPED


def test_a_release_keeps_user_namespaces_and_names_them(host: Host) -> None:
    """Without the remapping the engine would look into its old root, which has none of them."""
    before, maps = host.held(), host.maps()
    released = hardener("release", host.guest.inventory)
    assert released.returncode == 0, released.stderr
    assert "userns-remap" in released.stderr
    assert "userns-remap" in host.shell("cat /etc/docker/daemon.json")
    assert host.shell("ls -d /var/lib/hardener /etc/systemd/system/*hardener* 2>/dev/null") == ""
    assert (host.held(), host.maps()) == (before, maps)
