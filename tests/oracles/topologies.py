"""Random mount topologies: what containers see of the host, and what the judges say of it.

Run as a program in namespaces of its own (of mounts and processes), it starts an engine, makes folders of
the host visible under other names, lets containers mount some of them, looks from inside of each container
for the engine's socket and for marked files of the host, and prints what it saw, for pickle to read.

    python -m tests.oracles.receiving tests.oracles.topologies SEED CASES
"""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_IFBLK, S_IFCHR
from typing import Any

from hardener.snapshot import Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import IMAGE, Dockerd, EngineError
from tests.oracles.looking import Machine, Reached, graft, search, seen_inside

SOCKET, SENSITIVE = "container-no-docker-sock", "container-no-sensitive-mounts"
BATCH = 30  # containers at a time: what is mounted for them stays mounted
_STAGE = Path("/srv")
_IMAGE = "linked:test"
_GONE = _STAGE / "stage" / "gone"
_DISK, _ON_DISK, _AGAIN = _STAGE / "stage" / "disk.img", "/var/spool/cron", _STAGE / "stage" / "again"
_LEAVING = Path("/run/leaving.sock")
_FOLLOWS = """
    if test -S /proc/1/root/run/docker.sock; then echo reached; else echo out of reach; fi > /probe.new
    mv /probe.new /probe; sleep 1000000
"""


def mount(*arguments: str | Path) -> None:
    """Mount something, as mount(8) does."""
    subprocess.run(["mount", *map(str, arguments)], check=True, stderr=subprocess.PIPE)


def prepare() -> None:
    """Mount filesystems of this namespace over the folders in which something is marked or made."""
    for folder in (_STAGE, Path("/run"), Path("/home"), Path("/var/lib"), Path("/var/spool")):
        mount("-t", "tmpfs", "tmpfs", folder)
    for name in ("etc", "root"):
        upper, work = (_STAGE / "stage" / name / part for part in ("upper", "work"))
        upper.mkdir(parents=True)
        work.mkdir()
        mount(
            "-t", "overlay", "overlay", "-o", f"lowerdir=/{name},upperdir={upper},workdir={work}", f"/{name}"
        )
    # A filesystem with a device and an image file of its own, both of which give access to all in it.
    Path(_ON_DISK).mkdir()
    with _DISK.open("wb") as image:
        image.truncate(256 << 10)
    subprocess.run(["mke2fs", "-q", "-F", _DISK], check=True)
    mount("-o", "loop", _DISK, _ON_DISK)


def marked(engine: Dockerd) -> Machine:
    """Mark files in the host's own folders."""
    machine = Machine(engine)
    machine.know(_DISK)
    _move_sockets(machine)
    for path in (Path("/run/docker.sock"), engine.socket, engine.containerd_socket):
        machine.sockets.add(path.stat().st_ino)
        machine.words |= set(path.parts)
    # Two in each folder: a case may cover the first one.
    names = ["/run", "/run/sub", "/root", "/etc", "/etc/oracle", "/home/alice", "/home/bob"]
    names += ["/var/lib/docker", "/var/lib/containerd", "/var/spool/cron"]
    for folder in (*(Path(name) for name in names), engine.data_root / "image"):
        machine.mark(folder / "marker")
        machine.mark(folder / "kept")
    machine.know(Path("/etc/passwd"))
    machine.know(Path("/usr/bin/busybox"))
    machine.words |= {"docker.sock", "stage", "upper", *_STAGE.parts, *engine.root.parts}
    machine.inodes[Path("/proc/version").stat().st_ino, 0] = "/proc/version"
    # A device on the device of the disk.
    subprocess.run(["sync", "--file-system", _ON_DISK], check=True)
    _AGAIN.mkdir()
    mount("-o", "loop,ro", _node(_ON_DISK), _AGAIN)
    machine.disks = [Path(place).stat().st_dev for place in (_ON_DISK, _AGAIN)]
    Path("/home/alice/app/data").mkdir(parents=True)
    machine.words |= {"app", "data", "d0", "d1"}
    return machine


def _node(place: Path | str) -> str:
    """The node of the device that is mounted somewhere."""
    number = Path(place).stat().st_dev
    event = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/uevent").read_text()
    (name,) = (line[8:] for line in event.splitlines() if line.startswith("DEVNAME="))
    return f"/dev/{name}"


def _move_sockets(machine: Machine) -> None:
    """Rename one of the engine's sockets, and remove another one that is mounted elsewhere."""
    moved, gone = Path("/run/moved.sock"), Path("/run/gone.sock")
    machine.sockets |= {path.stat().st_ino for path in (moved, gone, _LEAVING)}
    Path("/run/sub").mkdir()
    moved.rename("/run/sub/renamed.sock")
    _GONE.touch()
    mount("--bind", gone, _GONE)
    gone.unlink()


def _linked_image(engine: Dockerd) -> None:
    """Make an image with a folder that is a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/dlink"
        archive.addfile(link)
    engine.build(_IMAGE, f"FROM {IMAGE}\nADD links.tar /\n", {"links.tar": buffer.getvalue()})


class Case:
    """One container and what was mounted for it on the host before."""

    def __init__(self, number: int, machine: Machine, chance: random.Random) -> None:
        self.name = f"case{number}"
        self.log: list[str] = []
        self._machine = machine
        self._chance = chance
        self._folder = _STAGE / self.name
        self._folder.mkdir()
        self._made = 0
        plain = self._new("plain")
        (plain / "x-sub").mkdir(parents=True)
        self.paths: list[str] = [
            *(
                "/",
                "/run",
                "/run",
                "/run/sub",
                "/etc",
                "/etc/oracle",
                "/root",
                "/home",
                "/home/alice",
                "/usr",
                "/usr/bin",
            ),
            *(f"{_STAGE}/stage/etc/upper", f"{_STAGE}/stage"),
            *("/home/alice/app/data", "/opt", str(plain), str(plain)),
            *("/var", "/var/run", "/var/spool", "/var/lib", "/proc", str(_AGAIN)),
        ]
        self._given = len(self.paths)
        for _ in range(chance.randint(1, 4)):
            kind = chance.choice(self._kinds)
            with suppress(subprocess.CalledProcessError, OSError):  # some kinds cannot follow each other
                kind(self)
        self.over: dict[str, str] = {}  # what is mounted over the folder of a volume, by its name
        # What a hook would mount beside the engine's mounts.
        self.graft = self._graft() if chance.random() < 0.2 else None
        self.host_config: dict[str, Any] = {"NetworkMode": "none"}
        self.volumes: list[dict[str, Any]] = []
        if number == 0:
            self.graft = None
            self.host_config["Mounts"] = [
                {"Type": "bind", "Source": str(_LEAVING), "Target": "/leaving.sock"}
            ]
            return
        devices = self._devices() if chance.random() < 0.2 else {}
        if not (self.graft or devices) or chance.random() < 0.4:
            self.volumes = self._mounts()
            self.host_config |= self._namespaces()
        self.host_config |= devices

    def _new(self, kind: str) -> Path:
        self._made += 1
        name = f"x-{kind}{self._made}"
        self._machine.words |= {name, self.name, "x-sub", "x-inner"}
        return self._folder / name

    def _source(self) -> str:
        """A folder of the host, or a folder in it: half of the time one that an earlier step made."""
        made = self.paths[self._given :]
        path = self._chance.choice(made if made and self._chance.random() < 0.6 else self.paths)
        for _ in range(self._chance.choice((0, 0, 1, 2))):
            with suppress(OSError):
                inner = sorted({entry.name for entry in Path(path).iterdir()} & self._machine.words)
                below = [f"{path.rstrip('/')}/{name}" for name in inner]
                below = [each for each in below if Path(each).is_dir() and self._decided(each)]
                # An engine whose data root is a volume of its own loses its images.
                below = [each for each in below if not each.startswith(str(self._machine.engine.root))]
                path = self._chance.choice(below) if below else path
        return path

    def _decided(self, path: str) -> bool:
        """Whether a search tells what a folder is: not every folder of the host's has a marked file."""
        return Path(path).name.startswith(("x-", "app", "data")) or any(search(path, self._machine, 0))

    def _keep(self, path: Path | str, what: str) -> None:
        self.paths.append(str(path))
        self.log.append(what)

    def _bind(self) -> None:
        source, at = self._source(), self._new("bind")
        at.mkdir()
        # A second copy of all that is mounted would double it with every case.
        how = (
            "--bind"
            if source == "/" or source.startswith(str(_STAGE))
            else self._chance.choice(("--bind", "--rbind"))
        )
        mount(how, source, at)
        self._keep(at, f"mount {how} {source} {at}")

    def _nested(self) -> None:
        source, at = self._source(), self._new("nested")
        (at / "x-inner").mkdir(parents=True)
        mount("--bind", source, at / "x-inner")
        self._keep(at, f"mount --bind {source} {at}/x-inner")

    def _overlay(self) -> None:
        source, at = self._source(), self._new("overlay")
        made = [path for path in self.paths if "/x-overlay" in path]
        source = self._chance.choice(made) if made and self._chance.random() < 0.5 else source
        at.mkdir()
        more = self._new("more")
        more.mkdir()
        options = self._chance.choice((f"lowerdir={source}:{more}", f"lowerdir={more}:{source}"))
        if self._chance.random() < 0.3:
            upper, work = self._new("upper"), self._new("work")
            upper.mkdir()
            work.mkdir()
            options = f"lowerdir={source},upperdir={upper},workdir={work}"
        mount("-t", "overlay", "overlay", "-o", options, at)
        self._keep(at, f"mount -t overlay -o {options} {at}")

    def _link(self) -> None:
        source, at = self._source(), self._new("link")
        at.symlink_to(source)
        self._keep(at, f"ln -s {source} {at}")

    def _file(self) -> None:
        at = self._new("file")
        at.touch()
        files = ("/run/docker.sock", "/run/sub/marker", "/etc/passwd", "/run/sub/renamed.sock", str(_GONE))
        source = self._chance.choice(files)
        mount("--bind", source, at)
        self._keep(at, f"mount --bind {source} {at}")

    def _covered(self) -> None:
        source, at = self._source(), self._new("covered")
        at.mkdir()
        mount("--bind", source, at)
        inside = [
            at / name for name in ("docker.sock", "sub", "marker", "alice", "passwd") if (at / name).exists()
        ]
        over = self._chance.choice([at, *inside, *inside])
        if over.is_dir():
            mount("-t", "tmpfs", "tmpfs", over)
        else:
            mount("--bind", "/dev/null", over)
        self._keep(at, f"mount --bind {source} {at}; cover {over}")

    def _hard_link(self) -> None:
        at = Path("/run/links") / f"{self.name}-{len(self.paths)}"
        at.parent.mkdir(exist_ok=True)
        at.hardlink_to("/run/docker.sock")
        self._keep(at, f"ln /run/docker.sock {at}")

    def _misnamed(self) -> None:
        at = self._new("misnamed")
        at.mkdir()
        name = self._chance.choice(("/run", "/etc", "/dev/vda"))
        mount("-t", "tmpfs", name, at)
        self._keep(at, f"mount -t tmpfs {name} {at}")

    _kinds: tuple[Callable[[Case], None], ...] = (
        *(_bind, _bind, _bind, _bind, _nested, _nested, _overlay, _overlay, _link, _link, _file, _file),
        *(_covered, _covered, _hard_link, _misnamed),
    )

    def _graft(self) -> tuple[str, str]:
        if self._chance.random() < 0.2:
            return "/proc", "/h0"
        return self._source(), self._chance.choice(("/h0", "/dev/h0"))

    def _namespaces(self) -> dict[str, Any]:
        """The namespaces that the container shares with the host, and its capabilities."""
        capabilities = self._chance.choice(((), ("SYS_PTRACE",), ("ALL",)))
        chosen = {"PidMode": "host"} if self._chance.random() < 0.1 else {}
        chosen |= {"NetworkMode": "host"} if self._chance.random() < 0.1 else {}
        if chosen or self._chance.random() < 0.1:
            self.log.append(f"{chosen}, capabilities {capabilities}")
            return {**chosen, "CapAdd": capabilities}
        return {}

    def _devices(self) -> dict[str, Any]:
        """Devices and rules for devices: those of the host's disk and others."""
        disk = self._chance.choice(self._machine.disks)
        major, minor = os.major(disk), os.minor(disk)
        if self._chance.random() < 0.5:
            one = f"{major}:{minor}"
            rules = (
                f"b {one} r",
                f"b {major}:* w",
                f"b *:{minor} rm",
                f"b {one} m",
                f"c {one} rwm",
                "a *:* rwm",
            )
            rule = self._chance.choice((*rules, f"b {major + 1}:{minor} rwm", f"b {one} m", "b *:99 rw"))
            self.log.append(f"device rule {rule}")
            return {"DeviceCgroupRules": [rule]}
        folder, other = self._new("nodes"), self._new("others")
        for at, kind, number in ((folder, S_IFBLK, minor), (other, S_IFBLK, 99), (other, S_IFCHR, minor)):
            at.mkdir(exist_ok=True)
            os.mknod(at / f"node{kind}", kind | 0o600, os.makedev(major, number))
        nodes = (folder / f"node{S_IFBLK}", other / f"node{S_IFBLK}", other / f"node{S_IFCHR}")
        known = (folder, folder, other, other, *nodes, "/dev/null", _node(_ON_DISK), _node(_AGAIN))
        path = str(self._chance.choice(known))
        self.log.append(f"device {path}")
        asked = {"PathOnHost": path, "PathInContainer": "/dev/given", "CgroupPermissions": "rw"}
        return {"Devices": [asked]}

    def _mounts(self) -> list[dict[str, Any]]:
        """Choose what the container mounts, and return the volumes that it needs."""
        mounts: list[dict[str, Any]] = []
        volumes: list[dict[str, Any]] = []
        for number in range(self._chance.choice((1, 1, 1, 2))):
            folder = "/link" if self._chance.random() < 0.1 else ""  # a symbolic link of the image
            source, target = self._source(), f"{folder}/d{number}"
            kind = self._chance.choice(("bind", "bind", "bind", "volume-bind", "volume-overlay", "volume"))
            if kind in {"bind", "volume-bind"} and self._chance.random() < 0.05:
                # Not the whole data root: volumes of containers that start later would appear in it.
                source = str(self._machine.engine.data_root / "image")
            asked: dict[str, Any] = {"Type": "bind", "Source": source, "Target": target}
            if kind == "bind" and self._chance.random() < 0.3:
                asked["BindOptions"] = {"NonRecursive": True}
            if kind != "bind":
                name = f"{self.name}-{number}"
                self._machine.words |= {"volumes", name, "_data"}
                asked = {"Type": "volume", "Source": name, "Target": target}
                how = self._chance.choice(("bind", "rbind", "bind,ro"))
                if kind == "volume-bind" and source.count("/") > 1 and self._chance.random() < 0.3:
                    source, _, below = source.rpartition("/")
                    asked["VolumeOptions"] = {"Subpath": below}
                if kind == "volume" and self._chance.random() < 0.5:
                    self.over[name] = source
                    self.log.append(f"mount --bind {source} over volume {name}")
                more = self._new("more")
                more.mkdir()
                options = {
                    "volume": {},
                    "volume-bind": {"type": "none", "o": how, "device": source},
                    "volume-overlay": {
                        "type": "overlay",
                        "o": f"lowerdir={source}:{more}",
                        "device": "overlay",
                    },
                }[kind]
                volumes.append({"Name": name, "Driver": "local", "DriverOpts": options})
                self.log.append(f"volume {name} {options}")
            mounts.append(asked)
            self.log.append(f"mount {asked}")
        if self._chance.random() < 0.2 and mounts[0]["Type"] == "bind":
            hidden = [name for name in ("docker.sock", "marker") if Path(mounts[0]["Source"], name).exists()]
            if hidden:
                over = f"{mounts[0]['Target']}/{self._chance.choice(hidden)}"
                mounts.append({"Type": "bind", "Source": "/dev/null", "Target": over, "ReadOnly": True})
                self.log.append(f"mount /dev/null over {over}")
        self.host_config["Mounts"] = mounts
        return volumes


@dataclass(frozen=True)
class Observed:
    """Containers as the collector saw them before and after their start, and what they reach."""

    snapshots: dict[str, Any]
    reached: dict[str, dict[str, Reached]]  # for the same moments, by name
    logs: dict[str, list[str]]


def observe(machine: Machine, cases: list[Case]) -> Observed:
    """Start a container for each case, and look from inside of each."""
    engine = machine.engine

    def create(case: Case) -> str:
        for volume in case.volumes:
            made = engine.api("POST", "/volumes/create", volume)
            if over := case.over.get(volume["Name"]):
                with suppress(subprocess.CalledProcessError):  # a file, or a folder that is gone
                    mount("--bind", over, made["Mountpoint"])
        command = ("sh", "-c", _FOLLOWS if "PidMode" in case.host_config else "sleep 1000000")
        return engine.create(case.name, image=_IMAGE, command=command, host_config=case.host_config)

    created = _possible(create, [(case, case) for case in cases])
    before = collect(engine)
    started = _possible(lambda identity: engine.api("POST", f"/containers/{identity}/start"), created)
    running = [(case, identity) for case, identity in created if case in dict(started)]
    pids = {
        case: int(engine.api("GET", f"/containers/{identity}/json")["State"]["Pid"])
        for case, identity in running
    }
    reached = {case.name: _reached(case, pid, machine) for case, pid in pids.items()}
    grafted = {}
    for case, pid in pids.items():
        # What a hook mounts read-only below /usr is taken for a driver.
        drivers = case.graft and "/usr/bin/busybox" in search(case.graft[0], machine, 1)
        if case.graft and not drivers and graft(pid, *case.graft):
            case.log.append(f"graft {case.graft}")
            grafted[case.name] = replace(reached[case.name], **seen_inside(pid, machine))
    _LEAVING.unlink(missing_ok=True)
    after = collect(engine)
    return Observed(
        {"stopped": before.raw, "running": after.raw},
        {"stopped": reached, "running": reached | grafted},
        {case.name: case.log for case, _ in running},
    )


def _reached(case: Case, pid: int, machine: Machine) -> Reached:
    follows = False
    if "PidMode" in case.host_config:
        answer, deadline = Path(f"/proc/{pid}/root/probe"), time.monotonic() + 60
        while not answer.exists():
            assert time.monotonic() < deadline, f"{case.name} does not say what it reaches"
            time.sleep(0.01)
        follows = answer.read_text().strip() == "reached"
    return Reached(follows=follows, **seen_inside(pid, machine))


def disagreements(seen: Observed) -> list[str]:
    """What the judges say otherwise than the search from inside, before and after the start."""
    found = []
    for when, raw in seen.snapshots.items():
        snapshot = Snapshot(raw)
        verdicts = {slug: judge(slug, snapshot) for slug in (SOCKET, SENSITIVE)}
        found += [f"{slug} {when}: {each.undecided}" for slug, each in verdicts.items() if each.undecided]
        for name, reality in seen.reached[when].items():
            for slug, reached in really(reality).items():
                if reached is not None and (name in named(verdicts[slug])) != reached:
                    detail = f"reality: {'reached' if reached else 'not reached'} {reality}"
                    found.append("\n  ".join([f"{name} {when} {slug}: {detail}", *seen.logs[name]]))
    return found


def really(reached: Reached) -> dict[str, bool | None]:
    """By control, whether a container reaches what it must not; None where the judge may be stricter."""
    # Runtimes that are not there yet will have their sockets in /run, whatever hides this engine's.
    sockets = reached.socket or reached.follows or "/run/kept" in reached.files
    found = reached.socket or reached.disk or bool(reached.files)
    return {
        SOCKET: sockets or (None if reached.dead else False),
        SENSITIVE: found or (None if reached.dead else False),
    }


def _possible(step: Callable[[Any], Any], subjects: list[tuple[Case, Any]]) -> list[tuple[Case, Any]]:
    """What a step gave for each case; some topologies an engine refuses."""

    def tried(subject: tuple[Case, Any]) -> tuple[Case, Any] | None:
        try:
            return subject[0], step(subject[1])
        except EngineError as error:
            subject[0].log.append(f"refused: {error}")
            return None

    with ThreadPoolExecutor(4) as pool:
        return [found for found in pool.map(tried, subjects) if found]


def observed(seed: int, number: int) -> Iterator[Observed]:
    """Try cases until as many containers have run."""
    prepare()
    hosts = [f"--host=unix:///run/{name}.sock" for name in ("docker", "moved", "gone", _LEAVING.stem)]
    engine = Dockerd(flags=[*hosts, "--iptables=false", "--bridge=none"])
    # The machine itself is read-only here, whatever an engine does with volumes that stand for its folders.
    mount("-t", "tmpfs", "tmpfs", engine.root)
    mount("-o", "remount,bind,ro", "/")
    engine.configure({})
    try:
        engine.start()
        _linked_image(engine)
        yield from _tried(marked(engine), seed, number)
        engine.remove_containers()
    finally:
        engine.kill()
        for point in (*_mount_points(engine.root), str(engine.root)):
            subprocess.run(["umount", "--lazy", point], check=True)
        mount("-o", "remount,bind,rw", "/")
        shutil.rmtree(engine.root)


def _tried(machine: Machine, seed: int, number: int) -> Iterator[Observed]:
    begun = tried = 0
    while tried < number:
        size = min(BATCH, number - tried)
        numbers = range(begun, begun + size)
        begun += size
        seen = observe(machine, [Case(each, machine, random.Random(f"{seed} {each}")) for each in numbers])
        tried += len(seen.logs)
        yield seen
        machine.engine.remove_containers()
        points = [*_mount_points(_STAGE), *_mount_points(machine.engine.data_root / "volumes")]
        for point in (point for point in points if not point.startswith(f"{_STAGE}/stage/")):
            subprocess.run(["umount", "--lazy", point], check=False, stderr=subprocess.DEVNULL)


def _mount_points(folder: Path) -> list[str]:
    """What is mounted below a folder, the last first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in reversed(lines)]
    return [point for point in points if point.startswith(f"{folder}/")]
