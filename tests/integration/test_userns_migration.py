"""Containers of a real engine move into user namespaces and back; also when whoever moves them is killed."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dockerd import IMAGE, Dockerd
from tests.integration.namespaces import OWN_NETWORK
from tests.leftovers import tied
from tests.unit.plugins.loading import COLLECTIONS

pytestmark = pytest.mark.usefixtures("bound_accounts")

BASE, SIZE = 331072, 65536
V2 = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw, as `setcap` writes it on a host
V3 = struct.pack("<IIIIII", 0x03000001, 1 << 13, 0, 0, 0, BASE)
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 1000),
        (0x04, 4, 0xFFFFFFFF),
        (0x08, 4, 1001),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)
DRIVER = """
import json, os, signal, subprocess, sys, threading, time
sys.path.insert(0, sys.argv[1])
from ansible_collections.hardener.docker.plugins.module_utils.converge import engine, main
from ansible_collections.hardener.docker.plugins.module_utils.converge.migration import move, restart
spec = json.loads(sys.argv[2])
main.FOLDER = spec["folder"]

def start_again(unit, *, timeout):  # what systemd would do
    try:
        pid = int(open(spec["pidfile"]).read())
        os.kill(pid, signal.SIGTERM)
        while os.path.exists(f"/proc/{pid}") and " Z " not in open(f"/proc/{pid}/stat").read():
            time.sleep(0.05)
    except (OSError, ValueError):
        pass
    log = open(spec["log"], "ab")
    subprocess.Popen(spec["command"], stdin=-3, stdout=log, stderr=log, start_new_session=True)

def die(self, stage, go_on=move.Migration._stage):
    go_on(self, stage)
    if stage == spec["die_at"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if (stage, spec["die_at"]) == ("stopped", "while containers stop"):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()

restart.restart, restart.problem = start_again, lambda unit: ""
engine.state = lambda name: {"ActiveState": "active", "KillMode": "process", "MainPID": "0"}
move.Migration._stage = die
print(json.dumps(getattr(main, spec["what"])(spec["arguments"])))
"""


class Host:
    """An engine with a network, mounts and subordinate ids of its own; the machine does not change."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(
            tied("unshare", "--mount", "--net", "sh", "-c", "echo; exec sleep 1000000"),
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout is not None
        self.holder.stdout.readline()  # it is in its namespaces
        self.engine = _Engine(self.holder.pid)
        (self.engine.root / "subordinate").write_text(f"daemon:{BASE}:{SIZE}\n")
        for file in ("/etc/subuid", "/etc/subgid"):
            self.inside("mount", "--bind", str(self.engine.root / "subordinate"), file)
        self.inside("sh", "-ec", OWN_NETWORK)

    def inside(self, *command: str) -> str:
        done = subprocess.run([*self.engine.entering, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, what: str, arguments: dict[str, Any], *, die_at: str = "") -> dict[str, Any]:
        """Call a function of the transaction in another process, on a host with a systemd of its own."""
        spec = {
            "what": what,
            "arguments": arguments,
            "die_at": die_at,
            "folder": str(self.engine.root / "hardener"),
            "pidfile": str(self.engine.pidfile),
            "log": str(self.engine.log),
            "command": self.engine.plain_command,
        }
        command = [*self.engine.entering, sys.executable, "-c", DRIVER, str(COLLECTIONS), json.dumps(spec)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def converge(
        self, *, die_at: str = "", allow: str = "containers-recreate", **settings: Any
    ) -> dict[str, Any]:
        """Converge the document that the role makes."""
        path = str(self.engine.config_file)
        move = {
            "when": [path],
            "name": "userns-migrate",
            "uids": [BASE, SIZE],
            "gids": [BASE, SIZE],
            "exempt": ["tool"],
            **settings,
        }
        docker = {
            "when": [path],
            "name": "docker",
            "restarted_by": "userns-migrate",
            "expect": {"security": ["userns"]},
        }
        document = {
            "name": "userns_remap_enabled",
            "impact": "data-hidden" if settings.get("leave") else "containers-recreate",
            "resources": [{"kind": "json", "path": path, "keys": {"userns-remap": "daemon"}}],
            "activations": [move, docker],
        }
        arguments = {"documents": [document], "allow": allow, "socket": str(self.engine.socket)}
        return self.run("converge", arguments, die_at=die_at)

    def fill(self) -> None:
        """Five containers that have something to lose."""
        engine = self.engine
        engine.ensure_image()
        engine.api("POST", "/networks/create", {"Name": "inner", "Labels": {"a": "b"}})
        engine.api("POST", "/volumes/create", {"Name": "data", "Labels": {"keep": "me"}})
        fill_volume(Path(engine.api("GET", "/volumes/data")["Mountpoint"]))
        engine.run(
            "web",
            command=["httpd", "-f", "-p", "80", "-h", "/"],
            labels={"role": "web"},
            StopSignal="SIGTERM",  # which it ignores
            StopTimeout=3,
            host_config={
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
                "RestartPolicy": {"Name": "always"},
                "Memory": 64 << 20,
                "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}],
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            },
            ExposedPorts={"80/tcp": {}},
        )
        engine.run(
            "db",
            env=["A=1", "B=two words"],
            User="70:70",
            host_config={
                "Binds": ["data:/data"],
                "NetworkMode": "inner",
                "RestartPolicy": {"Name": "unless-stopped"},
                "CapDrop": ["ALL"],
                "CapAdd": ["CHOWN"],
            },
            NetworkingConfig={"EndpointsConfig": {"inner": {"Aliases": ["database"]}}},
        )
        engine.run(
            "writer",
            command=["sh", "-c", "touch /written && mkdir -p /made && sleep 1000000"],
            host_config={"NetworkMode": "inner"},
            Healthcheck={"Test": ["CMD", "true"], "Interval": 1_000_000_000},
        )
        engine.run("tool", host_config={"Privileged": True, "PidMode": "host"})
        engine.create("spare", User="65534", Hostname="a-name")

    def state(self) -> dict[str, Any]:
        """What has to be the same again, ids and addresses apart."""
        engine = self.engine
        listed = [each["Id"] for each in engine.api("GET", "/containers/json?all=1")]
        containers = [engine.api("GET", f"/containers/{each}/json") for each in listed]
        networks = [engine.api("GET", f"/networks/{name}") for name in ("bridge", "inner")]
        return {
            "containers": {
                each["Name"]: {
                    "running": each["State"]["Running"],
                    "image": each["Image"],
                    "config": each["Config"],
                    "host": {key: value for key, value in each["HostConfig"].items() if key != "UsernsMode"},
                }
                for each in containers
            },
            "images": [(each["Id"], each["RepoTags"]) for each in engine.api("GET", "/images/json")],
            "networks": [(each["Name"], each["Driver"], each["IPAM"], each["Labels"]) for each in networks],
            "volumes": [(each["Name"], each["Labels"]) for each in engine.api("GET", "/volumes")["Volumes"]],
        }

    def serves(self) -> bool:
        """Whether the published port answers."""
        return "root:x" in self.inside("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/etc/passwd")


class _Engine(Dockerd):
    def __init__(self, holder: int) -> None:
        super().__init__(config={"live-restore": True})
        self.root.chmod(0o711)
        self.entering = ["nsenter", "--target", str(holder), "--mount", "--net", "--"]

    @property
    def plain_command(self) -> list[str]:
        return super().command

    @property
    def command(self) -> list[str]:
        return [*self.entering, *self.plain_command]

    @property
    def containerd_command(self) -> list[str]:
        return [*self.entering, *super().containerd_command]

    def stop(self) -> None:
        """End whichever process it is by now."""
        super().stop()
        try:
            os.kill(int(self.pidfile.read_text()), signal.SIGTERM)
        except (OSError, ValueError):
            return
        while self.pidfile.exists():
            time.sleep(0.05)


def fill_volume(folder: Path) -> None:
    """Everything that a copy can lose."""
    folder.chmod(0o750)
    os.chown(folder, 70, 70)
    (folder / "tool").write_bytes(b"#!/bin/sh\n")
    os.chown(folder / "tool", 70, 0)
    (folder / "tool").chmod(0o4755)
    (folder / "deep").mkdir()
    os.link(folder / "tool", folder / "deep" / "same")
    (folder / "link").symlink_to("../../../etc/shadow")
    os.lchown(folder / "link", 33, 33)
    (folder / "acl").write_text("secret")
    (folder / "acl").chmod(0o640)
    os.setxattr(folder / "acl", "system.posix_acl_access", ACL)
    os.setxattr(folder / "deep", "system.posix_acl_default", ACL)
    (folder / "ping").write_bytes(b"x" * 300_000)
    os.setxattr(folder / "ping", "security.capability", V2)
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"in the middle")
    os.mkfifo(folder / "pipe")
    os.utime(folder / "acl", ns=(1, 10**18 + 7))


@pytest.fixture
def host() -> Iterator[Host]:
    assert os.geteuid() == 0, "these tests need root"
    host = Host()
    try:
        with host.engine:
            host.fill()
            yield host
    finally:
        host.holder.kill()
        host.holder.communicate()


def test_a_migration_and_its_rollback_keep_all_data(host: Host) -> None:
    before = host.state()
    old = Path(host.engine.api("GET", "/volumes/data")["Mountpoint"])
    digest = fingerprint(old)
    held = host.converge(allow="daemon-restart")
    assert (held["documents"][0]["state"], held["documents"][0]["impact"]) == ("held", "containers-recreate")
    done = host.converge()
    assert done["outcome"] == "changed", done
    assert any("former data root stays" in note for note in done["pending"])
    assert host.converge()["outcome"] == "unchanged"
    assert unequal(host.state(), before) == []
    info = host.engine.api("GET", "/info")
    assert any("name=userns" in option for option in info["SecurityOptions"])
    assert host.serves()
    assert uid_maps(host) == {"web": BASE, "db": BASE, "writer": BASE, "tool": 0}
    assert (
        "database"
        in host.engine.api("GET", "/containers/db/json")["NetworkSettings"]["Networks"]["inner"]["Aliases"]
    )
    assert host.engine.docker("exec", "writer", "ls", "-d", "/written", "/made").split() == [
        "/made",
        "/written",
    ]
    assert host.engine.docker("exec", "db", "cat", "/data/deep/same") == "#!/bin/sh\n"

    new = Path(host.engine.api("GET", "/volumes/data")["Mountpoint"])
    assert (new.stat().st_uid, new.stat().st_mode & 0o7777) == (BASE + 70, 0o750)
    tool = (new / "tool").stat()
    assert (tool.st_uid, tool.st_gid, tool.st_mode & 0o7777) == (BASE + 70, BASE, 0o4755)
    assert tool.st_ino == (new / "deep" / "same").stat().st_ino
    assert os.getxattr(new / "ping", "security.capability") == V3
    for path, name in ((new / "acl", "access"), (new / "deep", "default")):
        entries = list(struct.iter_unpack("<HHI", os.getxattr(path, f"system.posix_acl_{name}")[4:]))
        assert (0x02, 4, BASE + 1000) in entries
        assert (0x08, 4, BASE + 1001) in entries
    assert str((new / "link").readlink()) == "../../../etc/shadow"
    assert (new / "link").lstat().st_uid == BASE + 33
    assert (new / "acl").stat().st_mtime_ns == 10**18 + 7
    assert (new / "sparse").stat().st_blocks * 512 < 1 << 20
    assert fingerprint(old) == digest

    undone = host.run("rollback", {})
    assert undone["outcome"] == "changed", undone.get("problems")
    assert "userns-remap" not in host.engine.config_file.read_text()
    assert unequal(host.state(), before) == []
    assert host.serves()
    assert fingerprint(old) == digest
    assert set(uid_maps(host).values()) == {0}
    left = sorted(path.name for path in host.engine.data_root.iterdir() if path.name.startswith(str(BASE)))
    assert len(left) == 1
    # Put aside, unless the engine itself is still mounted there, as it is where / is not shared.
    assert left[0].startswith(f"{BASE}.{BASE}")


@pytest.mark.parametrize(
    "stage",
    [
        "switching",
        "while containers stop",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("staging", "stopped", "making", "starting", "done")
        ),
    ],
)
def test_a_killed_migration_is_undone(host: Host, stage: str) -> None:
    before = host.state()
    died = host.converge(die_at=stage)
    assert died["outcome"] == "interrupted", died
    recovered = host.converge(allow="daemon-restart")  # which rolls it back, and allows no more than that
    assert recovered["recovered"], recovered
    if stage == "while containers stop":
        time.sleep(4)  # until the engine would have killed what it was told to stop
    assert unequal(host.state(), before) == []
    assert host.serves()
    assert set(uid_maps(host).values()) == {0}
    assert not Path("/run/hardener-userns").exists()
    if stage != "done":
        assert (host.engine.data_root / f"{BASE}.{BASE}").exists() is False


@pytest.mark.slow
def test_a_rollback_restores_containers_and_images_that_were_left_behind(host: Host) -> None:
    before = host.state()
    done = host.converge(leave=True, allow="data-hidden")
    assert done["outcome"] == "changed", done
    assert host.engine.api("GET", "/containers/json?all=1") == []
    assert host.engine.api("GET", "/images/json") == []
    assert host.run("rollback", {})["outcome"] == "changed"
    assert unequal(host.state(), before) == []
    assert host.serves()


def test_containers_that_cannot_be_migrated_are_named_and_nothing_changes(host: Host) -> None:
    before = host.state()
    refused = host.converge(exempt=[])
    assert "tool needs the host's user namespace" in refused["reason"]
    assert unequal(host.state(), before) == []
    assert not (host.engine.data_root / f"{BASE}.{BASE}").exists()


def unequal(one: Any, other: Any, path: str = "") -> list[str]:
    """Paths of what is not the same in two pieces of JSON data."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in {**one, **other}
            for found in unequal(one.get(key), other.get(key), f"{path}.{key}")
        ]
    # A restarted engine shows an empty list where it had shown nothing.
    return [] if (one or None) == (other or None) else [f"{path}: {one!r} != {other!r}"]


def uid_maps(host: Host) -> dict[str, int]:
    """Name of a running container to the host's id of its root."""
    found = {}
    for each in host.engine.api("GET", "/containers/json"):
        pid = host.engine.api("GET", f"/containers/{each['Id']}/json")["State"]["Pid"]
        found[each["Names"][0].lstrip("/")] = int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
    return found


def fingerprint(folder: Path) -> list[Any]:
    found = []
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        found.append(
            (str(path), status.st_mode, status.st_uid, status.st_mtime_ns, status.st_size, attributes)
        )
    return found


def test_containerds_store_is_left_by_the_steps_that_the_refusal_names(tmp_path: Path) -> None:
    """Save images, remove all containers, switch the feature off, restart, load, create again."""
    common = {"live-restore": True, "bridge": "none", "iptables": False}
    options: dict[str, Any] = {"command": ["sleep", "1000"], "host_config": {"NetworkMode": "none"}}
    archive = str(tmp_path / "images.tar")
    with Dockerd(config={**common, "features": {"containerd-snapshotter": True}}) as engine:
        engine.ensure_image()
        engine.run("web", **options)
        assert "containerd" in str(engine.api("GET", "/info")["DriverStatus"])
        engine.docker("save", "--output", archive, IMAGE)
        engine.docker("rm", "--force", "web")
        engine.stop()
        engine.configure({**common, "features": {"containerd-snapshotter": False}})
        engine.start()
        assert engine.docker("images", "--quiet") == ""
        engine.docker("load", "--input", archive)
        engine.run("web", **options)
        assert "containerd" not in str(engine.api("GET", "/info")["DriverStatus"])
        assert engine.docker("ps", "--format", "{{.Names}}").split() == ["web"]
