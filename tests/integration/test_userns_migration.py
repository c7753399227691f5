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

from tests.integration.dockerd import Dockerd

pytestmark = pytest.mark.docker

BASE, SIZE = 331072, 65536
ON_HOST = Path(__file__).parents[2] / "roles" / "converge" / "files"
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
import json, os, signal, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from host_converge.migration import move, restart, staging
spec = json.loads(sys.argv[2])
try:
    memory = json.load(open(spec["memory"]))
except FileNotFoundError:
    memory = {}

def save():
    with open(spec["memory"] + ".new", "w") as file:
        json.dump(memory, file)
    os.replace(spec["memory"] + ".new", spec["memory"])
    if memory["stage"] == spec["die_at"]:
        os.kill(os.getpid(), signal.SIGKILL)

def start_again(unit, *, timeout):
    try:
        pid = int(open(spec["pidfile"]).read())
        os.kill(pid, signal.SIGTERM)
        while os.path.exists(f"/proc/{pid}") and " Z " not in open(f"/proc/{pid}/stat").read():
            time.sleep(0.05)
    except (OSError, ValueError):
        pass
    log = open(spec["log"], "ab")
    subprocess.Popen(spec["command"], stdin=-3, stdout=log, stderr=log, start_new_session=True)

restart.restart = start_again
target = move.Target(
    socket=spec["socket"], unit="", dockerd=spec["command"][0], containerd=spec["containerd"],
    config={"userns-remap": "daemon"}, exempt=spec["exempt"], timeout=60,
    shift=move.shift_from({"uids": [spec["base"], 65536], "gids": [spec["base"], 65536]}))
migration = move.Migration(target, memory, save)
print(json.dumps({"said": getattr(migration, spec["what"])()}))
"""


class Host:
    """An engine with a network, mounts and subordinate ids of its own; the machine does not change."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(["unshare", "--mount", "--net", "sleep", "1000000"])
        self.engine = _Engine(self.holder.pid)
        (self.engine.root / "subordinate").write_text(f"daemon:{BASE}:{SIZE}\n")
        time.sleep(0.3)  # the holder has to be in its namespaces
        for file in ("/etc/subuid", "/etc/subgid"):
            self.inside("mount", "--bind", str(self.engine.root / "subordinate"), file)
        self.inside("ip", "link", "set", "lo", "up")
        self.memory = self.engine.root / "memory.json"

    def inside(self, *command: str) -> str:
        done = subprocess.run([*self.engine.entering, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def migrate(self, what: str, *, die_at: str = "", exempt: list[str] | None = None) -> Any:
        """Perform or undo it in another process; None where that was killed."""
        self.engine.configure({"userns-remap": "daemon"} if what == "perform" else {})
        spec = {
            "what": what,
            "die_at": die_at,
            "memory": str(self.memory),
            "socket": str(self.engine.socket),
            "pidfile": str(self.engine.pidfile),
            "log": str(self.engine.log),
            "command": self.engine.plain_command,
            "containerd": str(self.engine.root / "exec/containerd/containerd.sock"),
            "exempt": ["tool"] if exempt is None else exempt,
            "base": BASE,
        }
        command = [*self.engine.entering, sys.executable, "-c", DRIVER, str(ON_HOST), json.dumps(spec)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
        if done.returncode == -signal.SIGKILL:
            return None
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["said"]

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
        super().__init__()
        self.root.chmod(0o711)
        self.entering = ["nsenter", "--target", str(holder), "--mount", "--net", "--"]

    @property
    def plain_command(self) -> list[str]:
        return super().command

    @property
    def command(self) -> list[str]:
        return [*self.entering, *self.plain_command]

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
        host.holder.wait()


def test_there_and_back(host: Host) -> None:
    before = host.state()
    old = Path(host.engine.api("GET", "/volumes/data")["Mountpoint"])
    digest = fingerprint(old)
    notes = host.migrate("perform")
    assert any("former data root stays" in note for note in notes)
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

    assert host.migrate("undo") == []
    assert unequal(host.state(), before) == []
    assert host.serves()
    assert fingerprint(old) == digest
    assert set(uid_maps(host).values()) == {0}
    left = sorted(path.name for path in host.engine.data_root.iterdir() if path.name.startswith(str(BASE)))
    assert len(left) == 1
    assert left[0].startswith(f"{BASE}.{BASE}.undone-")


@pytest.mark.parametrize("stage", ["staging", "stopped", "switching", "making", "starting", "done"])
def test_killed_in_the_middle_it_is_undone(host: Host, stage: str) -> None:
    before = host.state()
    assert host.migrate("perform", die_at=stage) is None
    assert host.migrate("undo") == []
    assert unequal(host.state(), before) == []
    assert host.serves()
    assert set(uid_maps(host).values()) == {0}
    assert not Path("/run/hardener-userns").exists()
    if stage != "done":
        assert (host.engine.data_root / f"{BASE}.{BASE}").exists() is False


def test_who_cannot_move_is_named_and_nothing_happens(host: Host) -> None:
    before = host.state()
    with pytest.raises(AssertionError, match="tool needs the host's user namespace"):
        host.migrate("perform", exempt=[])
    assert unequal(host.state(), before) == []
    assert not host.memory.exists()


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
