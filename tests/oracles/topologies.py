"""Random mount topologies: what containers see of the host, and what the judges say of it.

Run as a program in namespaces of its own (of mounts and processes), it starts an engine, makes folders of
the host visible under other names, lets containers mount some of them, looks from inside of each container
for the engine's socket and for marked files of the host, and prints what it saw, for pickle to read.

    python -m tests.oracles.receiving tests.oracles.topologies SEED CASES
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR, S_ISREG, S_ISSOCK
from typing import Any

from hardener.snapshot import Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import Dockerd, EngineError

SOCKET, SENSITIVE = "container-no-docker-sock", "container-no-sensitive-mounts"
BATCH = 30  # containers at a time: what is mounted for them stays mounted
_STAGE = Path("/srv")
_CLONE_NEWNS = 0x20000
_LIBC = ctypes.CDLL(None, use_errno=True)
_DEEPEST = 10
_NEVER_READ = 1 << 16  # bytes: no marked file but the one that is known by its inode is larger


def mount(*arguments: str | Path) -> None:
    """Mount something, as mount(8) does."""
    subprocess.run(["mount", *map(str, arguments)], check=True, stderr=subprocess.PIPE)


@dataclass
class Machine:
    """The host of the cases: this machine, with filesystems of its own over some folders."""

    engine: Dockerd
    words: set[str] = field(default_factory=set)  # names that a search from inside looks at
    texts: dict[bytes, str] = field(default_factory=dict)  # content of a marked file to its path
    inodes: dict[tuple[int, int], str] = field(default_factory=dict)  # the same by inode and size
    sockets: set[int] = field(default_factory=set)  # inodes

    def mark(self, path: Path) -> None:
        """Make a file that no container may see."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(16).hex().encode())
        self.know(path)

    def know(self, path: Path) -> None:
        """Remember a file that no container may see."""
        self.words |= set(path.parts)
        if path.stat().st_size <= _NEVER_READ:
            self.texts[path.read_bytes()] = str(path)
        else:
            self.inodes[path.stat().st_ino, path.stat().st_size] = str(path)


def prepare() -> None:
    """Mount filesystems of this namespace over the folders in which something is marked or made."""
    for folder in (_STAGE, Path("/run"), Path("/home")):
        mount("-t", "tmpfs", "tmpfs", folder)
    for name in ("etc", "root"):
        upper, work = (_STAGE / "stage" / name / part for part in ("upper", "work"))
        upper.mkdir(parents=True)
        work.mkdir()
        mount(
            "-t", "overlay", "overlay", "-o", f"lowerdir=/{name},upperdir={upper},workdir={work}", f"/{name}"
        )


def marked(engine: Dockerd) -> Machine:
    """Mark files in the host's own folders."""
    machine = Machine(engine)
    for path in (Path("/run/docker.sock"), engine.socket, engine.containerd_socket):
        machine.sockets.add(path.stat().st_ino)
        machine.words |= set(path.parts)
    # Two in each folder: a case may cover the first one.
    names = ("/run", "/run/sub", "/root", "/etc", "/etc/oracle", "/home/alice", "/home/bob")
    for folder in (*(Path(name) for name in names), engine.data_root / "image"):
        machine.mark(folder / "marker")
        machine.mark(folder / "kept")
    machine.know(Path("/etc/passwd"))
    machine.know(Path("/usr/bin/busybox"))
    machine.words |= {"docker.sock", "stage", "upper", *_STAGE.parts, *engine.root.parts}
    Path("/home/alice/app/data").mkdir(parents=True)
    machine.words |= {"app", "data"}
    return machine


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
        ]
        self._given = len(self.paths)
        for _ in range(chance.randint(1, 4)):
            kind = chance.choice(self._kinds)
            with suppress(subprocess.CalledProcessError, OSError):  # some kinds cannot follow each other
                kind(self)
        self.host_config, self.volumes = self._mounts()

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
        return Path(path).name.startswith(("x-", "app", "data")) or any(_search(path, self._machine, 0))

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
        source = self._chance.choice(("/run/docker.sock", "/run/sub/marker", "/etc/passwd"))
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

    _kinds: tuple[Callable[[Case], None], ...] = (_bind, _bind, _nested, _overlay, _link, _file, _covered)

    def _mounts(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What the container mounts, and the volumes that it needs."""
        mounts: list[dict[str, Any]] = []
        volumes: list[dict[str, Any]] = []
        for number in range(self._chance.choice((1, 1, 1, 2))):
            source, target = self._source(), f"/d{number}"
            kind = self._chance.choice(("bind", "bind", "bind", "volume-bind", "volume-overlay", "volume"))
            if kind == "bind" and self._chance.random() < 0.05:
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
        return {"Mounts": mounts, "NetworkMode": "none"}, volumes


def seen_inside(pid: int, machine: Machine) -> tuple[bool, set[str]]:
    """Whether a container's process can look up the engine's socket, and which marked files of the host."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if _LIBC.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), _CLONE_NEWNS) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            found = list(_search("/", machine, 0))
            os.write(writer, json.dumps(found[:200]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        found = json.loads(pipe.read())
    os.waitpid(child, 0)
    return any(name == "socket" for name in found), {name for name in found if name != "socket"}


def _search(folder: str, machine: Machine, depth: int) -> Iterator[str]:
    try:
        entries = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return
    for entry in entries:
        path = f"{folder.rstrip('/')}/{entry}"
        if folder == "/" and entry in {"proc", "sys", "dev"}:
            continue
        try:
            status = os.lstat(path)
        except OSError:
            continue
        yield from _recognised(path, status, machine)
        top = folder == "/" and entry.startswith("d")
        if S_ISDIR(status.st_mode) and depth < _DEEPEST and (entry in machine.words or top):
            yield from _search(path, machine, depth + 1)


def _recognised(path: str, status: os.stat_result, machine: Machine) -> Iterator[str]:
    if S_ISSOCK(status.st_mode) and status.st_ino in machine.sockets:
        yield "socket"
    elif S_ISREG(status.st_mode):
        known = machine.inodes.get((status.st_ino, status.st_size))
        if known is None and status.st_size in {len(text) for text in machine.texts}:
            with suppress(OSError), Path(path).open("rb") as file:
                known = machine.texts.get(file.read(_NEVER_READ))
        if known:
            yield known


@dataclass(frozen=True)
class Observed:
    """Containers as the collector saw them before and after their start, and what they reach."""

    snapshots: dict[str, Any]
    reached: dict[str, tuple[bool, set[str]]]  # by name: the engine's socket, marked files
    logs: dict[str, list[str]]


def observe(machine: Machine, cases: list[Case]) -> Observed:
    """Start a container for each case, and look from inside of each."""
    engine = machine.engine

    def create(case: Case) -> str:
        for volume in case.volumes:
            engine.api("POST", "/volumes/create", volume)
        return engine.create(case.name, host_config=case.host_config)

    created = _possible(create, [(case, case) for case in cases])
    before = collect(engine)
    started = _possible(lambda identity: engine.api("POST", f"/containers/{identity}/start"), created)
    running = [(case, identity) for case, identity in created if case in dict(started)]
    after = collect(engine)
    pids = {
        case.name: engine.api("GET", f"/containers/{identity}/json")["State"]["Pid"]
        for case, identity in running
    }
    return Observed(
        {"stopped": before.raw, "running": after.raw},
        {name: seen_inside(pid, machine) for name, pid in pids.items()},
        {case.name: case.log for case, _ in running},
    )


def disagreements(seen: Observed) -> list[str]:
    """What the judges say otherwise than the search from inside, before and after the start."""
    found = []
    for when, raw in seen.snapshots.items():
        snapshot = Snapshot(raw)
        verdicts = {slug: named(judge(slug, snapshot)) for slug in (SOCKET, SENSITIVE)}
        for name, (socket, files) in seen.reached.items():
            for slug, reached in really(socket, files).items():
                if (name in verdicts[slug]) != reached:
                    detail = f"reality: {'reached' if reached else 'not reached'} {sorted(files)} {socket}"
                    found.append("\n  ".join([f"{name} {when} {slug}: {detail}", *seen.logs[name]]))
    return found


def really(socket: bool, files: set[str]) -> dict[str, bool]:
    """By control, whether a container reaches what it must not."""
    # Runtimes that are not there yet will have their sockets in /run, whatever hides this engine's.
    return {SOCKET: socket or "/run/kept" in files, SENSITIVE: socket or bool(files)}


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
    engine = Dockerd(flags=["--host=unix:///run/docker.sock", "--iptables=false", "--bridge=none"])
    # The machine itself is read-only here, whatever an engine does with volumes that stand for its folders.
    mount("-t", "tmpfs", "tmpfs", engine.root)
    mount("-o", "remount,bind,ro", "/")
    engine.configure({})
    try:
        engine.start()
        engine.ensure_image()
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
        tried += len(seen.reached)
        yield seen
        machine.engine.remove_containers()
        for point in _mount_points(_STAGE):
            subprocess.run(["umount", "--lazy", point], check=False, stderr=subprocess.DEVNULL)


def _mount_points(folder: Path) -> list[str]:
    """What is mounted below a folder, the last first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in reversed(lines)]
    return [point for point in points if point.startswith(f"{folder}/")]
